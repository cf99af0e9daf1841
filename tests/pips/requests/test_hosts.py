"""Hosts that do not answer, or are busy: each is waited for, and in the end told as what it is.

Plain pip runs beside it: what it makes of the same fault is no truth about the host.
"""

from __future__ import annotations

import contextlib
import datetime
import http.server
import re
import ssl
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Sequence

import pytest
import trustme

from tests.support.certificates import certificates
from tests.support.downloads import LIES, NO_MATCH, OK, OURS, SIZE, downloaded, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import answering, closed_port, dead_index, download, indexes, listening
from tests.support.lab.faults import Busy, Cut, Drop, Entry, Redirect, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import newest, old_middle_new
from tests.support.programs import Argument

RESET, SILENCE = (Drop(), Reset(0)), (Drop(), Stall(0))
PAGE = "--index-url", "http://127.0.0.1:{port}/simple/", "demo"
FILE = ("http://127.0.0.1:{port}/demo-1.0-py3-none-any.whl",)
PROXY = "--proxy", "http://127.0.0.1:{port}", "--index-url", "https://demo.example/simple/", "demo"
HTTP = *PROXY[:2], "-i", "http://demo.example/simple/", "--trusted-host", "demo.example", "demo"
NO_NAME = "--index-url", "https://nowhere.invalid/simple/", "demo"
NOBODY = b"nobody listens"


class Case(NamedTuple):
    """A fault.

    :param does: a package of a lab, or the bytes that answer everything.
    :param says: what the error says of it, if it lasts.
    :param waits: how often pip says that it waits.
    :param words: what pip is asked for, if not for that package.
    :param handshakes: how the first ones end; if there are any, it is TLS.
    """

    does: Package | bytes
    says: str = ""
    waits: int = 1
    words: Sequence[str] = PAGE
    handshakes: Sequence[str] = ()


class Served(NamedTuple):
    """A server: its port, what pip is asked for, and the lab, if it is one."""

    port: int
    words: Sequence[Argument]
    lab: Lab | None = None


@contextlib.contextmanager
def served(case: Case) -> Iterator[Served]:
    if isinstance(case.does, Package):
        tls = certificates().server if case.handshakes else None
        with Lab([case.does], tls=tls, handshakes=case.handshakes) as lab:
            trust = ("--cert", certificates().ca_pem) if tls else ()
            words = "--index-url", lab.index_url, *trust, "demo"
            yield Served(int(lab.url.rpartition(":")[2]), words, lab)
    else:
        nobody = contextlib.nullcontext(closed_port())
        with nobody if case.does == NOBODY else answering(case.does) as port:
            yield Served(port, [word.format(port=port) for word in case.words])


def page(fault: Entry) -> Package:
    return Package("demo", page_forever=fault)


def file(fault: Entry) -> Package:
    return Package("demo", forever=fault)


GARBAGE = b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"
ANSWER = b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n"
SENSELESS = "The answer leads to an address that makes no sense"
REFUSED = "(connection refused). Trying "
THE_PROXY = "The proxy 127.0.0.1:{port}"
FOR_EVER = {
    "reset": Case(page(RESET), "(connection reset by peer). Trying "),
    "closed": Case(page(Drop()), "(closed without an answer). Trying "),
    "silence": Case(page(SILENCE), "To make pip try longer: --timeout 4"),
    "refused": Case(NOBODY, REFUSED),
    "500": Case(page(Busy(500)), "HTTP 500."),
    "file-503": Case(file(Busy(503)), "cannot serve the request"),
    "file-refused": Case(NOBODY, REFUSED, words=FILE),
    "garbage": Case(GARBAGE, "(what answered does not speak HTTP). Trying "),
    "file-long-header": Case(LONG, "(got more than 65536 bytes when ", words=FILE),
    "no-name": Case(NOBODY, "be reached (name not resolved). Trying", words=NO_NAME),
    # The answer stands, and is no missing project.
    "407": Case(page(Busy(407)), "index http://127.0.0.1:{port}/simple/ could", 0),
    "bad-redirect": Case(page(Redirect("http://me:'SECRET@a:x/")), SENSELESS, 0),
    "file-bad-redirect": Case(file(Redirect("gopher://a.example/")), SENSELESS, 0),
    "circles": Case(page(Redirect("?in=circles")), "Too many redirects: ", 0),
    # A proxy answers in the name of a host, or not at all; tests/infra has one with a password.
    "proxy-502": Case(ANSWER % b"502 No", f"{THE_PROXY} answers, but cannot", words=HTTP),
    "no-proxy": Case(NOBODY, f"{THE_PROXY} cannot be reached on the way to demo", words=PROXY),
    "connect-302": Case(ANSWER % b"302 Found", "answers 302 Found to CONNECT. note: 4", 0, PROXY),
    "connect-503": Case(ANSWER % b"503 No", "the proxy answers 503 No to CONNECT", 1, PROXY),
    "connect-closed": Case(b"", "the proxy 127.0.0.1:{port}. It took the conn", 1, PROXY),
}


@pytest.mark.parametrize("name", FOR_EVER)
@old_middle_new
def test_what_never_comes_ends_in_an_error_that_says_so(
    name: str, armed: Environment, bare: Environment
) -> None:
    case = FOR_EVER[name]
    with served(case) as it:
        run = download(armed, *it.words)
        assert end_of(run) == OURS, run.output
        assert case.says.format(port=it.port) in said(run)
        assert "Error(" not in run.output, "in words, and not as Python writes it"
        assert len(run.warnings("). Trying ")) == case.waits, "said when it begins"
        assert "SECRET" not in run.output
        asked = len(it.lab.log) if it.lab else 0
        plain = download(bare, *it.words)
        assert end_of(plain) in LIES
        slug = re.search(r"^error: [a-z-]+$", plain.output, re.MULTILINE)
        assert not slug or slug[0] in run.output, "whoever looks for pip's own error finds it"
        if it.lab and name != "silence":  # there each attempt waits longer than the one before it
            assert asked >= len(it.lab.log) - asked


FOR_A_WHILE = {
    "closed": Case(Package("demo", page_faults=[Drop()] * 3)),
    "silence": Case(Package("demo", page_faults=[SILENCE] * 3)),
    "500": Case(Package("demo", page_faults=[Busy(500)] * 3)),
    "metadata-500": Case(Package("demo", metadata=True, metadata_faults=[Busy(500)] * 3)),
    "file-503": Case(Package("demo", faults=[Busy(503)] * 3)),
    **{how: Case(Package("demo"), handshakes=[how] * 3) for how in ("cut", "stall")},
    "late": Case(Package("demo"), handshakes=["late"] * 30),
}


@pytest.mark.parametrize("fault", FOR_A_WHILE)
@old_middle_new
def test_a_host_that_answers_after_a_while_is_waited_for(
    fault: str, armed: Environment, bare: Environment
) -> None:
    env: dict[str, Any] = {"PIP_RETRY_PATCH_FIRST_CONTACT": "20", "PIP_RETRY_PATCH_PATIENCE": "20"}
    with served(FOR_A_WHILE[fault]) as it:
        run = download(armed, *it.words, **env)
        assert end_of(run) == OK, run.output
        if fault == "metadata-500" and it.lab and not it.lab.requests("demo", "metadata"):
            return  # pip reads such metadata since 23.2
        assert len(run.warnings("). Trying ")) >= 1, run.output
    with served(FOR_A_WHILE[fault]) as it:
        plain = download(bare, *it.words)
        assert end_of(plain) in LIES, plain.output


@old_middle_new
def test_a_refusal_whose_header_is_cut_is_the_one_that_plain_pip_sees(either: Environment) -> None:
    with answering(b"HTTP/1.1 404 Not Found\r\n") as port, Lab([Package("demo")]) as lab:
        options = indexes(lab.index_url, PAGE[1].format(port=port))
        run = download(either, *options, "demo")
        assert end_of(run) == OK and not run.warnings("could not be read"), run.output


@pytest.mark.parametrize(
    "case",
    [
        Case(NOBODY, "1 attempt in"),
        Case(page(Busy(503)), ": HTTP 503."),
        Case(page(Busy(429)), ": HTTP 429."),
    ],
    ids=["refused", "503", "429"],
)
@old_middle_new
def test_without_retries_the_truth_comes_at_once(
    case: Case, armed: Environment, bare: Environment
) -> None:
    with served(case) as it:
        run = download(armed, *it.words, PIP_RETRIES="0")
        assert end_of(run) == OURS and case.says in said(run), run.output
        assert "--retries 0" in said(run) and not run.warnings()
        assert not it.lab or len(it.lab.log) == 1
        assert end_of(download(bare, *it.words, PIP_RETRIES="0")) == NO_MATCH


@newest
def test_hints_name_what_would_help(armed: Environment) -> None:
    name, variable = "retry-patch-first-contact", "PIP_RETRY_PATCH_FIRST_CONTACT"
    for section in ("global", "download", ""):
        file = armed.fresh_dir() / "pip.conf"
        file.write_text(f"[{section}]\n{name} = 1\n" if section else "")
        env: dict[str, Argument] = {"PIP_CONFIG_FILE": file, **({} if section else {variable: "1"})}
        dead = indexes(dead_index())
        run = armed.run("download", "--retries", "1", *dead, "demo", env=env)
        hint = f"pip config set {section}.{name} 600" if section else f"set {variable}=600"
        told = said(run).partition("hint: ")[2]
        assert hint in told and ("pip config" in told) == bool(section)


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
    trusted.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Lab([Package("demo")], tls=context) as lab:
        words = "--cert", tmp_path / "ca.pem", "--index-url", lab.index_url, "demo"
        run = download(armed, *words)
        assert end_of(run) == OURS and not run.warnings("Trying"), run.output
        assert remedy in said(run).partition("hint: ")[2]
        assert end_of(download(bare, *words)) == NO_MATCH


@old_middle_new
def test_one_page_that_is_broken_is_not_its_host(either: Environment) -> None:
    """As plain pip, which goes on to the next index, but not in silence."""
    broken = Package("demo", page_forever=Busy(500))
    with Lab([broken, Package("other")]) as first, Lab([Package("demo")]) as second:
        options = indexes(first.index_url, second.index_url)
        run = download(either, *options, "other", "demo")
        assert end_of(run) == OK, run.output
        assert bool(run.warnings("(HTTP 500)")) == either.armed


@old_middle_new
def test_a_busy_answer_is_asked_again_over_a_new_connection(either: Environment) -> None:
    """Behind the first connection is a node that is sick."""
    peers: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            peers.append(self.client_address)
            self.wfile.write(ANSWER % (b"502 No" if peers[0] == peers[-1] else b"200 OK"))

    with listening(Handler) as port, Lab([Package("demo")]) as lab:
        constraint = "--constraint", f"http://127.0.0.1:{port}/constraints.txt"
        run = download(either, *indexes(lab.index_url), *constraint, "demo")
    assert (end_of(run) == OK) == either.armed, run.output
    assert not either.armed or len(peers) == 3  # what comes empty is asked for once more
    assert either.armed or len(set(peers)) == 1


@old_middle_new
def test_a_log_has_each_attempt_status_and_wait(armed: Environment, bare: Environment) -> None:
    faults = [Cut(1_000_000), Busy(503), Busy(502, retry_after=1)]
    logs = []
    for environment in (armed, bare):
        logs.append(environment.fresh_dir() / "log")
        done = downloaded(environment, Package("demo", SIZE, faults), "--log", logs[-1])
        assert done.is_right or not environment.armed
    text, plain = (log.read_text() for log in logs)
    assert text.count(f" guards pip {armed.pip_version}") == 1
    statuses = re.findall(r"Attempt (\d), \S+\.whl: (\w+)", text)
    assert statuses == [("1", "503"), ("2", "502"), ("3", "206")] and "Attempt 1" not in plain
    waits = re.findall(r"next attempt in (\d\.\d) s", text)
    assert len(waits) == 3 and waits[0] == "0.0" and float(waits[2]) >= 1
    assert "demo-1.0 resumed at 1000 kB of 3.0 MB (" in text
