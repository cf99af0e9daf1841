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


def source_files() -> list[Path]:
    package = (CHECKOUT / "pip_retry_patch").rglob("*.*")
    found = [CHECKOUT / name for name in SOURCE_FILES] + sorted(package)
    return [
        path.relative_to(CHECKOUT) for path in found if path.is_file() and path.suffix != ".pyc"
    ]


def source_key() -> str:
    digest = hashlib.sha256()
    for path in source_files():
        digest.update(f"{path}\0".encode() + (CHECKOUT / path).read_bytes())
    return digest.hexdigest()[:12]


@functools.lru_cache(maxsize=None)
def product() -> Product:
    """Build the sdist, and the wheel from the sdist, once for each state of the tree."""
    target = STORE / "built" / os.environ[SOURCE]
    with made_once(target) as directory:
        if directory:
            copy = scratch() / "source"  # so that no build writes into the tree
            for path in source_files():
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / path, copy / path)
            ours("build", "--outdir", directory, copy)
    target.touch()
    return built(target)


def built(directory: Path) -> Product:
    (sdist,), (wheel,) = directory.glob("*.tar.gz"), directory.glob("*.whl")
    return Product(sdist, wheel)


@functools.lru_cache(maxsize=None)
def released_pips() -> list[Version]:
    """Ask the configured index, once in a run, for all final releases of pip, the newest last."""
    target = run_dir() / "pips"
    with made_once(target) as directory:
        if directory:
            said = ours("pip", "index", "versions", "--ignore-requires-python", "pip")
            (directory / "said").write_text(said)
    listed = re.search(r"^Available versions: (.*)$", (target / "said").read_text(), re.MULTILINE)
    if not listed:
        raise MissingError("pip index versions did not list any pip")
    return sorted(map(Version, listed[1].split(", ")))


def newest_pip() -> str:
    return str(released_pips()[-1])


def pip_wheel(version: str) -> Path:
    return wheel("3.13", f"pip=={version}", "--ignore-requires-python")


def wrapt_wheel(python: str, version: str = "") -> Path:
    """Give a wrapt for a Python, the newest unless a version is given."""
    return wheel(python, f"wrapt=={version}" if version else "wrapt")


def wheel(python: str, requirement: str, *options: str) -> Path:
    (found,) = wheelhouse(python, requirement, "--no-deps", *options).glob("*.whl")
    return found


def wheelhouse(python: str, *arguments: str) -> Path:
    """Download wheels for a Python, which need not be the one that runs, once for all runs.

    :param arguments: of `pip download`; without `--no-deps`, it brings all that is needed.
    """
    key = re.sub(r"[^\w.-]+", "_", "-".join((*arguments, f"py{python}")))
    target = STORE / "wheelhouse" / key
    machine, platforms = platform.machine(), []
    if sys.platform == "linux":  # elsewhere pip's own idea of the platform fits every Python here
        platforms += [f"manylinux_2_{minor}_{machine}" for minor in (28, 17, 5)]
        platforms += [f"manylinux{name}_{machine}" for name in ("2014", "2010", "1")]
    options = ["--only-binary=:all:", f"--python-version={python}"]
    options += [f"--platform={name}" for name in platforms]
    with made_once(target) as directory:
        if directory:
            ours("pip", "download", "--quiet", "--dest", directory, *options, *arguments)
    return target
