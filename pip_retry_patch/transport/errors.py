"""What an error of the network means: which kind it is, and how a user is told of it.

The one place that tells a lost server from a lost network, and a refused certificate from both. It
knows the errors of urllib3 (1.25 to 2.x) by their names, so that it serves any copy of urllib3.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from typing import Any, Callable, Iterator

from pip_retry_patch import messages
from pip_retry_patch.policy.retry import Attempts


class EarlyEnd(http.client.IncompleteRead):
    """The body ended before its last byte, and no error said so (RFC 9112 section 8)."""

    def __init__(self, missing: int | None = None) -> None:
        super().__init__(b"", missing)


class GaveUpError(Exception):
    """Patience has ended, or no patience can help; `failure` says why in a user's words."""

    def __init__(self, failure: messages.Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def failure_of(error: Exception) -> messages.Failure | None:
    """Return the Failure that an error was made of, None if this package did not make it."""
    failure = getattr(error, "failure", None)
    return failure if isinstance(failure, messages.Failure) else None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what it was raised from, is wrapped around, or gives as its reason."""
    seen = set()
    waiting = [error]
    while waiting:
        error = waiting.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        raised_from = error.__cause__ or error.__context__
        inner = (*error.args, getattr(error, "reason", None), raised_from)
        waiting.extend(e for e in inner if isinstance(e, BaseException))


def is_certificate_error(error: BaseException) -> bool:
    """Whether a certificate was refused: not the network's weather, so it is never retried."""
    return any(
        isinstance(e, ssl.SSLCertVerificationError) or type(e).__name__ == "CertificateError"
        for e in causes(error)
    )


class Story:
    """What there is to tell of one interruption: a line when it heals, a Failure when it does not.

    :param why: what interrupted the body. `trouble` is what ended the last attempt since then.
    :param announce: shows one line to the user.
    """

    def __init__(
        self,
        place: messages.Place,
        why: str,
        attempts: Attempts,
        announce: Callable[[str], None],
    ) -> None:
        self.trouble: str | None = None
        self._web_page_host = ""
        self._place = place
        self._why = why
        self._attempts = attempts
        self._announce = announce
        self._announced = False

    def announce(self, line: Callable[[messages.Place, str], str]) -> None:
        """Show `line`, unless this interruption already had its one line."""
        if not self._announced:
            self._announced = True
            self._announce(line(self._place, self._why))

    def announce_wait(self) -> None:
        patience, effort = self._attempts.patience, self._attempts.effort
        left = messages.up_to_attempts(patience.attempts - effort.unhelpful)
        if effort.lost_at is not None:
            left = messages.about_seconds(patience.seconds)
        self.announce(lambda place, why: messages.waiting(place, why, self.trouble, left))

    def web_page_from(self, host: str) -> None:
        """Note that the last attempt brought a web page in place of the file."""
        self.trouble, self._web_page_host = messages.WEB_PAGE, host

    def gave_up(self) -> messages.Failure:
        attempts = self._attempts
        if self.trouble == messages.WEB_PAGE:
            return messages.web_page(
                self._place, self._why, self._web_page_host, attempts.count, attempts.seconds
            )
        return messages.gave_up(
            self._place,
            self._why,
            self.trouble,
            attempts.count,
            attempts.seconds,
            unreachable=attempts.effort.unhelpful < attempts.patience.attempts,
        )

    def refused(self, status: int) -> messages.Failure:
        return messages.refused(self._place, self._why, status)

    def certificate(self) -> messages.Failure:
        return messages.certificate(self._place, self._why, self.trouble or "")

    def changed(self) -> messages.Failure:
        return messages.changed(self._place, self._why)


_TIMEOUTS = {
    "ConnectTimeoutError": messages.NO_CONNECTION_IN_TIME,
    "ReadTimeoutError": messages.NO_DATA_IN_TIME,
    "timeout": messages.NO_DATA_IN_TIME,
    "TimeoutError": messages.NO_DATA_IN_TIME,
}


def reason(error: BaseException) -> str:
    """Return in a few words what `error` means for a download."""
    for e in causes(error):
        if isinstance(e, ssl.SSLCertVerificationError):
            return messages.certificate_refused(getattr(e, "verify_message", "") or str(e))
        if isinstance(e, http.client.RemoteDisconnected):
            return messages.NO_ANSWER
        if isinstance(e, http.client.IncompleteRead):
            return messages.CLOSED_EARLY
        if isinstance(e, socket.timeout) or type(e).__name__ in _TIMEOUTS:
            return _TIMEOUTS.get(type(e).__name__, messages.NO_DATA_IN_TIME)
        if isinstance(e, socket.gaierror) or type(e).__name__ == "NameResolutionError":
            return messages.NAME_NOT_RESOLVED
        if isinstance(e, ssl.SSLError):
            return messages.stream_damaged(getattr(e, "reason", None) or str(e))
        if isinstance(e, OSError) and e.strerror:
            return messages.clean(e.strerror[0].lower() + e.strerror[1:])
    return messages.clean(str(error) or type(error).__name__)


# EHOSTUNREACH is not among them: a whole fleet gets that, too, if it shares a network with the
# server while that one machine is away.
_NO_NETWORK = frozenset([errno.ENETUNREACH, errno.ENETDOWN])
_NO_NAME = frozenset([socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_NONAME])


def is_local(pool: Any, error: Exception) -> bool:
    """Whether a request through `pool` failed by `error` before it left this machine."""
    found = list(causes(error))
    if any(isinstance(cause, socket.gaierror) and cause.errno in _NO_NAME for cause in found):
        return True
    if not any(isinstance(cause, OSError) and cause.errno in _NO_NETWORK for cause in found):
        return False
    if "_socks_options" in pool.conn_kw:
        return False  # its names are for the proxy to resolve, and for nobody else to hear of
    # urllib3 tells the error of the last of a host's addresses. On a machine without IPv6 that is
    # this error even while the server refuses on IPv4.
    peer = getattr(pool, "proxy", None) or pool
    return not _has_route(peer.host, peer.port)


def _has_route(host: str, port: int | None) -> bool:
    """Whether packets to one of its addresses could leave. UDP's connect sends none to find out."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    for family, kind, protocol, _, address in addresses:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                return True
        except OSError:
            continue
    return False
