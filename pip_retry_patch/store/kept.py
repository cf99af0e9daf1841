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
import logging
import os
import re
import shutil
import stat
import time
from typing import Any, BinaryIO, Callable, Mapping, Sequence

logger = logging.getLogger("pip_retry_patch")

SMALLEST = 1_000_000  # bytes: less is not worth another request, and not kept
LONGEST_KEPT = 7 * 24 * 3600  # seconds

ORPHAN = 60  # seconds: a younger lock file without a folder may be about to get one
# A place has up to three open files, and macOS gives a process 256. pip needs most of them.
MOST_HELD = 64
# An antivirus program opens a new file for a moment, and Windows moves and removes no open file.
PATIENCE, PAUSE = 1.0, 0.05  # seconds: for one run in all, and between two tries
IN_USE = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.ENOTEMPTY)
# Characters of store and key. Windows opens paths of 259, and a wheel's name has up to about 120.
LONGEST = 259 - 120 - len("\\-01234567\\") if os.name == "nt" else 3000

# Digits of the hexadecimal digests, the best algorithm first. pip is content with any of them.
DIGITS = {"sha512": 128, "sha384": 96, "sha256": 64, "sha224": 56, "sha1": 40, "md5": 32}
# Only such names are ours to remove: the user may have named a directory with other files in it.
NAME = r"(sha512|sha384|sha256|sha224|sha1|md5)-[0-9a-f]{32,128}-[0-9a-f]{8}"

# A link or a FIFO that somebody planted is not followed and not waited for. Windows would translate
# line ends.
SAFE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))

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
        if found and all(re.fullmatch(f"[0-9a-f]{{{digits}}}", digest) for digest in found):
            # Always SHA-256: a FIPS system has no MD5.
            several = hashlib.sha256(" ".join(found).encode()).hexdigest()
            return f"{algorithm}-{found[0] if len(found) == 1 else several}"
    return None


def lock(handle: int) -> Any:
    """Lock an open file until it is closed.

    Raises OSError where it is locked or cannot be, ImportError where the platform has no locks.
    """
    try:
        fcntl: Any = __import__("fcntl")
        return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        msvcrt: Any = __import__("msvcrt")
        return msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)


def _is_mine(status: os.stat_result, kind: Callable[[int], bool]) -> bool:
    """Return whether it is of this kind, of this user, and a file with one name, not a removed one.

    On Windows all files are of user 0.
    """
    has_one_name = status.st_nlink == 1 or stat.S_ISDIR(status.st_mode)
    return kind(status.st_mode) and has_one_name and status.st_uid == getattr(os, "geteuid", int)()


def is_safe(path: str) -> bool:
    """Whether this is a directory in which no other user can change what this one has.

    A directory of root will do, as a volume of a container is one. Raises OSError.
    """
    found = os.lstat(path)
    others_may_write = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    is_roots = found.st_uid == 0 and not others_may_write
    return _is_mine(found, stat.S_ISDIR) or (is_roots and stat.S_ISDIR(found.st_mode))


class _Folder:
    """A folder of the store, and the lock file beside it."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.path = store, os.path.join(store.path, name)
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
            if _is_mine(os.lstat(self.path), stat.S_ISDIR):
                for entry in list(os.scandir(self.path)):  # a file may vanish before the last one
                    found = os.lstat(entry.path)
                    if _is_mine(found, stat.S_ISREG) and found.st_size > self.size:
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
            if not _is_mine(os.fstat(self.handle), stat.S_ISREG):
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
            gone = not os.path.lexists(self.path) or self.store.persist(shutil.rmtree, self.path)
            self.release()  # before the lock file goes, for Windows removes no open file
            if gone:
                self.store.persist(os.unlink, self.lock)
        return not os.path.lexists(self.path)


class Store:
    """A directory of leftovers.

    :param limit: bytes that all leftovers may take together; 0 keeps nothing.
    """

    def __init__(self, path: str, limit: int) -> None:
        self.path = os.path.abspath(path)  # no slash at its end: behind one, a link is followed
        self._limit, self._patience = limit, PATIENCE
        self._works, self._is_tidy = limit > 0, False

    def place(self, key: str) -> Place | None:
        """Return a new folder for an artifact; None where it cannot have one.

        A store that failed once is not tried again in this run, so that no later file pays.
        """
        is_new, is_ours = not os.path.lexists(self.path), re.fullmatch(NAME, f"{key}-00000000")
        if self._works and is_ours and len(_held) < MOST_HELD and len(self.path + key) < LONGEST:
            try:
                os.makedirs(self.path, 0o700, exist_ok=True)
                if not is_safe(self.path):
                    raise OSError(errno.EPERM, "other users may change it")
                if not self._is_tidy:
                    self._tidy()
                return Place(self, key)
            except (OSError, ImportError) as error:
                logger.debug("pip-retry-patch keeps nothing in %s: %s", self.path, error)
                self._works = False
                if is_new:
                    self.persist(os.rmdir, self.path)
        return None

    def left_over(self) -> tuple[int, int]:
        """Return how many leftovers nobody holds, and their bytes."""
        sizes = [folder.size for folder in self.folders() if folder.hold() and folder.release()]
        return len(sizes), sum(sizes)

    def purge(self) -> tuple[int, int]:
        """Remove every leftover that nobody holds; return how many, and their bytes."""
        sizes = [folder.size for folder in self.folders() if folder.hold() and folder.remove()]
        return len(sizes), sum(sizes)

    def folders(self, key: str = "") -> list[_Folder]:
        """Return what is ours, held or not, the longest first; nothing where none is to be had."""
        found = []
        with contextlib.suppress(OSError):
            if is_safe(self.path):
                for name in {re.sub(r"\.lock$", "", name) for name in os.listdir(self.path)}:
                    folder = _Folder(self, name)
                    if name.startswith(key) and re.fullmatch(NAME, name) and folder.look():
                        found.append(folder)
        return sorted(found, key=lambda folder: -folder.size)

    def _tidy(self) -> None:
        """Remove what is too small, too old or too much; of the last, the oldest first.

        Only what nobody holds counts. A folder is locked only where it may have to go, for
        meanwhile no other pip can continue it.
        """
        self._is_tidy, now, total = True, time.time(), 0
        found = sorted(self.folders(), key=lambda folder: -folder.time)
        is_much = sum(folder.size for folder in found) > self._limit
        for folder in found:
            is_useless = folder.size < SMALLEST or now - folder.time > LONGEST_KEPT
            if (is_useless or is_much) and folder.hold():
                total += folder.size
                folder.remove() if is_useless or total > self._limit else folder.release()

    def persist(self, action: Callable[..., object], *paths: str) -> bool:
        """Move or remove, and again where another program has it open; return whether it worked."""
        while True:
            try:
                action(*paths)
                return True
            except OSError as error:
                if error.errno not in IN_USE or self._patience <= 0:
                    logger.debug("pip-retry-patch leaves %s as it is: %s", paths[0], error)
                    return False
            self._patience -= PAUSE
            time.sleep(PAUSE)


class Place:
    """Where pip writes one file, and what an earlier run kept of it.

    `folder` is an empty directory for pip. `kept` is the longest leftover, open for reading, and
    has `kept_size` bytes.

    `finish` or `leave` ends it. Each method may be called again; none raises OSError.
    """

    def __init__(self, store: Store, key: str) -> None:
        """Raise OSError where the store cannot be used."""
        self._store, self._prefix = store, f"{key}-"
        self._own = _Folder(store, self._prefix + os.urandom(4).hex())
        self._own.hold(new=True)
        self.folder, self.kept_size = self._own.path, 0
        self.kept: BinaryIO | None = None
        self._older: _Folder | None = None  # where `kept` is, as long as it is held
        self._moved, self._left, self._is_left = "", 0, False
        for folder in store.folders(self._prefix):
            if self._older is None and folder.size >= SMALLEST and folder.hold():
                try:
                    self.kept = os.fdopen(os.open(folder.file, os.O_RDONLY | SAFE), "rb")
                    self.kept_size, self._older = os.fstat(self.kept.fileno()).st_size, folder
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
        if not self._moved:
            self._moved = os.path.join(location, os.path.basename(path))
            if self._store.persist(os.replace, path, self._moved):
                self._own.remove()  # a batch of files does not hold a lock for each
            else:
                self._moved = path
                atexit.register(self._own.remove)
        return self._moved

    def finish(self) -> None:
        """Remove what is left of this artifact: it is whole, or worthless."""
        self._give_back()
        if not self._moved:
            self._own.remove()

    def leave(self) -> int:
        """Leave the longer of both files to the next run, and return its bytes; 0 if none."""
        if not self._is_left:
            self._own.look()
            size = 0 if self._moved else self._own.size
            older = self.kept_size if self._older else 0
            is_kept = size >= max(SMALLEST, older)
            self._give_back(size if is_kept else -1)
            self._is_left, self._left = True, size if is_kept else older
            if is_kept:
                self._own.release()
        self.finish()
        return self._left

    def _give_back(self, longest: float = float("inf")) -> None:
        """Give up what was kept. Remove what nobody holds and is not longer than `longest`."""
        if self.kept is not None and self._older is not None:
            self.kept.close()  # first, for Windows removes no open file
            self._older.release()
            self._older = None
        for folder in self._store.folders(self._prefix):
            if not self._is_left and folder.size <= longest and folder.hold():
                folder.remove()
