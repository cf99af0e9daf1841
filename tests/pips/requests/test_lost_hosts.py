"""Hosts that never answer, with real pips: each is waited for, and then told as what it is.

Plain pip runs beside it: what it makes of the same fault is in the tables.
"""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any, Callable, ContextManager, Iterator, NamedTuple

import pytest
import trustme

from tests.support.certificates import certificates
from tests.support.environments import Environment
from tests.support.hosts import (
    NO_MATCH,
    OK,
    OTHER,
    OURS,
    TRACEBACK,
    answering,
    closed_port,
    download,
    end_of,
    said,
)
from tests.support.lab.faults import Busy, Drop, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.lab.stages import Lasting
from tests.support.matrix import old_middle_new
from tests.support.programs import Argument

RESET, SILENCE = (Drop(), Reset(0)), (Drop(), Stall(0))


class Case(NamedTuple):
    """One fault that lasts, of an index page.

    :param why: what the error says of it.
    :param waits: it is waited for.
    """

    name: str
    package: Package
    why: str
    waits: bool = True


FOR_EVER = [
    Case("reset", Package("demo", page_forever=RESET), "connection reset by peer"),
    Case("closed", Package("demo", page_forever=Drop()), "closed the connection without an answer"),
    Case("silence", Package("demo", page_forever=SILENCE), "no data arrived in time"),
    Case("500", Package("demo", page_forever=Busy(500)), "the server answers 500"),
    Case("530", Package("demo", page_forever=Busy(530)), "the server answers 530"),
    Case("429", Package("demo", page_forever=Busy(429)), "the server answers 429"),
]


@pytest.mark.parametrize("case", FOR_EVER, ids=lambda case: case.name)
@old_middle_new
def test_a_page_that_never_comes_ends_in_an_error_that_says_so(
    armed: Environment, bare: Environment, case: Case
) -> None:
    with Lab([case.package]) as lab:
        run = download(armed, "--index-url", lab.index_url, "demo")
        assert end_of(run) == OURS, run.output
        assert case.why in said(run)
        # "waiting", or "is busy": said when it begins.
        assert len(run.warnings(", waiting ")) + len(run.warnings(", asking again")) == 1
        asked = len(lab.requests("demo", "page"))
        plain = download(bare, "--index-url", lab.index_url, "demo")
        assert end_of(plain) == NO_MATCH
        # Each attempt waits longer for an answer than the one before it.
        assert asked >= len(lab.requests("demo", "page")) - asked + (case.name != "silence")


FOR_A_WHILE = {
    "reset": Package("demo", page_faults=[RESET] * 3),
    "closed": Package("demo", page_faults=[Lasting(1.0, Drop())]),
    "silence": Package("demo", page_faults=[SILENCE] * 3),
    "500": Package("demo", page_faults=[Busy(500)] * 3),
    "metadata-500": Package("demo", metadata=True, metadata_faults=[Busy(500)] * 3),
    "file-reset": Package("demo", faults=[RESET] * 3),
    "file-closed": Package("demo", faults=[Drop()] * 3),
}


@pytest.mark.parametrize("fault", FOR_A_WHILE)
@old_middle_new
def test_a_host_that_answers_after_a_while_is_waited_for(
    armed: Environment, bare: Environment, fault: str
) -> None:
    env: dict[str, Any] = {"PIP_RETRY_PATCH_FIRST_CONTACT": "20", "PIP_RETRY_PATCH_PATIENCE": "20"}
    with Lab([FOR_A_WHILE[fault]]) as lab:
        run = download(armed, "--index-url", lab.index_url, "demo", **env)
        assert end_of(run) == OK, run.output
        never = fault == "metadata-500" and not lab.requests("demo", "metadata")
    if not never:  # pip reads such metadata since 23.2
        with Lab([FOR_A_WHILE[fault]]) as lab:
            plain = download(bare, "--index-url", lab.index_url, "demo")
            assert end_of(plain) in (NO_MATCH, TRACEBACK, OTHER), plain.output


@old_middle_new
def test_a_file_whose_host_never_answers_ends_in_an_error_and_no_traceback(
    armed: Environment, bare: Environment
) -> None:
    url = f"http://127.0.0.1:{closed_port()}/demo-1.0-py3-none-any.whl"
    run = download(armed, url)
    assert end_of(run) == OURS, run.output
    assert "It was asked for demo-1.0-py3-none-any.whl: connection refused" in said(run)
    plain = download(bare, url)
    assert end_of(plain) in (TRACEBACK, OTHER), "pip 26.2 has an error of its own"


@old_middle_new
def test_a_files_500_is_told_without_more_waiting_than_pips(
    armed: Environment, bare: Environment
) -> None:
    with Lab([Package("demo", forever=Busy(500))]) as lab:
        run = download(armed, "--index-url", lab.index_url, "demo")
        assert end_of(run) == OURS, run.output
        assert "the server answers 500; 4 attempts" in said(run)
        assert end_of(download(bare, "--index-url", lab.index_url, "demo")) == (TRACEBACK)


CLOSED = "the server closed the connection without an answer"
NO_ANSWERS = {
    "closed": (b"", CLOSED),
    "garbage": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "what answered does not speak HTTP"),
    "long-header": (
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        "got more than 65536 bytes when reading header line",
    ),
}


@pytest.mark.parametrize("what", NO_ANSWERS)
@old_middle_new
def test_what_is_no_whole_header_is_no_answer(
    armed: Environment, bare: Environment, what: str
) -> None:
    answer, why = NO_ANSWERS[what]
    with answering(answer) as port:
        for wanted in ("demo", f"http://127.0.0.1:{port}/demo-1.0-py3-none-any.whl"):
            options = "--index-url", f"http://127.0.0.1:{port}/simple/", wanted
            run = download(armed, *options)
            assert end_of(run) == OURS, run.output
            assert f"{why}; " in said(run)
            plain = download(bare, *options)
            assert end_of(plain) in (NO_MATCH, TRACEBACK, OTHER)


@old_middle_new
def test_a_refusal_whose_header_is_cut_is_the_one_that_plain_pip_sees(
    armed: Environment, bare: Environment
) -> None:
    with answering(b"HTTP/1.1 404 Not Found\r\n") as port, Lab([Package("demo")]) as lab:
        index = f"http://127.0.0.1:{port}/simple/"
        for environment in (armed, bare):
            run = download(
                environment, "--index-url", lab.index_url, "--extra-index-url", index, "demo"
            )
            assert end_of(run) == OK and not run.warnings("could not be read"), run.output


@old_middle_new
def test_a_host_that_answers_is_asked_as_often_as_by_plain_pip(
    armed: Environment, bare: Environment
) -> None:
    """Nothing is slower where the first answer comes at once: no request more, and no wait."""
    asked = []
    for environment in (armed, bare):
        with Lab([Package("demo", metadata=True, requires=["other"]), Package("other")]) as lab:
            run = environment.run(
                *("download", "--dest", environment.fresh_dir()),
                *("--index-url", lab.index_url, "demo"),
            )
            assert end_of(run) == OK and not run.warnings(), run.output
            asked.append([(r.kind, r.package, r.range) for r in lab.log])
    assert asked[0] == asked[1]


@old_middle_new
def test_a_retry_after_beyond_patience_is_told_and_not_slept_for(
    armed: Environment, bare: Environment
) -> None:
    with Lab([Package("demo", page_forever=Busy(503, retry_after=3600))]) as lab:
        run = download(armed, "--index-url", lab.index_url, "demo")
        assert end_of(run) == OURS, run.output
        assert "wants to be asked again in 3600 s" in said(run)
        assert run.seconds < 10
    # Plain pip sleeps for an hour. That it sleeps at all is shown with 6 seconds.
    with Lab([Package("demo", page_faults=[Busy(503, retry_after=6)])]) as lab:
        plain = download(bare, "--index-url", lab.index_url, "demo")
        assert end_of(plain) == OK and plain.seconds > 6
        assert not plain.warnings()


@old_middle_new
def test_a_longer_wait_that_a_server_asks_for_is_announced(armed: Environment) -> None:
    with Lab([Package("demo", page_faults=[Busy(503, retry_after=4)])]) as lab:
        run = download(armed, "--index-url", lab.index_url, "demo")
        assert end_of(run) == OK and run.seconds > 4
        (line,) = run.warnings("Trying again in")
        assert "HTTP 503, wants 4 s" in line


# TLS and proxies


@pytest.mark.parametrize("how", ["cut", "reset", "stall"])
@old_middle_new
def test_a_handshake_that_is_cut_is_waited_for(
    armed: Environment, bare: Environment, how: str
) -> None:
    with Lab([Package("demo")], tls=certificates().server, handshakes=[how] * 3) as lab:
        options = "--index-url", lab.index_url, "--cert", certificates().ca_pem, "demo"
        run = download(armed, *options, PIP_RETRY_PATCH_FIRST_CONTACT="20")
        assert end_of(run) == OK, run.output
        assert len(run.warnings(" is unreachable (")) == 1
    with Lab([Package("demo")], tls=certificates().server, handshakes=[how] * 3) as lab:
        options = "--index-url", lab.index_url, "--cert", certificates().ca_pem, "demo"
        assert end_of(download(bare, *options)) == NO_MATCH


@old_middle_new
def test_a_refused_certificate_is_told_at_first_contact_and_not_waited_for(
    armed: Environment, bare: Environment
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Lab([Package("demo")], tls=context) as lab:
        options = "--index-url", lab.index_url, "--cert", certificates().ca_pem, "demo"
        run = download(armed, *options, PIP_RETRIES="5")
        assert end_of(run) == OURS, run.output
        assert "the certificate was refused" in said(run)
        assert not run.warnings(", waiting")
        assert run.seconds < 7, "pip's own retries take 7.5 s"
        assert end_of(download(bare, *options)) == NO_MATCH


def proxy_answering(answer: bytes | None) -> Callable[[], ContextManager[int]]:
    return lambda: answering(answer)


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    yield closed_port()


class Proxy(NamedTuple):
    """A proxy that does not connect, and what the error says of it."""

    name: str
    serve: Callable[[], ContextManager[int]]
    says: str
    waits: bool = True


PROXIES = [
    Proxy("refused", nobody, "The proxy 127.0.0.1:{port} cannot be reached"),
    Proxy(
        "407",
        proxy_answering(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"),
        "The proxy 127.0.0.1:{port} refuses the connection to demo.example",
        waits=False,
    ),
    Proxy(
        "503",
        proxy_answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        "the proxy answers 503 Service Unavailable to CONNECT",
    ),
    Proxy("reset", proxy_answering(None), "demo.example (through the proxy 127.0.0.1:{port})"),
    Proxy("closed", proxy_answering(b""), "demo.example (through the proxy 127.0.0.1:{port})"),
]


@pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.name)
@old_middle_new
def test_a_proxy_that_fails_is_named(armed: Environment, bare: Environment, proxy: Proxy) -> None:
    with proxy.serve() as port:
        options: Any = ("--index-url", "https://demo.example/simple/", "demo")
        options = ("--proxy", f"http://127.0.0.1:{port}", *options)
        run = download(armed, *options)
        assert end_of(run) == OURS, run.output
        assert proxy.says.format(port=port) in said(run)
        assert len(run.warnings(", waiting")) == proxy.waits
        assert end_of(download(bare, *options)) == NO_MATCH


# The end, and what it says


@old_middle_new
def test_a_name_that_is_not_resolved_is_told(armed: Environment, bare: Environment) -> None:
    options = "--index-url", "https://nowhere.invalid/simple/", "demo"
    run = download(armed, *options)
    assert end_of(run) == OURS, run.output
    assert "nowhere.invalid cannot be reached" in said(run)
    assert "the host name could not be resolved" in said(run)
    assert end_of(download(bare, *options)) == NO_MATCH


@old_middle_new
def test_without_retries_the_truth_comes_at_once(armed: Environment, bare: Environment) -> None:
    dead = f"http://127.0.0.1:{closed_port()}/simple/"
    run = download(armed, "--index-url", dead, "demo", PIP_RETRIES="0")
    assert end_of(run) == OURS and "1 attempt in" in said(run), run.output
    assert "--retries 0" in said(run) and not run.warnings()
    plain = download(bare, "--index-url", dead, "demo", PIP_RETRIES="0")
    assert end_of(plain) == NO_MATCH
    with Lab([Package("demo", page_faults=[Busy(503)])]) as lab:
        run = download(armed, "--index-url", lab.index_url, "demo", PIP_RETRIES="0")
        assert end_of(run) == OURS and "the server answers 503" in said(run)
        assert len(lab.log) == 1


@old_middle_new
def test_hints_name_what_would_help(armed: Environment, tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{closed_port()}/simple/"

    def hint(config: str, **env: Argument) -> str:
        file = armed.fresh_dir() / "pip.conf"
        file.write_text(config)
        run = armed.run(
            *("download", "--retries", "1", "--index-url", dead, "demo"),
            env={"PIP_CONFIG_FILE": file, **env},
        )
        return said(run).partition("hint: ")[2]

    short = "[global]\nretry-patch-first-contact = 1\n"
    assert "pip config set global.retry-patch-first-contact 600" in hint(short)
    short = "[download]\nretry-patch-first-contact = 1\n"
    assert "pip config set download.retry-patch-first-contact 600" in hint(short)
    told = hint("", PIP_RETRY_PATCH_FIRST_CONTACT="1")
    assert "set PIP_RETRY_PATCH_FIRST_CONTACT=600" in told and "pip config" not in told
