"""What an error of the network means, in any of the forms in which urllib3 and requests have it."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    DecodeError,
    LocationParseError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from pip_retry_patch import wording
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.outcome import Outcome

NOBODY: Any = None
RESET = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
REFUSED = NewConnectionError(NOBODY, "refused")
READ_TIMEOUT = ReadTimeoutError(NOBODY, "/", "Read timed out.")
SECRET = "/simple/demo/?signature=SECRET"


def retried(error: Exception, pool: Any = NOBODY) -> Exception:
    """As urllib3 and requests wrap it in the end."""
    return requests.ConnectionError(MaxRetryError(pool, SECRET, error))


def aborted(error: Exception) -> Exception:
    return ProtocolError("Connection aborted.", error)


def tunnel(answer: str) -> ProxyError:
    """As urllib3 wraps what http.client raises for a refused CONNECT."""
    return ProxyError("Cannot connect to proxy.", OSError(f"Tunnel connection failed: {answer}"))


def tls(reason: str) -> Exception:
    return SSLError(ssl.SSLError(1, f"[SSL: {reason}] {reason.lower()} (_ssl.c:1)"))


def of_windows(number: int) -> OSError:
    """As a socket of Windows raises it, which says what it means in the system's language."""
    error = OSError(number, "Операция на сокете невозможна")
    setattr(error, "winerror", number)  # noqa: B010 - unknown to mypy elsewhere
    return error


def unconnected(cause: Exception) -> Exception:
    error = NewConnectionError(NOBODY, "failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (REFUSED, "None: refused"),
        (ConnectTimeoutError("timed out"), wording.NO_CONNECTION_IN_TIME),
        (READ_TIMEOUT, wording.NO_DATA_IN_TIME),
        (socket.timeout("timed out"), wording.NO_DATA_IN_TIME),
        (RESET, "connection reset by peer"),
        (aborted(RESET), "connection reset by peer"),
        (aborted(http.client.RemoteDisconnected("closed")), wording.NO_ANSWER),
        (http.client.BadStatusLine("nonsense"), wording.NOT_HTTP),
        (ProtocolError("Broken", http.client.IncompleteRead(b"", 5)), wording.CLOSED_EARLY),
        (SSLError(ssl.SSLEOFError(8, "EOF occurred in violation")), wording.CLOSED_EARLY),
        (errors.EarlyEnd(), wording.CLOSED_EARLY),
        (errors.EarlyEnd(wording.ONLY_A_PART), wording.ONLY_A_PART),
        (errors.StoppedError(50.4), "no progress, 50 B/s"),
        (tls("BAD_RECORD_MAC"), "the encrypted stream was damaged"),
        (DecodeError("bad gzip"), wording.NOT_DECODABLE),
        (unconnected(socket.gaierror(-2, "x")), wording.NAME_NOT_RESOLVED),
        # Sockets of Windows, in English.
        (of_windows(10013), "forbidden by this machine, perhaps by its firewall"),
        (aborted(of_windows(10054)), "connection reset by peer"),
        (aborted(of_windows(10044)), "error 10044"),
    ],
)
def test_whatever_the_network_does_is_the_networks_and_has_its_words(
    error: Exception, words: str
) -> None:
    for each in (error, retried(error)):
        assert errors.is_network_error(each)
        assert errors.reason(each).startswith(words)
        assert "SECRET" not in errors.reason(each)


@pytest.mark.parametrize(
    "error",
    [
        LocationParseError("//"),
        ClosedPoolError(NOBODY, "closed"),
        http.client.InvalidURL("a blank"),
        requests.exceptions.InvalidProxyURL("Please check proxy URL"),
        OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /a.pem"),
        requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support."),
        requests.exceptions.MissingSchema("x"),
        FileNotFoundError(errno.ENOENT, "no such file"),  # a CA bundle
        PermissionError(errno.EACCES, "no"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EFBIG, "File too large"),
        ValueError("a mistake of ours"),
    ],
)
def test_what_is_set_wrong_or_is_the_disks_is_nobodys_network(error: Exception) -> None:
    assert not errors.is_network_error(error)


def test_a_circle_of_causes_has_an_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert list(errors.causes(one)) == [one, other]


@pytest.mark.parametrize(
    ("error", "sent", "silent"),
    [
        (REFUSED, False, False),
        (ConnectTimeoutError("timed out"), False, False),
        (ProxyError("no", RESET), False, False),
        (READ_TIMEOUT, True, True),
        (socket.timeout("timed out"), True, True),
        (aborted(RESET), True, False),
    ],
)
def test_silence_is_what_follows_a_request_that_was_sent(
    error: Exception, sent: bool, silent: bool
) -> None:
    for each in (error, retried(error)):
        assert (errors.was_sent(each), errors.is_silence(each)) == (sent, silent)


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        *(("407 Proxy Authentication Required", True), ("403 Forbidden", True)),
        *(("408 Request Timeout", False), ("429 Too Many Requests", False)),
        *(("302 Found", True), ("511 Network Authentication Required", True)),
        ("502 Bad Gateway", False),
    ],
)
def test_a_proxys_answer_to_connect_is_told_and_may_be_final(answer: str, refused: bool) -> None:
    error = retried(tunnel(answer))
    assert errors.is_network_error(error)
    assert errors.reason(error) == f"the proxy answers {answer} to CONNECT"
    assert errors.is_refused_tunnel(error) == refused


EXPIRED = ssl.SSLCertVerificationError(1, "certificate verify failed")
EXPIRED.verify_message = "certificate has expired"
LASTING = ("WRONG_VERSION_NUMBER", "SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_PROTOCOL_VERSION")


@pytest.mark.parametrize(
    ("error", "lasting", "certificate"),
    [
        *((tls(reason), True, False) for reason in LASTING),
        (tls("BAD_RECORD_MAC"), False, False),  # it broke on the way
        (SSLError(ssl.SSLEOFError(8, "EOF")), False, False),
        (SSLError(RESET), False, False),
        (SSLError(EXPIRED), False, True),
    ],
)
def test_tls_that_time_does_not_change_is_told_from_a_certificate_and_a_broken_stream(
    error: Exception, lasting: bool, certificate: bool
) -> None:
    error = retried(error)
    assert bool(errors.lasting_tls(error)) == lasting
    assert errors.is_certificate_error(error) == certificate
    said = "the certificate was refused: certificate has expired"
    assert (errors.reason(error) == said) == certificate


PROXY = SimpleNamespace(proxy="http://me:SECRET@proxy.example:3128")


class ProxyConnectionError(OSError):
    """As PySocks calls a SOCKS proxy that cannot be reached."""


class SOCKS5Error(OSError):
    """As PySocks calls what a SOCKS proxy answers."""


@pytest.mark.parametrize(
    ("error", "peer"),
    [
        (retried(ProxyError("no", REFUSED), PROXY), "The proxy proxy.example:3128"),
        # urllib3 1.26 calls everything that goes wrong through a proxy a ProxyError.
        (retried(ProxyError("no", RESET), PROXY), "files.example"),
        (retried(RESET, SimpleNamespace(proxy=None)), "files.example"),
        # What a SOCKS proxy answers is of the host.
        (retried(unconnected(ProxyConnectionError()), PROXY), "The proxy proxy.example:3128"),
        (retried(unconnected(SOCKS5Error()), PROXY), "files.example"),
    ],
)
def test_only_what_is_certain_is_called_the_proxys_failure(error: Exception, peer: str) -> None:
    outcome = Outcome("https://files.example/demo")
    outcome.error = error
    assert str(outcome.peer) == peer


@pytest.mark.parametrize(
    ("code", "routed", "offline", "unknown"),
    [
        (socket.EAI_NONAME, True, False, True),
        (socket.EAI_NONAME, False, True, False),
        (socket.EAI_AGAIN, True, True, False),
        # Windows: WSAHOST_NOT_FOUND and WSANO_DATA
        (11001, True, False, True),
        (11001, False, True, False),
        (11004, True, False, True),
    ],
)
def test_a_mistyped_name_is_not_a_machine_without_network(
    code: int, routed: bool, offline: bool, unknown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "_has_route", lambda host, port: routed)
    error = retried(unconnected(socket.gaierror(code, "not known")))
    assert errors.is_local(error)
    assert (errors.is_offline(error), errors.is_unknown_name(error)) == (offline, unknown)


@pytest.mark.parametrize(
    ("number", "local"), [(10050, True), (10051, True), (10065, False), (errno.ENETUNREACH, True)]
)
@pytest.mark.parametrize("conn_kw", [{}, {"_socks_options": {}}])
def test_a_machine_without_a_route_is_told_from_a_host_that_is_away(
    number: int, local: bool, conn_kw: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = SimpleNamespace(conn_kw=conn_kw, host="h.example", port=443, proxy=None)
    error = retried(unconnected(of_windows(number)), pool)
    monkeypatch.setattr(errors, "_has_route", lambda host, port: False)
    # A SOCKS proxy resolves the names, and nobody else is to hear of them.
    assert errors.is_local(error) == errors.is_offline(error) == (local and not conn_kw)
    # On a machine without IPv6 the last address has that error while IPv4 is routed.
    monkeypatch.setattr(errors, "_has_route", lambda host, port: True)
    assert not errors.is_local(error)


@pytest.mark.parametrize(("number", "full"), [(39, True), (112, True), (1295, True), (32, False)])
def test_a_full_disk_of_windows_is_a_full_disk(number: int, full: bool) -> None:
    error = of_windows(number)
    error.errno = errno.EINVAL  # as Python has it for two of them
    for each in (error, unconnected(error)):
        assert errors.is_full(each) == full
