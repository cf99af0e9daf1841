"""Which error of the network means what, made as urllib3 makes it."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    ResponseError,
    SSLError,
)

from pip_retry_patch import failures, settings
from pip_retry_patch.hooks.reporting import advised
from pip_retry_patch.messages import Peer
from pip_retry_patch.transport import errors, hosts

NOBODY: Any = None
RESET = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


def retried(error: Exception) -> MaxRetryError:
    """As `Retry.increment` wraps it in the end."""
    return MaxRetryError(NOBODY, "/simple/demo/?signature=SECRET", error)


def tunnel(answer: str) -> ProxyError:
    """As urllib3 wraps what http.client raises for a refused CONNECT."""
    return ProxyError("Cannot connect to proxy.", OSError(f"Tunnel connection failed: {answer}"))


LOST = [
    NewConnectionError(NOBODY, "refused"),
    ConnectTimeoutError("timed out"),
    ReadTimeoutError(NOBODY, "/", "Read timed out."),
    ProtocolError("Connection aborted.", RESET),
    ProtocolError("Connection aborted.", http.client.RemoteDisconnected("closed")),
    SSLError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")),
    ProxyError("Cannot connect to proxy.", NewConnectionError(NOBODY, "refused")),
    tunnel("503 Service Unavailable"),
    http.client.BadStatusLine("nonsense"),
    socket.timeout("timed out"),
    RESET,
]


@pytest.mark.parametrize("error", LOST, ids=repr)
def test_whatever_ends_a_request_before_its_answer_is_the_networks(error: Exception) -> None:
    for each in (error, retried(error)):
        assert errors.is_network_error(each) and errors.is_unreachable(each)
        assert "SECRET" not in errors.reason(each)


@pytest.mark.parametrize(
    "error",
    [
        LocationParseError("//"),
        urllib3.exceptions.ClosedPoolError(NOBODY, "closed"),
        http.client.InvalidURL("a blank"),
        ValueError("a mistake of ours"),
    ],
    ids=repr,
)
def test_an_address_that_makes_no_sense_is_nobodys_network(error: Exception) -> None:
    assert not errors.is_network_error(error)
    with pytest.raises(type(error)):
        errors.is_unreachable(error)


def test_an_answer_from_a_cache_says_nothing_of_a_server() -> None:
    assert not errors.is_unreachable(errors.CachedAnswerError("it was answered from a cache"))


@pytest.mark.parametrize(
    "answer, refused",
    [
        ("407 Proxy Authentication Required", True),
        ("403 Forbidden", True),
        ("429 Too Many Requests", False),
        ("502 Bad Gateway", False),
    ],
)
def test_a_proxys_answer_to_connect_is_told_and_may_be_final(answer: str, refused: bool) -> None:
    error = retried(tunnel(answer))
    assert errors.reason(error) == f"the proxy answers {answer} to CONNECT"
    assert errors.is_refused_tunnel(error) == refused


def test_only_what_is_certain_is_called_the_proxys_failure() -> None:
    """urllib3 1.26 calls everything that goes wrong through a proxy a ProxyError."""
    pool = SimpleNamespace(proxy=SimpleNamespace(host="proxy.example", port=3128))
    refused = ProxyError("Cannot connect to proxy.", NewConnectionError(NOBODY, "refused"))
    reset = ProxyError("Cannot connect to proxy.", RESET)
    assert errors.is_of_proxy(pool, retried(refused))
    assert not errors.is_of_proxy(pool, retried(reset))
    assert not errors.is_of_proxy(SimpleNamespace(proxy=None), retried(refused))
    url = "https://files.example/demo"
    assert str(hosts.peer_of(pool, url, refused)) == "The proxy proxy.example:3128"
    assert str(hosts.peer_of(pool, url, reset)) == (
        "files.example (through the proxy proxy.example:3128)"
    )


@pytest.mark.parametrize(
    "code, routed, offline",
    [
        (socket.EAI_NONAME, True, False),
        (socket.EAI_NONAME, False, True),
        (socket.EAI_AGAIN, True, True),
        # Windows: WSAHOST_NOT_FOUND and WSANO_DATA
        (11001, True, False),
        (11001, False, True),
        (11004, True, False),
        (11004, False, True),
    ],
)
def test_a_mistyped_name_is_not_a_machine_without_network(
    code: int, routed: bool, offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = SimpleNamespace(
        conn_kw=MappingProxyType({}), host="nowhere.invalid", port=443, proxy=None
    )
    monkeypatch.setattr(errors, "_has_route", lambda host, port: routed)
    error = NewConnectionError(NOBODY, "no name")
    error.__cause__ = socket.gaierror(code, "Name or service not known")
    assert errors.is_offline(pool, error) == offline


@pytest.mark.parametrize("number, local", [(10050, True), (10051, True), (10065, False)])
def test_a_windows_without_network_is_known_by_its_numbers(
    number: int, local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = SimpleNamespace(conn_kw=MappingProxyType({}), host="h.example", port=443, proxy=None)
    monkeypatch.setattr(errors, "_has_route", lambda host, port: False)
    error = NewConnectionError(NOBODY, "failed")
    error.__cause__ = windows_error(number)
    assert errors.is_local(pool, error) == errors.is_offline(pool, error) == local


def windows_error(number: int, kind: type[OSError] = OSError) -> OSError:
    """As a socket of Windows raises it, which says what it means in the system's language."""
    error = kind(number, "Операция на сокете невозможна")
    setattr(error, "winerror", number)  # noqa: B010 - unknown to mypy elsewhere
    return error


@pytest.mark.parametrize(
    "number, words",
    [
        (10013, "forbidden by this machine, perhaps by its firewall"),
        (10050, "network is down"),
        (10051, "network is unreachable"),
        (10053, "connection aborted by this machine"),
        (10054, "connection reset by peer"),
        (10060, "no data arrived in time"),
        (10061, "connection refused"),
        (10065, "no route to host"),
        (10044, "error 10044"),
    ],
)
def test_the_errors_of_windows_sockets_are_said_in_english(number: int, words: str) -> None:
    error = ProtocolError("Connection aborted.", windows_error(number))
    for each in (error, retried(error), windows_error(number)):
        assert errors.reason(each) == words
        assert errors.is_network_error(each)


@pytest.mark.parametrize("number", [39, 112, 1295])
def test_a_full_disk_of_windows_is_a_full_disk(number: int) -> None:
    full = windows_error(number)
    full.errno = errno.EINVAL  # as Python has it for two of them
    assert errors.is_full(full)
    assert not errors.is_full(windows_error(32))


def test_the_status_that_ended_urllib3s_retries_is_found() -> None:
    error = retried(ResponseError(ResponseError.SPECIFIC_ERROR.format(status_code=500)))
    assert hosts.status_of(error) == 500
    assert (hosts.busy_status(error, artifact=False), hosts.busy_status(error, True)) == (500, 0)
    assert hosts.status_of(retried(RESET)) == 0


@pytest.mark.parametrize(
    "origin, expected",
    [
        (None, "pip config set global.retry-patch-patience 600"),
        ("[global] in pip.conf", "pip config set global.retry-patch-patience 600"),
        ("[install] in pip.conf", "pip config set install.retry-patch-patience 600"),
        ("PIP_RETRY_PATCH_PATIENCE", "set PIP_RETRY_PATCH_PATIENCE=600"),
    ],
)
def test_a_hint_names_the_place_that_is_in_force(origin: str | None, expected: str) -> None:
    failure = failures.unreachable_host(
        "demo", Peer("h.example"), "reset", failures.Tried(), answered=True, offline=False
    )
    origins = {} if origin is None else {"retry-patch-patience": origin}
    assert expected in advised(failure, settings.table(settings.Settings(), origins)).hint


def test_the_text_of_another_librarys_error_shows_no_signature() -> None:
    url = "/files/demo.whl?X-Amz-Signature=SECRET"
    for text in (
        f"HTTPSConnectionPool(host='h.example', port=443): Failed with url: {url} (Caused by x)",
        f"Tunnel connection failed: 502 cannot fetch https://me:SECRET@h.example{url}",
    ):
        for error in (ValueError(text), OSError(text)):
            assert "SECRET" not in errors.reason(error)
