"""What is released: an sdist and a wheel that are the same whoever builds them, and complete."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path
from typing import Iterable

from tests.support import supplies
from tests.support.directories import CHECKOUT, scratch
from tests.support.programs import ours, succeeding

TIME_ZONES = {0o022: "UTC", 0o077: "Asia/Kathmandu"}  # one for each build, beside its umask


class UnfitError(Exception):
    """What was built must not be released; the text says why."""


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
