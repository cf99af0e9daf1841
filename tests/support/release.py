"""Build what is released, and check it: `nox -s release` runs this, twine and check-wheel-contents.

The sdist and the wheel are built twice, from two copies of the tree that differ in everything but
their contents, and must be equal byte for byte. They are then installed as users get them, from an
index on loopback, with the oldest and the newest Python of this machine. An SBOM lists what an
installation holds; it is made twice as well.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Iterable

import pip_retry_patch
from tests.support import directories, supplies
from tests.support.directories import CHECKOUT
from tests.support.environments import interpreter
from tests.support.indexes import pypiserver
from tests.support.programs import MissingError, finish, launch, ours

PROJECT = "pip-retry-patch"
TIME_ZONES = {0o022: "UTC", 0o077: "Asia/Kathmandu"}  # one for each build, beside its umask


class UnfitError(Exception):
    """What was built must not be released; the text says why."""


def check_tag(tag: str, version: str, changelog: str) -> None:
    """Compare a tag with the version of the package and with the newest entry of the changelog.

    :param tag: as git and GitHub have it, `v1.2.3`.
    :raises UnfitError: they differ, or the entry has no date yet.
    """
    if tag != f"v{version}":
        raise UnfitError(f"the tag is {tag}, but pip_retry_patch.__version__ is {version}")
    entries = re.findall(r"^## \[(.*?)\](.*)$", changelog, re.MULTILINE)
    released = [entry for entry in entries if entry[0] != "Unreleased"]
    if not released or released[0][0] != version:
        raise UnfitError(f"CHANGELOG.md has no entry ## [{version}] on top")
    if not re.fullmatch(r" - \d{4}-\d\d-\d\d", released[0][1]):
        raise UnfitError(f"the entry of {version} in CHANGELOG.md has no date: ## [x.y.z] - Y-M-D")


def tracked() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    said = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    return [name for name in said.split("\0") if name and (CHECKOUT / name).exists()]


def epoch() -> str:
    """The time that goes into what is built: SOURCE_DATE_EPOCH, else that of the last commit."""
    command = ["git", "log", "-1", "--format=%ct"]
    said = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    return os.environ.get("SOURCE_DATE_EPOCH") or said.strip()


def build(target: Path, umask: int) -> supplies.Product:
    """Build the sdist from a fresh copy of the tree, and the wheel from that sdist.

    :param umask: what it takes away from the modes of the copy, and of all that the build writes.
    """
    copy = directories.scratch(Path("/")) / "tree"
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
    (sdist,), (wheel,) = target.glob("*.tar.gz"), target.glob("*.whl")
    return supplies.Product(sdist, wheel)


def check_rebuild(first: Iterable[Path], second: Iterable[Path]) -> None:
    for one, other in zip(first, second):
        if (one.name, one.read_bytes()) != (other.name, other.read_bytes()):
            raise UnfitError(f"{one} and {other} differ: the build is not reproducible")


def check_complete(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if missing := sorted(set(tracked()) - names):
        raise UnfitError(f"MANIFEST.in leaves out {', '.join(missing)}")


def pythons() -> list[str]:
    """Name the oldest and the newest of the supported Pythons that this machine itself has."""
    classifiers = (CHECKOUT / "setup.cfg").read_text(encoding="utf-8")
    found = []
    for python in re.findall(r"Python :: (3\.\d+)$", classifiers, re.MULTILINE):
        try:
            root, _ = interpreter(python)
        except MissingError:
            continue
        if root == Path("/"):
            found.append(python)
    if len(found) < 2:
        raise UnfitError(f"two Pythons are needed, the oldest and the newest; here is {found}")
    return [found[0], found[-1]]


def check_install(product: supplies.Product, python: str, version: str) -> None:
    """Install it in a fresh environment, from an index that has nothing else but wrapt.

    :raises UnfitError: the install or the selftest fails.
    """
    work = directories.scratch(Path("/"))
    packages = work / "packages"
    packages.mkdir()
    for file in (*product, supplies.wrapt_wheel(python)):
        shutil.copy2(file, packages)
    venv = work / "venv"
    _, base = interpreter(python)
    succeed(work, base, "-m", "venv", venv)
    with pypiserver(packages, work / "log", "--disable-fallback") as port:
        index = f"http://127.0.0.1:{port}/simple/"
        requirement = f"{PROJECT}=={version}"
        command = ("install", "--no-cache-dir", "--index-url", index, requirement)
        succeed(work, venv / "bin" / "python", "-m", "pip", *command)
    for module in ("-m", "pip_retry_patch", "--version"), ("-m", "pip", "check"):
        succeed(work, venv / "bin" / "python", *module)
    succeed(work, venv / "bin" / PROJECT, "selftest")


def write_sbom(wheel: Path, directory: Path) -> Path:
    """List the product and what an installation brings along, as CycloneDX.

    cyclonedx-py reads an environment without pip, and checks the result by the schema.

    :raises UnfitError: it lists more or less than what setup.cfg requires.
    """
    work, target = directories.scratch(Path("/")), directory / f"{PROJECT}.cdx.json"
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    required = config["options"]["install_requires"].split()
    project = {
        "name": PROJECT,
        "version": pip_retry_patch.__version__,
        "description": config["metadata"]["description"],
        "license": config["metadata"]["license"],
        "dependencies": required,
    }
    # The tool knows the metadata of a project from this table only.
    lines = [f"{key} = {json.dumps(value)}" for key, value in project.items()]
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


def succeed(home: Path, *command: str | Path) -> None:
    """Run a command and show what it prints. Raises UnfitError."""
    outcome = finish(launch(Path("/"), list(command), {"HOME": home}, home), 300)
    print(outcome.output, end="", flush=True)
    if outcome.returncode:
        raise UnfitError(f"exit {outcome.returncode} of {' '.join(map(str, command))}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.release", description=__doc__)
    parser.add_argument("target", type=Path, help="where the files go; emptied first")
    parser.add_argument("tag", nargs="?", help="the tag of this release, v1.2.3")
    arguments = parser.parse_args()
    version = pip_retry_patch.__version__
    try:
        if arguments.tag:
            changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
            check_tag(arguments.tag, version, changelog)
        shutil.rmtree(arguments.target, ignore_errors=True)
        arguments.target.mkdir(parents=True)
        product = build(arguments.target, 0o022)
        check_complete(product.sdist)
        again = directories.scratch(Path("/"))
        built = *product, write_sbom(product.wheel, arguments.target)
        check_rebuild(built, (*build(again, 0o077), write_sbom(product.wheel, again)))
        print(f"built twice, byte for byte the same: {', '.join(file.name for file in built)}")
        for python in pythons():
            print(f"== {PROJECT} {version} from an index, on Python {python}", flush=True)
            check_install(product, python, version)
    except (UnfitError, MissingError) as why:
        print(f"Not fit to be released: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
