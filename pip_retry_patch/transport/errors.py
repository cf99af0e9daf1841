"""What an error of the network means: which kind it is, and how a user is told of it.

The one place that tells a lost server from a lost network, and a refused certificate or a proxy's
refusal from both. It knows the errors of urllib3 (1.25 to 2.x) by their names, so that it serves
any copy of urllib3.
"""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
from typing import Any, Iterator

from pip_retry_patch import failures, messages, names


class EarlyEnd(http.client.IncompleteRead):
    """The body ended before its last byte, and no error said so (RFC 9112 section 8)."""

    def __init__(self, missing: int | None = None, why: str = messages.CLOSED_EARLY) -> None:
        super().__init__(b"", missing)
        self.why = why


class StoppedError(OSError):
    """A connection still brings bytes, `rate` a second, but that is no progress."""

    def __init__(self, rate: float) -> None:
        super().__init__(messages.no_progress(rate))
        self.rate = rate


class HeaderTooSlow(socket.timeout):
    """The header of an answer trickled in, and was not complete in time."""


class GaveUpError(Exception):
    """Patience has ended, or no patience can help; `failure` says why in a user's words."""

    def __init__(self, failure: failures.Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def failure_of(error: Exception) -> failures.Failure | None:
    """Return the Failure that an error was made of, None if this package did not make it."""
    failure = getattr(error, "failure", None)
    return failure if isinstance(failure, failures.Failure) else None


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


# urllib3's errors that no network causes: an address that makes no sense, a pool that was closed.
_NO_NETWORK_ERRORS = frozenset(
    ["LocationValueError", "PoolError", "UnrewindableBodyError", "TimeoutStateError"]
)


def is_network_error(error: BaseException) -> bool:
    """Whether urllib3, http.client or the system raised it, and the network is to blame."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, (http.client.HTTPException, OSError)):
        return not isinstance(error, http.client.InvalidURL)
    if "MaxRetryError" in kinds:
        # It stands for its reason, and would itself be a PoolError.
        reason = getattr(error, "reason", None)
        return isinstance(reason, Exception) and is_network_error(reason)
    if "ReadTimeoutError" in kinds or "NewConnectionError" in kinds:
        return True
    return "HTTPError" in kinds and not kinds & _NO_NETWORK_ERRORS


# ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL, ERROR_DISK_QUOTA_EXCEEDED: Python gives the first and the
# last no errno of their own (PC/errmap.h).
_FULL_ON_WINDOWS = frozenset([39, 112, 1295])


def is_full(error: BaseException) -> bool:
    """Whether a disk, or a quota of it, was full, whatever the error was wrapped in."""
    return any(
        getattr(e, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        or getattr(e, "winerror", None) in _FULL_ON_WINDOWS
        for e in causes(error)
    )


def is_bad_redirect(error: BaseException) -> bool:
    """Whether pip's session met a redirect that it cannot follow, or too many of them."""
    return isinstance(error, ValueError) or type(error).__name__ == "TooManyRedirects"


class CachedAnswerError(ConnectionError):
    """A request that was sent again was answered from a cache: no server had a say in it."""


def is_unreachable(error: Exception) -> bool:
    """Whether a request ended without an answer. Raises `error` where no network is to blame."""
    if any(is_network_error(cause) for cause in causes(error)):
        return not isinstance(error, CachedAnswerError)
    raise error  # a mistake of ours, and nothing to be patient about


_NOT_SENT = frozenset(
    ["NewConnectionError", "ConnectTimeoutError", "ProxyError", "NameResolutionError"]
)


def was_sent(error: BaseException) -> bool:
    """Whether a request that ended without an answer may have reached a server."""
    return not any(
        type(cause).__name__ in _NOT_SENT or isinstance(cause, socket.gaierror)
        for cause in causes(error)
    )


def tunnel_answer(error: BaseException) -> str:
    """Return what a proxy answered to CONNECT ("503 Service Unavailable"); "" if that is not it.

    http.client says so in an OSError, on every Python.
    """
    for cause in causes(error):
        found = re.search(
            r"Tunnel connection failed: (\d{3}\b.*)", str(cause.args[:1] and cause.args[0])
        )
        if found and isinstance(cause, OSError):
            return found[1]
    return ""


def is_refused_tunnel(error: BaseException) -> bool:
    """Whether a proxy said no to CONNECT in a way that time does not change: 403, 407."""
    status = tunnel_answer(error)[:3]
    return status.startswith("4") and status not in ("408", "425", "429")


def is_of_proxy(pool: Any, error: BaseException) -> bool:
    """Whether the proxy of `pool` is what failed, as far as can be told.

    urllib3 1.26 calls every broken connection through a proxy a ProxyError. What is certain is that
    no connection could be made: only the proxy was connected to.
    """
    if getattr(pool, "proxy", None) is None:
        return False
    no_connection = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError")
    return any(
        type(cause).__name__ in no_connection
        or isinstance(cause, (ConnectionRefusedError, socket.gaierror))
        for cause in causes(error)
    )


_TIMEOUTS = {
    "ConnectTimeoutError": messages.NO_CONNECTION_IN_TIME,
    "ReadTimeoutError": messages.NO_DATA_IN_TIME,
    "timeout": messages.NO_DATA_IN_TIME,
    "TimeoutError": messages.NO_DATA_IN_TIME,
}


# The errors of Windows' sockets, which keep their numbers as errno. What the system says of them is
# in its own language.
_WINSOCK = {
    10013: "forbidden by this machine, perhaps by its firewall",
    10050: "network is down",
    10051: "network is unreachable",
    10052: "network dropped connection on reset",
    10053: "connection aborted by this machine",
    10054: "connection reset by peer",
    # Older Pythons make no TimeoutError of it.
    10060: messages.NO_DATA_IN_TIME,
    10061: "connection refused",
    10064: "host is down",
    10065: "no route to host",
}


def _said_by_system(error: OSError) -> str:
    number = getattr(error, "winerror", None) or error.errno
    if number in _WINSOCK:
        return _WINSOCK[number]
    said = error.strerror or ""
    return names.clean(said[:1].lower() + said[1:]) if said.isascii() else f"error {number}"


def reason(error: BaseException) -> str:
    """Return in a few words what `error` means for a download."""
    answer = tunnel_answer(error)
    if answer:
        return messages.tunnel_refused(answer)
    if isinstance(error, StoppedError):
        return str(error)
    if any(isinstance(e, HeaderTooSlow) for e in causes(error)):
        return messages.HEADER_TOO_SLOW
    for e in causes(error):
        if isinstance(e, ssl.SSLCertVerificationError):
            return messages.certificate_refused(getattr(e, "verify_message", "") or str(e))
        if isinstance(e, http.client.RemoteDisconnected):
            return messages.NO_ANSWER
        if isinstance(e, http.client.IncompleteRead):
            return getattr(e, "why", messages.CLOSED_EARLY)
        if isinstance(e, http.client.BadStatusLine):
            return messages.NOT_HTTP
        if isinstance(e, socket.timeout) or type(e).__name__ in _TIMEOUTS:
            return _TIMEOUTS.get(type(e).__name__, messages.NO_DATA_IN_TIME)
        if isinstance(e, socket.gaierror) or type(e).__name__ == "NameResolutionError":
            return messages.NAME_NOT_RESOLVED
        if isinstance(e, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return messages.TLS_CLOSED_EARLY
        if isinstance(e, ssl.SSLError):
            return messages.stream_damaged(getattr(e, "reason", None) or str(e))
        if isinstance(e, OSError) and e.strerror:
            return _said_by_system(e)
    # The outermost error may name the whole URL, with what is secret in its query.
    # What is no network's error is how urllib3 1.26 tries `getresponse(buffering=True)` first.
    found = list(causes(error))
    error = [e for e in found if is_network_error(e)][-1] if is_network_error(error) else found[-1]
    return names.clean(str(error) or type(error).__name__)


# EHOSTUNREACH is not among them: a whole fleet gets that, too, if it shares a network with the
# server while that one machine is away.
_NO_NETWORK = frozenset([errno.ENETUNREACH, errno.ENETDOWN, 10050, 10051])
# As an answer, and as what Windows says where it has nobody to ask: WSAHOST_NOT_FOUND, WSANO_DATA.
_NO_SUCH_NAME = frozenset([socket.EAI_NONAME, 11001, 11004])
_NO_NAME = _NO_SUCH_NAME | {socket.EAI_AGAIN, socket.EAI_FAIL}


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


def is_offline(pool: Any, error: Exception) -> bool:
    """Whether this machine has no network at all: no route, or nobody to ask for names.

    A name that does not exist is another matter. Where nothing can be asked, some systems say that,
    too, so the routes decide.
    """
    if not is_local(pool, error):
        return False
    answered = any(
        isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_NAME
        for cause in causes(error)
    )
    # Two addresses that are nobody's (RFC 5737, RFC 3849).
    return not (answered and (_has_route("192.0.2.1", 9) or _has_route("2001:db8::1", 9)))


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
