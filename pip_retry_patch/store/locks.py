"""What one process holds: a file of the store while it is used, and the whole store for a moment.

A file that is held is locked by the system until it is closed or its process ends, however that
ends. Where a file system or a platform has no locks, nothing is held, and so nothing is kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import time
import weakref
from pathlib import Path
from typing import BinaryIO, Iterator, MutableMapping

# Neither is there on every platform. Without one the store is off, and nothing else.
try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:
    msvcrt = None  # type: ignore[assignment]

BUFFER = 32 * 1024  # bytes that a SIGKILL may cost

# The store is held for a few calls of the system. Who cannot have it within a second does without.
TRIES = 100
PAUSE = 0.01  # seconds

# Where flock is made of record locks, as on NFS, a process is not kept from its own files, and to
# close one that was opened again would give up the lock on it. What nobody refers to any more is
# closed, and held no longer.
_held_here: MutableMapping[str, Held] = weakref.WeakValueDictionary()


class HeldError(OSError):
    """Somebody else holds it."""


class NoLocksError(OSError):
    """There are no locks here."""


class Held:
    """A file that this process holds."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self.file: BinaryIO = os.fdopen(handle, "r+b", BUFFER)
        _held_here[str(path)] = self

    def close(self) -> None:
        """Give it back. Raises OSError where a full disk does not take what is buffered."""
        _held_here.pop(str(self.path), None)
        self.file.close()

    def remove(self) -> None:
        """Remove it, and give it back."""
        if os.name == "nt":
            self._close()  # an open file cannot be removed there
        with contextlib.suppress(OSError):
            self.path.unlink()
        # Elsewhere closed afterwards, so that nobody gets hold of it in between.
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self.close()


def create(directory: Path, prefix: str, suffix: str) -> Held:
    """Make a file that nobody else can read, and hold it. Raises OSError, and leaves no file."""
    handle, name = tempfile.mkstemp(suffix, prefix, directory)
    held = Held(Path(name), handle)
    try:
        _lock(handle)
    except OSError:
        held.remove()
        raise
    return held


def hold(path: Path) -> Held:
    """Open a file and hold it.

    :raises HeldError: somebody holds it.
    :raises NoLocksError: nobody can.
    :raises OSError: it is not a plain file of this user's, with one name.
    """
    if str(path) in _held_here:
        raise HeldError("this process holds it")
    held = Held(path, os.open(path, _flags()))
    try:
        if not is_mine(os.fstat(held.file.fileno())):
            raise OSError("it belongs to another user")
        _lock(held.file.fileno())
        # Looked at when it is held: whoever held it before may have removed it.
        status = os.fstat(held.file.fileno())
        if not (stat.S_ISREG(status.st_mode) and status.st_nlink == 1):
            raise OSError("it is not a plain file, or is gone, or has another name as well")
    except OSError:
        held.close()
        raise
    return held


@contextlib.contextmanager
def held_for_a_moment(directory: Path) -> Iterator[None]:
    """Keep this user's other processes out of the store.

    The file that stands for it is there only meanwhile.

    :raises HeldError: another process kept it for long.
    :raises OSError: it cannot be held here; NoLocksError: nothing can.
    """
    path = directory / f"lock-{_user()}"
    for _ in range(TRIES):
        handle = os.open(path, _flags() | os.O_CREAT, 0o600)
        try:
            _lock(handle)
            if _is_still(path, handle):
                break
        except HeldError:
            pass
        except NoLocksError:
            _drop(path, handle)
            raise
        os.close(handle)
        time.sleep(PAUSE)
    else:
        raise HeldError("another process keeps the store for long")
    try:
        yield
    finally:
        _drop(path, handle)


def is_mine(status: os.stat_result) -> bool:
    """Whether a file belongs to this user."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _flags() -> int:
    return os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def _lock(handle: int) -> None:
    """Hold an open file until it is closed. Raises HeldError, NoLocksError."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            # There a locked byte cannot be read by others: lock one that no file has.
            os.lseek(handle, 1 << 40, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            raise NoLocksError("this platform has no locks")
    except NoLocksError:
        raise
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise HeldError("another process holds it") from error
        raise NoLocksError(f"there are no locks here: {error}") from error


def _is_still(path: Path, handle: int) -> bool:
    """Whether an open file is still the one with that name. Who had it before has removed it."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except OSError:
        return False


def _drop(path: Path, handle: int) -> None:
    """Remove a file and close it."""
    if os.name == "nt":
        os.close(handle)
    with contextlib.suppress(OSError):
        path.unlink()
    if os.name != "nt":
        os.close(handle)
