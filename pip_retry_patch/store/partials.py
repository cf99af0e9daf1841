"""One partial: the bytes of one download on disk, from the first on.

Its writer holds the file until it ends. The system takes the lock back however that process ends;
what is left then is continued by the next run, in place. So several pips at once never share a
file, and a kill leaves nothing behind but the bytes. Nothing is ever fsynced: a power cut costs
bytes, not correctness, for pip's hash check covers every byte.

No failure here ever stops a download: it then goes on without being kept.
"""

from __future__ import annotations

import logging

from pip_retry_patch.store import header as headers
from pip_retry_patch.store import locks
from pip_retry_patch.store.directory import SPARE, Directory
from pip_retry_patch.store.header import Header

logger = logging.getLogger("pip_retry_patch")

# Smaller artifacts are not worth a file.
SMALLEST = 1_000_000


class Partial:
    """What is kept of one download. Without `held` it is new: its file is made when it is worth it.

    :param size: how many bytes an earlier run has kept.
    :param grows: whether more may be added.
    """

    def __init__(
        self,
        directory: Directory,
        header: Header,
        held: locks.Held | None = None,
        size: int = 0,
        grows: bool = True,
    ) -> None:
        self.header = header
        self.size = size  # bytes of the representation
        self._directory = directory
        self._held = held
        self._grows = grows
        self._waiting: list[bytes] | None = [] if held is None else None
        self._at_end = held is None  # of the file, where it is written

    @property
    def is_on_disk(self) -> bool:
        """Whether a later run will find it."""
        return self._held is not None

    def read(self, most: int) -> bytes:
        """Return the next of the bytes that an earlier run kept. Raises OSError."""
        if self._held is None:
            raise OSError("what was kept is gone")
        return self._held.file.read(most)

    def add(self, offset: int, piece: bytes) -> None:
        """Keep `piece`, which follows `offset` bytes. What was read from here is kept already."""
        if self._held is None and self._waiting is None:
            return
        try:
            if self._held is not None:
                self._look(offset + len(piece))
            if offset >= self.size and self._grows:
                self._add(piece)
        except Exception as why:
            # The disk is full, the directory has vanished, the file system is read-only ...
            logger.debug("pip-retry-patch keeps nothing of %s: %s", self.header.name, why)
            self.remove()

    def _look(self, arrived: int) -> None:
        """Raise OSError where pip does not have the room that it still needs.

        To be asked each time costs a microsecond.
        """
        if arrived < self.size:
            # The bytes are read back first. That costs pip what they are to it.
            needed = self._directory.arriving * (self.size - arrived) + SPARE
        else:
            needed = self._directory.needed(arrived, self.header.known.total)
        if not self._directory.give_way(needed):
            raise OSError("pip needs the room")

    def _add(self, piece: bytes) -> None:
        self.size += len(piece)
        total = self.header.known.total
        if self._waiting is not None:
            self._waiting.append(piece)
            if total is None and self.size < SMALLEST:
                return  # of unknown size: perhaps this was all of it
            piece, self._waiting = b"".join(self._waiting), None
            self._held, self.header = self._directory.create(self.header, self.size)
        assert self._held is not None
        if self.size > self.header.reserved:
            if total is not None:
                raise OSError("longer than was announced")
            self.header = self._directory.grow(self._held, self.header, self.size)
            self._at_end = False
        if not self._at_end:
            self._held.file.seek(headers.SIZE + self.size - len(piece))
            self._at_end = True
        self._held.file.write(piece)

    def close(self) -> None:
        """Leave it to a later run."""
        self._waiting = None
        if self._held is None:
            return
        try:
            self._held.close()
            self._held = None
        except Exception as why:
            logger.debug("pip-retry-patch keeps nothing of %s: %r", self.header.name, why)
            self.remove()

    def remove(self) -> None:
        """Keep nothing of this artifact: neither this nor what other runs have left of it."""
        self._waiting = None
        held, self._held = self._held, None
        try:
            if held is not None:
                held.remove()
            self._directory.clear(self.header.key)
        except Exception as why:
            logger.debug("pip-retry-patch could not remove what it kept: %r", why)
