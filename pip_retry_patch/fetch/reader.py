"""What one answer brings: read below urllib3, in steps that lose little when they break."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from pip_retry_patch.fetch.errors import StoppedError
from pip_retry_patch.fetch.patience import FLOOR, MOVED, PROGRESS, SLOW

# A read that breaks loses what it had: at most this much on a slow link, and on one that brings a
# MiB a second the larger step, which a pip that asks for less gets in slices.
SMALL, LARGE = 16 * 1024, 256 * 1024
FAST = 1 << 20

# CacheControl's tee (pip 20.0 to 26.3) hides what an answer reads from under this name.
_BELOW_TEE = "_CallbackFileWrapper__fp"
_TEES_CALLBACK = "_CallbackFileWrapper__callback"


class Reader:
    """Reads from http.client's response, which a response of requests reads from."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.source: Any = getattr(response.raw._fp, _BELOW_TEE, response.raw._fp)
        length = getattr(self.source, "length", None)
        chunked = getattr(self.source, "chunked", False)
        # http.client drops the beginning of a chunk whose end breaks; `read1` hands it on.
        self._read = self.source.read if length is not None and not chunked else self.source.read1
        self._fast = False
        self._count = self._waited = self._brought = 0.0
        with contextlib.suppress(AttributeError):
            # Without this the end of a TLS connection without close_notify is a normal end.
            self.source.fp.raw._sock.suppress_ragged_eofs = False

    def read(self, most: int) -> bytes:
        """Return up to `most` bytes; b"" at the end.

        :raises Exception: of the network. StoppedError: the connection brings next to nothing.
        """
        began = time.monotonic()
        piece: bytes = self._read(most if self._fast or most < SMALL else SMALL)
        took = time.monotonic() - began
        self._fast = len(piece) >= FAST * took
        if not self._fast:
            self._check_pace(len(piece), took)
        self._count += len(piece)
        return piece

    def _check_pace(self, count: int, took: float) -> None:
        """Only the time of waiting for the network counts: a slow disk is not its fault.

        A read that ends took no longer than a timeout: what is more, the process did not run.
        """
        limit = MOVED if self._count >= PROGRESS else SLOW
        self._brought += count
        self._waited += min(took, limit / 2)
        if self._brought >= FLOOR * limit:
            self._brought = self._waited = 0.0
        elif self._waited > limit:
            raise StoppedError(self._brought / self._waited)

    def put_below(self, body: Any) -> None:
        """Let the response read from `body`, below CacheControl's tee if there is one."""
        raw = self.response.raw
        if hasattr(raw._fp, _BELOW_TEE):
            setattr(raw._fp, _BELOW_TEE, body)
        else:
            raw._fp = body

    def cache_nothing(self) -> None:
        """Let CacheControl's tee forget what it has collected."""
        if hasattr(self.response.raw._fp, _TEES_CALLBACK):
            setattr(self.response.raw._fp, _TEES_CALLBACK, None)

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
