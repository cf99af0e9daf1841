"""What the whole check needs of a machine, found out before its first test.

`.ci/run` installs all of it on Debian.
"""

from __future__ import annotations

import os
import shutil
from typing import Iterable

from tests.support import environments, supplies
from tests.support.directories import CHROOT
from tests.support.matrix import MATRIX, MINORS
from tests.support.programs import MissingError

# Programs by what they are for.
PROGRAMS = {
    "nginx": "a server that people really run",
    "valgrind": "to count instructions",
    "setpriv": "to run pips as another user",
    "mount": "to make disks that are full or read-only",
}
BENCHMARKS = {"wget": "", "curl": "", "aria2c": "", "ip": ""}


def lacking(with_benchmarks: bool = True) -> list[str]:
    """Say what is missing here, one line each."""
    return [*_rights(), *_pythons(), *_chroot(), *_programs(with_benchmarks), *_index()]


def _rights() -> Iterable[str]:
    if os.geteuid() != 0:
        yield "root: some tests mount file systems, or change who owns files"


def _pythons() -> Iterable[str]:
    for python in sorted({python for _, python in (*MATRIX, *MINORS)}, key=_minor):
        try:
            environments.interpreter(python)
        except MissingError as why:
            yield str(why)


def _minor(python: str) -> int:
    return int(python.partition(".")[2])


def _chroot() -> Iterable[str]:
    if not (CHROOT / "usr/bin/python3").exists():
        yield f"a Debian with its own pip in {CHROOT}: .ci/chroot makes it"


def _programs(with_benchmarks: bool) -> Iterable[str]:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    needed = {**PROGRAMS, **(BENCHMARKS if with_benchmarks else {})}
    for program, why in needed.items():
        if not shutil.which(program, path=path):
            yield f"{program}: {why or 'the benchmarks compare with it, or use it'}"


def _index() -> Iterable[str]:
    try:
        supplies.newest_pip()
    except MissingError as why:
        yield f"a package index: {why}"
