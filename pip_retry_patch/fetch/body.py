"""The resumable body: one response's bytes, whole, over as many answers as it takes.

A `Body` takes the place of the http.client response that a response of urllib3 reads from.
Everything above (CacheControl, urllib3, requests, pip) reads from it as before and sees one
uninterrupted body, or one error.
"""

from __future__ import annotations

import collections
import contextlib
import math
from typing import Any, BinaryIO, Callable

from pip_retry_patch import wording
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.exchange import Exchange
from pip_retry_patch.fetch.judge import ContentRange, Representation, Verdict, is_web_page
from pip_retry_patch.fetch.request import LARGE, Below, Kind, Outcome
from pip_retry_patch.wording import CLOSED_EARLY, ONLY_A_PART
from pip_retry_patch.wrapping import harmless, note_failure

# Without a hash so much of the end is held in memory: the overlap that is asked for again, and what
# pip's file lags behind (its buffer, at most `st_blksize`, which is a MiB on some file systems).
HELD = 1 << 20


class Body(Below):
    """A readable that hands on exactly the bytes of one representation.

    :param span: which bytes the first answer brings.
    :param kept: what an earlier run received of the same file (as `store.kept.Place` has it); it
        is read in place of the network.
    :param written: returns the path of the file that pip writes, None while there is none.
    """

    def __init__(
        self,
        exchange: Exchange,
        first: Outcome,
        span: ContentRange,
        kept: Any = None,
        written: Callable[[], str | None] | None = None,
    ) -> None:
        first.open()
        self._exchange = exchange
        self._answer: Outcome | None = first  # that is read
        self.first: Outcome | None = first  # until the end
        self._source = first.stream
        self._written = written
        self._ahead, self._at = b"", 0  # received, and handed on up to there
        self._ended = False
        self._error: BaseException | None = None
        self._held: collections.deque[bytes] = collections.deque()
        self._held_size = 0
        self._replayed: int | None = None  # the offset up to which all came again
        self.start = self.offset = span.first or 0
        self.stop = None if span.last is None else span.last + 1  # of the answer that is read
        self.known = Representation.of(first.response.headers, span.total, exchange.job.hashed)
        # The last byte that is wanted, where that need not be the file's.
        self.last = span.last if exchange.job.ranged and first.status == 206 else None
        self.continued: int | None = None  # bytes that an earlier run had received
        self.joined = False  # parts were joined on
        self._kept: BinaryIO | None = None
        self._superseded: Callable[[], None] | None = None
        # What pip itself continues begins elsewhere. A web page may be larger than what was kept.
        is_other = span.first or is_web_page(self.known.media)
        first.put_below(self)
        if kept and kept.kept and not is_other and kept.kept_size <= (self.known.total or math.inf):
            self._kept, self.stop, self.continued = kept.kept, None, kept.kept_size
            self._superseded, self._answer = kept.superseded, None
            if kept.kept_size == self.known.total:
                first.drop()  # nothing is missing
            else:
                exchange.spare = first

    # What urllib3 and CacheControl call.

    @property
    def closed(self) -> bool:
        """CacheControl's tee takes this for the end of a whole body."""
        return self._ended and not self._ahead

    def close(self) -> None:
        self._ended, self._ahead, self._at = True, b"", 0
        for outcome in (self._answer, self._exchange.spare):
            if outcome is not None:
                outcome.drop()  # urllib3 knows only of the first

    def read1(self, amt: int = -1) -> bytes:
        return self.read(amt if amt >= 0 else LARGE)

    def read(self, amt: int | None = None) -> bytes:
        """Return the next bytes, at most `amt`; fewer need not be the end, b"" is."""
        if amt is None or amt < 0:
            return b"".join(iter(lambda: self.read(LARGE), b""))
        if self._error is not None:
            raise self._error  # a reader that asks again must not take silence for the end
        if not self._ahead and amt:
            self._fill(max(amt, LARGE))
        piece = self._ahead[self._at : self._at + amt]
        self._at += len(piece)
        if self._at == len(self._ahead):
            self._ahead, self._at = b"", 0
        return piece

    # Receiving.

    def _fill(self, most: int) -> None:
        """Receive the next bytes into `_ahead`; leave it empty at the end."""
        while not self._ended:
            why: Exception | None = None
            piece, is_end = b"", False
            try:
                piece = self._receive(most)
                is_end = not piece and self._kept is None and self._has_ended()
            except Exception as error:
                if error is self._error or not errors.is_network_error(error):
                    raise
                why, is_end = error, self._ends_again(error)
            if piece:
                self._take(piece)
                return
            if self._kept is not None:  # its end
                self._kept, self.continued = None, self.offset
                self._end() if self.offset == self._wanted_stop() else self._continue(None)
            elif is_end:
                self._end()
            else:
                is_part = self.offset == self.stop
                self._continue(why or errors.EarlyEnd(ONLY_A_PART if is_part else CLOSED_EARLY))

    def _receive(self, most: int) -> bytes:
        if self._kept is not None:
            try:
                return self._kept.read(most)
            except OSError:
                return b""  # continue from the network
        assert self._answer is not None
        for stop in (self.stop, self._wanted_stop()):
            if stop is not None:
                most = min(most, stop - self.offset)
        return self._answer.read(most) if most > 0 else b""

    def _take(self, piece: bytes) -> None:
        self._ahead = piece
        self.offset += len(piece)
        if not self.known.hashed:
            self._held.append(piece)
            self._held_size += len(piece)
            while self._held_size - len(self._held[0]) >= HELD:
                self._held_size -= len(self._held.popleft())
        elif self._superseded is not None and self.offset > (self.continued or 0) + HELD:
            superseded, self._superseded = self._superseded, None
            with harmless("removing what was kept"):
                superseded()
        if self.offset == self._wanted_stop() == self.stop:
            self._end()

    def _wanted_stop(self) -> int | None:
        """Return the position behind the last byte that is wanted, None if nobody told it."""
        return self.known.total if self.last is None else self.last + 1

    def _has_ended(self) -> bool:
        """Whether the end that an answer came to is the body's."""
        wanted = self._wanted_stop()
        if self.stop is not None:
            return wanted is not None and self.offset == wanted <= self.stop
        if wanted is None:
            # The connection or the last chunk tells the end. But what is cut in its header comes
            # from http.client as an answer without a length, and without a byte.
            return self._is_chunked or self.offset > 0 or self._exchange.job.kind == Kind.OTHER
        ends = self.offset == wanted
        is_proven = self.known.hashed or self.last is not None  # behind a range more may come
        if ends and not is_proven and self._answer and self._answer.read(1):
            self._error = self._exchange.changed(self)  # another version, which is longer
            raise self._error
        return ends

    def _ends_again(self, error: Exception) -> bool:
        """Whether TLS ends twice at the same byte without close_notify, and nobody tells the end.

        Some servers always close so. What comes twice the same is taken.
        """
        came_twice = isinstance(error, errors.TLS_ENDS) and self.offset == self._replayed
        return came_twice and self.stop is self._wanted_stop() is None and not self._is_chunked

    @property
    def _is_chunked(self) -> bool:
        return bool(self._answer and getattr(self._answer.stream, "chunked", False))

    def _end(self) -> None:
        self._ended = True
        answer, self._answer = self._answer, None
        if answer is not None and answer is not self.first:
            answer.drop()  # more may come, and urllib3 knows only of the first
        elif answer is not None:
            answer.stream.close()
        self.first = self._written = None  # which hold what holds this
        self._exchange.story.ended("finished", self.offset)

    def _continue(self, why: Exception | None) -> None:
        """Get an answer that continues at the offset, or raise what ends the download."""
        broken, self._answer = self._answer, None
        try:
            if broken is not None:
                broken.drop()
            if not self.known.hashed and self.first is not None:
                self.first.cache_nothing()
            outcome = self._exchange.obtain(self, why)
        except Exception as error:
            self._error = error
            if hasattr(error, "failure") or error is why:
                raise
            # A mistake of ours: pip gets what it would have met without us, an error or an end.
            note_failure("continuing a body", error)
            if why is None or isinstance(why, errors.EarlyEnd):
                self._error, self._ended = None, True
                return
            self._error = why
            raise why from None
        self._answer, answer = outcome, outcome.worth
        self.stop = answer.stop
        self.joined |= answer.verdict == Verdict.CONTINUE
        self._replayed = None
        if answer.verdict == Verdict.REPLAY:  # the next part is to be of this version
            self._replayed, headers = self.offset, outcome.response.headers
            self.known.validator = Representation.of(headers, None, self.known.hashed).validator
        if self.known.total is None:
            self.known.total = answer.total
        if answer.verdict == Verdict.COMPLETE:
            self._end()

    # What there is, to be compared with what comes again.

    def is_same(self, position: int, piece: bytes) -> bool:
        """Whether these bytes are at this position of what pip has, as far as that can be told."""
        held_from = self.offset - self._held_size
        wanted = max(min(len(piece), held_from - position), 0)  # bytes of pip's file
        before, path = b"", self._written and self._written()
        if wanted and path:
            with contextlib.suppress(OSError), open(path, "rb") as file:
                file.seek(position - self.start)
                before = file.read(wanted)
        if self.known.hashed:  # which will tell of what pip has not written yet
            return piece.startswith(before)
        if len(before) < wanted:
            return False  # nothing to compare with
        at = max(position + wanted - held_from, 0)
        return before + b"".join(self._held)[at : at + len(piece) - wanted] == piece

    def place(self) -> wording.Place:
        """Return where it stands, for what a user reads."""
        job = self._exchange.job
        return wording.Place(job.name, self._exchange.host, self.offset, self.known.total)
