"""Who is to blame, and what helps: the machine, the proxy, a certificate, a node, a timeout."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import re
import socketserver
import ssl
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
import trustme

from tests.support.downloads import NO_MATCH, OK, OURS, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import HURRIED, answering, download, listening
from tests.support.lab.faults import Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new

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
        assert end_of(run) == OURS and run.seconds < 10, run.output
        assert remedy in said(run).partition("hint: ")[2]
        assert end_of(download(bare, *command, ours)) == NO_MATCH
        if wrong == "issuer":
            assert end_of(download(armed, *command, theirs)) == OK


@pytest.mark.parametrize("status", [407, 502])
@old_middle_new
def test_a_proxy_that_answers_in_the_name_of_a_host_is_named(
    armed: Environment, bare: Environment, status: int
) -> None:
    with answering(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()) as port:
        index = "--index-url", "http://demo.example/simple/", "--trusted-host", "demo.example"
        command = "--proxy", f"http://127.0.0.1:{port}", *index, "demo"
        run = download(armed, *command)
        assert end_of(run) == OURS, run.output
        does = "refuses the connection to demo.example" if status == 407 else "answers, but cannot"
        assert f"The proxy 127.0.0.1:{port} {does}" in said(run)
        assert bool(run.warnings("Trying")) == (status == 502)
        assert end_of(download(bare, *command)) == NO_MATCH


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
