"""A header that trickles in is no answer: how long http.client may read one is limited.

Each byte restarts the timeout of a socket, so that a server which sends one now and then could hold
pip for ever before its answer has begun.
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
    """An `HTTPResponse` that raises HeaderTooSlow. For `http.client.HTTPConnection.response_class`.

    What waits without a timeout waits for a header without one, too. The answer to CONNECT, which
    http.client reads by itself from the stream of such a response, is limited as well.
    """

    def __init__(self, sock: Any, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self._raw: Any = getattr(self.fp, "raw", None)
        try:
            timeout = sock.gettimeout() if hasattr(sock, "gettimeout") else None
            if self._raw is not None and timeout:
                self._limit(TIMEOUTS * timeout)
        except Exception as why:
            logger.debug("pip-retry-patch could not limit a header: %r", why)

    def _limit(self, seconds: float) -> None:
        readinto, began = self._raw.readinto, 0.0

        def limited(buffer: Any) -> Any:
            nonlocal began
            if began and time.monotonic() - began > seconds:
                raise HeaderTooSlow(f"no whole header within {seconds:.0f} s")
            count = readinto(buffer)
            began = began or time.monotonic()
            return count

        self._raw.readinto = limited

    def begin(self) -> None:
        super().begin()
        # The body has its own limits.
        if self._raw is not None:
            vars(self._raw).pop("readinto", None)


def install(connection: Any) -> None:
    """Limit the headers that a module `connection` of urllib3 reads."""
    kind = getattr(connection, "HTTPConnection", None)
    # Where somebody has put another class there, it is theirs.
    if kind is not None and kind.response_class is http.client.HTTPResponse:
        kind.response_class = PunctualResponse
