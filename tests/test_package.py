"""What is shipped, what it does to a Python that starts, and that it leaves without a trace."""

from __future__ import annotations

import csv
import json
import re
import shutil
import tarfile
import zipfile
from email import message_from_string
from io import StringIO
from pathlib import Path
from typing import Callable

import pytest

from benchmarks import processes
from tests import environments
from tests.conftest import Factory
from tests.environments import MATRIX, NEWEST, Environment, each_pair, fresh_environment, pairs

PTH = "pip_retry_patch.pth"
# How many finders of ours wait once pip is imported.
ARMED = "import pip, sys; print(sys.meta_path.count(sys.modules.get('pip_retry_patch')))"
MODULES = "import sys; print(*sorted(sys.modules))"
# What many programs import; ntpath and others try `import nt` everywhere.
USUAL = "import asyncio, json, ntpath, pathlib, shutil, subprocess, zipfile"
HEAVY = {"wrapt", "re", "logging", "importlib.util", "typing"}
MAIN = (NEWEST, "3.13")

# --- the wheel -------------------------------------------------------------------------------


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, but for those that name what built it."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith(("/WHEEL", "/RECORD"))]
        return {name: archive.read(name) for name in names}


def metadata_file(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [n for n in archive.namelist() if n.endswith(f".dist-info/{name}")]
        return archive.read(path).decode()


def test_the_wheel_is_small_and_for_every_python(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size <= 150 * 1024


def test_the_wheel_holds_the_pth_file_at_its_root_and_records_it(wheel: Path) -> None:
    assert contents(wheel)[PTH] == (environments.CHECKOUT / PTH).read_bytes()
    record = {row[0] for row in csv.reader(StringIO(metadata_file(wheel, "RECORD")))}
    assert {PTH, "pip_retry_patch/py.typed"} <= record


def test_the_pth_file_is_one_line_that_site_executes() -> None:
    (line,) = (environments.CHECKOUT / PTH).read_text(encoding="ascii").splitlines()
    assert line.startswith("import ")


def test_wrapt_is_the_only_requirement(wheel: Path) -> None:
    metadata = message_from_string(metadata_file(wheel, "METADATA"))
    required = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    assert [re.split(r"[^\w-]", r)[0] for r in required] == ["wrapt"]
    assert not any("<" in r for r in required)
    assert metadata["Requires-Python"] == ">=3.8"
    assert set(metadata.get_all("Provides-Extra", [])) == {"benchmarks", "requests", "test"}


def test_the_tree_and_the_sdist_give_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    tree = environments.copy_source(tmp_path / "tree")
    environments.ours("build", "--wheel", "--outdir", tmp_path, tree)
    (from_tree,) = tmp_path.glob("*.whl")
    assert contents(from_tree) == contents(wheel)


@pairs(("25.0.1", "3.8"), MAIN)
def test_an_editable_install_arms(sdist: Path, pip: str, python: str) -> None:
    environment = fresh_environment(pip, python, armed=False)
    source = environment.fresh_dir()
    with tarfile.open(sdist) as archive:
        archive.extractall(source)
    (project,) = source.iterdir()
    outcome = environment.run("install", "--no-deps", "--editable", project, machine=True)
    assert outcome.returncode == 0, outcome.output
    assert environment.run_python("-c", ARMED).stdout == "1\n"
    where = environment.run_python("-c", "import pip_retry_patch as p; print(p.__file__)").stdout
    assert Path(where).parent.parent == project

    assert environment.run("uninstall", "--yes", "pip-retry-patch").returncode == 0
    assert not list(environment.site_packages.glob("*retry*"))


# --- the start of a Python -------------------------------------------------------------------


@each_pair
def test_every_python_is_armed_by_one_finder(armed: Factory, pip: str, python: str) -> None:
    outcome = armed(pip, python).run_python("-c", ARMED)
    assert (outcome.stdout, outcome.stderr) == ("1\n", "")


@pytest.fixture(scope="module")
def spoilable(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A venv of Python 3.13, in which the wheel is unpacked anew for each test."""
    return new_venv(tmp_path_factory.mktemp("spoilable"), "3.13")


def new_venv(directory: Path, python: str) -> Environment:
    root, base = environments.interpreter(python)
    environments.checked(root, base, "-m", "venv", "--without-pip", directory)
    return Environment(directory, root, "none", python, armed=False, label="")


def unpack(wheel: Path, environment: Environment) -> Path:
    """Install the wheel, and an empty package in the place of pip; return our package."""
    for old in environment.site_packages.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(environment.site_packages)
    (environment.site_packages / "pip").mkdir()
    (environment.site_packages / "pip" / "__init__.py").touch()
    return environment.site_packages / "pip_retry_patch"


def remove(package: Path) -> None:
    shutil.rmtree(package)


def remove_init(package: Path) -> None:
    (package / "__init__.py").unlink()


def break_syntax(package: Path) -> None:
    (package / "__init__.py").write_text("def arm(:\n")


def truncate(package: Path) -> None:
    (package / "__init__.py").write_text("")


def raise_in_arm(package: Path) -> None:
    (package / "__init__.py").write_text("def arm():\n    raise RuntimeError('broken')\n")


def raise_at_import(package: Path) -> None:
    (package / "__init__.py").write_text("import no_such_module\n")


def make_unreadable(package: Path) -> None:
    (package / "__init__.py").write_bytes(b"\xff\xfe\x00 not text")


SPOILERS = [
    remove,
    remove_init,
    break_syntax,
    truncate,
    raise_in_arm,
    raise_at_import,
    make_unreadable,
]
Spoiler = Callable[[Path], None]


@pytest.mark.parametrize("spoil", SPOILERS)
def test_a_half_removed_install_is_silent(
    spoilable: Environment, wheel: Path, spoil: Spoiler
) -> None:
    package = unpack(wheel, spoilable)
    assert spoilable.run_python("-c", ARMED).stdout == "1\n"
    spoil(package)
    for flags in ((), ("-W", "error"), ("-I",), ("-X", "dev")):
        for code, printed in (("pass", ""), (ARMED, "0\n")):
            outcome = spoilable.run_python(*flags, "-c", code)
            assert outcome[:3] == (0, printed, ""), outcome


@pairs(("20.3.4", "3.9"), ("24.0", "3.12"), MAIN)
def test_pip_works_when_the_patch_or_wrapt_is_broken(pip: str, python: str) -> None:
    environment = fresh_environment(pip, python, armed=True)
    package = environment.site_packages / "pip_retry_patch"
    nowhere = environment.fresh_dir()

    def works() -> None:
        command = ("download", "--no-index", "--find-links", nowhere, "nothing")
        outcome = environment.run(*command)
        assert "No matching distribution found for nothing" in outcome.stderr
        assert not [line for line in outcome.stderr.splitlines() if "ERROR:" not in line]
        assert environment.run("list")[0::2] == (0, "")

    works()
    shutil.rmtree(environment.site_packages / "wrapt")
    works()
    (package / "hooks.py").write_text("raise RuntimeError('broken')\n")
    works()
    for spoil in (break_syntax, remove_init, remove):
        spoil(package)
        works()


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
    root, _ = environments.interpreter("3.15")
    environment = new_venv(environments.scratch(root) / "venv", "3.15")
    unpack(wheel, environment)
    (environment.site_packages / PTH).unlink()
    assert environment.run_python("-c", ARMED).stdout == "0\n"
    (environment.site_packages / "pip_retry_patch.start").write_text("pip_retry_patch:arm\n")
    outcome = environment.run_python("-c", ARMED)
    assert (outcome.stdout, outcome.stderr) == ("1\n", "")


def test_a_start_costs_at_most_two_percent_more_instructions(
    spoilable: Environment, wheel: Path
) -> None:
    unpack(wheel, spoilable)
    armed = instructions(spoilable)
    (spoilable.site_packages / PTH).write_text("# nothing but a comment\n")
    commented = instructions(spoilable)
    share = armed / commented - 1
    figures = f"python -c pass: {commented:,} instructions, armed {armed:,} ({share:+.2%})"
    environments.note_figure(figures)
    assert share <= 0.02, figures


def instructions(environment: Environment) -> int:
    """Count what `python -c pass` executes; the less of two runs, files compiled before."""
    environment.run_python("-c", ARMED)
    counts = []
    for _ in range(2):
        directory = environment.fresh_dir()
        command: list[str | Path] = [environment.python, "-c", "pass"]
        env = {"HOME": directory}
        counts.append(processes.instructions(environment.root, command, env, directory, limit=120))
    return min(counts)


# --- what pip loads --------------------------------------------------------------------------


def imported(environment: Environment, *arguments: str) -> set[str]:
    outcome = environment.run_python("-X", "importtime", "-m", "pip", *arguments)
    return {line.rpartition("|")[2].strip() for line in outcome.stderr.splitlines()}


@each_pair
def test_pip_loads_wrapt_only_for_the_network(armed: Factory, pip: str, python: str) -> None:
    environment = armed(pip, python)
    for offline in (["--version"], ["list"]):
        modules = imported(environment, *offline)
        assert "pip_retry_patch" in modules
        assert not {name for name in modules if name.startswith("wrapt")}, offline
    nowhere = ["--index-url", "http://127.0.0.1:9/simple", "--retries", "0"]
    modules = imported(environment, "download", *nowhere, "nothing")
    assert [name for name in modules if name.startswith("wrapt")]


@pairs(("20.3.4", "3.8"), ("23.0.1", "3.11"), MAIN, (NEWEST, "3.15"))
def test_pip_takes_it_away_again(pip: str, python: str) -> None:
    environment = fresh_environment(pip, python, armed=True)
    before = json.loads(environment.run("list", "--format=json").stdout)
    assert {entry["name"] for entry in before} >= {"pip", "pip-retry-patch", "wrapt"}
    outcome = environment.run("uninstall", "--yes", "pip-retry-patch")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert not list(environment.site_packages.glob("*retry*"))
    after = environment.run_python("-c", ARMED)
    assert (after.stdout, after.stderr) == ("0\n", "")


def test_the_matrix_has_every_supported_python() -> None:
    assert {python for _, python in MATRIX} == {f"3.{minor}" for minor in range(8, 16)}
