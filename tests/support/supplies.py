"""What goes into environments: the product as it is built from this tree, pips, wrapt and tools."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from packaging.version import Version

from tests.support.directories import CHECKOUT, SOURCE, STORE, made_once, run_dir, scratch
from tests.support.programs import MissingError, ours


class Product(NamedTuple):
    """What is built from the tree: the sdist, and the wheel made from that sdist."""

    sdist: Path
    wheel: Path


SOURCE_FILES = (
    "CHANGELOG.md",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "pip_retry_patch.pth",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
)


def copy_source(target: Path) -> Path:
    """Copy what the product is built from, so that no build writes into the tree."""
    target.mkdir(parents=True, exist_ok=True)
    for name in SOURCE_FILES:
        if (CHECKOUT / name).exists():
            shutil.copy2(CHECKOUT / name, target / name)
    shutil.copytree(
        CHECKOUT / "pip_retry_patch",
        target / "pip_retry_patch",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return target


def source_key() -> str:
    digest = hashlib.sha256()
    copy = copy_source(scratch(Path("/")) / "source")
    for path in sorted(copy.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(copy)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@functools.lru_cache(maxsize=None)
def product() -> Product:
    """Build the sdist, and the wheel from the sdist, once for each state of the tree."""
    target = STORE / "built" / os.environ[SOURCE]
    with made_once(target) as directory:
        if directory:
            copy = copy_source(scratch(Path("/")) / "source")
            ours("build", "--outdir", directory, copy)
    (sdist,), (wheel,) = target.glob("*.tar.gz"), target.glob("*.whl")
    target.touch()
    return Product(sdist, wheel)


@functools.lru_cache(maxsize=None)
def newest_pip() -> str:
    """Ask the configured index, once in a run, which pip is the newest."""
    target = run_dir() / "newest"
    with made_once(target) as directory:
        if directory:
            fetch(directory, "pip", "3.13")
    (wheel,) = target.glob("pip-*.whl")
    return wheel.name.split("-")[1]


def newest_patches() -> dict[str, str]:
    """Ask the configured index for every pip since 20.0: minor to its newest final release."""
    said = ours("pip", "index", "versions", "--ignore-requires-python", "pip")
    listed = re.search(r"^Available versions: (.*)$", said, re.MULTILINE)
    if not listed:
        raise MissingError(f"pip index versions did not list any: {said}")
    versions = sorted(map(Version, listed[1].split(", ")))
    return {f"{v.major}.{v.minor}": str(v) for v in versions if v >= Version("20.0")}


def pip_wheel(version: str) -> Path:
    target = STORE / "wheelhouse" / f"pip-{version}"
    with made_once(target) as directory:
        if directory:
            fetch(directory, f"pip=={version}", "3.13")
    (wheel,) = target.glob("*.whl")
    return wheel


def wrapt_wheel(python: str, version: str = "") -> Path:
    """Download a wrapt for a Python, the newest unless a version is given, once for all runs."""
    target = STORE / "wheelhouse" / f"wrapt{version and '-'}{version}-py{python}"
    with made_once(target) as directory:
        if directory:
            fetch(directory, f"wrapt=={version}" if version else "wrapt", python)
    (wheel,) = target.glob("*.whl")
    return wheel


def wheelhouse(python: str, *requirements: str) -> Path:
    """Download the wheels of some tools and of all that they need, once for all runs."""
    key = re.sub(r"[^\w.-]+", "_", "-".join((*requirements, f"py{python}")))
    target = STORE / "wheelhouse" / f"tools-{key}"
    with made_once(target) as directory:
        if directory:
            download(directory, python, *requirements)
    return target


def fetch(directory: Path, requirement: str, python: str) -> None:
    options = ["--ignore-requires-python"] if requirement.startswith("pip") else []
    download(directory, python, "--no-deps", *options, requirement)


def download(directory: Path, python: str, *arguments: str) -> None:
    """Run `pip download` for a Python that need not be the one that runs."""
    machine, platforms = platform.machine(), []
    if sys.platform == "linux":  # elsewhere pip's own idea of the platform fits every Python here
        platforms += [f"manylinux_2_{minor}_{machine}" for minor in (28, 17, 5)]
        platforms += [f"manylinux{name}_{machine}" for name in ("2014", "2010", "1")]
    options = ["--only-binary=:all:", "--python-version", python]
    options += [word for name in platforms for word in ("--platform", name)]
    ours("pip", "download", "--quiet", "--dest", directory, *options, *arguments)
