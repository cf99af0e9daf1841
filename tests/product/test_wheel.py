"""What is shipped: the wheel, which leaves without a trace, and what a release is made of."""

from __future__ import annotations

import csv
import json
import re
import tarfile
import zipfile
from dataclasses import replace
from email import message_from_string
from io import StringIO
from pathlib import Path

from tests.support import programs, release, supplies
from tests.support.costs import ARMED
from tests.support.directories import CHECKOUT
from tests.support.environments import fresh_environment
from tests.support.matrix import MATRIX, NEWEST, pairs

PTH = "pip_retry_patch.pth"
MAIN = (NEWEST, "3.13")


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
    assert wheel.stat().st_size <= 125 * 1024


def test_the_wheel_holds_the_pth_file_at_its_root_and_records_it(wheel: Path) -> None:
    assert contents(wheel)[PTH] == (CHECKOUT / PTH).read_bytes()
    record = {row[0] for row in csv.reader(StringIO(metadata_file(wheel, "RECORD")))}
    assert {PTH, "pip_retry_patch/py.typed"} <= record


def test_the_pth_file_is_one_line_that_site_executes() -> None:
    (line,) = (CHECKOUT / PTH).read_text(encoding="ascii").splitlines()
    assert line.startswith("import ")


def test_wrapt_is_the_only_requirement(wheel: Path) -> None:
    metadata = message_from_string(metadata_file(wheel, "METADATA"))
    required = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    assert [re.split(r"[^\w-]", r)[0] for r in required] == ["wrapt"]
    assert not any("<" in r for r in required)
    assert metadata["Requires-Python"] == ">=3.8"
    assert set(metadata.get_all("Provides-Extra", [])) == {"benchmarks", "docs", "requests", "test"}


def test_the_tree_and_the_sdist_give_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    tree = supplies.copy_source(tmp_path / "tree")
    programs.ours("build", "--wheel", "--outdir", tmp_path, tree)
    (from_tree,) = tmp_path.glob("*.whl")
    assert contents(from_tree) == contents(wheel)


@pairs(("25.0.1", "3.8"), MAIN)
def test_an_editable_install_arms(pip: str, python: str) -> None:
    # Without wrapt, which it needs.
    environment = replace(fresh_environment(pip, python, armed=False), strict=False)
    source = environment.fresh_dir()
    with tarfile.open(supplies.product().sdist) as archive:
        archive.extractall(source)
    (project,) = source.iterdir()
    outcome = environment.run("install", "--no-deps", "--editable", project, machine=True)
    assert outcome.returncode == 0, outcome.output
    assert environment.run_python("-c", ARMED).stdout == "1\n"
    where = environment.run_python("-c", "import pip_retry_patch as p; print(p.__file__)").stdout
    assert Path(where).parent.parent == project

    assert environment.run("uninstall", "--yes", "pip-retry-patch").returncode == 0
    assert not list(environment.site_packages.glob("*retry*"))


@pairs(("20.3.4", "3.8"), ("23.0.1", "3.11"), MAIN, (NEWEST, "3.15"))
def test_pip_takes_it_away_again(pip: str, python: str) -> None:
    environment = fresh_environment(pip, python, armed=True)
    before = json.loads(environment.run("list", "--format=json").stdout)
    assert {entry["name"] for entry in before} == {"pip", "pip-retry-patch", "wrapt"}
    assert environment.run("check")[:3] == (0, "No broken requirements found.\n", "")
    outcome = environment.run("uninstall", "--yes", "pip-retry-patch")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert not list(environment.site_packages.glob("*retry*"))
    after = environment.run_python("-c", ARMED)
    assert (after.stdout, after.stderr) == ("0\n", "")


def test_the_matrix_has_every_supported_python() -> None:
    assert {python for _, python in MATRIX} == {f"3.{minor}" for minor in range(8, 16)}


# A release


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    lines = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Changelog"
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", v) for v in versions[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {line[4:] for line in lines if line.startswith("### ")} <= kinds


def test_two_builds_of_one_tree_are_the_same_whoever_makes_them(tmp_path: Path) -> None:
    """Another directory, another hour, another umask and another time zone."""
    products = []
    for umask in release.TIME_ZONES:
        target = tmp_path / str(umask)
        target.mkdir()
        products.append(release.build(target, umask))
    release.check_rebuild(*products)
    release.check_complete(products[0].sdist)
    with tarfile.open(products[0].sdist) as archive:
        assert {member.uid for member in archive} == {0}
        assert archive.getmember(f"{archive.getnames()[0]}/.ci/run").mode == 0o755
