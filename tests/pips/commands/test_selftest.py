"""`selftest`, with real pips."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import environments, programs
from tests.support.commands import child, command
from tests.support.environments import Environment
from tests.support.matrix import NEWEST, newest, old_middle_new, pairs


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
    root, _ = environments.interpreter("3.15")  # in the chroot, or a system's: all may run it
    if root == Path("/"):
        pytest.fail("Python 3.15 is expected in the chroot")
    scratch = armed.fresh_dir()
    scratch.chmod(0o1777)
    reachable = armed.prefix
    while reachable != root:
        reachable.chmod(reachable.stat().st_mode | 0o055)
        reachable = reachable.parent
    inside = programs.inside
    nobody = [str(shutil.which("chroot")), "--userspec=65534:65534", str(root)]
    done = subprocess.run(
        [*nobody, inside(root, armed.python), "-I", "-m", "pip_retry_patch", "selftest"],
        env={"PATH": "/usr/bin", "TMPDIR": inside(root, scratch), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert not list(scratch.iterdir())
