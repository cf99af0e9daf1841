"""The files of the store by their names: which are ours, and how one is removed.

Nothing that somebody holds, and nothing of another user, is ever removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Iterator

from pip_retry_patch.store import locks

SUFFIX = ".partial"
# Only such names are ours to remove: the directory may be one that the user named, with files of
# other programs in it.
_OURS = r"[0-9a-f]{32}-\w+\.partial"


def entries(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each partial in `directory`, and what `lstat` says of it; none if there is none."""
    try:
        found = list(os.scandir(directory))
    except OSError:
        return
    for entry in found:
        with contextlib.suppress(OSError):
            if re.fullmatch(_OURS, entry.name, re.ASCII) and not entry.is_dir(
                follow_symlinks=False
            ):
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def purge(directory: Path) -> tuple[int, int]:
    """Remove every partial; return how many, and their size in bytes."""
    count = size = 0
    with contextlib.ExitStack() as stack:
        if any(True for _ in entries(directory)):
            with contextlib.suppress(OSError):
                stack.enter_context(locks.held_for_a_moment(directory))
        for path, status in entries(directory):
            if remove(path, status, even_without_locks=True):
                count, size = count + 1, size + status.st_size
    return count, size


def evict(path: Path) -> bool:
    """Remove a partial; return whether it is gone."""
    try:
        locks.hold(path).remove()
    except OSError:
        return False
    return True


def remove(path: Path, status: os.stat_result, even_without_locks: bool = False) -> bool:
    """Remove a partial, or what has its name; return whether it is gone.

    :param even_without_locks: where there are none, an earlier version has left files behind.
    """
    try:
        locks.hold(path).remove()
        return True
    except locks.HeldError:
        return False
    except locks.NoLocksError:
        odd = even_without_locks
    except OSError:
        # What cannot be a partial, like a link, is held by nobody.
        plain = stat.S_ISREG(status.st_mode) and status.st_nlink <= 1
        odd = not (plain and status.st_mode & 0o600 == 0o600)
    try:
        if odd and locks.is_mine(status):
            path.unlink()
            return True
    except OSError:
        pass
    return False
