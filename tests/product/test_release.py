"""The version and the changelog, and that a build comes out the same twice."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pip_retry_patch
from tests.support import release
from tests.support.directories import CHECKOUT


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
