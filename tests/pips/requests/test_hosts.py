"""Hosts that do not answer, or are busy: each is waited for, and in the end told as what it is.

Plain pip runs beside it: what it makes of the same fault is no truth about the host.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import re
import socketserver
import ssl
import time
from pathlib import Path
from typing import Any, Callable, ContextManager, Iterator, NamedTuple

import pytest
import trustme

from tests.support.certificates import certificates
from tests.support.downloads import HASTY, LIES, NO_MATCH, OK, OURS, SIZE, Download, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import HURRIED, answering, closed_port, download, listening
from tests.support.lab.faults import Away, Busy, Cut, Drop, Redirect, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import newest, old_middle_new
from tests.support.programs import Argument

RESET, SILENCE = (Drop(), Reset(0)), (Drop(), Stall(0))


class Served(NamedTuple):
    """A server: its port, what pip is asked for, and the lab, if it is one."""

    port: int
    arguments: tuple[Argument, ...]
    lab: Lab | None = None


Server = Callable[[], ContextManager[Served]]


def index(
    tls: ssl.SSLContext | None = None, handshakes: tuple[str, ...] = (), **package: Any
) -> Server:
    """Give a server of the lab, with this package."""

    @contextlib.contextmanager
    def serve() -> Iterator[Served]:
        with Lab([Package("demo", **package)], tls=tls, handshakes=handshakes) as lab:
            trust = ("--cert", certificates().ca_pem) if tls else ()
            arguments = "--index-url", lab.index_url, *trust, "demo"
            yield Served(int(lab.url.rpartition(":")[2]), arguments, lab)

    return serve


PAGE = "--index-url", "http://127.0.0.1:{port}/simple/", "demo"
FILE = ("http://127.0.0.1:{port}/demo-1.0-py3-none-any.whl",)
PROXY = "--proxy", "http://127.0.0.1:{port}", "--index-url", "https://demo.example/simple/", "demo"
HTTP = "-i", "http://demo.example/simple/", "--trusted-host", "demo.example", "demo"
NOBODY = b"nobody listens"


def server(answer: bytes | None, *arguments: str) -> Server:
    """Give one that answers all with the same bytes; None resets."""

    @contextlib.contextmanager
    def serve() -> Iterator[Served]:
        listening = contextlib.nullcontext(closed_port())
        with listening if answer == NOBODY else answering(answer) as port:
            yield Served(port, tuple(word.format(port=port) for word in arguments))

    return serve


class Case(NamedTuple):
    """A fault that lasts.

    :param says: what the error says of it.
    :param waits: how often pip says that it waits.
    """

    server: Server
    says: str
    waits: int = 1


CLOSED = "(closed without an answer). Trying "
GARBAGE = b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "(what answered does not speak HTTP). Trying "
LONG_HEADER = (
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "(got more than 65536 bytes when reading header line). Trying ",
)
NO_NAME = "--index-url", "https://nowhere.invalid/simple/", "demo"
LATER = "wants to be asked again in 3600 s"
ANSWER = b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n"
SENSELESS = "The answer leads to an address that makes no sense"
FOR_EVER = {
    "reset": Case(index(page_forever=RESET), "(connection reset by peer). Trying "),
    "closed": Case(index(page_forever=Drop()), CLOSED),
    "silence": Case(index(page_forever=SILENCE), "(timed out). Trying "),
    "refused": Case(server(NOBODY, *PAGE), "(connection refused). Trying "),
    "500": Case(index(page_forever=Busy(500)), "HTTP 500."),
    "429": Case(index(page_forever=Busy(429)), "HTTP 429."),
    "file-503": Case(index(forever=Busy(503)), "cannot serve the request"),
    "file-refused": Case(server(NOBODY, *FILE), "(connection refused). Trying "),
    "garbage": Case(server(GARBAGE[0], *PAGE), GARBAGE[1]),
    "file-long-header": Case(server(LONG_HEADER[0], *FILE), LONG_HEADER[1]),
    "no-name": Case(
        server(NOBODY, *NO_NAME), "nowhere.invalid cannot be reached (name not resolved). Trying"
    ),
    # The answer stands, and is no missing project.
    "407": Case(index(page_forever=Busy(407)), "index http://127.0.0.1:{port}/simple/ could", 0),
    "501": Case(index(page_forever=Busy(501)), "HTTP 501.", 0),
    "bad-redirect": Case(index(page_forever=Redirect("http://me:'SECRET@a:x/")), SENSELESS, 0),
    "file-bad-redirect": Case(index(forever=Redirect("gopher://a.example/")), SENSELESS, 0),
    "circles": Case(index(page_forever=Redirect("?in=circles")), ": too many redirects."),
    "file-circles": Case(index(forever=Redirect("?in=circles")), ": too many redirects."),
    # A proxy answers in the name of a host, or not at all.
    "proxy-407": Case(
        server(ANSWER % b"407 Authenticate", *PROXY[:2], *HTTP),
        "The proxy 127.0.0.1:{port} refuses the connection to demo.example",
        0,
    ),
    "proxy-502": Case(
        server(ANSWER % b"502 No", *PROXY[:2], *HTTP),
        "The proxy 127.0.0.1:{port} answers, but cannot",
    ),
    "no-proxy": Case(
        server(NOBODY, *PROXY),
        "The proxy 127.0.0.1:{port} cannot be reached on the way to demo.example",
    ),
    "connect-407": Case(
        server(ANSWER % b"407 Proxy Authentication Required", *PROXY),
        "through the proxy 127.0.0.1:{port}. The proxy answered, not the host.",
        0,
    ),
    "connect-302": Case(
        server(ANSWER % b"302 Found", *PROXY),
        "the proxy answers 302 Found to CONNECT. note: 2 attempts",
        0,
    ),
    "connect-503": Case(
        server(ANSWER % b"503 Service Unavailable", *PROXY),
        "the proxy answers 503 Service Unavailable to CONNECT",
    ),
    "connect-closed": Case(
        server(b"", *PROXY), "through the proxy 127.0.0.1:{port}. The network failed"
    ),
}


@pytest.mark.parametrize("case", FOR_EVER.values(), ids=FOR_EVER)
@old_middle_new
def test_what_never_comes_ends_in_an_error_that_says_so(
    case: Case, armed: Environment, bare: Environment
) -> None:
    with case.server() as served:
        run = download(armed, *served.arguments)
        assert end_of(run) == OURS, run.output
        assert case.says.format(port=served.port) in said(run)
        assert "Error(" not in run.output, "in words, and not as Python writes it"
        assert len(run.warnings("). Trying ")) == case.waits, "said when it begins"
        assert "SECRET" not in run.output
        asked = len(served.lab.log) if served.lab else 0
        assert end_of(download(bare, *served.arguments)) in LIES
        if served.lab and case is not FOR_EVER["silence"]:
            # (Each attempt waits longer for an answer than the one before it.)
            assert asked >= len(served.lab.log) - asked


FOR_A_WHILE = {
    "reset": index(page_faults=[RESET] * 3),
    "closed": index(page_faults=[Drop()] * 3),
    "silence": index(page_faults=[SILENCE] * 3),
    "500": index(page_faults=[Busy(500)] * 3),
    "429": index(page_faults=[Busy(429)] * 2),
    "metadata-500": index(metadata=True, metadata_faults=[Busy(500)] * 3),
    "file-503": index(faults=[Busy(503)] * 3),
    **{how: index(certificates().server, (how,) * 3) for how in ("cut", "stall")},
}


@pytest.mark.parametrize("fault", FOR_A_WHILE)
@old_middle_new
def test_a_host_that_answers_after_a_while_is_waited_for(
    fault: str, armed: Environment, bare: Environment
) -> None:
    env: dict[str, Any] = {"PIP_RETRY_PATCH_FIRST_CONTACT": "20", "PIP_RETRY_PATCH_PATIENCE": "20"}
    with FOR_A_WHILE[fault]() as served:
        run = download(armed, *served.arguments, **env)
        assert end_of(run) == OK, run.output
        assert served.lab
        if fault == "metadata-500" and not served.lab.requests("demo", "metadata"):
            return  # pip reads such metadata since 23.2
        assert len(run.warnings("). Trying ")) >= 1, run.output
    with FOR_A_WHILE[fault]() as served:
        plain = download(bare, *served.arguments)
        assert end_of(plain) in LIES, plain.output


# A host that answered before


@old_middle_new
def test_a_host_that_is_away_is_waited_for_and_named_if_it_stays_so(armed: Environment) -> None:
    """The page is had, then the wifi restarts: the file is asked for of nobody, for a while."""
    with Lab([Package("demo", SIZE, [(Drop(), Away(3.0))])]) as lab:
        done = Download(armed, lab, "--retries", "1")
        done.assert_right()
        (line,) = done.run.warnings(" cannot be reached any more (")
        assert "(connection refused). Trying for " in line
    with Lab([Package("demo", SIZE, [(Drop(), Away(60.0))])]) as lab:
        run = Download(armed, lab, "--retries", "1", env=HASTY).run
        assert run.returncode == 1 and "Traceback" not in run.output
        assert "cannot be reached any more (connection refused). Trying for 2 s" in said(run)


@old_middle_new
def test_an_index_that_is_never_but_busy_is_gone_without_and_asked_again_once(
    armed: Environment,
) -> None:
    """One of several may be dead for good, and pip always did without it, if in silence."""
    names = ("demo", "other")
    dead = [Package(name, page_faults=[Busy(504)] * 20) for name in names]
    with Lab(dead) as first, Lab([Package(name, 3000) for name in names]) as second:
        run = download(
            *(armed, "--index-url", second.index_url, "--extra-index-url", first.index_url),
            *names,
        )
        assert end_of(run) == OK, run.output
        (line,) = run.warnings("could not be read")
        assert "(HTTP 504)" in line and "pip goes on without it" in line
        assert [len(first.requests(name, "page")) for name in names] == [4, 1]


# As plain pip has it


@old_middle_new
def test_a_refusal_whose_header_is_cut_is_the_one_that_plain_pip_sees(
    armed: Environment, bare: Environment
) -> None:
    with answering(b"HTTP/1.1 404 Not Found\r\n") as port, Lab([Package("demo")]) as lab:
        indexes = "--index-url", lab.index_url, "--extra-index-url", PAGE[1].format(port=port)
        for environment in (armed, bare):
            run = download(environment, *indexes, "demo")
            assert end_of(run) == OK and not run.warnings("could not be read"), run.output


@old_middle_new
def test_a_retry_after_is_announced_or_beyond_patience_told_and_not_slept_for(
    armed: Environment, bare: Environment
) -> None:
    with Lab([Package("demo", page_forever=Busy(503, retry_after=3600))]) as lab:
        run = download(armed, "--index-url", lab.index_url, "demo")
        assert end_of(run) == OURS and LATER in said(run), run.output
        assert run.seconds < 10
    # Plain pip sleeps for an hour. That it sleeps at all is shown with 4 seconds.
    for environment in (armed, bare):
        with Lab([Package("demo", page_faults=[Busy(503, retry_after=4)])]) as lab:
            run = download(environment, "--index-url", lab.index_url, "demo")
            assert end_of(run) == OK and run.seconds > 4
            assert len(run.warnings("HTTP 503, wants 4 s). Trying again in")) == environment.armed


@old_middle_new
def test_without_retries_the_truth_comes_at_once(armed: Environment, bare: Environment) -> None:
    dead = "--index-url", PAGE[1].format(port=closed_port()), "demo"
    run = download(armed, *dead, PIP_RETRIES="0")
    assert end_of(run) == OURS and "1 attempt in" in said(run), run.output
    assert "--retries 0" in said(run) and not run.warnings()
    assert end_of(download(bare, *dead, PIP_RETRIES="0")) == NO_MATCH
    for status in (503, 429):
        with Lab([Package("demo", page_faults=[Busy(status)])]) as lab:
            run = download(armed, "--index-url", lab.index_url, "demo", PIP_RETRIES="0")
            assert end_of(run) == OURS and f": HTTP {status}." in said(run)
            assert len(lab.log) == 1 and not run.warnings()


@newest
def test_hints_name_what_would_help(armed: Environment) -> None:
    def hint(config: str, **env: Argument) -> str:
        file = armed.fresh_dir() / "pip.conf"
        file.write_text(config)
        dead = PAGE[1].format(port=closed_port())
        run = armed.run(
            *("download", "--retries", "1", "--index-url", dead, "demo"),
            env={"PIP_CONFIG_FILE": file, **env},
        )
        return said(run).partition("hint: ")[2]

    for section in ("global", "download"):
        told = hint(f"[{section}]\nretry-patch-first-contact = 1\n")
        assert f"pip config set {section}.retry-patch-first-contact 600" in told
    told = hint("", PIP_RETRY_PATCH_FIRST_CONTACT="1")
    assert "set PIP_RETRY_PATCH_FIRST_CONTACT=600" in told and "pip config" not in told


# Who is to blame, and what helps

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now()
# What is wrong with a certificate: how it is made, and what the hint says.
CERTIFICATES: dict[str, tuple[dict[str, Any], str]] = {
    "not yet": ({"not_before": NOW + DAY, "not_after": NOW + 2 * DAY}, "Set the clock"),
    "expired": ({"not_before": NOW - 2 * DAY, "not_after": NOW - DAY}, "Check the clock."),
    "name": ({"identities": "other.example"}, "Check the host's name"),
    "issuer": ({"authority": trustme.CA()}, "--cert FILE"),
}


@pytest.mark.parametrize("wrong", CERTIFICATES)
@old_middle_new
def test_each_certificate_has_its_own_remedy(
    armed: Environment, bare: Environment, tmp_path: Path, wrong: str
) -> None:
    made, remedy = CERTIFICATES[wrong]
    made, trusted, context = dict(made), trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority: trustme.CA = made.pop("authority", trusted)
    authority.issue_cert(made.pop("identities", "127.0.0.1"), **made).configure_cert(context)
    theirs, ours = tmp_path / "theirs.pem", tmp_path / "ours.pem"
    authority.cert_pem.write_to_path(str(theirs))
    trusted.cert_pem.write_to_path(str(ours))
    with Lab([Package("demo")], tls=context) as lab:
        command = "--index-url", lab.index_url, "demo", "--cert"
        run = download(armed, *command, ours)
        assert end_of(run) == OURS and not run.warnings("Trying"), run.output
        assert remedy in said(run).partition("hint: ")[2]
        assert end_of(download(bare, *command, ours)) == NO_MATCH
        if wrong == "issuer":
            assert end_of(download(armed, *command, theirs)) == OK


@old_middle_new
def test_one_page_that_is_broken_is_not_its_host(armed: Environment, bare: Environment) -> None:
    """As plain pip, which goes on to the next index, but not in silence."""
    broken = Package("demo", page_forever=Busy(500))
    for environment in (armed, bare):
        with Lab([broken, Package("other")]) as first, Lab([Package("demo")]) as second:
            indexes = "--index-url", first.index_url, "--extra-index-url", second.index_url
            run = download(environment, *indexes, "other", "demo")
            assert end_of(run) == OK, run.output
            assert bool(run.warnings("(HTTP 500)")) == (environment is armed)


@contextlib.contextmanager
def one_sick_connection(answer: bytes) -> Iterator[tuple[int, list[int]]]:
    """Serve 502 over the first connection, and `answer` over all others; and who was asked."""
    asked: list[int] = []
    numbers = itertools.count()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            number = next(numbers)
            while self.rfile.readline():
                while self.rfile.readline().strip():
                    pass
                asked.append(number)
                sick = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
                self.wfile.write(answer if number else sick)

    with listening(Handler) as port:
        yield port, asked


EMPTY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n\n"


@old_middle_new
def test_a_busy_answer_is_asked_again_over_a_new_connection(
    armed: Environment, bare: Environment
) -> None:
    with Lab([Package("demo")]) as lab:
        for environment in (armed, bare):
            with one_sick_connection(EMPTY) as (port, asked):
                url = f"http://127.0.0.1:{port}/constraints.txt"
                command = "--index-url", lab.index_url, "--constraint", url, "demo"
                run = download(environment, *command)
                if environment is armed:
                    assert end_of(run) == OK and asked == [0, 1], run.output
                else:
                    assert end_of(run) != OK and asked == [0] * len(asked)


@contextlib.contextmanager
def slow_to_answer(seconds: float) -> Iterator[int]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            time.sleep(seconds)
            with contextlib.suppress(OSError):
                self.wfile.write(EMPTY)

    with listening(Handler) as port:
        yield port


@old_middle_new
def test_a_server_that_takes_its_time_is_told_with_a_timeout_that_is_long_enough(
    armed: Environment, bare: Environment
) -> None:
    with slow_to_answer(2.7) as port, Lab([Package("demo")]) as lab:
        url = f"http://127.0.0.1:{port}/constraints.txt"
        command = "--index-url", lab.index_url, "--constraint", url, "demo"
        run = download(armed, *command, PIP_RETRY_PATCH_FIRST_CONTACT="1")
        assert end_of(run) == OURS, run.output
        found = re.search(r"To make pip try longer: (--timeout) (\d+)", said(run))
        assert found, run.output
        again = download(armed, *command, *found.groups(), PIP_RETRY_PATCH_FIRST_CONTACT="1")
        assert end_of(again) == OK, again.output
        assert end_of(download(bare, *command)) != OK


@old_middle_new
def test_a_log_has_each_attempt_status_and_wait(
    armed: Environment, bare: Environment, tmp_path: Path
) -> None:
    for environment in (armed, bare):
        log = environment.fresh_dir() / "log"
        faults = [Cut(1_000_000), Busy(503), Busy(502, retry_after=1)]
        with Lab([Package("demo", 3_000_000, faults)]) as lab:
            command = "--no-cache-dir", "--log", log, "--index-url", lab.index_url, "demo"
            run = download(environment, *command, PIP_RETRY_PATCH_ATTEMPTS="8")
        text = log.read_text()
        statuses = re.findall(r"Attempt (\d), \S+\.whl: (\w+)", text)
        waits = re.findall(r"next attempt in (\d\.\d) s", text)
        if environment is bare:
            assert not statuses
            continue
        assert f" guards pip {environment.pip_version}" in text
        assert end_of(run) == OK, run.output
        assert statuses == [("1", "503"), ("2", "502"), ("3", "206")]
        assert len(waits) == 3 and waits[0] == "0.0" and float(waits[2]) >= 1


@old_middle_new
def test_without_a_hash_an_error_says_what_a_hash_would_do(
    armed: Environment, bare: Environment
) -> None:
    package = Package("demo", 3_000_000, [Cut(2_000_000)], forever=Cut(0))
    kept = {name: value for name, value in HURRIED.items() if name != "PIP_NO_CACHE_DIR"}
    for hashed in (False, True):
        with Lab([package]) as lab:
            url = f"{lab.url}/files/demo/{lab.filename('demo')}"
            url += f"#sha256={lab.sha256('demo')}" if hashed else ""
            run = armed.run("download", "--no-deps", url, env=kept)
            assert end_of(run) == OURS, run.output
            advice = "cannot be continued safely: add #sha256=... to the URL." in said(run)
            assert (advice, "What arrived is kept" in said(run)) == (not hashed, hashed)
            assert end_of(download(bare, url)) != OK
