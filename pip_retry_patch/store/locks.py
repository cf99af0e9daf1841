"""What one process holds: a file of the store while it is used, and the whole store for a moment.

A file that is held is locked by the system until it is closed or its process ends, however that
ends. Where a file system or a platform has no locks, nothing is held, and so nothing is kept.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import stat
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator, MutableMapping

from pip_retry_patch.records import NamedTuple

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


class System(NamedTuple):
    """What this module must know of the system that it runs on (docs/windows.md).

    :param lock: holds an open file until it is closed. Raises OSError.
    :param removes_open_files: Windows does not. There, what is being removed cannot be opened.
    :param no_follow: the flag that makes `open` refuse a symbolic link; 0 where there is none.
    """

    lock: Callable[[int], None]
    removes_open_files: bool
    no_follow: int


# There a locked byte cannot be read by others: this one is not in what they read. It is the last
# whose offset each C library of Windows can take.
LOCKED_BYTE = 2**31 - 2


def posix(fcntl: Any) -> System:
    def lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    return System(lock, removes_open_files=True, no_follow=getattr(os, "O_NOFOLLOW", 0))


def windows(msvcrt: Any) -> System:
    def lock(handle: int) -> None:
        os.lseek(handle, LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)

    return System(lock, removes_open_files=False, no_follow=0)


def _without_locks(_: int) -> None:
    raise NoLocksError("this platform has no locks")


def _this_system() -> System:
    """Neither module is there on every platform. Without one the store is off, nothing else."""
    for make, name in ((posix, "fcntl"), (windows, "msvcrt")):
        try:
            return make(importlib.import_module(name))
        except ImportError:
            continue
    return System(_without_locks, os.name != "nt", getattr(os, "O_NOFOLLOW", 0))


HERE = _this_system()


class Held:
    """A file that this process holds."""

    def __init__(self, path: Path, handle: int, system: System = HERE) -> None:
        self.path = path
        self._system = system
        self.file: BinaryIO = os.fdopen(handle, "r+b", BUFFER)
        _held_here[str(path)] = self

    def close(self) -> None:
        """Give it back. Raises OSError where a full disk does not take what is buffered."""
        _held_here.pop(str(self.path), None)
        self.file.close()

    def remove(self) -> None:
        """Remove it, and give it back."""
        if not self._system.removes_open_files:
            self._close()
        with contextlib.suppress(OSError):
            self.path.unlink()
        # Elsewhere closed afterwards, so that nobody gets hold of it in between.
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self.close()


def create(directory: Path, prefix: str, suffix: str, system: System = HERE) -> Held:
    """Make a file that nobody else can read, and hold it. Raises OSError, and leaves no file."""
    handle, name = tempfile.mkstemp(suffix, prefix, directory)
    held = Held(Path(name), handle, system)
    try:
        _lock(handle, system)
    except OSError:
        held.remove()
        raise
    return held


def hold(path: Path, system: System = HERE) -> Held:
    """Open a file and hold it.

    :raises HeldError: somebody holds it.
    :raises NoLocksError: nobody can.
    :raises OSError: it is not a plain file of this user's, with one name.
    """
    if str(path) in _held_here:
        raise HeldError("this process holds it")
    if not system.no_follow and path.is_symlink():
        raise OSError("it is a link")
    held = Held(path, os.open(path, _flags(system)), system)
    try:
        if not is_mine(os.fstat(held.file.fileno())):
            raise OSError("it belongs to another user")
        _lock(held.file.fileno(), system)
        # Looked at when it is held: whoever held it before may have removed it.
        status = os.fstat(held.file.fileno())
        if not (stat.S_ISREG(status.st_mode) and status.st_nlink == 1):
            raise OSError("it is not a plain file, or is gone, or has another name as well")
    except OSError:
        held.close()
        raise
    return held


@contextlib.contextmanager
def held_for_a_moment(directory: Path, system: System = HERE) -> Iterator[None]:
    """Keep this user's other processes out of the store.

    The file that stands for it is there only meanwhile.

    :raises HeldError: another process kept it for long.
    :raises OSError: it cannot be held here; NoLocksError: nothing can.
    """
    path = directory / f"lock-{_user()}"
    for _ in range(TRIES):
        try:
            handle = os.open(path, _flags(system) | os.O_CREAT, 0o600)
        except PermissionError:
            if system.removes_open_files:
                raise
            time.sleep(PAUSE)  # somebody is just removing it
            continue
        try:
            _lock(handle, system)
            # Where an open file cannot be removed, it still has its name.
            if not system.removes_open_files or _is_still(path, handle):
                break
        except HeldError:
            pass
        except NoLocksError:
            _drop(path, handle, system)
            raise
        os.close(handle)
        time.sleep(PAUSE)
    else:
        raise HeldError("another process keeps the store for long")
    try:
        yield
    finally:
        _drop(path, handle, system)


def is_mine(status: os.stat_result) -> bool:
    """Whether a file belongs to this user."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _flags(system: System) -> int:
    return os.O_RDWR | system.no_follow | getattr(os, "O_BINARY", 0)


def _lock(handle: int, system: System) -> None:
    """Hold an open file until it is closed. Raises HeldError, NoLocksError."""
    try:
        system.lock(handle)
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


def _drop(path: Path, handle: int, system: System) -> None:
    """Remove a file and close it."""
    if not system.removes_open_files:
        os.close(handle)
    with contextlib.suppress(OSError):
        path.unlink()
    if system.removes_open_files:
        os.close(handle)
