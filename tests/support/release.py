"""Build what is released, and check it: `nox -s release` runs this, twine and check-wheel-contents.

The sdist and the wheel are built twice, from two copies of the tree that differ in everything but
their contents, and must be equal byte for byte; so must an SBOM of what an installation holds. That
the wheel works is what `nox` checks.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Iterable

import pip_retry_patch
from tests.support import runs, supplies
from tests.support.directories import CHECKOUT, scratch
from tests.support.programs import MissingError, ours, succeeding

TIME_ZONES = {0o022: "UTC", 0o077: "Asia/Kathmandu"}  # one for each build, beside its umask


class UnfitError(Exception):
    """What was built must not be released; the text says why."""


def check_tag(tag: str, version: str, changelog: str) -> None:
    """Compare a tag, `v1.2.3`, with the version of the package and the top of the changelog."""
    if tag != f"v{version}":
        raise UnfitError(f"the tag is {tag}, but pip_retry_patch.__version__ is {version}")
    _, *entries = re.findall(r"^## .*", changelog, re.MULTILINE)
    if not re.fullmatch(rf"## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d", "".join(entries[:1])):
        raise UnfitError(f"CHANGELOG.md has no dated entry ## [{version}] on top: {entries[:1]}")


def git(*words: str) -> str:
    return succeeding(["git", *words], os.environ, CHECKOUT)


def tracked() -> list[str]:
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return [name for name in names if name and (CHECKOUT / name).exists()]


def epoch() -> str:
    """The time that goes into what is built: SOURCE_DATE_EPOCH, else that of the last commit."""
    return os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct").strip()


def build(target: Path, umask: int) -> supplies.Product:
    """Build the sdist from a fresh copy of the tree, and the wheel from that sdist.

    :param umask: what it takes away from the modes of the copy, and of all that the build writes.
    """
    copy = scratch() / "tree"
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, copy / name)
        (copy / name).chmod((CHECKOUT / name).stat().st_mode & 0o777 & ~umask)
    before = os.umask(umask)
    try:
        env = {"SOURCE_DATE_EPOCH": epoch(), "TZ": TIME_ZONES[umask]}
        ours("build", "--outdir", target, copy, env=env)
    finally:
        os.umask(before)
    return supplies.built(target)


def check_rebuild(first: Iterable[Path], second: Iterable[Path]) -> None:
    for one, other in zip(first, second):
        if (one.name, one.read_bytes()) != (other.name, other.read_bytes()):
            raise UnfitError(f"{one} and {other} differ: the build is not reproducible")


def check_complete(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if missing := sorted(set(tracked()) - names):
        raise UnfitError(f"MANIFEST.in leaves out {', '.join(missing)}")


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
    parser = argparse.ArgumentParser(prog="python -m tests.support.release", description=__doc__)
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
