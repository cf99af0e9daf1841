"""What ends the patience with a body at once: the user, `--retries 0`, a stranger's certificate."""

from __future__ import annotations

import os
import signal
import ssl
import time

from tests.support import programs
from tests.support.certificates import new_certificates
from tests.support.downloads import LIES, SIZE, THIRD, Download, end_of, said
from tests.support.environments import Environment
from tests.support.lab.faults import Away, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new


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
def test_a_refused_certificate_is_not_tried_again(armed: Environment, bare: Environment) -> None:
    """A network that begins to answer in the server's place, as a captive portal does."""
    host, stranger = new_certificates(), new_certificates()

    def answer(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        if lab.requests("demo", "artifact"):
            connection.context = stranger.server

    host.server.sni_callback = answer
    for environment in (armed, bare):
        with Lab([Package("demo", SIZE, [Cut(THIRD)])], tls=host.server) as lab:
            done = Download(environment, lab, "--cert", host.ca_pem, "--retries", "1")
            if environment.armed:
                done.assert_clear_error()
                assert "certificate was refused" in said(done.run)
                assert len(lab.requests("demo", "artifact")) == 1
            else:
                assert end_of(done.run) in LIES


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
