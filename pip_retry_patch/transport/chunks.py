"""A healed body in the chunked coding, for programs that call urllib3's `read_chunked`.

urllib3 takes the chunks apart itself there: it reads lines and bytes from `_fp.fp`, the file of the
socket. A body that is continued over several connections has no such file, so this one is made.
"""

from __future__ import annotations

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
