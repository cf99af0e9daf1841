"""The one way in which anything is written by its name outside pip's own directories.

Links, their record and the journal lie where other users may write as well. What they have planted
there must not lead a write of ours to another file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from typing import IO, Any, Iterator

from pip_retry_patch.store.kept import SAFE, lock

_PAUSE = 0.01  # seconds between two tries to lock a file


def check(path: str) -> None:
    """Raise OSError where `path` is there, but is not a plain file of our own."""
    with contextlib.suppress(FileNotFoundError):
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise OSError(errno.EPERM, "it is not a plain file", path)
        _check_owner(path, status)


def check_directory(path: str) -> None:
    """Raise OSError where a directory, or the nearest one above it that is there, is not ours."""
    if os.path.islink(path):
        raise OSError(errno.EPERM, "it is a symbolic link", path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    _check_owner(path, os.stat(path))


def _check_owner(path: str, status: os.stat_result) -> None:
    # Others write where their rights allow it; root would write anywhere.
    if hasattr(os, "geteuid") and os.geteuid() == 0 != status.st_uid:
        raise OSError(errno.EPERM, "it belongs to another user", path)


def write(path: str, text: str) -> None:
    """Give a file this text, all at once. Raises OSError."""
    check(path)
    temporary = f"{path}.{os.urandom(8).hex()}"  # a name that `site` does not read
    try:
        with open(temporary, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # it is still there only if something failed


def append(path: str, data: bytes) -> None:
    """Add to a file. Raises OSError."""
    check(path)
    with _append_to(path) as file:
        file.write(data)


def _append_to(path: str) -> IO[Any]:
    """Open a file, and follow no link that was planted since it was checked."""
    return open(path, "ab", 0, opener=lambda path, flags: os.open(path, flags | SAFE, 0o666))


@contextlib.contextmanager
def locked(path: str, wait: float = 1.0) -> Iterator[bool]:
    """Hold the lock file beside a file, if it can be had; what is yielded says whether.

    The system gives the lock back when this process ends.

    :param wait: seconds to wait for another process that holds it.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_append_to(f"{path}.lock"))
            held = _is_locked(file.fileno(), time.monotonic() + wait)
        except (OSError, ImportError):
            held = False  # nothing can be locked here
        yield held


def _is_locked(handle: int, end: float) -> bool:
    while True:
        try:
            lock(handle)
            return True
        except (BlockingIOError, PermissionError):  # another process holds it
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE)
