"""Build what is released, and check it: `nox -s release` runs this, twine and check-wheel-contents.

The sdist and the wheel are built twice, from two copies of the tree that differ in everything but
their contents, and must be equal byte for byte; so must an SBOM of what an installation holds. That
the wheel works is what `nox` checks.
"""

from __future__ import annotations

import argparse
import configparser
import json
import re
import shutil
import sys
from pathlib import Path

import pip_retry_patch
from tests.support import runs
from tests.support.directories import CHECKOUT, scratch
from tests.support.programs import MissingError, ours
from tests.support.release import UnfitError, build, check_complete, check_rebuild, epoch


def check_tag(tag: str, version: str, changelog: str) -> None:
    """Compare a tag, `v1.2.3`, with the version of the package and the top of the changelog."""
    if tag != f"v{version}":
        raise UnfitError(f"the tag is {tag}, but pip_retry_patch.__version__ is {version}")
    _, *entries = re.findall(r"^## .*", changelog, re.MULTILINE)
    if not re.fullmatch(rf"## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d", "".join(entries[:1])):
        raise UnfitError(f"CHANGELOG.md has no dated entry ## [{version}] on top: {entries[:1]}")


def write_sbom(wheel: Path, directory: Path) -> Path:
    """List the product and what an installation brings along, as CycloneDX.

    cyclonedx-py reads an environment without pip, and checks the result by the schema.

    :raises UnfitError: it lists more or less than what setup.cfg requires.
    """
    work, target = scratch(), directory / "pip-retry-patch.cdx.json"
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    required = config["options"]["install_requires"].split()
    project = {key: config["metadata"][key] for key in ("name", "description", "license")}
    told = {**project, "version": pip_retry_patch.__version__, "dependencies": required}
    # The tool knows the metadata of a project from this table only.
    lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
    (work / "pyproject.toml").write_text("\n".join(["[project]", *lines]), encoding="utf-8")
    ours("venv", "--without-pip", work / "venv")
    ours("pip", "--python", work / "venv", "install", wheel)
    ours(
        *("cyclonedx_py", "environment", "--mc-type", "library", "--validate"),
        *("--output-reproducible", "--output-file", target),
        *("--pyproject", work / "pyproject.toml", work / "venv"),
        env={"SOURCE_DATE_EPOCH": epoch()},
    )
    listed = sorted(each["name"] for each in json.loads(target.read_text())["components"])
    if listed != sorted(re.split(r"[^\w-]", each)[0] for each in required):
        raise UnfitError(f"the SBOM lists {listed}, but {required} is required")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="where the files go; emptied first")
    parser.add_argument("tag", nargs="?", help="the tag of this release, v1.2.3")
    arguments = parser.parse_args()
    target = arguments.target.resolve()  # pip is run elsewhere
    if arguments.tag:
        changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
        check_tag(arguments.tag, pip_retry_patch.__version__, changelog)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    product = build(target, 0o022)
    check_complete(product.sdist)
    again = scratch()
    built = *product, write_sbom(product.wheel, target)
    check_rebuild(built, (*build(again, 0o077), write_sbom(product.wheel, again)))
    print(f"built twice, byte for byte the same: {', '.join(file.name for file in built)}")


if __name__ == "__main__":
    runs.begin_run()
    try:
        main()
    except (UnfitError, MissingError) as why:
        sys.exit(f"Not fit to be released: {why}")
