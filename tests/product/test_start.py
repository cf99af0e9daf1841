"""What the product does to a Python that starts, and what pip loads of it."""

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
from tests.support.matrix import each_pair

PTH = "pip_retry_patch.pth"


MODULES = "import sys; print(*sorted(sys.modules))"
# What many programs import; ntpath and others try `import nt` everywhere.
USUAL = "import asyncio, json, ntpath, pathlib, shutil, subprocess, zipfile"
HEAVY = {"wrapt", "re", "logging", "importlib.util", "typing"}


@each_pair
def test_every_python_is_armed_by_one_finder(armed: Environment) -> None:
    outcome = armed.run_python("-c", ARMED)
    assert (outcome.stdout, outcome.stderr) == ("1\n", "")


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


@pytest.mark.parametrize("how", ["all", *SPOILED])
def test_a_half_removed_install_is_silent(spoilable: Environment, wheel: Path, how: str) -> None:
    package = unpack(wheel, spoilable)
    assert spoilable.run_python("-c", ARMED).stdout == "1\n"
    text = SPOILED.get(how)
    if text is not None:
        (package / "__init__.py").write_bytes(text)
    elif how == "all":
        shutil.rmtree(package)
    else:
        (package / "__init__.py").unlink()
    for flags in ((), ("-W", "error"), ("-I",), ("-X", "dev")):
        for code, printed in (("pass", ""), (ARMED, "0\n")):
            outcome = spoilable.run_python(*flags, "-c", code)
            assert outcome[:3] == (0, printed, ""), outcome


def test_isolated_mode_is_armed_and_no_site_is_not(spoilable: Environment, wheel: Path) -> None:
    unpack(wheel, spoilable)
    assert spoilable.run_python("-I", "-c", ARMED).stdout == "1\n"
    code = f"import sys; sys.path.append({str(spoilable.site_packages)!r}); {ARMED}"
    assert spoilable.run_python("-S", "-c", code).stdout == "0\n"


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


# Counts of instructions do not depend on the load of the machine. They do depend on the Python, on
# how it was built, and on the pip, so the kept ones name theirs.

PIP, PYTHON = "24.0", "3.12.1"
# The instructions of an armed process by those of one without us. Where a change makes them fewer,
# or is worth more, its figures belong here, and in docs/benchmarks.md.
KEPT = {"python -c pass": 1.0292, "pip --version": 1.0070, "one small wheel": 1.0344}
SLACK = 0.003


def count(environment: Environment, what: str, index_url: str) -> int:
    """Count one process, whose files were compiled by another one before."""
    arguments = {
        "python -c pass": ["-c", "pass"],
        "pip --version": ["-m", "pip", "--version"],
        "one small wheel": ["-m", "pip", "download", "--quiet", "--index-url", index_url, "small"],
    }[what]
    environment.run_python(*arguments)
    return costs.instructions(environment, arguments, environment.fresh_dir())


@pytest.mark.parametrize("what", KEPT)
def test_nothing_has_become_dearer(what: str) -> None:
    python = PYTHON.rpartition(".")[0]
    pair = [environments.environment(PIP, python, armed) for armed in (True, False)]
    for environment in pair:
        found = environment.python_version
        assert found == PYTHON, f"the kept counts are of Python {PYTHON}: count anew on {found}"
    with Lab([Package("small", 20_000)]) as lab:
        ours, theirs = (count(environment, what, lab.index_url) for environment in pair)
    share = ours / theirs
    runs.note_figure(f"{what}, pip {PIP}: {ours:,} of {theirs:,} instructions, {share:.4f}")
    assert abs(share - KEPT[what]) <= SLACK, f"{share:.4f} instead of {KEPT[what]:.4f}"
