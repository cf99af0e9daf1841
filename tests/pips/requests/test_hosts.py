"""Hosts that do not answer, or are busy: each is waited for, and in the end told as what it is.

Plain pip runs beside it: what it makes of the same fault is no truth about the host.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any, Callable, ContextManager, Iterator, NamedTuple

import pytest

from tests.support.certificates import certificates, new_certificates
from tests.support.downloads import HASTY, LIES, NO_MATCH, OK, OURS, SIZE, Download, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import answering, closed_port, download
from tests.support.lab.faults import Away, Busy, Drop, Lasting, Redirect, Reset, Stall
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
CONNECT = b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n"
THROUGH = "through the proxy 127.0.0.1:{port}. The network failed"
FOR_EVER = {
    "reset": Case(index(page_forever=RESET), "(connection reset by peer). Trying "),
    "closed": Case(index(page_forever=Drop()), CLOSED),
    "silence": Case(index(page_forever=SILENCE), "(timed out). Trying "),
    "500": Case(index(page_forever=Busy(500)), "HTTP 500."),
    "530": Case(index(page_forever=Busy(530)), "HTTP 530."),
    "429": Case(index(page_forever=Busy(429)), "HTTP 429."),
    "file-500": Case(index(forever=Busy(500)), "HTTP 500. note: 4 attempts"),
    "file-503": Case(index(forever=Busy(503)), "cannot serve the request"),
    "file-refused": Case(server(NOBODY, *FILE), "(connection refused). Trying "),
    "file-closed": Case(server(b"", *FILE), CLOSED),
    "garbage": Case(server(GARBAGE[0], *PAGE), GARBAGE[1]),
    "file-garbage": Case(server(GARBAGE[0], *FILE), GARBAGE[1]),
    "long-header": Case(server(LONG_HEADER[0], *PAGE), LONG_HEADER[1]),
    "file-long-header": Case(server(LONG_HEADER[0], *FILE), LONG_HEADER[1]),
    "no-name": Case(
        server(NOBODY, *NO_NAME), "nowhere.invalid cannot be reached (name not resolved). Trying"
    ),
    "no-proxy": Case(
        server(NOBODY, *PROXY),
        "The proxy 127.0.0.1:{port} cannot be reached on the way to demo.example",
    ),
    "proxy-407": Case(
        server(CONNECT % b"407 Proxy Authentication Required", *PROXY),
        "through the proxy 127.0.0.1:{port}. The proxy answered, not the host.",
        waits=0,
    ),
    "proxy-503": Case(
        server(CONNECT % b"503 Service Unavailable", *PROXY),
        "the proxy answers 503 Service Unavailable to CONNECT",
    ),
    "proxy-reset": Case(server(None, *PROXY), THROUGH),
    "proxy-closed": Case(server(b"", *PROXY), THROUGH),
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
        asked = len(served.lab.log) if served.lab else 0
        assert end_of(download(bare, *served.arguments)) in LIES
        if served.lab and case is not FOR_EVER["silence"]:
            # (Each attempt waits longer for an answer than the one before it.)
            assert asked >= len(served.lab.log) - asked


FOR_A_WHILE = {
    "reset": index(page_faults=[RESET] * 3),
    "closed": index(page_faults=[Lasting(1.0, Drop())]),
    "silence": index(page_faults=[SILENCE] * 3),
    "500": index(page_faults=[Busy(500)] * 3),
    "429": index(page_faults=[Busy(429)] * 2),
    "504": index(page_faults=[Busy(504)] * 2),
    "metadata-500": index(metadata=True, metadata_faults=[Busy(500)] * 3),
    "file-reset": index(faults=[RESET] * 3),
    "file-closed": index(faults=[Drop()] * 3),
    "file-429": index(faults=[Busy(429)] * 2),
    "file-503": index(faults=[Busy(503)] * 3),
    **{how: index(certificates().server, (how,) * 3) for how in ("cut", "reset", "stall")},
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
def test_a_host_that_is_back_but_busy_is_asked_again_with_patience(armed: Environment) -> None:
    """It has but one of pip's own retries, and that was used up while the host was away."""
    back = [Drop(), Busy(503, retry_after=2), Busy(504)]
    faults: list[Any] = [Redirect("?again=1"), (Drop(), Away(1.0)), *back]
    with Lab([Package("demo", page_faults=faults)]) as lab:
        done = Download(armed, lab, "--retries", "1")
        done.assert_right()
        (line,) = done.run.warnings(" cannot be reached any more (")
        assert "(connection refused). Trying for " in line
        pages = lab.requests("demo", "page")
        assert [page.status for page in pages] == [302, 0, 0, 503, 504, 200]
        assert pages[4].time - pages[3].time >= 2


@old_middle_new
def test_a_host_that_gets_busy_and_stays_so_is_an_error(armed: Environment) -> None:
    with Lab([Package("demo", page_faults=[Redirect("?again=1"), *[Busy(503)] * 20])]) as lab:
        run = Download(armed, lab, "--retries", "2", env=HASTY).run
        assert run.returncode == 1
        assert f"{lab.url.partition('//')[2]} answers, but cannot serve the request" in said(run)
        assert f"the page {lab.index_url}demo/: HTTP 503." in said(run)
        assert "PIP_RETRY_PATCH_ATTEMPTS=50" in said(run)
        assert "No matching distribution" not in run.output and "Traceback" not in run.output
        # The redirect, what it leads to, and two retries.
        assert len(lab.requests("demo", "page")) == 4


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
def test_a_host_that_answers_is_asked_as_often_as_by_plain_pip(
    armed: Environment, bare: Environment
) -> None:
    """Nothing is slower where the first answer comes at once: no request more, and no wait."""
    asked = []
    for environment in (armed, bare):
        with Lab([Package("demo", metadata=True, requires=["other"]), Package("other")]) as lab:
            options = "--dest", environment.fresh_dir(), "--index-url", lab.index_url, "demo"
            run = environment.run("download", *options)
            assert end_of(run) == OK and not run.warnings(), run.output
            asked.append([(r.kind, r.package, r.range) for r in lab.log])
    assert asked[0] == asked[1]


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
def test_a_refused_certificate_is_told_at_first_contact_and_not_waited_for(
    armed: Environment, bare: Environment
) -> None:
    with index(new_certificates().server)() as served:
        run = download(armed, *served.arguments, PIP_RETRIES="5")
        assert end_of(run) == OURS and "--cert FILE" in said(run), run.output
        assert not run.warnings("Trying")
        assert run.seconds < 7, "pip's own retries take 7.5 s"
        assert end_of(download(bare, *served.arguments)) == NO_MATCH


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
