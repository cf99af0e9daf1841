"""The files that interrupted downloads leave: a folder for each, in one directory of the user.

pip writes a file with a hash into a folder of the store, and the whole file is moved to where pip
wanted it. Whatever ends a run, `kill -9` included, leaves that folder, and the next run continues
it. Nothing is written twice.

A lock file lies beside each folder, because Windows can lock no directory. The system gives a lock
back when its process ends. Nobody ever waits for one. The random part of a name is never used
again, so a process that acts on an old listing finds nothing, and never somebody else's folder.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import time
from typing import BinaryIO, Mapping, Sequence

from pip_retry_patch import wording
from pip_retry_patch.store.writer import SAFE, is_mine, is_safe, lock, persist
from pip_retry_patch.wrapping import harmless

SMALLEST = 1_000_000  # bytes: less is not worth another request, and not kept
LONGEST_KEPT = 7 * 24 * 3600  # seconds

ORPHAN = 60  # seconds: a younger lock file without a folder may be about to get one
# A place has up to three open files, and macOS gives a process 256. pip needs most of them.
MOST_HELD = 64
# Characters of store and key. Windows opens paths of 259, and a wheel's name has up to about 120.
# So a key has a part of a digest only: enough to find a file by, whose hash is checked anyway.
LONGEST = 259 - 120 - len("\\-01234567\\") if os.name == "nt" else 3000
PART = 32

# Digits of the hexadecimal digests, the best algorithm first. pip is content with any of them.
DIGITS = {"sha512": 128, "sha384": 96, "sha256": 64, "sha224": 56, "sha1": 40, "md5": 32}
_HEXADECIMAL = frozenset("0123456789abcdef")
# Only such names are ours to remove: the user may have named a directory with other files in it.
NAME = r"(sha512|sha384|sha256|sha224|sha1|md5)-[0-9a-f]{32,128}-[0-9a-f]{8}"

# The lock files that this process holds. On NFS a process can lock its own file a second time, and
# loses both locks when it closes one of them.
_held: set[str] = set()


def key_of(hashes: Mapping[str, Sequence[str]]) -> str | None:
    """Return a file name for the artifact that has one of these digests; None if none is usable.

    An index may write anything in place of a digest, for example '../../evil'. An algorithm that
    has such a digest is skipped.
    """
    for algorithm, digits in DIGITS.items():
        found = sorted({str(digest) for digest in hashes.get(algorithm) or ()})
        if found and all(len(each) == digits and not set(each) - _HEXADECIMAL for each in found):
            # Always SHA-256: a FIPS system has no MD5.
            several = hashlib.sha256(" ".join(found).encode()).hexdigest()
            return f"{algorithm}-{(found[0] if len(found) == 1 else several)[:PART]}"
    return None


class _Folder:
    """A folder of the store, and the lock file beside it."""

    def __init__(self, store: str, name: str) -> None:
        self.path = os.path.join(store, name)
        self.lock, self.handle = self.path + ".lock", -1
        self.size, self.time, self.file = 0, 0.0, ""

    def look(self) -> bool:
        """Find the largest file; return whether this is ours to keep or remove.

        Each file is asked itself: Windows lists an old size of a file that is open.
        """
        self.size = 0
        with contextlib.suppress(OSError):
            if not os.path.lexists(self.path):
                return time.time() - os.lstat(self.lock).st_mtime > ORPHAN
            if is_mine(os.lstat(self.path)):
                for entry in list(os.scandir(self.path)):  # a file may vanish before the last one
                    found = os.lstat(entry.path)
                    if stat.S_ISREG(found.st_mode) and is_mine(found) and found.st_size > self.size:
                        self.size, self.time, self.file = found.st_size, found.st_mtime, entry.path
                return True
        return False

    def hold(self, new: bool = False) -> bool:
        """Lock an existing folder; return whether that worked. A lock file without one goes.

        :param new: make the folder, after its lock, so that nobody removes it. Raises OSError.
        """
        if self.lock in _held:
            return False
        try:
            self.handle = os.open(self.lock, os.O_RDWR | os.O_CREAT | SAFE, 0o600)
            _held.add(self.lock)
            lock(self.handle)
            if not is_mine(os.fstat(self.handle)):
                raise OSError(errno.ENOENT, "the lock file was removed, or is not ours")
            if new:
                os.mkdir(self.path, 0o700)
            elif not os.path.lexists(self.path):
                self.remove()
        except (OSError, ImportError):
            if new:
                self.remove()
                raise
            self.release()
        return self.handle >= 0

    def release(self) -> bool:
        if self.handle >= 0:
            _held.discard(self.lock)
            os.close(self.handle)
            self.handle = -1
        return True

    def remove(self) -> bool:
        """Remove it if it is held; return whether it is gone."""
        if self.handle >= 0:
            gone = not os.path.lexists(self.path) or persist(shutil.rmtree, self.path)
            self.release()  # before the lock file goes, for Windows removes no open file
            if gone:
                persist(os.unlink, self.lock)
        return not os.path.lexists(self.path)


class Store:
    """A directory of leftovers; with "" for its path, one that keeps nothing.

    `trouble`: why it turned out to be of no use, else "".

    :param limit: bytes that all leftovers may take together; 0 keeps nothing.
    """

    def __init__(self, path: str, limit: int) -> None:
        # No slash at its end: behind one, a link is followed.
        self.path = path and os.path.abspath(path)
        self.trouble = ""
        self._limit, self._is_tidy = limit, False

    def place(self, key: str) -> Place | None:
        """Return a new folder for an artifact; None where it cannot have one.

        A store that failed once is not tried again in this run, so that no later file pays.

        :param key: what `key_of` returns, or "".
        """
        is_full = len(_held) >= MOST_HELD or len(self.path + key) >= LONGEST
        if not self.path or not key or self._limit <= 0 or self.trouble or is_full:
            return None
        is_new = not os.path.lexists(self.path)
        try:
            with contextlib.suppress(FileExistsError):
                os.makedirs(self.path, 0o700)
            if not is_safe(self.path):
                raise OSError(errno.EPERM, "it is no directory that only this user can change")
            if not self._is_tidy:
                self._tidy()
            return Place(self, key)
        except (OSError, ImportError) as error:
            self.trouble = wording.of_system(error)
            if is_new:
                persist(os.rmdir, self.path)
        return None

    def left_over(self) -> tuple[int, int]:
        """Return how many leftovers nobody holds, and their bytes."""
        sizes = [folder.size for folder in self.folders() if folder.hold() and folder.release()]
        return len(sizes), sum(sizes)

    def purge(self) -> tuple[int, int]:
        """Remove every leftover that nobody holds; return how many, and their bytes."""
        sizes = [folder.size for folder in self.folders() if folder.hold() and folder.remove()]
        return len(sizes), sum(sizes)

    def make_room(self, size: int, least: int = 0) -> bool:
        """Remove what earlier runs left where so many bytes may not fit beside it.

        When a disk is full it is too late: pip's cache leaves a part of its copy behind.

        :returns: whether `least` bytes fit now, as far as the disk tells.
        """
        free = 0
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self.path).free
            # Not for a size that nobody can have: a server may announce any.
            if free < size and least <= free + self.left_over()[1]:
                self.purge()
                free = shutil.disk_usage(self.path).free
        return not 0 < free < least

    def folders(self, key: str = "") -> list[_Folder]:
        """Return what is ours, held or not, the longest first; nothing where none is to be had."""
        found = []
        with contextlib.suppress(OSError):
            if is_safe(self.path):
                for name in {re.sub(r"\.lock$", "", name) for name in os.listdir(self.path)}:
                    folder = _Folder(self.path, name)
                    if name.startswith(key) and re.fullmatch(NAME, name) and folder.look():
                        found.append(folder)
        return sorted(found, key=lambda folder: -folder.size)

    def _tidy(self) -> None:
        """Remove what is too small, too old or too much; of the last, the oldest first.

        A folder is locked only where it has to go, for meanwhile no other pip can continue it.
        """
        self._is_tidy, now, total = True, time.time(), 0
        for folder in sorted(self.folders(), key=lambda folder: -folder.time):
            total += folder.size
            is_useless = folder.size < SMALLEST or now - folder.time > LONGEST_KEPT
            if (is_useless or total > self._limit) and folder.hold():
                folder.remove()


class Plain:
    """A directory in pip's own, of which nothing is kept; used as a `Place`.

    :param folder: "" for pip's own itself.
    """

    kept: BinaryIO | None = None

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def move(self, path: str, location: str) -> str:
        moved = os.path.join(location, os.path.basename(path))
        if self.folder and persist(os.replace, path, moved):
            return moved
        self.folder = ""  # what pip is about to read is there; pip removes it with its own
        return path

    def finish(self) -> None:
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def leave(self) -> int:
        self.finish()
        return 0


class Place:
    """Where pip writes one file, and what an earlier run kept of it.

    `folder` is an empty directory for pip, in the store. `kept` is the longest leftover, open for
    reading, and has `kept_size` bytes.

    `finish` or `leave` ends it. No method raises OSError.
    """

    def __init__(self, store: Store, key: str) -> None:
        """Raise OSError where the store cannot be used."""
        # Later, too, it goes by this list: what another run leaves meanwhile is not looked for.
        self._leftovers = store.folders(f"{key}-")
        self._own = _Folder(store.path, f"{key}-{os.urandom(4).hex()}")
        self._own.hold(new=True)
        self.folder, self.kept_size = self._own.path, 0
        self.kept: BinaryIO | None = None
        self._is_moved = False
        for folder in self._leftovers:
            if self.kept is None and folder.size >= SMALLEST and folder.hold():
                try:
                    self.kept = os.fdopen(os.open(folder.file, os.O_RDONLY | SAFE), "rb")
                    self.kept_size = os.fstat(self.kept.fileno()).st_size
                except OSError:
                    folder.release()

    def superseded(self) -> None:
        """Remove what was kept, for the new file contains it by now. This frees the disk."""
        self._give_back(self.kept_size)

    def move(self, path: str, location: str) -> str:
        """Move the whole file into the directory `location`, and return where it is now.

        Nothing is copied. A file that cannot be moved, for example to another file system, stays
        in the store until the process ends.
        """
        wanted = os.path.join(location, os.path.basename(path))
        self._is_moved = True
        if persist(os.replace, path, wanted):
            with harmless("removing an empty folder"):  # the file is where pip wants it
                self._own.remove()  # a batch of files does not hold a lock for each
            return wanted
        atexit.register(self._own.remove)
        return path

    def finish(self) -> None:
        """Remove what is left of this artifact: it is whole, or worthless."""
        self._give_back()
        if not self._is_moved:
            self._own.remove()

    def leave(self) -> int:
        """Leave the longer of both files to the next run, and return its bytes; 0 if none."""
        self._own.look()
        size = 0 if self._is_moved else self._own.size
        older = self.kept_size if self.kept else 0
        is_kept = size >= max(SMALLEST, older)
        self._give_back(size if is_kept else -1)
        self._leftovers = []
        if is_kept:
            self._own.release()
        elif not self._is_moved:
            self._own.remove()
        return size if is_kept else older

    def _give_back(self, longest: float = float("inf")) -> None:
        """Give up what was kept. Remove what nobody holds and is not longer than `longest`."""
        if self.kept is not None:
            self.kept.close()  # first, for Windows removes no open file
            self.kept = None
        for folder in self._leftovers:
            folder.release()  # where that was
            if folder.look() and folder.size <= longest and folder.hold():
                folder.remove()
