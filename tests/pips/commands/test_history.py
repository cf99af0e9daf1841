"""`retry-patch-log` and `history`, with real pips."""

from __future__ import annotations

import json
from typing import Any

from tests.support.commands import command
from tests.support.downloads import HASTY, SIZE, THIRD, Download
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Cut, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new, pairs
from tests.support.programs import Argument


def cut() -> Package:
    return Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)])


@old_middle_new
def test_what_was_interrupted_is_written_down_and_summed_up(
    pip: str, armed: Environment, bare: Environment
) -> None:
    log = armed.fresh_dir() / "log.jsonl"
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_LOG": log}
    with Lab([cut()]) as lab:
        plain = Download(bare, lab, env=env)
        assert not log.exists()
    if pip in ("20.3.4", "24.0"):
        assert not plain.is_right, "plain pip does not get through"
    with Lab([Package("demo", SIZE)]) as lab:
        Download(armed, lab, env=env).assert_right()
    assert not log.exists(), "nothing was interrupted"
    with Lab([cut()]) as lab:
        Download(armed, lab, env=env).assert_right()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["interruption", "interruption", "end"]
    assert lines[0]["pip"] == armed.pip_version
    assert lines[0]["file"] == "demo-1.0-py3-none-any.whl"
    assert lines[-1]["outcome"] == "finished" and lines[-1]["offset"] == lines[-1]["total"]
    with Lab([Package("demo", SIZE, [Cut(THIRD), *[Busy(404)] * 2])]) as lab:
        Download(armed, lab, env=env).assert_clear_error()
    with Lab([Package("demo", SIZE, page_faults=[Cut(40)] * 2)]) as lab:
        Download(armed, lab, env=env).assert_right()
    with Lab([Package("demo", SIZE, page_faults=[Cut(40)] * 99)]) as lab:
        assert Download(armed, lab, env={**env, **HASTY}).run.returncode == 1
    said = command(armed, "history", "--json", "--since", "7d", **env)
    assert (said.returncode, said.stderr) == (0, "")
    found: dict[str, Any] = json.loads(said.stdout)
    assert (found["downloads"], found["finished"], found["failed"]) == (4, 2, 2)
    assert found["interruptions"] >= 3 + 2 + 2 and found["not_fetched_twice"] > 2 * THIRD
    text = command(armed, "history", **env)
    assert text.returncode == 0 and "connection reset by peer" in text.stdout
    unset = command(armed, "history")
    assert unset.returncode == 1 and "retry-patch-log" in unset.stderr


@pairs((NEWEST, "3.13"))
def test_the_journal_goes_to_stderr_and_can_then_not_be_read(armed: Environment) -> None:
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_LOG": "/dev/stderr"}
    with Lab([cut()]) as lab:
        done = Download(armed, lab, env=env)
        done.assert_right()
    kinds = [json.loads(line)["kind"] for line in done.run.stderr.splitlines() if line[:1] == "{"]
    assert kinds == ["interruption", "interruption", "end"]
    said = command(armed, "history", **env)
    assert said.returncode == 1 and "/dev/stderr is no file" in said.stderr


@old_middle_new
def test_a_journal_that_cannot_be_written_is_one_warning(armed: Environment) -> None:
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_LOG": armed.fresh_dir()}
    with Lab([cut()]) as lab:
        done = Download(armed, lab, env=env)
        done.assert_right()
        assert len(done.run.warnings("retry-patch-log")) == 1
        assert len(done.warnings) == 2


@old_middle_new
def test_without_the_setting_nothing_of_it_is_loaded(armed: Environment) -> None:
    show = (
        "import sys; from pip._internal.network.session import PipSession; PipSession();"
        "print([n for n in ('pip_retry_patch.store.journal', 'difflib') if n in sys.modules])"
    )
    assert armed.run_python("-c", show).stdout.strip() in ("[]", "['difflib']")
    log: dict[str, Argument] = {"PIP_RETRY_PATCH_LOG": armed.fresh_dir() / "log"}
    assert "journal" in armed.run_python("-c", show, env=log).stdout
