"""What urllib3 asks of a body, and the chunked coding for programs that call its `read_chunked`.

urllib3 takes the chunks apart itself there: it reads lines and bytes from `_fp.fp`, the file of the
socket. A body that is continued over several connections has no such file, so this one is made.
"""

from __future__ import annotations

import http.client
from typing import Any

PIECE = 256 * 1024


class Chunks:
    """Reads from `body` and puts the bytes into chunks (RFC 9112 section 7.1).

    :param file: the file of the first connection, which shows what else a program may ask for.
    """

    def __init__(self, body: Any, file: Any) -> None:
        self._body = body
        self._file = file
        self._ready = b""
        self._ended = False

    @property
    def finished(self) -> bool:
        """Whether the line behind the last chunk was read."""
        return self._ended and not self._ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def readline(self, limit: int = -1) -> bytes:
        """Return the line before a chunk, or the one behind it."""
        if not self._ready:
            self._prepare()
        line, end, rest = self._ready.partition(b"\n")
        self._ready = rest
        return line + end

    def read(self, amt: int) -> bytes:
        """Return bytes of a chunk."""
        while len(self._ready) < amt and not self._ended:
            self._prepare()
        piece, self._ready = self._ready[:amt], self._ready[amt:]
        return piece

    def close(self) -> None:
        self._body.close()

    def _prepare(self) -> None:
        piece = self._body.read1(PIECE)
        if piece:
            self._ready += b"%x\r\n%b\r\n" % (len(piece), piece)
        elif not self._ended:
            self._ended = True
            self._ready += b"0\r\n\r\n"


class Readable:
    """What urllib3, CacheControl and requests ask of a body."""

    _first: http.client.HTTPResponse
    _shows_file: bool
    _chunks: Chunks | None
    _ended: bool
    _ahead: bytes
    _late: bool
    _end_was_read: bool

    def _read(self, amt: int, once: bool = False) -> bytes:
        raise NotImplementedError

    def _end(self, reusable: bool = True) -> None:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name == "fp":  # see the module's docstring
            if not self._shows_file:
                raise AttributeError(name)
            if self._chunks is not None:
                return None if self._chunks.finished else self._chunks
            return None if self.closed else self._first.fp or self
        return getattr(self._first, name)

    def _safe_read(self, amt: int) -> bytes:
        """As in http.client; urllib3's `read_chunked` calls it."""
        if self._chunks is not None:
            return self._chunks.read(amt)
        return self._first._safe_read(amt)  # type: ignore[attr-defined,no-any-return]

    @property
    def closed(self) -> bool:
        """True when the last byte was handed on; where no length says which that is, a read later.

        As in http.client. CacheControl then writes its copy of the body, and pip should have its
        own by then, in case that fills the disk.
        """
        return self._ended and not self._ahead and (self._end_was_read or not self._late)

    def isclosed(self) -> bool:
        """As `closed`; http.client calls it so."""
        return self.closed

    def close(self) -> None:
        """Drop what was not read, and the connection with it."""
        self._ahead = b""
        self._end(reusable=False)
        self._end_was_read = True

    def read(self, amt: int | None = None) -> bytes:
        """Return the next `amt` bytes: fewer only before an interruption and at the end.

        :raises Exception: what `Origin.error` made, when the download cannot go on.
        """
        if amt is None or amt < 0:
            return b"".join(iter(lambda: self._read(PIECE), b""))
        return self._read(amt)

    def read1(self, amt: int | None = None) -> bytes:
        """Return what one read of the connection brings, at most `amt` bytes."""
        return self._read(PIECE if amt is None or amt < 0 else amt, once=True)

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
