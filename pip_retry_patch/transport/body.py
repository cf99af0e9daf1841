"""The resumable body: one response's bytes, whole, over as many connections as it takes.

A `Body` takes the place of the `http.client.HTTPResponse` that a urllib3 response reads from
(`response._fp`). Everything above (urllib3, CacheControl, requests, pip) reads from it as before
and sees one uninterrupted body, or one error. It knows neither pip nor urllib3: guard.py hands it
an `Origin` that can be asked again.

It is a plain class and no proxy object: to pip it must show all of the response it replaces but one
attribute, `fp`. Where that is missing urllib3 leaves the chunked coding to http.client, below this
class, instead of reading the chunks from the socket around it. Programs that ask for `fp` get one
from which the chunks can be read (`shows_file`).
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import time

from pip_retry_patch import failures
from pip_retry_patch.policy.pace import Course
from pip_retry_patch.policy.representation import Representation
from pip_retry_patch.store.partials import Partial
from pip_retry_patch.transport.chunks import Chunks, Readable
from pip_retry_patch.transport.continuation import Continued
from pip_retry_patch.transport.errors import EarlyEnd, GaveUpError
from pip_retry_patch.transport.origin import OVERLAP, HandedOn, Origin
from pip_retry_patch.transport.reissue import PIECE, Part
from pip_retry_patch.transport.resumption import Resumption

logger = logging.getLogger("pip_retry_patch")

# A read that waits for many bytes loses them to a kill. On a slow link what is kept is therefore
# taken in steps of this size.
KEPT_AT_ONCE = 64 * 1024
# From so many bytes a second on, a PIECE is there in a quarter of a second, and is taken at once
# even for a reader that asks for less: pip up to 25.0 reads 10 KiB, and each read has its price.
FAST = 1 << 20


class Body(Readable):
    """A readable that hands on exactly the bytes from `start` to `stop` of a representation.

    :param first: the response that it replaces.
    :param part: the same as the first part, of which nothing has been read yet.
    :param known: what its headers say of the representation.
    :param start: position in the representation of the first byte of `part`.
    :param stop: position after the last byte of it; None while no answer has told it (a chunked
        body, or one that ends with the connection).
    :param partial: keeps what is handed on, for a later run.
    :param shows_file: have the attribute `fp`.
    """

    def __init__(
        self,
        first: http.client.HTTPResponse,
        part: Part | Continued,
        origin: Origin,
        known: Representation,
        start: int,
        stop: int | None,
        partial: Partial | None = None,
        shows_file: bool = False,
    ) -> None:
        chunked = shows_file and getattr(first, "chunked", False)
        self._shows_file = shows_file
        self._chunks = Chunks(self, first.fp) if chunked else None
        self._first = first
        self._part: Part | Continued | None = part
        self._partial = partial
        self._origin = origin
        self._offset = start
        self._stop = stop
        last = None if stop is None or stop == known.total else stop - 1
        self._resumption = Resumption(origin, known, start, last)
        self._interruption: Exception | None = None
        self._error: Exception | None = None
        # Where a hash will be checked, it covers all that is joined. Elsewhere each replay and each
        # part is compared with what was handed on.
        self._digest = None if origin.hashed else hashlib.sha256()
        self._tail = b""
        self._ended = False
        self._interrupted = False
        self._timed = origin.until is not None
        # See `closed`; what an earlier run kept of may have had no length at first.
        self._late = stop is None or isinstance(part, Continued)
        self._end_was_read = False
        self._fast = False  # whether the last piece came fast
        # Without a hash or a strong validator, to go on elsewhere may mean to begin anew.
        resumable = origin.hashed or known.validators.strong is not None
        if resumable:
            self._resumption.course = Course(origin.pace)
            part.watch(self._resumption.course)
        self._ahead = b""  # taken from the connection, of which the first bytes were handed on:
        self._handed = 0

    def _read(self, amt: int, once: bool = False) -> bytes:
        if self._error is not None:
            # A reader that asks again after the error must not take silence for the end.
            raise self._error
        pieces: list[bytes] = []
        missing = amt
        try:
            while missing > 0 and (self._ahead or not self._ended):
                if self._ahead:
                    piece = self._hand_on(missing)
                    pieces.append(piece)
                    missing -= len(piece)
                elif self._interruption is None:
                    piece = self._take(missing, once)
                    if piece:
                        pieces.append(piece)
                        missing -= len(piece)
                elif not pieces:
                    self._heal()
                if pieces and (once or (self._interruption is not None and not self._ahead)):
                    # What arrived is handed on before time is spent on what did not.
                    break
        except BaseException:
            self._leave()
            raise
        self._end_was_read = self._ended and not pieces
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _hand_on(self, most: int) -> bytes:
        """Return the next of the bytes that were read ahead."""
        piece = self._ahead[self._handed : self._handed + most]
        self._handed += len(piece)
        if self._handed == len(self._ahead):
            self._ahead = b""
        return piece

    def _take(self, wanted: int, once: bool) -> bytes:
        """Read from the connection, and note whether an end or an interruption came.

        What it brings beyond `wanted` bytes is kept for the next reads.
        """
        part = self._part
        assert part is not None
        most = wanted
        if self._fast and not once:
            # (What a large read leaves over would have to be joined to the next one.)
            most = wanted if wanted >= KEPT_AT_ONCE else PIECE
        elif self._partial is not None:
            most = min(wanted, KEPT_AT_ONCE)
        if self._stop is not None:
            most = min(most, self._stop - self._offset)
        if self._timed:
            self._origin.check_time()
            once = True
        began = time.monotonic()
        piece = part.read(most, once)
        self._fast = len(piece) >= FAST * (time.monotonic() - began)
        self._interruption = part.interruption
        if piece:
            if self._partial is not None:
                try:
                    self._partial.add(self._offset, piece)
                except Exception as why:
                    logger.debug("pip-retry-patch could not keep a download: %r", why)
                    self._partial = None
            self._offset += len(piece)
            if self._digest is not None:
                self._digest.update(piece)
                long = len(piece) >= OVERLAP
                self._tail = piece[-OVERLAP:] if long else (self._tail + piece)[-OVERLAP:]
            if self._offset == self._stop:
                self._end()
        elif self._interruption is None:
            if self._stop is not None:
                self._interruption = EarlyEnd(self._stop - self._offset, part.short)
            elif part.final:
                self._end()
            else:
                self._interruption = EarlyEnd(None)
        if len(piece) > wanted:
            self._ahead, self._handed = piece, wanted
            return piece[:wanted]
        return piece

    def _end(self, reusable: bool = True) -> None:
        part, self._part = self._part, None
        self._ended = True
        self._leave()  # whole or not: until pip has done with it, it is not removed
        if part is not None:
            self._close(part, reusable)
        # Who closes it before its end has heard of that.
        whole = self._error is None and (reusable or self._offset == self._stop)
        if self._interrupted and whole:
            self._interrupted = False
            try:
                self._resumption.ended()
            except Exception as why:
                logger.debug("pip-retry-patch could not tell of a download: %r", why)

    def _leave(self) -> None:
        """Leave what is kept to a later run."""
        partial, self._partial = self._partial, None
        try:
            if partial is not None:
                partial.close()
        except Exception as why:
            logger.debug("pip-retry-patch could not keep a download: %r", why)

    def _close(self, part: Part | Continued, reusable: bool) -> None:
        """Give a part's connection back, if it can serve again. The bytes are safe by now."""
        try:
            part.close(reusable and part.finished)
        except Exception as why:
            logger.debug("pip-retry-patch could not close a connection: %r", why)

    # Healing.

    def _heal(self) -> None:
        """Get a part that goes on at the offset, or raise what ends the download."""
        interruption = self._interruption
        assert interruption is not None
        self._interrupted = True
        if self._part is not None:
            self._close(self._part, reusable=False)
            self._part = None
        digest = None if self._digest is None else self._digest.digest()
        handed_on = HandedOn(self._offset, digest, self._tail)
        try:
            try:
                self._part = self._resumption.reopen(handed_on, interruption)
            except GaveUpError as end:
                failure = end.failure
                if self._partial is not None:
                    if failure.changed:
                        self._partial.remove()
                    elif self._partial.is_on_disk:
                        failure = failures.with_kept(failure)
                self._error = self._origin.error(failure, interruption)
        except Exception as why:
            # A mistake of ours must leave the reader with what it would have met without us:
            # the error of the network, or, where there was none, an end like any other.
            logger.debug("pip-retry-patch could not continue a download: %r", why)
            if isinstance(interruption, EarlyEnd):
                self._end(reusable=False)
                return
            self._error = interruption
            raise interruption from None
        if self._error is not None:
            if self._error is not interruption:  # as that of a program is: no cause of itself
                self._error.__cause__ = interruption
            raise self._error
        self._interruption = None
        if self._stop is None:
            self._stop = self._resumption.known.total
        if self._part is None or (self._stop is not None and self._offset >= self._stop):
            self._end(reusable=False)
