"""The one way in which anything is written by its name outside pip's own directories.

Leftovers, links, their record and the journal lie where other users may write as well. What they
have planted there must not lead a write of ours to another file. Nor must another program that
has a file open: Windows then neither moves nor removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from typing import IO, Any, Callable, Iterator

from pip_retry_patch.wrapping import logger

# A link or a FIFO that somebody planted is not followed and not waited for. Windows would translate
# line ends.
SAFE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))

# An antivirus program opens a new file for a moment.
PATIENCE, PAUSE = 1.0, 0.05  # seconds: for one run in all, and between two tries
IN_USE = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.ENOTEMPTY)
_left = PATIENCE

_LOCK_PAUSE = 0.01  # seconds between two tries to lock a file
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def is_mine(found: os.stat_result) -> bool:
    """Return whether it is a directory of this user, or a file with one name, not a removed one.

    On Windows all files are of user 0.
    """
    is_file = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    return (is_file or stat.S_ISDIR(found.st_mode)) and found.st_uid == _user()


def _user() -> int:
    return getattr(os, "geteuid", int)()


def is_safe(path: str) -> bool:
    """Whether this is a directory in which no other user can change what this one has.

    A directory of root will do, as a volume of a container is one. Raises OSError.
    """
    found = os.lstat(path)
    others_may_write = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    is_roots = found.st_uid == 0 and not others_may_write
    return stat.S_ISDIR(found.st_mode) and (is_mine(found) or is_roots)


def check(path: str) -> None:
    """Raise OSError where `path` is there, but is no plain file that this user should write to.

    Others write where their rights allow it; root would write anywhere, and writes to its own.
    """
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        if not (stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
            raise OSError(errno.EPERM, "it is not a plain file", path)
        _check_owner(path, found)


def check_directory(path: str) -> None:
    """The same of a directory, or of the nearest one above it that is there."""
    if os.path.islink(path):
        raise OSError(errno.EPERM, "it is a symbolic link", path)
    while not os.path.exists(path) and path != os.path.dirname(path):  # a drive may be away
        path = os.path.dirname(path)
    _check_owner(path, os.stat(path))


def _check_owner(path: str, found: os.stat_result) -> None:
    if _user() == 0 != found.st_uid:
        raise OSError(errno.EPERM, "it belongs to another user", path)


def persist(action: Callable[..., object], *paths: str) -> bool:
    """Move or remove, and again where another program has it open; return whether it worked."""
    global _left
    while True:
        try:
            action(*paths)
            return True
        except OSError as error:
            if error.errno not in IN_USE or _left <= 0:
                logger.debug("pip-retry-patch leaves %s as it is: %s", paths[0], error)
                return False
        _left -= PAUSE
        time.sleep(PAUSE)


def write(path: str, text: str) -> None:
    """Give a file this text, all at once. Raises OSError."""
    check(path)
    temporary = f"{path}.{os.urandom(8).hex()}"  # a name that `site` does not read
    try:
        with open(temporary, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        if not persist(os.replace, temporary, path):
            os.replace(temporary, path)  # for its error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # it is still there only if something failed


def append_to(path: str) -> IO[Any]:
    """Open a file to add to it, and follow no link that was planted since `check`."""
    return open(path, "ab", 0, opener=lambda path, flags: os.open(path, flags | SAFE, 0o666))


def lock(handle: int) -> Any:
    """Lock an open file until it is closed; the system gives it back when the process ends.

    Raises OSError where it is locked or cannot be, ImportError where the platform has no locks.
    """
    try:
        fcntl: Any = __import__("fcntl")
        return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        msvcrt: Any = __import__("msvcrt")
        return msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)


@contextlib.contextmanager
def locked(path: str, wait: float = 1.0) -> Iterator[bool]:
    """Hold the lock file beside a file, if it can be had; what is yielded says whether.

    :param wait: seconds to wait for another process that holds it.
    """
    held, end = False, time.monotonic() + wait
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ImportError):  # nothing can be locked here
            handle = stack.enter_context(append_to(f"{path}.lock")).fileno()
            while not held:
                try:
                    lock(handle)
                    held = True
                except OSError as error:  # another process holds it; Wine has no errno for that
                    if error.errno in _NO_LOCKS or time.monotonic() >= end:
                        break
                    time.sleep(_LOCK_PAUSE)
        yield held
