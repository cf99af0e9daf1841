"""Where test environments and all that goes into them are kept, and the directories of one test.

Everything is kept in one directory, shared by the workers of a run and by later runs:
`.test-environments/`, or what `PIP_RETRY_PATCH_TEST_DIR` names.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Iterator

from filelock import FileLock

CHECKOUT = Path(__file__).resolve().parents[2]
STORE = Path(os.environ.get("PIP_RETRY_PATCH_TEST_DIR") or CHECKOUT / ".test-environments")
CHROOT = Path(os.environ.get("PIP_RETRY_PATCH_TEST_CHROOT") or "/opt/sid")
DEBIAN = Path(os.environ.get("PIP_RETRY_PATCH_TEST_DEBIAN") or "/opt/debian-stable")
RUN = "PIP_RETRY_PATCH_TEST_RUN"  # set by the first process of a run, inherited by its workers
SOURCE = "PIP_RETRY_PATCH_TEST_SOURCE"  # likewise: the tree that this run began with
KEPT_SECONDS = 3600  # how long what no run uses any more is kept
_scratch: list[Path] = []


def scratch() -> Path:
    """Make an empty directory, removed by `sweep`."""
    made = lasting()
    _scratch.append(made)
    return made


def lasting() -> Path:
    """Make an empty directory that outlives a test; its maker removes it."""
    parent = STORE / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent))


@atexit.register
def sweep() -> None:
    while _scratch:
        shutil.rmtree(_scratch.pop(), ignore_errors=True)


def run_dir() -> Path:
    return STORE / "runs" / os.environ[RUN]


def prune() -> None:
    """Remove what was made from older trees, once no run has used it for a while.

    Not by a Python in Wine, which takes a link for what it leads to: the Python of an environment.
    """
    if os.name == "nt":
        return
    horizon = time.time() - KEPT_SECONDS
    for parent in ("armed", "built", "runs", "scratch"):
        for old in (STORE / parent).glob("*"):
            with contextlib.suppress(OSError):
                if old.stat().st_mtime < horizon and old.name != os.environ[SOURCE]:
                    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def made_once(target: Path) -> Iterator[Path | None]:
    """Give a directory to fill, or None if it has been filled before; one process at a time.

    The directory only counts as filled when the block has ended without an error.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    done = target / ".done"
    with FileLock(f"{target}.lock"):
        if done.exists():
            yield None
            return
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        yield target
        done.touch()
