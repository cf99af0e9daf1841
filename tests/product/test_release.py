"""What `nox -s release` refuses, and that a build comes out the same twice."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path

import pytest

import pip_retry_patch
from tests.support import release
from tests.support.directories import CHECKOUT
from tests.support.supplies import Product

DATED = (
    "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-25\n\n- x\n\n## [1.2.2] - 2026-01-01\n"
)


def test_a_tag_that_fits_is_accepted() -> None:
    release.check_tag("v1.2.3", "1.2.3", DATED)


@pytest.mark.parametrize(
    ("tag", "changelog", "why"),
    [
        ("v1.2.4", DATED, "the tag is v1.2.4, but"),
        ("1.2.3", DATED, "the tag is 1.2.3, but"),
        ("v1.2.3", DATED.replace("1.2.3", "1.2.1"), "no entry"),
        ("v1.2.3", "# Changelog\n\n## [Unreleased]\n", "no entry"),
        ("v1.2.3", DATED.replace(" - 2026-11-25", ""), "no date"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(tag: str, changelog: str, why: str) -> None:
    with pytest.raises(release.UnfitError, match=why):
        release.check_tag(tag, "1.2.3", changelog)


def test_the_version_is_written_down_in_one_place() -> None:
    holders = [
        path
        for name in release.tracked()
        if (path := Path(name)).suffix in {".cfg", ".toml", ".yml", ".yaml"}
        or path.name == "setup.py"
        if re.search(
            rf"(?<![\d.]){re.escape(pip_retry_patch.__version__)}(?![\d.])",
            (CHECKOUT / name).read_text(encoding="utf-8"),
        )
    ]
    assert not holders
    assert "version = attr: pip_retry_patch.__version__" in (CHECKOUT / "setup.cfg").read_text()


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


def test_builds_that_differ_and_files_that_are_left_out_are_refused(
    tmp_path: Path, sdist: Path, wheel: Path
) -> None:
    other = tmp_path / wheel.name
    shutil.copyfile(wheel, other)
    with other.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(release.UnfitError, match="differ"):
        release.check_rebuild(Product(sdist, wheel), Product(sdist, other))
    with pytest.raises(release.UnfitError, match=r"leaves out .*CONTRIBUTING\.md"):
        release.check_complete(sdist)  # which the fixture builds from the package alone
