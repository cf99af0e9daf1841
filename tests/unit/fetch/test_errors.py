"""What an error of the network means, in any of the forms in which urllib3 and requests have it."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from types import SimpleNamespace
from typing import Any, Callable

import pytest
import requests
import urllib3
from urllib3.exceptions import NewConnectionError, ProtocolError, ProxyError, SSLError

from pip_retry_patch import wording
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.request import Outcome

NOBODY: Any = None
RESET = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
REFUSED = NewConnectionError(NOBODY, "refused")
READ_TIMEOUT = urllib3.exceptions.ReadTimeoutError(NOBODY, "/", "Read timed out.")
SECRET = "/simple/demo/?signature=SECRET"


def retried(error: Exception, pool: Any = NOBODY) -> Exception:
    """As urllib3 and requests wrap it in the end."""
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, SECRET, error))


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


EXPIRED = ssl.SSLCertVerificationError(1, "certificate verify failed")
EXPIRED.verify_message = "certificate has expired"
LASTING = ("WRONG_VERSION_NUMBER", "SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_PROTOCOL_VERSION")
# What else an error may be.
IS: dict[str, Callable[[BaseException], object]] = {
    **{"sent": errors.was_sent, "silent": errors.is_silence, "unreadable": errors.is_unreadable},
    **{"lasting": errors.is_lasting_tls, "certificate": errors.certificate_trouble},
    **{"no tunnel": errors.is_refused_tunnel, "full": errors.is_full},
}


@pytest.mark.parametrize(
    ("error", "words", "kinds"),
    [
        (REFUSED, "None: refused", []),
        (urllib3.exceptions.ConnectTimeoutError("timed out"), wording.NO_CONNECTION_IN_TIME, []),
        (READ_TIMEOUT, wording.NO_DATA_IN_TIME, ["sent", "silent"]),
        (socket.timeout("timed out"), wording.NO_DATA_IN_TIME, ["sent", "silent"]),
        *((error, "connection reset by peer", ["sent"]) for error in (RESET, aborted(RESET))),
        (ProxyError("no", RESET), "connection reset by peer", ["sent"]),
        (aborted(http.client.RemoteDisconnected("closed")), wording.NO_ANSWER, ["sent"]),
        (http.client.BadStatusLine("nonsense"), wording.NOT_HTTP, ["sent", "unreadable"]),
        (ProtocolError("", http.client.IncompleteRead(b"", 5)), wording.CLOSED_EARLY, ["sent"]),
        (ProtocolError("Response ended prematurely"), wording.CLOSED_EARLY, ["sent"]),
        (errors.EarlyEnd(), wording.CLOSED_EARLY, ["sent"]),
        (errors.EarlyEnd(wording.ONLY_A_PART), wording.ONLY_A_PART, ["sent"]),
        (errors.StoppedError(50.4), "no progress, 50 B/s", ["sent"]),
        (urllib3.exceptions.DecodeError("bad gzip"), wording.NOT_DECODABLE, ["sent"]),
        (unconnected(socket.gaierror(-2, "x")), wording.NAME_NOT_RESOLVED, []),
        # TLS: time does not change it, or it broke on the way.
        *((tls(name), "the encrypted stream was damaged", ["sent", "lasting"]) for name in LASTING),
        (tls("BAD_RECORD_MAC"), "the encrypted stream was damaged", ["sent"]),
        (SSLError(ssl.SSLEOFError(8, "EOF")), wording.CLOSED_EARLY, ["sent"]),
        (SSLError(RESET), "connection reset by peer", ["sent"]),
        (
            SSLError(EXPIRED),
            "the certificate was refused: certificate has expired",
            ["sent", "certificate"],
        ),
        (
            ssl.SSLCertVerificationError("another name"),
            "the certificate was refused: another name",
            ["sent", "certificate"],
        ),
        # A proxy's answer to CONNECT may be final.
        *(
            (tunnel(answer), f"the proxy answers {answer} to CONNECT", ["no tunnel"])
            for answer in ("407 Authentication Required", "403 Forbidden", "302 Found", "511 Login")
        ),
        *(
            (tunnel(answer), f"the proxy answers {answer} to CONNECT", [])
            for answer in ("408 Request Timeout", "429 Too Many Requests", "502 Bad Gateway")
        ),
        # Sockets of Windows, in English.
        (of_windows(10013), "forbidden by this machine, perhaps by its firewall", ["sent"]),
        (aborted(of_windows(10054)), "connection reset by peer", ["sent"]),
        (aborted(of_windows(10044)), "error 10044", ["sent"]),
    ],
)
def test_an_error_has_its_words(error: Exception, words: str, kinds: list[str]) -> None:
    for each in (error, retried(error)):
        assert errors.is_network_error(each)
        assert errors.reason(each).startswith(words) and "SECRET" not in errors.reason(each)
        assert [kind for kind, holds in IS.items() if holds(each)] == kinds


def test_a_status_is_told_without_the_address_that_requests_adds() -> None:
    response = requests.Response()
    response.status_code = 404
    assert errors.reason(requests.HTTPError(SECRET, response=response)) == "HTTP 404"


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (urllib3.exceptions.LocationParseError("//"), False),
        (http.client.InvalidURL("a blank"), False),
        (requests.exceptions.InvalidProxyURL("Please check proxy URL"), False),
        (OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /a"), False),
        (requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support."), False),
        (requests.exceptions.MissingSchema("x"), False),
        (FileNotFoundError(errno.ENOENT, "no such file"), False),  # a CA bundle
        (PermissionError(errno.EACCES, "no"), False),
        (ValueError("a mistake of ours"), False),
        *((OSError(number, "full"), True) for number in (errno.ENOSPC, errno.EFBIG)),
        *((of_windows(number), True) for number in (39, 112, 1295)),
    ],
)
def test_what_is_set_wrong_or_is_the_disks_is_nobodys_network(error: Exception, full: bool) -> None:
    assert not errors.is_network_error(error) and errors.is_full(error) == full
    assert errors.is_full(unconnected(error)) == full


def test_a_circle_of_causes_has_an_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert list(errors.causes(one)) == [one, other]


PROXY = SimpleNamespace(proxy="http://me:SECRET@proxy.example:3128")


def of_pysocks(name: str) -> Exception:
    error: Exception = type(name, (OSError,), {})()
    return error


@pytest.mark.parametrize(
    ("error", "peer"),
    [
        (retried(ProxyError("no", REFUSED), PROXY), "The proxy proxy.example:3128"),
        # urllib3 1.26 calls everything that goes wrong through a proxy a ProxyError.
        (retried(ProxyError("no", RESET), PROXY), "files.example"),
        (retried(RESET, SimpleNamespace(proxy=None)), "files.example"),
        # What a SOCKS proxy answers is of the host.
        (
            retried(unconnected(of_pysocks("ProxyConnectionError")), PROXY),
            "The proxy proxy.example:3128",
        ),
        (retried(unconnected(of_pysocks("SOCKS5Error")), PROXY), "files.example"),
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
        (socket.EAI_AGAIN, True, False, False),
        (socket.EAI_AGAIN, False, True, False),
        # Windows: WSAHOST_NOT_FOUND and WSANO_DATA
        (11001, True, False, True),
        (11001, False, True, False),
        (11004, True, False, True),
    ],
)
def test_an_unknown_name_is_not_a_machine_offline(
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
