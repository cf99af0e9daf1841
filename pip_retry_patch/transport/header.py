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

from pip_retry_patch.transport.errors import HeaderTooSlow

logger = logging.getLogger("pip_retry_patch")

# So many timeouts (pip's `--timeout`, 15 s) a header may take from its first byte on. The slowest
# modem brings one in a second or two.
TIMEOUTS = 2


class PunctualResponse(http.client.HTTPResponse):
    """An `HTTPResponse` that raises HeaderTooSlow, and RemoteDisconnected in mid-header.

    It is for `http.client.HTTPConnection.response_class`. Only a success must have its whole header
    (RFC 9112 section 2.2): what a careless server refuses is clear from the status alone.

    What waits without a timeout waits for a header without one, too. The answer to CONNECT, which
    http.client reads by itself from the stream of such a response, is limited as well.
    """

    def __init__(self, sock: Any, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self._raw: Any = getattr(self.fp, "raw", None)
        self._broken_off = False
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
            began = began or time.monotonic()
            return count

        self._raw.readinto = limited

    def _read_status(self) -> tuple[str, int, str]:
        """As http.client skips a 100, so each interim answer (RFC 9110 section 15.2): 103, say."""
        version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, 100 if 101 < status < 200 else status, reason

    def begin(self) -> None:
        super().begin()
        if self._broken_off and 200 <= self.status < 300:
            raise http.client.RemoteDisconnected("the connection ended within the header")
        # The body has its own limits.
        if self._raw is not None:
            vars(self._raw).pop("readinto", None)


def install(connection: Any) -> None:
    """Limit the headers that a module `connection` of urllib3 reads."""
    kind = getattr(connection, "HTTPConnection", None)
    # Where somebody has put another class there, it is theirs.
    if kind is not None and kind.response_class is http.client.HTTPResponse:
        kind.response_class = PunctualResponse
