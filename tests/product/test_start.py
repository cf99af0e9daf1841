"""What the product does to a Python that starts, whatever it does then, and what pip loads."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from tests.support import costs, directories, environments, runs
from tests.support.costs import ARMED
from tests.support.environments import Environment, new_venv
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, each_pair, pairs

PTH = "pip_retry_patch.pth"
MODULES = "import sys; print(*sorted(sys.modules))"
# What many programs import; ntpath and others try `import nt` everywhere.
USUAL = "import asyncio, json, ntpath, pathlib, shutil, subprocess, zipfile"
HEAVY = {"wrapt", "re", "logging", "importlib.util", "typing"}


@pytest.fixture(scope="module")
def spoilable(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A venv of Python 3.13, in which the wheel is unpacked anew for each test."""
    return new_venv(tmp_path_factory.mktemp("spoilable"), "3.13")


def unpack(wheel: Path, environment: Environment) -> Path:
    """Install the wheel, and an empty package in the place of pip; return our package."""
    for old in environment.site_packages.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(environment.site_packages)
    (environment.site_packages / "pip").mkdir()
    (environment.site_packages / "pip" / "__init__.py").touch()
    return environment.site_packages / "pip_retry_patch"


SPOILED: dict[str, bytes | None] = {  # what becomes of its first module
    "removed": None,
    "syntax": b"def arm(:\n",
    "empty": b"",
    "raises": b"def arm():\n    raise RuntimeError('broken')\n",
    "imports-nothing": b"import no_such_module\n",
    "unreadable": b"\xff\xfe\x00 not text",
}


@pytest.mark.parametrize("text", SPOILED.values(), ids=SPOILED)
def test_a_half_removed_install_is_silent(
    spoilable: Environment, wheel: Path, text: bytes | None
) -> None:
    first = unpack(wheel, spoilable) / "__init__.py"
    assert spoilable.run_python("-c", ARMED).stdout == "1\n"
    if text is None:
        first.unlink()
    else:
        first.write_bytes(text)
    for flags in ((), ("-W", "error"), ("-I",), ("-X", "dev")):
        for code, printed in (("pass", ""), (ARMED, "0\n")):
            outcome = spoilable.run_python(*flags, "-c", code)
            assert outcome[:3] == (0, printed, ""), outcome


def test_a_start_imports_nothing(spoilable: Environment, wheel: Path) -> None:
    unpack(wheel, spoilable)
    (spoilable.site_packages / PTH).write_text("# nothing\n")
    without = set(spoilable.run_python("-c", MODULES).stdout.split())
    unpack(wheel, spoilable)
    assert set(spoilable.run_python("-c", MODULES).stdout.split()) == without
    usual = set(spoilable.run_python("-c", f"{USUAL}; {MODULES}").stdout.split())
    assert {"asyncio", "zipfile"} <= usual
    assert "pip_retry_patch" not in usual
    with_pip = set(spoilable.run_python("-c", f"import pip; {MODULES}").stdout.split())
    assert with_pip - without == {"pip", "pip_retry_patch"}
    assert not with_pip & HEAVY


def test_a_start_file_arms_python_3_15(wheel: Path) -> None:
    environment = new_venv(directories.scratch() / "venv", "3.15")
    unpack(wheel, environment)
    (environment.site_packages / PTH).unlink()
    assert environment.run_python("-c", ARMED).stdout == "0\n"
    (environment.site_packages / "pip_retry_patch.start").write_text("pip_retry_patch:arm\n")
    outcome = environment.run_python("-c", ARMED)
    assert (outcome.stdout, outcome.stderr) == ("1\n", "")


def imported(environment: Environment, *arguments: str) -> set[str]:
    outcome = environment.run_python("-X", "importtime", "-m", "pip", *arguments)
    return {line.rpartition("|")[2].strip() for line in outcome.stderr.splitlines()}


@each_pair
def test_pip_loads_the_hooks_only_for_the_network(armed: Environment) -> None:
    """And of wrapt, with them, what wraps alone."""
    for offline in (["--version"], ["list"]):
        modules = imported(armed, *offline)
        assert "pip_retry_patch" in modules
        loaded = {name for name in modules if name.startswith(("wrapt", "pip_retry_patch.hooks"))}
        assert not loaded, offline
    nowhere = ["--index-url", "http://127.0.0.1:9/simple", "--retries", "0"]
    modules = imported(armed, "download", *nowhere, "nothing")
    assert "pip_retry_patch.hooks.session" in modules
    assert "wrapt.decorators" not in modules


# What tells of a pip that is guarded: its first session wraps this.
GUARDED = """
from pip._internal.network.session import PipSession
PipSession()
assert hasattr(PipSession.request, "__wrapped__")
assert not hasattr(PipSession.request.__wrapped__, "__wrapped__"), "twice"
import sys
assert [getattr(f, "__name__", "") for f in sys.meta_path].count("pip_retry_patch") == 1
assert "pip_retry_patch.store.journal" not in sys.modules, "nobody has set it"
"""


def thrown_out(*packages: str) -> str:
    return f"""
import sys
for name in [name for name in sys.modules if name.partition(".")[0] in {packages}]:
    del sys.modules[name]
"""


# Programs that treat `sys.meta_path`, `sys.modules` or `site` in ways of their own.
PROGRAMS = {
    "a new list of a class of its own": """
import sys
class Finders(list):
    pass
sys.meta_path = Finders(sys.meta_path)
""",
    "a finder before ours, as pytest has, that finds all others itself, as a debugger's": """
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
    "pip imported twice": f"import pip\n{thrown_out('pip')}",
    "pip reloaded": "import importlib, pip; importlib.reload(pip)",
    "ours thrown out, as a test runner does": f"import pip\n{thrown_out('pip_retry_patch')}",
    "all thrown out, as coverage does with what it measures": f"""
import pip._internal.network.session
{thrown_out("pip", "pip_retry_patch")}
""",
    "modules of its own, as a test that patches sys.modules has": f"""
import sys
from unittest import mock
with mock.patch.dict(sys.modules):
    import pip._internal.network.session as first
    first.PipSession()
{thrown_out("pip", "pip_retry_patch")}
""",
}

OLD_MIDDLE_NEW = pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"), (NEWEST, "3.14"))


@pytest.mark.parametrize("program", list(PROGRAMS.values()), ids=list(PROGRAMS))
@OLD_MIDDLE_NEW
def test_pip_is_guarded_whatever_a_program_did_before(armed: Environment, program: str) -> None:
    outcome = armed.run_python("-c", program + GUARDED)
    assert (outcome.returncode, outcome.output) == (0, ""), outcome.output


# Runs pip, and prints what of ours only the garbage collector could free.
LEFT = """
import atexit, gc, runpy, sys
def left():
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    rooms = "pip_retry_patch.fetch", "pip_retry_patch.hooks", "pip_retry_patch.store"
    print(*(type(left) for left in gc.garbage if type(left).__module__.startswith(rooms)))
gc.disable()
atexit.register(left)
runpy.run_module("pip", run_name="__main__")
"""


@pytest.mark.parametrize("size", [20_000, 2_000_000])
@OLD_MIDDLE_NEW
def test_a_download_leaves_nothing_for_the_garbage_collector(armed: Environment, size: int) -> None:
    with Lab([Package("demo", size)]) as lab:
        words = "download", "--quiet", "--no-deps", "--index-url", lab.index_url, "demo"
        outcome = armed.run_python("-c", LEFT, *words, cwd=armed.fresh_dir())
    assert (outcome.returncode, outcome.output) == (0, "\n"), outcome.output


# Counts of instructions do not depend on the load of the machine. They do depend on the Python, on
# how it was built, and on the pip, so the kept ones name theirs.

PIP, PYTHON = "24.0", "3.12.1"
# What a process is told, and the instructions of an armed one by those of one without us. Where a
# change makes them fewer, or is worth more, its figures belong here, and in docs/benchmarks.md.
KEPT = {
    "python -c pass": (["-c", "pass"], 1.0292),
    "pip --version": (["-m", "pip", "--version"], 1.0070),
    "one small wheel": (["-m", "pip", "download", "--quiet", "small", "--index-url"], 1.0314),
}
SLACK = 0.003


@pytest.mark.parametrize("what", KEPT)
def test_nothing_has_become_dearer(what: str) -> None:
    words, kept = KEPT[what]
    counts = []
    with Lab([Package("small", 20_000)]) as lab:
        told = [*words, lab.index_url] if "download" in words else words
        for armed in (True, False):
            made = environments.environment(PIP, PYTHON.rpartition(".")[0], armed)
            found = made.python_version
            assert found == PYTHON, f"the kept counts are of Python {PYTHON}: count anew on {found}"
            made.run_python(*told)  # compiles what is not compiled yet
            counts.append(costs.instructions(made, told, made.fresh_dir()))
    share = counts[0] / counts[1]
    runs.note_figure(f"{what}, pip {PIP}: {counts[0]:,} of {counts[1]:,}, {share:.4f}")
    assert abs(share - kept) <= SLACK, f"{share:.4f} instead of {kept:.4f}"
