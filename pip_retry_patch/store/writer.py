"""The one way in which anything is written by its name outside pip's own directories.

Links, their record and the journal lie where other users may write as well. What they have planted
there must not lead a write of ours to another file.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import stat
import time
from typing import Any, Iterator


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None  # each is on some systems only


_fcntl, _msvcrt = _import("fcntl"), _import("msvcrt")
_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # by another process
_PAUSE = 0.01  # seconds

# O_NONBLOCK: a pipe that nobody reads must not make pip wait.
_SAFELY = sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "NONBLOCK", "BINARY"))


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


def replace(path: str, text: str) -> None:
    """Give a file this text, all at once. Raises OSError."""
    check(path)
    temporary = f"{path}.{os.urandom(8).hex()}"  # a name that `site` does not read
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o666)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(temporary, path)
    except (OSError, ValueError):
        os.unlink(temporary)
        raise


def append(path: str, data: bytes) -> None:
    """Add to a file. Raises OSError."""
    check(path)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _SAFELY, 0o666)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)


def lock(path: str, wait: float = 0.0) -> int | None:
    """Lock a file, which is made if it is missing, for this process; return what `unlock` takes.

    :param wait: seconds to wait for another process that holds it.
    :return: None if it cannot be had.
    """
    end = time.monotonic() + wait
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | _SAFELY, 0o666)
    except OSError:
        return None
    while _fcntl or _msvcrt:
        try:
            if _fcntl:
                _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
            else:
                _msvcrt.locking(handle, _msvcrt.LK_NBLCK, 1)
            return handle
        except OSError as error:
            if error.errno not in _HELD or time.monotonic() >= end:
                break
        time.sleep(_PAUSE)
    os.close(handle)
    return None


def unlock(handle: int) -> None:
    """Give back what `lock` returned. The end of a process does it, too."""
    if not _fcntl:
        _msvcrt.locking(handle, _msvcrt.LK_UNLCK, 1)  # else Windows takes its time
    os.close(handle)


@contextlib.contextmanager
def locked(path: str, wait: float = 1.0) -> Iterator[bool]:
    """Hold the lock file beside a file, if it can be had; what is yielded says whether."""
    handle = lock(f"{path}.lock", wait)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            unlock(handle)
