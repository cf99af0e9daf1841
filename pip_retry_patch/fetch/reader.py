"""What one answer brings: read below urllib3, in steps that lose little when they break."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from pip_retry_patch.fetch.errors import StoppedError, is_full
from pip_retry_patch.fetch.patience import FLOOR, MOVED, PROGRESS, SLOW

# What is read at once, in bytes; and how long it may take to come, in seconds, before less of it is
# handed on. A pip that is killed then loses little, and on a fast link nothing is slower.
LARGE, SOON = 256 * 1024, 0.02

# CacheControl's tee (pip 20.0 to 26.3) hides what an answer reads from under this name.
_BELOW_TEE = "_CallbackFileWrapper__fp"
_TEES_CALLBACK = "_CallbackFileWrapper__callback"
_TEES_COPY = "_CallbackFileWrapper__buf"


class _Copy:
    """The file that CacheControl's tee collects in. Where a disk has no room for it, none is made.

    An error of the tee would be told as the network's.
    """

    def __init__(self, reader: Reader, file: Any) -> None:
        self._reader, self._file = reader, file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            if not is_full(error):
                raise
            self._reader.cache_nothing()


class Reader:
    """Reads from http.client's response, which a response of requests reads from."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.source: Any = getattr(response.raw._fp, _BELOW_TEE, response.raw._fp)
        # http.client's `read` loses what it has when it breaks; `read1` is one read of the socket.
        self._read1 = self.source.read1
        self._error: Exception | None = None  # that broke the connection behind what was read
        self._count = self._brought = 0  # bytes, in all and since the pace was good
        self._waited = 0.0  # seconds, since the pace was good
        with contextlib.suppress(AttributeError):
            # Without this the end of a TLS connection without close_notify is a normal end.
            self.source.fp.raw._sock.suppress_ragged_eofs = False

    def read(self, most: int) -> bytes:
        """Return up to `most` bytes; b"" at the end.

        :raises Exception: of the network. StoppedError: the connection brings next to nothing.
        """
        pieces = []
        took = 0.0
        began = time.monotonic()
        while most > 0 and took < SOON and self._error is None:
            try:
                piece = self._read1(most)
            except Exception as error:
                self._error = error
                break
            ended = time.monotonic()
            took, began = ended - began, ended
            self._note_pace(len(piece), took)
            if not piece:
                break
            pieces.append(piece)
            most -= len(piece)
        if not pieces and self._error is not None:
            broken, self._error = self._error, None
            raise broken
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _note_pace(self, count: int, took: float) -> None:
        """Only the time of waiting for the network counts: a slow disk is not its fault.

        A read that ends took no longer than a timeout: what is more, the process did not run.
        """
        self._count += count
        self._brought += count
        limit = MOVED if self._count >= PROGRESS else SLOW
        self._waited += min(took, limit / 2)
        if self._brought >= FLOOR * limit:
            self._brought, self._waited = 0, 0.0
        elif self._waited > limit:
            self._error = StoppedError(self._brought / self._waited)

    def put_below(self, body: Any) -> None:
        """Let the response read from `body`, below CacheControl's tee if there is one."""
        raw = self.response.raw
        if hasattr(raw._fp, _BELOW_TEE):
            setattr(raw._fp, _BELOW_TEE, body)
            if hasattr(raw._fp, _TEES_COPY):
                setattr(raw._fp, _TEES_COPY, _Copy(self, getattr(raw._fp, _TEES_COPY)))
        else:
            raw._fp = body

    def cache_nothing(self) -> None:
        """Let CacheControl's tee forget what it has collected, and collect no more."""
        tee = self.response.raw._fp
        if hasattr(tee, _TEES_CALLBACK):
            setattr(tee, _TEES_CALLBACK, None)
        if hasattr(tee, _TEES_COPY):
            copy: Any = getattr(tee, _TEES_COPY)
            setattr(tee, _TEES_COPY, open(os.devnull, "wb"))  # noqa: SIM115 - the tee closes it
            with contextlib.suppress(OSError):  # what it holds in memory may not fit either
                copy.close()

    def drop(self) -> None:
        """Close the connection, whose end nobody reads."""
        with contextlib.suppress(Exception):
            self.source.close()
            if self.response.raw._connection is not None:
                self.response.raw._connection.close()
        self.release()

    def release(self) -> None:
        """Give the connection back to its pool."""
        with contextlib.suppress(Exception):
            self.response.raw.release_conn()
