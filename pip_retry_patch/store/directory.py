"""The store as a whole: the directory of this user's partials, and what room it may take.

Two things bound it. The setting is the limit of all partials together. A partial that is being
written counts with the size that it is going to have, which its header reserves; so many pips at
once keep the limit too. And the disk: what pip itself still has to write is left free. What earlier
runs have left goes first, the oldest before the others, and then what is being written.

Only what can be held is removed, by whoever holds the store at that moment.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Iterator

from pip_retry_patch.records import NamedTuple
from pip_retry_patch.store import files, locks
from pip_retry_patch.store import header as headers
from pip_retry_patch.store.files import entries
from pip_retry_patch.store.header import Header

logger = logging.getLogger("pip_retry_patch")

DAY = 24 * 3600.0

# Of an artifact of unknown size, so much more than has arrived is reserved at a time.
STEP = 4_000_000
# Room that is left for the small files of a run, and for what is written between two looks.
SPARE = 1 << 20


class Limits(NamedTuple):
    """How large the store may grow, in bytes, and how old what it keeps, in seconds."""

    size: int = 5_000_000_000
    age: float = 7 * DAY


class Directory:
    """One directory of partials.

    :param arriving: how many files pip writes on its disk while an artifact arrives.
    :param ending: how many files pip writes on it when the artifact is whole.
    """

    def __init__(self, path: Path, limits: Limits, arriving: int = 2, ending: int = 1) -> None:
        self.path = path
        self.arriving = arriving
        self._limits = limits
        self._ending = ending

    # What is there.

    def create(self, header: Header, arrived: int) -> tuple[locks.Held, Header]:
        """Make the file of a partial, with its header, and hold it.

        :param arrived: bytes that pip has got of the artifact.
        :raises OSError: it cannot be kept here, or not within the limits.
        :raises ValueError: what the server says does not fit into a header.
        """
        header.to_bytes()
        self._make()
        total = header.known.total
        with self.alone():
            header = self.reserve(header, arrived)
            if not self._free(self.needed(arrived, total) + (arrived if total is None else total)):
                raise OSError("the disk is nearly full")
            held = locks.create(self.path, f"{header.key}-", files.SUFFIX)
            try:
                _write(held, header)
            except BaseException:
                held.remove()
                raise
        return held, header

    def grow(self, held: locks.Held, header: Header, size: int) -> Header:
        """Reserve more for a partial that will have at least `size` bytes. Raises OSError."""
        with self.alone():
            return self.reserve(header, size, held)

    def read(self, held: locks.Held) -> Header:
        """Return the header of a partial. Raises ValueError where it is not of use, OSError."""
        if time.time() - os.fstat(held.file.fileno()).st_mtime > self._limits.age:
            raise ValueError("too old")
        found = Header.from_bytes(held.file.read(headers.SIZE))
        if not held.path.name.startswith(f"{found.key}-"):
            raise ValueError("of another artifact")
        return found

    def paths(self, key: str) -> list[Path]:
        """Return the paths of an artifact's partials, the longest first."""
        found = [entry for entry in entries(self.path) if entry[0].name.startswith(f"{key}-")]
        return [path for path, _ in sorted(found, key=lambda entry: -entry[1].st_size)]

    def clear(self, key: str) -> None:
        """Remove an artifact's partials, but what somebody holds. Raises OSError."""
        if not self.paths(key):
            return
        self.check()
        with self._removing():
            for path, status in entries(self.path):
                if path.name.startswith(f"{key}-"):
                    files.remove(path, status)

    def check(self) -> None:
        """Raise OSError where the directory is not to be trusted."""
        status = os.lstat(self.path)
        if not stat.S_ISDIR(status.st_mode):
            raise OSError("not a directory")
        if hasattr(os, "geteuid") and os.geteuid() == 0 and status.st_uid != 0:
            # As in pip: root leaves nothing in the directories of others (`sudo pip`).
            raise OSError("it belongs to another user")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out meanwhile. Raises OSError."""
        try:
            with locks.held_for_a_moment(self.path):
                yield
        except locks.NoLocksError:
            with contextlib.suppress(OSError):
                self.path.rmdir()  # it was made in vain, unless something else is in it
            raise

    @contextlib.contextmanager
    def _removing(self) -> Iterator[None]:
        """As `alone`; but where the disk is too full for that, do without: each file is held."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.alone())
            except OSError as why:
                if why.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
            yield

    def _make(self) -> None:
        os.makedirs(self.path, 0o700, exist_ok=True)
        self.check()

    # The limit.

    def reserve(self, header: Header, least: int, held: locks.Held | None = None) -> Header:
        """Make room for a partial, and return its header, which says for how many bytes.

        It is written to the file, if there is one. The store must be held.

        :param least: so many bytes it has, or is about to have.
        :raises OSError: it would be more than the store may hold.
        """
        total = header.known.total
        least, most = (least, least + STEP) if total is None else (total, total)
        granted = self._room(least, most, None if held is None else held.path)
        if granted != header.reserved:
            header = header._replace(reserved=granted)
            if held is not None:
                held.file.seek(0)
                _write(held, header)
        return header

    def _room(self, least: int, most: int, but: Path | None) -> int:
        """Return how many bytes a partial may have, in the limits given; make room for that."""
        others, left = self._others(but)
        room = self._limits.size - others - headers.SIZE
        if room < least:
            raise OSError("more than the store may hold")
        granted = min(room, most)
        total = others + headers.SIZE + granted + sum(size for _, size, _ in left)
        for _, size, path in left:
            if total <= self._limits.size:
                break
            total -= size if files.evict(path) else 0
        if total > self._limits.size:
            raise OSError("more than the store may hold")
        return granted

    def _others(self, but: Path | None) -> tuple[int, list[tuple[float, int, Path]]]:
        """Return the bytes that others hold, and what nobody holds: when written, size, path.

        The oldest is the first. What is too old, or of no use, is removed.
        """
        taken, left = 0, []
        for path, status in entries(self.path):
            if path == but:
                continue
            try:
                held = locks.hold(path)
            except locks.NoLocksError:
                raise
            except locks.HeldError:
                taken += max(status.st_size, _reserved(path))
            except OSError:
                taken += 0 if files.remove(path, status) else status.st_size
            else:
                try:
                    self.read(held)
                except (ValueError, OSError) as why:
                    logger.debug("pip-retry-patch removes %s: %s", path.name, why)
                    held.remove()
                else:
                    held.close()
                    left.append((status.st_mtime, status.st_size, path))
        return taken, sorted(left)

    # The disk.

    def needed(self, arrived: int, total: int | None) -> int:
        """Return the bytes that pip still writes here until it has an artifact and has cached it.

        :param arrived: bytes of it that pip has got.
        :param total: its size; None if that is not known.
        """
        end = arrived if total is None else total
        return self.arriving * (end - arrived) + self._ending * end + SPARE

    def give_way(self, goal: int) -> bool:
        """Remove what earlier runs have left until `goal` bytes are free; return whether they are.

        Raises OSError where that cannot be known, or the store cannot be held.
        """
        if self.has(goal):
            return True
        self.check()
        with self._removing():
            return self._free(goal)

    def has(self, goal: int) -> bool:
        return shutil.disk_usage(self.path).free >= goal

    def _free(self, goal: int) -> bool:
        if self.has(goal):
            return True
        for _, _, path in self._others(None)[1]:
            if files.evict(path) and self.has(goal):
                return True
        return self.has(goal)


def _write(held: locks.Held, header: Header) -> None:
    held.file.write(header.to_bytes())
    held.file.flush()  # others read what it reserves


def _reserved(path: Path) -> int:
    """Return what a partial that somebody holds is going to have, in bytes on the disk."""
    try:
        with path.open("rb") as file:
            return Header.from_bytes(file.read(headers.SIZE)).reserved + headers.SIZE
    except (OSError, ValueError):
        return 0
