"""A header that trickles in, or breaks off, is no answer: http.client would go on with it.

Each byte restarts the timeout of a socket, so that a server which sends one now and then could hold
pip for ever before its answer has begun. And to http.client a header ends where its connection
ends: a page without its length and its type is then an empty one to pip.
"""

from __future__ import annotations

import http.client
import logging
import time
from typing import Any

from pip_retry_patch.policy.representation import transfer_codings
from pip_retry_patch.transport.errors import HeaderTooSlow

logger = logging.getLogger("pip_retry_patch")

# So many timeouts (pip's `--timeout`, 15 s) a header may take from its first byte on. The slowest
# modem brings one in a second or two.
TIMEOUTS = 2

_LF = 10


class PunctualResponse(http.client.HTTPResponse):
    """An `HTTPResponse` that raises HeaderTooSlow, and RemoteDisconnected in mid-header.

    It is for `http.client.HTTPConnection.response_class`. Only a success must have its whole header
    (RFC 9112 section 2.2), and a redirect its Location: what a careless server refuses is clear
    from the status alone.

    What waits without a timeout waits for a header without one, too. The answer to CONNECT, which
    http.client reads by itself from the stream of such a response, is limited as well.
    """

    def __init__(self, sock: Any, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self._raw: Any = getattr(self.fp, "raw", None)
        self._broken_off = False
        self._in_line = False  # what came last of the header is no whole line
        try:
            timeout = sock.gettimeout() if hasattr(sock, "gettimeout") else None
            if self._raw is not None:
                self._watch(TIMEOUTS * timeout if timeout else None)
        except Exception as why:
            logger.debug("pip-retry-patch could not limit a header: %r", why)

    def _watch(self, seconds: float | None) -> None:
        readinto, began = self._raw.readinto, 0.0

        def limited(buffer: Any) -> Any:
            nonlocal began
            if began and seconds and time.monotonic() - began > seconds:
                raise HeaderTooSlow(f"no whole header within {seconds:.0f} s")
            count = readinto(buffer)
            # It is read on only until the empty line has come.
            self._broken_off = bool(began) and count == 0
            self._in_line = buffer[count - 1] != _LF if count else self._in_line
            began = began or time.monotonic()
            return count

        self._raw.readinto = limited

    def _read_status(self) -> tuple[str, int, str]:
        """As http.client skips a 100, so each interim answer (RFC 9110 section 15.2): 103, say."""
        version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, 100 if 101 < status < 200 else status, reason

    def begin(self) -> None:
        super().begin()
        if self._broken_off and self._needs_all():
            raise http.client.RemoteDisconnected("the connection ended within the header")
        try:
            self._see_chunks()
        except Exception as why:
            logger.debug("pip-retry-patch could not look for chunks: %r", why)
        # The body has its own limits.
        if self._raw is not None:
            vars(self._raw).pop("readinto", None)

    def _see_chunks(self) -> None:
        """Take a body for one in chunks where urllib3 does: where another coding is named as well.

        To http.client it would then end with its connection.
        """
        if not self.chunked and self.length != 0:
            codings = ", ".join(self.headers.get_all("Transfer-Encoding") or ())
            if "chunked" in transfer_codings(codings):
                self.chunked, self.length = True, None
                self.chunk_left: int | None = None

    def _needs_all(self) -> bool:
        """Whether an answer of this status is none if its header breaks off.

        Of a redirect only the Location matters, and half of one leads to a page that is not there.
        """
        if 300 <= self.status < 400 and self.status != 304:
            return self._in_line or "location" not in self.headers
        return 200 <= self.status < 300


def install(connection: Any) -> None:
    """Limit the headers that a module `connection` of urllib3 reads."""
    kind = getattr(connection, "HTTPConnection", None)
    # Where somebody has put another class there, it is theirs.
    if kind is not None and kind.response_class is http.client.HTTPResponse:
        kind.response_class = PunctualResponse
