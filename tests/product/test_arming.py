"""Processes that treat `sys.meta_path`, `site` or interpreters in ways of their own, and pip."""

from __future__ import annotations

import pytest

from tests.support import runs
from tests.support.environments import Environment
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Outcome

# What tells of a pip that is guarded: its first session wraps this.
GUARDED = """
from pip._internal.network.session import PipSession
PipSession()
assert hasattr(PipSession.request, "__wrapped__")
assert not hasattr(PipSession.request.__wrapped__, "__wrapped__"), "twice"
import sys
assert [getattr(f, "__name__", "") for f in sys.meta_path].count("pip_retry_patch") == 1
"""

PROGRAMS = {
    "a new list": "import sys; sys.meta_path = list(sys.meta_path)",
    "a new list of a class of its own": """
import sys
class Finders(list):
    pass
sys.meta_path = Finders(sys.meta_path)
""",
    "changed and put back": """
import sys
before = list(sys.meta_path)
sys.meta_path.insert(0, sys.meta_path[-1])
sys.meta_path[:] = before
""",
    "a finder before ours, as pytest has": """
import sys
class Rewriting:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None
sys.meta_path.insert(0, Rewriting)
""",
    "a finder that finds everything itself, as a debugger's": """
import sys
from importlib.machinery import PathFinder
class Watching:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if not name.startswith("pip"):
            return PathFinder.find_spec(name, path, target)
sys.meta_path.insert(0, Watching)
""",
    "site once more": "import site; site.main()",
    "the line twice": "import site, sysconfig; site.addsitedir(sysconfig.get_path('purelib'))",
    "pip imported twice": """
import sys, pip
for name in [name for name in sys.modules if name.partition(".")[0] == "pip"]:
    del sys.modules[name]
""",
    "pip reloaded": "import importlib, pip; importlib.reload(pip)",
    "ours thrown out, as a test runner does": """
import sys, pip
for name in [name for name in sys.modules if name.startswith("pip_retry_patch")]:
    del sys.modules[name]
""",
    "all thrown out, as coverage does with what it measures": """
import sys
import pip._internal.network.session
for name in list(sys.modules):
    if name.partition(".")[0] in ("pip", "pip_retry_patch"):
        del sys.modules[name]
""",
    "modules of its own, as a test that patches sys.modules has": """
import sys
from unittest import mock
with mock.patch.dict(sys.modules):
    import pip._internal.network.session as first
    first.PipSession()
for name in list(sys.modules):
    if name.partition(".")[0] in ("pip", "pip_retry_patch"):
        del sys.modules[name]
""",
    "caches that are forgotten": "import importlib; importlib.invalidate_caches()",
    "another thread": """
import threading
thread = threading.Thread(target=exec, args=("import pip._internal.network.session", {}))
thread.start(); thread.join()
""",
}

OLD_MIDDLE_NEW = pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"), (NEWEST, "3.14"))


@pytest.mark.parametrize("program", list(PROGRAMS.values()), ids=list(PROGRAMS))
@OLD_MIDDLE_NEW
def test_pip_is_guarded_whatever_a_program_did_before(armed: Environment, program: str) -> None:
    outcome = armed.run_python("-c", program + GUARDED)
    assert (outcome.returncode, outcome.output) == (0, ""), outcome.output


# What runs code in a subinterpreter that shares the lock ("legacy"), or does not (3.12).
SUB = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
try:
    made = interpreters.create({config!r})
except (TypeError, ValueError):
    made = interpreters.create(isolated={config!r} == "isolated")
failed = interpreters.run_string(made, {code!r})
interpreters.destroy(made)
assert not failed, failed
"""
WORKS = "from pip._internal.network.session import PipSession\nPipSession()"


@pytest.mark.parametrize(
    ("config", "pip", "python"),
    [
        ("legacy", "22.3.1", "3.10"),
        ("legacy", "24.0", "3.12"),
        ("legacy", NEWEST, "3.13"),
        ("legacy", NEWEST, "3.14"),
        # Before 3.13 pip itself cannot: pyexpat, or subprocess, is refused there.
        ("isolated", NEWEST, "3.13"),
        ("isolated", NEWEST, "3.14"),
    ],
)
def test_pip_is_guarded_in_a_subinterpreter_if_wrapt_can_be_there(
    config: str, python: str, armed: Environment
) -> None:
    def run(code: str) -> Outcome:
        return armed.run_python("-c", SUB.format(config=config, code=code))

    can = config == "legacy" or run("import wrapt._wrappers").returncode == 0
    outcome = run(GUARDED if can else WORKS)
    assert (outcome.returncode, outcome.output) == (0, ""), outcome.output
    runs.note_figure(f"{config} subinterpreter of {python}: {'guarded' if can else 'plain pip'}")
