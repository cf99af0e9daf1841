"""The store of partial downloads: what arrived outlives the process that it arrived in.

One file for each download under way, which its writer holds locked until it ends. The system takes
the lock back however that process ends; what is left then is continued by the next run, in place.
So several pips at once never share a file, and a kill leaves nothing behind but the bytes.

A file begins with a header of fixed size, one line of JSON: the artifact's name, its validators,
its size; nothing secret. Then follow the bytes as they were received. What is kept is only ever a
proposal: a server has to prove that it still has the same representation, and pip's hash check
covers every byte. Where no hash is known, the header has the digest of what was written, and what
does not fit it is not used. Nothing is ever fsynced: a power cut costs bytes, not correctness.

No failure here ever stops a download: it then goes on without being kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import stat
import time
import urllib.parse
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.store import locks

logger = logging.getLogger("pip_retry_patch")

# Smaller artifacts are not worth a file.
SMALLEST = 1_000_000

HEADER = 4096  # bytes
CHECK_EVERY = 1 << 20  # bytes between two digests, where no hash is known

# pip itself writes the file twice, to a temporary directory and to its cache, and then installs it.
# Only where all of that has room besides ours is anything kept.
ROOM = 4


DAY = 24 * 3600.0


class Limits(NamedTuple):
    """How large the store may grow, in bytes, and how old what it keeps, in seconds."""

    size: int = 5_000_000_000
    age: float = 7 * DAY


class Kept(NamedTuple):
    """What a header says."""

    name: str
    known: Representation
    content_type: str = ""
    digest: str = ""  # SHA-256 of the first `checked` bytes; "" where pip checks a hash
    checked: int = 0

    def to_bytes(self) -> bytes:
        """Raises ValueError where it does not fit, as with a validator of many kilobytes."""
        known, fields = self.known, self._asdict()
        fields.update(known=[*known.validators, known.total, known.coding], format=1)
        line = json.dumps(fields).encode("ascii")
        if len(line) >= HEADER:
            raise ValueError("too long a header")
        return line.ljust(HEADER - 1) + b"\n"

    @classmethod
    def from_bytes(cls, header: bytes) -> Kept:
        """Raises ValueError for what is not a header."""
        try:
            fields = json.loads(header.decode("ascii"))
            if len(header) != HEADER or fields.pop("format") != 1:
                raise ValueError("another format")
            *validators, total, coding = fields.pop("known")
            known = Representation(Validators(*validators), total, coding)
            return cls(known=known, **fields)
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(str(error)) from None


def key_of(url: str, digest: str = "") -> str:
    """Return what names an artifact: its URL and its hash, `sha256=...`, where one is known.

    Credentials and the fragment are no part of it, and with a hash neither is the query, which
    may hold a signature that is another one each time.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "" if digest else parts.query
    identity = f"{parts.scheme}://{host}{parts.path}?{query}\n{digest}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


class Shelf:
    """What a directory keeps of one artifact. Every method is safe to call on any directory."""

    def __init__(self, directory: Path, limits: Limits, key: str, hashed: bool) -> None:
        self.hashed = hashed
        self._directory = directory
        self._limits = limits
        self._key = key

    def find(self) -> Partial | None:
        """Return the longest valid partial that no other process holds, and hold it."""
        for path in self._mine():
            try:
                file = locks.open_held(path)
            except OSError as why:
                logger.debug("pip-retry-patch leaves %s alone: %s", path.name, why)
                continue
            try:
                return self._checked(path, file)
            except Exception as why:
                logger.debug("pip-retry-patch removes %s: %s", path.name, why)
                locks.remove(path, file)
        return None

    def begin(self, kept: Kept) -> Partial | None:
        """Return an empty partial; None if this representation is not worth keeping, or unsafe."""
        known = kept.known
        if known.total is not None and known.total < SMALLEST:
            return None
        if not self.hashed and known.validators.strong is None:
            return None
        return Partial(self, kept)

    def create(self, kept: Kept) -> tuple[Path, BinaryIO]:
        """Make a partial's file, within the limits, and hold it. Raises OSError, ValueError."""
        header = kept.to_bytes()
        self._prepare()
        self._make_room(kept.known.total or SMALLEST)
        path, file = locks.create(self._directory, f"{self._key}-")
        file.write(header)
        return path, file

    def clear(self) -> None:
        """Remove all that is kept of the artifact, but what another process holds."""
        try:
            for path in self._mine():
                with contextlib.suppress(OSError):
                    try:
                        locks.remove(path, locks.open_held(path))
                    except locks.HeldError:
                        pass
                    except OSError:
                        path.unlink()  # a link, or what may not be read
        except Exception as why:
            logger.debug("pip-retry-patch could not remove what it kept: %r", why)

    @property
    def limit(self) -> int:
        """The size limit of the store, in bytes."""
        return self._limits.size

    def _mine(self) -> list[Path]:
        """The paths of the artifact's partials, the longest first."""
        mine = [
            entry for entry in locks.entries(self._directory) if entry[0].name.startswith(self._key)
        ]
        return [path for path, _ in sorted(mine, key=lambda entry: -entry[1].st_size)]

    def _checked(self, path: Path, file: BinaryIO) -> Partial:
        """Return the partial in `file`, cut to what can be trusted. Raises ValueError, OSError."""
        status = os.fstat(file.fileno())
        if time.time() - status.st_mtime > self._limits.age:
            raise ValueError("too old")
        kept = Kept.from_bytes(file.read(HEADER))
        size = status.st_size - HEADER
        digest = None
        if not self.hashed:
            size, digest = kept.checked, _digest(file, kept.checked)
            if digest.hexdigest() != kept.digest:
                raise ValueError("altered")
        total = kept.known.total
        if size <= 0 or (total is not None and size > total):
            raise ValueError("of a wrong size")
        if size == total:
            # So that there is always a byte to ask for, and an answer to learn from.
            size -= 1
            digest = None if digest is None else _digest(file, size)
        file.truncate(HEADER + size)
        file.seek(HEADER)
        return Partial(self, kept, path, file, size, digest)

    def _prepare(self) -> None:
        """Make the directory; raise OSError where what is there is not to be trusted."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        status = os.lstat(self._directory)
        if not stat.S_ISDIR(status.st_mode):
            raise OSError("not a directory")
        if hasattr(os, "geteuid") and os.geteuid() == 0 and status.st_uid != 0:
            # As in pip: root leaves nothing in the directories of others (`sudo pip`).
            raise OSError("it belongs to another user")

    def _make_room(self, needed: int) -> None:
        """Remove what is too old, and the oldest of what is too much. Raises OSError."""
        if needed > self._limits.size:
            raise OSError("larger than the store may be")
        if shutil.disk_usage(self._directory).free < ROOM * needed:
            raise OSError("the disk is nearly full")
        found = sorted(locks.entries(self._directory), key=lambda entry: entry[1].st_mtime)
        total = needed + sum(status.st_size for _, status in found)
        oldest = time.time() - self._limits.age
        for path, status in found:
            if total <= self._limits.size and status.st_mtime >= oldest:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            total -= status.st_size


class Partial:
    """One download's bytes on disk, from the first on, held by this process.

    Without a path and a file it is a new one, whose file is made when that is worth it.
    """

    def __init__(
        self,
        shelf: Shelf,
        kept: Kept,
        path: Path | None = None,
        file: BinaryIO | None = None,
        size: int = 0,
        digest: Any = None,
    ) -> None:
        self.kept = kept
        self.size = size  # bytes of the representation
        self._shelf = shelf
        self._path = path
        self._file = file
        self._digest = digest if shelf.hashed or digest else hashlib.sha256()
        self._waiting: list[bytes] | None = [] if file is None else None

    @property
    def is_on_disk(self) -> bool:
        """Whether a later run will find it."""
        return self._file is not None

    def read(self, most: int) -> bytes:
        """Return the next of the bytes that an earlier run kept. Raises OSError."""
        if self._file is None:
            raise OSError("what was kept is gone")
        return self._file.read(most)

    def add(self, offset: int, piece: bytes) -> None:
        """Keep `piece`, which follows `offset` bytes. What was read from here is kept already."""
        if offset < self.size or (self._file is None and self._waiting is None):
            return
        try:
            self._add(piece)
        except Exception as why:
            # The disk is full, the directory has vanished, the file system is read-only ...
            logger.debug("pip-retry-patch keeps nothing of %s: %s", self.kept.name, why)
            self.remove()

    def _add(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._waiting is not None:
            self._waiting.append(piece)
            if self.kept.known.total is None and self.size < SMALLEST:
                return  # of unknown size: perhaps this was all of it
            piece, self._waiting = b"".join(self._waiting), None
            self._path, self._file = self._shelf.create(self.kept)
        assert self._file is not None
        if self.size > self._shelf.limit:
            raise OSError("larger than the store may be")
        self._file.write(piece)
        if self._digest is not None:
            self._digest.update(piece)
            if self.size - self.kept.checked >= CHECK_EVERY:
                self._check()

    def _check(self) -> None:
        """Write down the digest of what was written so far."""
        assert self._file is not None
        self.kept = self.kept._replace(digest=self._digest.hexdigest(), checked=self.size)
        self._file.seek(0)
        self._file.write(self.kept.to_bytes())
        self._file.seek(HEADER + self.size)

    def close(self) -> None:
        """Leave it to a later run."""
        self._waiting = None
        if self._file is None:
            return
        try:
            # (What was to be read from here, but was not, is as it was.)
            if self._digest is not None and self._digest_is_of_all():
                self._check()
            self._file.close()
            self._file = None
        except Exception as why:
            logger.debug("pip-retry-patch keeps nothing of %s: %r", self.kept.name, why)
            self.remove()

    def _digest_is_of_all(self) -> bool:
        assert self._file is not None
        return self._file.tell() == HEADER + self.size

    def remove(self) -> None:
        """Keep nothing of this artifact: neither this nor what other runs have left of it."""
        self._waiting = None
        if self._file is not None and self._path is not None:
            file, self._file = self._file, None
            try:
                locks.remove(self._path, file)
            except Exception as why:
                logger.debug("pip-retry-patch could not remove what it kept: %r", why)
        self._shelf.clear()


def _digest(file: BinaryIO, size: int) -> Any:
    """Return the SHA-256 of the first `size` bytes that are kept. Raises ValueError, OSError."""
    digest = hashlib.sha256()
    file.seek(HEADER)
    while size > 0:
        piece = file.read(min(size, CHECK_EVERY))
        if not piece:
            raise ValueError("truncated")
        digest.update(piece)
        size -= len(piece)
    return digest
