"""Files that one process holds: the locks of the store of partials, and what it does with files.

A held file is locked, by the system and until it is closed or its process ends, however that ends.
Where a file system has no locks, nothing is held by anyone, and so nothing is ever continued.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO, Iterator

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]
    import msvcrt

SUFFIX = ".partial"

# What `create` makes of a key (partials.py). Only such names are ours to remove: the directory may
# be one that the user named, with files of other programs in it.
_OURS = re.compile(r"[0-9a-f]{32}-\w+\.partial", re.ASCII)
BUFFER = 32 * 1024  # bytes that a SIGKILL may cost


class HeldError(OSError):
    """Another process holds the file."""


def create(directory: Path, prefix: str) -> tuple[Path, BinaryIO]:
    """Make a file that nobody else can read, and hold it. Raises OSError."""
    handle, name = tempfile.mkstemp(SUFFIX, prefix, directory)
    _lock(handle)
    return Path(name), os.fdopen(handle, "r+b", BUFFER)


def entries(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each partial in `directory`, and what `lstat` says of it; none if there is none."""
    try:
        found = list(os.scandir(directory))
    except OSError:
        return
    for entry in found:
        with contextlib.suppress(OSError):
            if _OURS.fullmatch(entry.name) and not entry.is_dir(follow_symlinks=False):
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def purge(directory: Path) -> tuple[int, int]:
    """Remove every partial in `directory`; return how many, and their size in bytes."""
    count = size = 0
    for path, status in entries(directory):
        with contextlib.suppress(OSError):
            path.unlink()
            count, size = count + 1, size + status.st_size
    return count, size


def open_held(path: Path) -> BinaryIO:
    """Open a partial and hold it. Raises OSError if it is not ours to open, HeldError if held."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    file: BinaryIO = os.fdopen(os.open(path, flags), "r+b", BUFFER)
    try:
        if not _lock(file.fileno()):
            raise HeldError("another process holds it")
        # Looked at when it is held: whoever held it before may have removed it.
        status = os.fstat(file.fileno())
        mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        if not (mine and stat.S_ISREG(status.st_mode) and status.st_nlink == 1):
            raise OSError("it is not a plain file of this user's, or has another name as well")
    except OSError:
        file.close()
        raise
    return file


def _lock(handle: int) -> bool:
    """Hold an open file, until it is closed or the process ends; False if another one does."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            # There a locked byte cannot be read by others: lock one that no file has.
            os.lseek(handle, 1 << 40, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
    except OSError:
        return False
    return True


def remove(path: Path, file: BinaryIO) -> None:
    """Remove a file that this process holds."""
    if os.name == "nt":
        close(file)  # an open file cannot be removed there
    with contextlib.suppress(OSError):
        path.unlink()
    # Elsewhere closed afterwards, so that nobody gets hold of it in between.
    close(file)


def close(file: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # of a full disk, as what is buffered cannot be written
        file.close()
