"""Where one artifact is kept: what earlier runs have left of it, and a place for what comes now."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Callable

from pip_retry_patch.policy.representation import Representation
from pip_retry_patch.store import header as headers
from pip_retry_patch.store import locks
from pip_retry_patch.store.directory import SPARE, Directory
from pip_retry_patch.store.header import Header
from pip_retry_patch.store.partials import SMALLEST, Partial

logger = logging.getLogger("pip_retry_patch")


class Shelf:
    """What a directory keeps of one artifact. Every method is safe to call on any directory.

    :param key: see `header.key_of`.
    """

    def __init__(self, directory: Directory, key: str) -> None:
        self._directory = directory
        self._key = key
        # The last one that was asked for, as long as it is in use.
        self._lent: Callable[[], Partial | None] = lambda: None
        self._was_empty = self._is_small = False

    def find(self) -> Partial | None:
        """Return the longest valid partial that no other process holds, and hold it."""
        try:
            self._was_empty = not self._directory.paths(self._key)
            if self._was_empty:
                return None
            self._directory.check()
            with self._directory.alone():
                found = self._find()
            return found and self._lend(found)
        except OSError as why:
            logger.debug("pip-retry-patch leaves what is kept alone: %s", why)
            return None

    def _find(self) -> Partial | None:
        for path in self._directory.paths(self._key):
            try:
                held = locks.hold(path)
            except OSError as why:
                logger.debug("pip-retry-patch leaves %s alone: %s", path.name, why)
                continue
            try:
                return self._taken_up(held)
            except Exception as why:
                logger.debug("pip-retry-patch removes %s: %s", path.name, why)
                held.remove()
        return None

    def _taken_up(self, held: locks.Held) -> Partial:
        """Return the partial in a file. Raises ValueError and OSError where it is of no use."""
        header = self._directory.read(held)
        size = os.fstat(held.file.fileno()).st_size - headers.SIZE
        total = header.known.total
        if size <= 0 or (total is not None and size > total):
            raise ValueError("of a wrong size")
        if size == total:
            # So that there is always a byte to ask for, and an answer to learn from.
            size -= 1
        if not self._directory.has(self._directory.arriving * size + SPARE):
            raise OSError("pip needs the room")
        held.file.truncate(headers.SIZE + size)
        grows = True
        try:
            header = self._directory.reserve(header, size, held)
        except OSError as why:
            # Others are about to fill the store: it is used, and stays as it is.
            logger.debug("pip-retry-patch adds nothing to %s: %s", held.path.name, why)
            grows = False
        held.file.seek(headers.SIZE)
        return Partial(self._directory, header, held, size, grows)

    def begin(self, name: str, known: Representation, host: str, media_type: str) -> Partial | None:
        """Return an empty partial; None if this representation is not worth keeping.

        :param host: scheme, host and port that `known` comes from.
        """
        self._is_small = known.total is not None and known.total < SMALLEST
        if self._is_small:
            return None
        if known.total is not None:
            self._give_way(known.total)
        header = Header(self._key, name, known, host, media_type)
        return self._lend(Partial(self._directory, header))

    def _lend(self, partial: Partial) -> Partial:
        self._lent = weakref.ref(partial)
        return partial

    def _give_way(self, total: int) -> None:
        try:
            self._directory.give_way(self._directory.needed(0, total))
        except FileNotFoundError:
            pass  # there is no store yet
        except OSError as why:
            logger.debug("pip-retry-patch leaves what is kept alone: %s", why)

    def give_back(self) -> bool:
        """Remove what is being kept now, and what was; return whether that gives room."""
        before = self._directory.paths(self._key)
        lent = self._lent()
        if lent is not None:
            lent.remove()
        self.clear()
        return len(self._directory.paths(self._key)) < len(before)

    def clear(self) -> None:
        """Remove all that is kept of the artifact, but what is held."""
        if self._was_empty and self._is_small:
            return  # and nobody keeps anything of it
        try:
            self._directory.clear(self._key)
        except Exception as why:
            logger.debug("pip-retry-patch could not remove what it kept: %r", why)
