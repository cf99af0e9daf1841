"""When a body cannot be healed: patience ends, and the error names the network."""

from __future__ import annotations

import os
import signal
import ssl
import time
from typing import Any, NamedTuple

import pytest

from tests.support import programs
from tests.support.certificates import new_certificates
from tests.support.downloads import SIZE, THIRD, Download, end_of, said
from tests.support.environments import Environment
from tests.support.lab.faults import Away, Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new


class Case(NamedTuple):
    """What comes after a third of the file.

    :param asked: whether each request for the file had a Range.
    """

    faults: list[Any]
    asked: list[bool]
    says: list[str]
    env: dict[str, programs.Argument]


CUT_SHORT = ["stopped at 1.0 MB of 3.0 MB", "2 attempts in", "failed: closed early; "]
ONCE_WITHOUT = [False, True, False]  # it might have been our Range which is refused
CASES = {
    "cut": Case(
        [Cut(THIRD), *[Cut(10)] * 9],
        [False, True, True],
        CUT_SHORT,
        {"PIP_RETRY_PATCH_ATTEMPTS": "2"},
    ),
    "away": Case(
        [Away(60, after=THIRD)],
        [False],
        [
            "connection refused",
            "127.0.0.1",
            "demo-1.0 waits at 1000 kB of 3.0 MB (connection refused), trying for 2 s",
        ],
        {"PIP_RETRY_PATCH_PATIENCE": "2"},
    ),
    "gone": Case([Cut(THIRD), *[Busy(404)] * 2], ONCE_WITHOUT, ["answered 404"], {}),
    "expired": Case([Cut(THIRD), *[Busy(403)] * 2], ONCE_WITHOUT, ["answered 403"], {}),
}


@pytest.mark.parametrize("how", CASES)
@old_middle_new
def test_when_patience_ends_or_cannot_help_the_error_names_the_network(
    how: str, armed: Environment
) -> None:
    faults, asked, says, env = CASES[how]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        done = Download(armed, lab, env=env)
        done.assert_clear_error()
        assert not [words for words in says if words not in said(done.run)], done.run.output
        assert [bool(request.range) for request in lab.requests("demo", "artifact")] == asked


@old_middle_new
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
            assert end_of(done.run) == end_of(plain.run)
        else:
            done.assert_clear_error()


@old_middle_new
def test_a_refused_certificate_is_not_tried_again(armed: Environment) -> None:
    """A network that begins to answer in the server's place, as a captive portal does."""
    host, stranger = new_certificates(), new_certificates()

    def answer(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        if lab.requests("demo", "artifact"):
            connection.context = stranger.server

    host.server.sni_callback = answer
    with Lab([Package("demo", SIZE, [Cut(THIRD)])], tls=host.server) as lab:
        done = Download(armed, lab, "--cert", host.ca_pem)
        done.assert_clear_error()
        assert "certificate was refused" in said(done.run)
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
        assert "demo-1.0 waits at 1000 kB of 3.0 MB (connection refused), trying for 120 s" in line
        # Most of the later waits are long ones; where in one this strikes does not matter.
        time.sleep(3)
        os.kill(process.pid, signal.SIGINT)
        outcome = programs.finish(process, timeout=20)
        assert outcome.seconds < 5, "its cleaning up takes a moment, and no wait is shorter"
        assert outcome.returncode == 1
        assert "Operation cancelled by user" in outcome.output
        assert "Traceback" not in outcome.output


@pytest.mark.parametrize("value", ["\x1b[2J\x1b[31m", "9" * 60_000, "x" * 100_000])
@old_middle_new
def test_hostile_header_values_are_neither_shown_nor_believed(
    value: str, armed: Environment
) -> None:
    with Lab([Package("demo", SIZE, [Cut(THIRD), Busy(503, retry_after=value)])]) as lab:
        done = Download(armed, lab, env={"PIP_RETRY_PATCH_PATIENCE": "1"})
        done.assert_right()
        assert "\x1b[2J" not in done.run.output and len(done.run.output) < 3000
