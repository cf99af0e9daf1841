"""A process that imports pip twice, or drops it from `sys.modules`, as test runners do."""

from __future__ import annotations

import pytest

from tests.support.downloads import SIZE, THIRD
from tests.support.environments import Environment
from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, pairs

# `coverage run --source=pip` imports what it measures, and drops it again with all that came along.
DROPPED = """
import pip._internal.network.session
for name in list(sys.modules):
    if name.partition(".")[0] in ("pip", "pip_retry_patch"):
        del sys.modules[name]
"""
# A test that patches `sys.modules` gets modules of its own.
PATCHED = """
from unittest import mock
with mock.patch.dict(sys.modules):
    import pip._internal.network.session as first
    first.PipSession()
for name in list(sys.modules):
    if name.partition(".")[0] in ("pip", "pip_retry_patch"):
        del sys.modules[name]
"""
THEN = """
from pip._internal.cli.main import main
code = main(sys.argv[1:])
print("finders:", sum(getattr(f, "__name__", "") == "pip_retry_patch" for f in sys.meta_path))
sys.exit(code)
"""


@pytest.mark.parametrize("before", [DROPPED, PATCHED], ids=["dropped", "patched"])
@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"), (NEWEST, "3.14"), (NEWEST, "3.15"))
def test_there_is_one_finder_and_one_guard(
    before: str, pip: str, armed: Environment, bare: Environment
) -> None:
    ends = []
    for factory in (armed, bare):
        environment = factory
        folder = environment.fresh_dir()
        with Lab([Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)] * 8)]) as lab:
            run = environment.run_python(
                *("-W", "ignore", "-c", f"import sys\n{before}{THEN}"),
                *("download", "--no-deps", "--progress-bar", "off", "--dest", folder),
                *("--index-url", lab.index_url, "--trusted-host", "127.0.0.1", "demo"),
            )
            assert "RecursionError" not in run.output
            file = folder / lab.filename("demo")
            ends.append(file.exists() and file.read_bytes() == lab.wheel("demo"))
            if factory is armed:
                assert run.returncode == 0, run.output
                assert "finders: 1\n" in run.stdout
                # One line for each interruption: two guards would tell of each twice.
                assert len(run.interruptions) == len(lab.requests("demo")) - 2
    assert ends[0]
    assert not ends[1] or pip == NEWEST  # which resumes by itself
