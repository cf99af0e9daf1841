"""When a body cannot be healed: patience ends, and the error names the network."""

from __future__ import annotations

import os
import signal
import ssl
import time

import pytest
import trustme

from tests.support import programs
from tests.support.downloads import SIZE, THIRD, Download, outcome_of
from tests.support.environments import Environment
from tests.support.lab.faults import Away, Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, each_pair, old_middle_new, pairs


@each_pair
def test_when_patience_ends_the_error_names_the_network(armed: Environment) -> None:
    package = Package("demo", SIZE, [Cut(THIRD)], forever=Cut(10))
    with Lab([package]) as lab:
        done = Download(armed, lab, env={"PIP_RETRY_PATCH_ATTEMPTS": "2"})
        done.assert_clear_error()
        output = " ".join(done.run.output.split())
        assert "stopped at 1.0 MB of 3.0 MB" in output
        assert "2 attempts in" in output
        assert "the connection was closed early" in output
        assert len(lab.requests("demo", "artifact")) == 3


@each_pair
def test_a_server_that_stays_away_is_waited_for_and_then_named(armed: Environment) -> None:
    with Lab([Package("demo", SIZE, [Away(60, after=THIRD)])]) as lab:
        done = Download(armed, lab, env={"PIP_RETRY_PATCH_PATIENCE": "2"})
        done.assert_clear_error()
        output = " ".join(done.run.output.split())
        assert "connection refused" in output
        assert "127.0.0.1" in output
        (line,) = done.warnings
        assert "demo-1.0 waits at 1000 kB of 3.0 MB (refused), trying for 2 s" in line


REFUSALS = {
    "gone": ([Cut(THIRD), *[Busy(404)] * 2], "answered 404"),
    "expired": ([Cut(THIRD), *[Busy(403)] * 2], "answered 403"),
}


@pytest.mark.parametrize("what", REFUSALS)
@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), ("26.1.2", "3.12"), (NEWEST, "3.13"))
def test_what_no_patience_can_help_ends_at_once(what: str, armed: Environment) -> None:
    faults, words = REFUSALS[what]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        done = Download(armed, lab)
        done.assert_clear_error()
        assert words in " ".join(done.run.output.split())
        # Once with our Range, and once without: it might have been that which is refused.
        asked = [bool(request.range) for request in lab.requests("demo", "artifact")]
        assert asked == [False, True, False]


@pairs(("20.3.4", "3.8"), ("23.0.1", "3.11"), ("25.0.1", "3.8"), (NEWEST, "3.13"))
def test_retries_0_means_no_patience_but_the_truth(armed: Environment, bare: Environment) -> None:
    """One request, as from plain pip, but no accusation of the hash."""
    with Lab([Package("demo", SIZE, [Cut(THIRD)])]) as lab:
        plain = Download(bare, lab, "--retries", "0")
        asked = len(lab.requests("demo", "artifact"))
    with Lab([Package("demo", SIZE, [Cut(THIRD)])]) as lab:
        done = Download(armed, lab, "--retries", "0")
        assert not done.warnings
        assert len(lab.requests("demo", "artifact")) == asked
        # Since 25.1 pip resumes by itself, whatever --retries says.
        if asked > 1:
            assert outcome_of(done.run) == outcome_of(plain.run)
        else:
            done.assert_clear_error()


@old_middle_new
def test_a_refused_certificate_is_not_tried_again(armed: Environment) -> None:
    """A network that begins to answer in the server's place, as a captive portal does."""
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(stranger)
    authority = trustme.CA()
    host = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(host)

    def answer(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        if lab.requests("demo", "artifact"):
            connection.context = stranger

    host.sni_callback = answer
    ca_pem = armed.fresh_dir() / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_pem))
    with Lab([Package("demo", SIZE, [Cut(THIRD)])], tls=host) as lab:
        done = Download(armed, lab, "--cert", ca_pem)
        done.assert_clear_error()
        assert "certificate was refused" in " ".join(done.run.output.split())
        assert len(lab.requests("demo", "artifact")) == 1


@old_middle_new
def test_ctrl_c_ends_a_wait_at_once(armed: Environment) -> None:
    with Lab([Package("demo", SIZE, [Away(60, after=THIRD)])]) as lab:
        process = armed.start(
            *("-m", "pip", "download", "--dest", armed.fresh_dir()),
            *("--index-url", lab.index_url, "demo"),
            env={"PYTHONUNBUFFERED": "1"},
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "demo-1.0 waits at 1000 kB of 3.0 MB (refused), trying for 120 s" in line
        # Most of the later waits are long ones; where in one this strikes does not matter.
        time.sleep(3)
        os.kill(process.pid, signal.SIGINT)
        outcome = programs.finish(process, timeout=20)
        assert outcome.seconds < 5, "its cleaning up takes a moment, and no wait is shorter"
        assert outcome.returncode == 1
        assert "Operation cancelled by user" in outcome.output
        assert "Traceback" not in outcome.output


@old_middle_new
@pytest.mark.parametrize("value", ["\x1b[2J\x1b[31m", "9" * 60_000, "x" * 100_000])
def test_hostile_header_values_are_neither_shown_nor_believed(
    value: str, armed: Environment
) -> None:
    faults = [Cut(THIRD), Busy(503, retry_after=value)]
    env: dict[str, programs.Argument] = {"PIP_RETRY_PATCH_PATIENCE": "1"}
    with Lab([Package("demo", SIZE, faults)]) as lab:
        done = Download(armed, lab, env=env)
        done.assert_right()
        assert "\x1b[2J" not in done.run.output and len(done.run.output) < 3000
