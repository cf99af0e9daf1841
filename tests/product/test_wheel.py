"""What is shipped: the wheel, which leaves without a trace, and what a release is made of."""

from __future__ import annotations

import csv
import json
import re
import tarfile
import zipfile
from dataclasses import replace
from email import message_from_bytes
from io import StringIO
from pathlib import Path

from tests.support import release, supplies
from tests.support.costs import ARMED
from tests.support.environments import fresh_environment
from tests.support.matrix import NEWEST, pairs

PTH = "pip_retry_patch.pth"
MAIN = (NEWEST, "3.13")


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, those beside the packages by their names alone."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return {re.sub(r".*\.dist-info/", "", name): data for name, data in files.items()}


def test_the_wheel_is_small_and_for_every_python(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size <= 125 * 1024


def test_the_wheel_holds_the_pth_file_of_one_line_at_its_root_and_records_it(wheel: Path) -> None:
    files = contents(wheel)
    (line,) = files[PTH].decode("ascii").splitlines()
    assert line.startswith("import ")  # so site executes it
    record = {row[0] for row in csv.reader(StringIO(files["RECORD"].decode()))}
    assert {PTH, "pip_retry_patch/py.typed"} <= record


def test_wrapt_is_the_only_requirement(wheel: Path) -> None:
    metadata = message_from_bytes(contents(wheel)["METADATA"])
    required = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    assert [re.split(r"[^\w-]", r)[0] for r in required] == ["wrapt"]
    assert not any("<" in r for r in required)
    assert metadata["Requires-Python"] == ">=3.8"


@pairs(("25.0.1", "3.8"), MAIN)
def test_an_editable_install_arms(pip: str, python: str) -> None:
    # Without wrapt, which it needs.
    environment = replace(fresh_environment(pip, python, armed=False), strict=False)
    source = environment.fresh_dir()
    with tarfile.open(supplies.product().sdist) as archive:
        archive.extractall(source)
    (project,) = source.iterdir()
    options = "--no-deps", "--editable"
    environment.run("install", *options, project, machine=True).assert_success()
    assert environment.run_python("-c", ARMED).stdout == "1\n"
    where = environment.run_python("-c", "import pip_retry_patch as p; print(p.__file__)").stdout
    assert Path(where).parent.parent == project
    environment.run("uninstall", "--yes", "pip-retry-patch").assert_success()
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
