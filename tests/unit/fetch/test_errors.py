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


def retried(error: Exception, pool: Any = NOBODY) -> Exception:
    """As urllib3 and requests wrap it in the end."""
    url = "/simple/demo/?signature=SECRET"
    return requests.ConnectionError(MaxRetryError(pool, url, error))


def tunnel(answer: str) -> ProxyError:
    """As urllib3 wraps what http.client raises for a refused CONNECT."""
    return ProxyError("Cannot connect to proxy.", OSError(f"Tunnel connection failed: {answer}"))


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


LOST = [
    (NewConnectionError(NOBODY, "refused"), "None: refused"),
    (ConnectTimeoutError("timed out"), wording.NO_CONNECTION_IN_TIME),
    (ReadTimeoutError(NOBODY, "/", "Read timed out."), wording.NO_DATA_IN_TIME),
    (ProtocolError("Connection aborted.", RESET), "connection reset by peer"),
    (
        ProtocolError("Connection aborted.", http.client.RemoteDisconnected("closed")),
        wording.NO_ANSWER,
    ),
    (ProtocolError("Broken", http.client.IncompleteRead(b"", 5)), wording.CLOSED_EARLY),
    (SSLError(ssl.SSLEOFError(8, "EOF occurred in violation")), wording.CLOSED_EARLY),
    (
        SSLError(ssl.SSLError(1, "[SSL: BAD_RECORD_MAC] bad record mac")),
        "the encrypted stream was damaged",
    ),
    (tunnel("503 Service Unavailable"), "the proxy answers 503 Service Unavailable to CONNECT"),
    (http.client.BadStatusLine("nonsense"), wording.NOT_HTTP),
    (socket.timeout("timed out"), wording.NO_DATA_IN_TIME),
    (RESET, "connection reset by peer"),
    (errors.EarlyEnd(), wording.CLOSED_EARLY),
    (errors.EarlyEnd(wording.ONLY_A_PART), wording.ONLY_A_PART),
    (errors.StoppedError(50.4), "no progress, 50 B/s"),
    (DecodeError("bad gzip"), wording.NOT_DECODABLE),
    (caused(NewConnectionError(NOBODY, "x"), socket.gaierror(-2, "x")), wording.NAME_NOT_RESOLVED),
]


@pytest.mark.parametrize(("error", "words"), LOST)
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
        ValueError("a mistake of ours"),
    ],
    ids=repr,
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
        (NewConnectionError(NOBODY, "refused"), False, False),
        (ConnectTimeoutError("timed out"), False, False),
        (ProxyError("no", RESET), False, False),
        (ReadTimeoutError(NOBODY, "/", "Read timed out."), True, True),
        (socket.timeout("timed out"), True, True),
        (ProtocolError("Connection aborted.", RESET), True, False),
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
        ("407 Proxy Authentication Required", True),
        ("403 Forbidden", True),
        ("408 Request Timeout", False),
        ("429 Too Many Requests", False),
        ("502 Bad Gateway", False),
    ],
)
def test_a_proxys_answer_to_connect_is_told_and_may_be_final(answer: str, refused: bool) -> None:
    error = retried(tunnel(answer))
    assert errors.reason(error) == f"the proxy answers {answer} to CONNECT"
    assert errors.is_refused_tunnel(error) == refused
    assert not errors.is_refused_tunnel(retried(RESET))


@pytest.mark.parametrize(
    "reason",
    [
        *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "SSLV3_ALERT_HANDSHAKE_FAILURE", "UNKNOWN_CA"),
        *("TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_SHARED_CIPHER"),
    ],
)
def test_tls_that_time_does_not_change_is_known_by_openssls_reason(reason: str) -> None:
    error = retried(SSLError(ssl.SSLError(1, f"[SSL: {reason}] {reason.lower()} (_ssl.c:1)")))
    assert errors.lasting_tls(error) and not errors.is_certificate_error(error)


def test_tls_that_breaks_on_the_way_may_work_next_time() -> None:
    for cause in (ssl.SSLEOFError(8, "EOF"), ssl.SSLError(1, "[SSL: BAD_RECORD_MAC] x"), RESET):
        assert not errors.lasting_tls(retried(SSLError(cause)))


def test_a_certificate_that_was_refused_is_told_with_its_reason() -> None:
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refused.verify_message = "certificate has expired"
    error = retried(SSLError(refused))
    assert errors.is_certificate_error(error) and not errors.lasting_tls(error)
    assert errors.reason(error) == "the certificate was refused: certificate has expired"


def test_only_what_is_certain_is_called_the_proxys_failure() -> None:
    """urllib3 1.26 calls everything that goes wrong through a proxy a ProxyError."""
    pool = SimpleNamespace(proxy="http://me:SECRET@proxy.example:3128")
    refused = retried(ProxyError("no", NewConnectionError(NOBODY, "refused")), pool)
    reset = retried(ProxyError("no", RESET), pool)

    def peer_of(error: Exception) -> wording.Peer:
        outcome = Outcome("https://files.example/demo")
        outcome.error = error
        return outcome.peer

    assert errors.is_of_proxy(refused) and not errors.is_of_proxy(reset)
    assert peer_of(refused) == wording.Peer("files.example", "proxy.example:3128", True)
    assert str(peer_of(refused)) == "The proxy proxy.example:3128"
    assert peer_of(refused).via == " on the way to files.example"
    assert str(peer_of(reset)) == "files.example"
    assert peer_of(reset).via == " through the proxy proxy.example:3128"
    assert peer_of(retried(RESET, SimpleNamespace(proxy=None))).via == ""


def test_a_socks_proxy_that_answers_is_not_what_failed() -> None:
    gone, answered = (
        type(name, (OSError,), {})() for name in ("ProxyConnectionError", "SOCKS5Error")
    )
    for why, failed in ((gone, True), (answered, False)):
        error = retried(caused(NewConnectionError(NOBODY, "no"), why))
        assert errors.is_of_proxy(error) is failed


def lost_name(code: int) -> Exception:
    pool = SimpleNamespace(conn_kw={}, host="nowhere.invalid", port=443, proxy=None)
    name = caused(NewConnectionError(NOBODY, "no name"), socket.gaierror(code, "not known"))
    return retried(name, pool)


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
    error = lost_name(code)
    assert errors.is_local(error)
    assert (errors.is_offline(error), errors.is_unknown_name(error)) == (offline, unknown)


def windows_error(number: int) -> OSError:
    """As a socket of Windows raises it, which says what it means in the system's language."""
    error = OSError(number, "Операция на сокете невозможна")
    setattr(error, "winerror", number)  # noqa: B010 - unknown to mypy elsewhere
    return error


@pytest.mark.parametrize(
    ("number", "local"), [(10050, True), (10051, True), (10065, False), (errno.ENETUNREACH, True)]
)
@pytest.mark.parametrize("conn_kw", [{}, {"_socks_options": {}}])
def test_a_machine_without_a_route_is_told_from_a_host_that_is_away(
    number: int, local: bool, conn_kw: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = SimpleNamespace(conn_kw=conn_kw, host="h.example", port=443, proxy=None)
    error = retried(caused(NewConnectionError(NOBODY, "failed"), windows_error(number)), pool)
    monkeypatch.setattr(errors, "_has_route", lambda host, port: False)
    # A SOCKS proxy resolves the names, and nobody else is to hear of them.
    assert errors.is_local(error) == errors.is_offline(error) == (local and not conn_kw)
    # On a machine without IPv6 the last address has that error while IPv4 is routed.
    monkeypatch.setattr(errors, "_has_route", lambda host, port: True)
    assert not errors.is_local(error)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (10013, "forbidden by this machine, perhaps by its firewall"),
        (10051, "network is unreachable"),
        (10054, "connection reset by peer"),
        (10060, wording.NO_DATA_IN_TIME),
        (10061, "connection refused"),
        (10065, "no route to host"),
        (10044, "error 10044"),
    ],
)
def test_the_errors_of_windows_sockets_are_said_in_english(number: int, words: str) -> None:
    error = ProtocolError("Connection aborted.", windows_error(number))
    for each in (error, retried(error), windows_error(number)):
        assert errors.reason(each) == words and errors.is_network_error(each)


@pytest.mark.parametrize("number", [39, 112, 1295])
def test_a_full_disk_of_windows_is_a_full_disk(number: int) -> None:
    full = windows_error(number)
    full.errno = errno.EINVAL  # as Python has it for two of them
    assert errors.is_full(full) and errors.is_full(caused(ValueError("x"), full))
    assert not errors.is_full(windows_error(32))


def test_the_text_of_another_librarys_error_shows_no_signature() -> None:
    url = "/files/demo.whl?X-Amz-Signature=SECRET"
    for text in (
        f"HTTPSConnectionPool(host='h.example', port=443): Failed with url: {url} (Caused by x)",
        f"Tunnel connection failed: 502 cannot fetch https://me:SECRET@h.example{url}",
    ):
        for error in (ValueError(text), OSError(text)):
            assert "SECRET" not in errors.reason(error)
