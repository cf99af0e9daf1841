"""What an error of the network means: whose it is, whether time can change it, in which words.

It knows the errors of urllib3 (1.25 to 2.x) and requests by their names, so that it serves any copy
of them: pip's, a distribution's, a program's.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import re
import socket
from typing import Any, Iterator

from pip_retry_patch import names, wording

try:
    import ssl
except ImportError:  # pip runs without it where no index is asked by https
    _CERTIFICATE_ERRORS: tuple[type[BaseException], ...] = ()
    _TLS_ERRORS = TLS_ENDS = _CERTIFICATE_ERRORS
else:
    _CERTIFICATE_ERRORS = (ssl.SSLCertVerificationError,)
    TLS_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
    _TLS_ERRORS = (ssl.SSLError,)


class EarlyEnd(http.client.IncompleteRead):
    """The body ended before its last byte, and no error said so (RFC 9112 section 8)."""

    def __init__(self, why: str = wording.CLOSED_EARLY) -> None:
        super().__init__(b"")
        self.why = why


class StoppedError(OSError):
    """A connection still brings bytes, `rate` a second, but that is no progress."""

    def __init__(self, rate: float) -> None:
        super().__init__(f"no progress, {names.format_size(round(rate)).replace('bytes', 'B')}/s")


class Restart(Exception):
    """What was handed on is of no use any more, and whoever asked for the body can begin anew.

    :param failure: what to say where nobody does.
    :param error: makes pip's exception of it.
    """

    def __init__(self, failure: wording.Failure, error: Exception) -> None:
        super().__init__(str(failure))
        self.failure, self.error = failure, error


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what it was raised from, is wrapped around, or gives as its reason."""
    seen, waiting = set(), [error]
    while waiting:
        error = waiting.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        inner = (*error.args, getattr(error, "reason", None), error.__cause__ or error.__context__)
        waiting.extend(e for e in inner if isinstance(e, BaseException))


def _is_any(error: BaseException, kinds: Any, *called: str) -> bool:
    """Whether an error, or what caused it, is of these classes, or of a class with such a name."""
    return any(isinstance(e, kinds) or type(e).__name__ in called for e in causes(error))


def _kinds(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


# What the network does, by urllib3's classes that would count as something else below. The pool of
# another thread's request may have been closed, so as to connect anew.
_ITSELF = frozenset(
    ["ReadTimeoutError", "NewConnectionError", "ContentDecodingError", "ClosedPoolError"]
)
# What requests and urllib3 wrap around the error itself, or raise for what the user set wrong.
_NOT_ITSELF = frozenset(
    ["RequestException", "LocationValueError", "PoolError", "UnrewindableBodyError"]
)


def is_network_error(error: BaseException) -> bool:
    """Whether the network, or what stands at its other end, is to blame for one error or its cause.

    A proxy's URL that makes no sense, a missing SOCKS support or an unknown scheme is not.
    """
    return any(map(_is_of_network, causes(error)))


def _is_of_network(error: BaseException) -> bool:
    kinds = _kinds(error)
    if kinds & _ITSELF:
        return True
    if kinds & _NOT_ITSELF or isinstance(error, http.client.InvalidURL):
        return False
    if type(error) is OSError and str(error).startswith("Could not find"):
        return False  # requests: the file of certificates that the user named is not there
    if isinstance(error, (http.client.HTTPException, OSError)):
        return not isinstance(error, (FileNotFoundError, PermissionError)) and not is_full(error)
    return "HTTPError" in kinds


# By OpenSSL's number (X509_V_ERR); 0 where Python compared the names (before 3.10).
_CERTIFICATE_TROUBLE = {
    9: "not yet valid",
    10: "expired",
    **dict.fromkeys((0, 62, 64), "of another"),
}


def certificate_trouble(error: BaseException) -> str:
    """Return how `wording.failure` calls it that a certificate was refused; "" if none was."""
    for cause in causes(error):
        # urllib3 before 2 compares names by itself.
        if isinstance(cause, _CERTIFICATE_ERRORS) or type(cause).__name__ == "CertificateError":
            trouble = _CERTIFICATE_TROUBLE.get(getattr(cause, "verify_code", 0), "unknown")
            return f"certificate {trouble}"
    return ""


# What OpenSSL calls a handshake that fails for a reason that time does not change: another
# protocol, no version or cipher in common, a client certificate that is missing or refused.
_LASTING_TLS = (
    "WRONG_VERSION_NUMBER|HTTP_REQUEST|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|VERSION_TOO_LOW"
    "|ALERT_PROTOCOL_VERSION|HANDSHAKE_FAILURE|NO_SHARED_CIPHER|CERTIFICATE_REQUIRED"
    "|ALERT_(?:BAD|UNSUPPORTED|REVOKED|EXPIRED|UNKNOWN)_C|ALERT_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED"
    "|ALERT_NO_APPLICATION|UNRECOGNIZED_NAME|DH_KEY_TOO_SMALL|UNSAFE_LEGACY"
)


def is_lasting_tls(error: BaseException) -> bool:
    """Whether TLS failed in a way that no wait can change."""
    return any(
        re.search(_LASTING_TLS, f"{getattr(e, 'reason', '')} {e}".upper().replace(" ", "_"))
        for e in causes(error)
        if isinstance(e, _TLS_ERRORS)
    )


_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
# ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL, ERROR_DISK_QUOTA_EXCEEDED: Python gives the first and the
# last no errno of their own (PC/errmap.h).
_FULL_ON_WINDOWS = frozenset([39, 112, 1295])


def is_full(error: BaseException) -> bool:
    """Whether a disk, a quota of it or a file was full, whatever the error was wrapped in."""
    return any(
        getattr(e, "errno", None) in _FULL or getattr(e, "winerror", None) in _FULL_ON_WINDOWS
        for e in causes(error)
    )


_NO_CONNECTION = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError")


def was_sent(error: BaseException) -> bool:
    """Whether a request that ended without an answer may have reached a server, or its proxy."""
    return not (tunnel_answer(error) or _is_any(error, socket.gaierror, *_NO_CONNECTION))


def is_silence(error: BaseException) -> bool:
    """Whether a request was sent and the read timeout ended the wait for an answer."""
    return was_sent(error) and _is_any(error, socket.timeout, "ReadTimeoutError")


def is_unreadable(error: BaseException) -> bool:
    """Whether something answered, but not in HTTP that can be read."""
    kinds = (http.client.BadStatusLine, http.client.LineTooLong)
    return not _is_any(error, http.client.RemoteDisconnected) and _is_any(
        error, kinds, "InvalidHeader", "HTTPException"
    )


def tunnel_answer(error: BaseException) -> str:
    """Return what a proxy answered to CONNECT ("503 Service Unavailable"); "" if that is not it.

    http.client says so in an OSError, on every Python.
    """
    for cause in causes(error):
        found = re.match(r"Tunnel connection failed: (\d{3}\b.*)", str(cause))
        if found:
            return found[1]
    return ""


def is_refused_tunnel(error: BaseException) -> bool:
    """Whether a proxy said no to CONNECT in a way that time does not change: 302, 403, 407."""
    return bool(re.match("3|4(?!08|25|29)|511", tunnel_answer(error)))


def is_bad_redirect(error: BaseException) -> bool:
    """Whether pip's session met a redirect that it cannot follow, or too many of them."""
    return isinstance(error, ValueError) or type(error).__name__ == "TooManyRedirects"


def pool_of(error: BaseException) -> Any:
    """Return the pool, or the connection, of urllib3 that an error names; None if it names none."""
    # Not their attributes: urllib3 2 warns of `NewConnectionError.pool`, which is a connection.
    found = (vars(cause).get("pool") or vars(cause).get("conn") for cause in causes(error))
    return next((pool for pool in found if pool is not None), None)


def proxy_of(pool: Any) -> str:
    """Return the URL of the proxy that a pool of urllib3's asks; "" if it asks none."""
    socks = getattr(pool, "conn_kw", {}).get("_socks_options")
    if socks:
        return f"socks://{socks['proxy_host']}:{socks['proxy_port']}"
    return str(getattr(pool, "proxy", None) or "")


def is_of_proxy(error: BaseException) -> bool:
    """Whether the proxy before a host is what failed, as far as can be told.

    urllib3 1.26 calls every broken connection through a proxy a ProxyError. What is certain is that
    no connection could be made: only the proxy was connected to. What a SOCKS proxy answers is of
    the host.
    """
    if _is_any(error, (), "SOCKS4Error", "SOCKS5Error"):
        return False
    if _is_any(error, (), "ProxyError") and _is_any(error, _TLS_ERRORS):
        return True  # of a proxy by https
    return _is_any(error, (ConnectionRefusedError, socket.gaierror), *_NO_CONNECTION)


# What errors mean, by the name of the class. Before Python 3.10 socket.timeout is one of its own.
_MEANINGS = {
    "RemoteDisconnected": wording.NO_ANSWER,
    "BadStatusLine": wording.NOT_HTTP,
    "ConnectTimeoutError": wording.NO_CONNECTION_IN_TIME,
    **dict.fromkeys(("ReadTimeoutError", "TimeoutError", "timeout"), wording.NO_DATA_IN_TIME),
    **dict.fromkeys(("NameResolutionError", "gaierror"), wording.NAME_NOT_RESOLVED),
    **dict.fromkeys(("ContentDecodingError", "DecodeError"), wording.NOT_DECODABLE),
    **dict.fromkeys(("SSLEOFError", "SSLZeroReturnError"), wording.CLOSED_EARLY),
    "TooManyRedirects": "too many redirects",
}


def reason(error: BaseException) -> str:
    """Return in a few words what `error` means for a download."""
    answer = tunnel_answer(error)
    if answer:
        return names.clean(f"the proxy answers {names.foreign(answer)} to CONNECT")
    for e in causes(error):
        if isinstance(e, _CERTIFICATE_ERRORS):
            # SSLError shows a single argument as a tuple.
            said = names.foreign(getattr(e, "verify_message", "") or str(*e.args[-1:]))
            return names.clean(f"the certificate was refused: {said}")
        # urllib3 2 says it so of chunks.
        if isinstance(e, http.client.IncompleteRead) or str(e) == "Response ended prematurely":
            return getattr(e, "why", wording.CLOSED_EARLY)
        if type(e).__name__ in _MEANINGS:
            return _MEANINGS[type(e).__name__]
        if isinstance(e, _TLS_ERRORS):
            said = names.foreign(getattr(e, "reason", None) or str(e))
            return names.clean(f"the encrypted stream was damaged: {said}")
        if isinstance(e, OSError) and e.strerror and "RequestException" not in _kinds(e):
            return wording.of_system(e)
    response = getattr(error, "response", None)
    if response is not None:
        return wording.answered(response.status_code)
    # The outermost error may name the whole URL, with what is secret in its query.
    error = [e for e in causes(error) if _is_of_network(e) or e is error][-1]
    return names.clean(names.foreign(str(error)) or type(error).__name__)


# EHOSTUNREACH is not among them: a whole fleet gets that, too, if it shares a network with the
# server while that one machine is away.
_NO_NETWORK = frozenset([errno.ENETUNREACH, errno.ENETDOWN, 10050, 10051])
# As an answer, and as what Windows says where it has nobody to ask: WSAHOST_NOT_FOUND, WSANO_DATA.
_NO_SUCH_NAME = frozenset([socket.EAI_NONAME, 11001, 11004])
_NO_NAME = _NO_SUCH_NAME | {socket.EAI_AGAIN, socket.EAI_FAIL}


def _name_error(error: BaseException) -> int | None:
    return next((c.errno for c in causes(error) if isinstance(c, socket.gaierror)), None)


def is_local(error: BaseException) -> bool:
    """Whether a request failed before it left this machine."""
    if _name_error(error) in _NO_NAME:
        return True
    if not any(isinstance(c, OSError) and c.errno in _NO_NETWORK for c in causes(error)):
        return False
    # urllib3 tells the error of the last of a host's addresses. On a machine without IPv6 that is
    # this error even while the server refuses on IPv4.
    pool = pool_of(error)
    if pool is None or "_socks_options" in getattr(pool, "conn_kw", {}):
        return False  # a SOCKS proxy resolves the names, and nobody else is to hear of them
    peer = getattr(pool, "proxy", None) or pool
    return not _has_route(peer.host, peer.port)


def is_offline(error: BaseException) -> bool:
    """Whether this machine has no network at all."""
    # A name says nothing of that: it may not exist, or no name server answers. The routes decide.
    return is_local(error) and not (_name_error(error) and has_network())


def is_unknown_name(error: BaseException) -> bool:
    """Whether a host's name does not exist, by an answer of somebody."""
    return _name_error(error) in _NO_SUCH_NAME and has_network()


def has_network() -> bool:
    """Whether packets could leave: two addresses that are nobody's (RFC 5737, RFC 3849)."""
    return _has_route("192.0.2.1", 9) or _has_route("2001:db8::1", 9)


def _has_route(host: str, port: int | None) -> bool:
    """Whether packets to one of its addresses could leave. UDP's connect sends none to find out."""
    with contextlib.suppress(OSError, UnicodeError):
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        for family, kind, protocol, _, address in addresses:
            with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                return True
    return False
