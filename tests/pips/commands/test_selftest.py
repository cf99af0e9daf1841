"""`selftest`, with real pips."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import environments, programs
from tests.support.commands import MAIN, SOME, child, command
from tests.support.environments import Factory
from tests.support.matrix import NEWEST


@pytest.mark.parametrize("compare", [False, True], ids=["alone", "compare"])
@SOME
def test_selftest_passes_and_tells_what_it_saw(
    compare: bool, pip: str, python: str, armed: Factory
) -> None:
    environment = armed(pip, python)
    said = command(environment, "selftest", *(["--compare"] if compare else []))
    assert (said.returncode, said.stderr) == (0, ""), said.output
    rows = [line for line in said.stdout.splitlines() if "healed " in line]
    assert len(rows) == 10
    assert said.stdout.rstrip().endswith(
        "All 10 faults were healed; every file is what the index has."
    )
    if compare:
        assert "plain pip" in said.stdout
        assert sum(word in said.stdout for word in ("traceback", "blames hash", "gives up"))


@MAIN
def test_selftest_of_a_linked_environment(pip: str, python: str, armed: Factory) -> None:
    base = armed(pip, python)
    linked = child(base, PIP_RETRY_PATCH_VENVS="1")
    said = command(base, "selftest", "--python", linked.python)
    assert said.returncode == 0, said.output


def test_selftest_needs_neither_root_nor_a_place_to_write(
    armed: Factory,
) -> None:
    """As `RUN pip-retry-patch selftest` for a user of a container, whose files are read-only."""
    root, _ = environments.interpreter("3.15")  # in the chroot, or a system's: all may run it
    environment = armed(NEWEST, "3.15")
    if root == Path("/"):
        pytest.fail("Python 3.15 is expected in the chroot")
    scratch = environment.fresh_dir()
    scratch.chmod(0o1777)
    reachable = environment.prefix
    while reachable != root:
        reachable.chmod(reachable.stat().st_mode | 0o055)
        reachable = reachable.parent
    inside = programs.inside
    nobody = [str(shutil.which("chroot")), "--userspec=65534:65534", str(root)]
    done = subprocess.run(
        [*nobody, inside(root, environment.python), "-I", "-m", "pip_retry_patch", "selftest"],
        env={"PATH": "/usr/bin", "TMPDIR": inside(root, scratch), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert not list(scratch.iterdir())
