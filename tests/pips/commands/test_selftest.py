"""`selftest`, with real pips."""

from __future__ import annotations

import pytest

from tests.support import programs
from tests.support.commands import child, command
from tests.support.environments import Environment
from tests.support.matrix import NEWEST, newest, old_middle_new, pairs
from tests.support.programs import Argument


@pytest.mark.parametrize("compare", [False, True], ids=["alone", "compare"])
@old_middle_new
def test_selftest_passes_and_tells_what_it_saw(compare: bool, armed: Environment) -> None:
    said = command(armed, "selftest", *(["--compare"] if compare else []))
    assert (said.returncode, said.stderr) == (0, ""), said.output
    rows = [line for line in said.stdout.splitlines() if "healed " in line]
    assert len(rows) == 10
    assert said.stdout.rstrip().endswith(
        "All 10 faults were healed; every file is what the index has."
    )
    if compare:
        assert "plain pip" in said.stdout
        assert sum(word in said.stdout for word in ("traceback", "blames hash", "gives up"))


@newest
def test_selftest_of_a_linked_environment(armed: Environment) -> None:
    linked = child(armed, PIP_RETRY_PATCH_VENVS="1")
    said = command(armed, "selftest", "--python", linked.python)
    assert said.returncode == 0, said.output


@pairs((NEWEST, "3.15"))
def test_selftest_needs_neither_root_nor_a_place_to_write(armed: Environment) -> None:
    """As `RUN pip-retry-patch selftest` for a user of a container, whose files are read-only."""
    scratch = armed.fresh_dir()
    scratch.chmod(0o1777)
    nobody = "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"
    selftest = armed.python, "-I", "-m", "pip_retry_patch", "selftest"
    env: dict[str, Argument] = {"TMPDIR": scratch, "HOME": "/nonexistent"}
    started = programs.launch([*armed.launcher, *nobody, *selftest], env, scratch)
    done = programs.finish(started, 120)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert not list(scratch.iterdir())
