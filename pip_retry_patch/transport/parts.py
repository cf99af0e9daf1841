"""One answer's bytes, read so that an error takes none of them with it."""

from __future__ import annotations

import http.client
from typing import Any, Callable, Mapping

# Bytes asked of a connection at once where the reader named no number; as pip does since 25.1.
PIECE = 256 * 1024


class Part:
    """One answer that brings bytes.

    :param response: what http.client made of it, of which nothing has been read yet.
    :param close: ends it and gives its connection back, `True` if that can serve again.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        response: http.client.HTTPResponse,
        close: Callable[[bool], None],
    ) -> None:
        self.status = status
        self.headers = headers
        self.close = close
        self.interruption: Exception | None = None
        self._response: Any = response
        self._trap_errors()

    def _trap_errors(self) -> None:
        """Let an error of the socket show as the end of its stream, and keep the error.

        `HTTPResponse.read(n)` asks the socket until it has n bytes, in C, and when one call
        fails it loses what those before had brought. At the end of a stream it returns them.
        (The other way, many calls of read1 that are joined here, costs a tenth of a download.)
        """
        raw = getattr(self._response.fp, "raw", None)
        if raw is None:
            return
        readinto = raw.readinto

        def trapped(buffer: Any) -> Any:
            try:
                return readinto(buffer)
            except OSError as error:
                self.interruption = error
                return 0

        raw.readinto = trapped

    @property
    def length(self) -> int | None:
        """The bytes of the body that were not read yet; None if no Content-Length told them."""
        length: int | None = self._response.length
        return length

    @property
    def finished(self) -> bool:
        """Whether the body was read to an end that leaves nothing on its connection."""
        return self.interruption is None and (self.length == 0 or self._response.isclosed())

    def read(self, most: int, once: bool = False) -> bytes:
        """Return up to `most` bytes; none at the end, or if `interruption` is set then.

        `once`: what one call of the socket brings. So it is always for a body in chunks, of which
        http.client would lose what it holds of a chunk that is cut.
        """
        response = self._response
        try:
            return bytes(
                response.read1(most) if once or self.length is None else response.read(most)
            )
        except (http.client.HTTPException, OSError) as error:
            self.interruption = self.interruption or error
            return b""
