"""What the whole check needs of a machine.

Where something is missing, nothing runs: no test is skipped. `.ci/run` installs it on Debian.
"""

from __future__ import annotations

import os
import shutil

from tests.support import environments, supplies
from tests.support.directories import CHROOT
from tests.support.matrix import MATRIX, MINORS
from tests.support.programs import MissingError

# Programs by what they are for.
PROGRAMS = {
    "valgrind": "to count instructions",
    "setpriv": "to run pips as another user",
    "mount": "to make disks that are full or read-only",
}
BENCHMARKS = dict.fromkeys(("wget", "curl", "aria2c", "ip"), "the benchmarks compare with it")


def lacking(with_benchmarks: bool = True) -> list[str]:
    """Say what is missing here, one line each."""
    missing = []
    if os.geteuid() != 0:
        missing.append("root: some tests mount file systems, or change who owns files")
    for python in sorted({python for _, python in (*MATRIX, *MINORS)}, key=lambda p: int(p[2:])):
        try:
            environments.interpreter(python)
        except MissingError as why:
            missing.append(str(why))
    if not (CHROOT / "usr/bin/python3").exists():
        missing.append(f"a Debian with its own pip in {CHROOT}: .ci/chroot makes it")
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    needed = {**PROGRAMS, **(BENCHMARKS if with_benchmarks else {})}
    missing += [f"{name}: {needed[name]}" for name in needed if not shutil.which(name, path=path)]
    try:
        supplies.newest_pip()
    except MissingError as why:
        missing.append(f"a package index: {why}")
    return missing
