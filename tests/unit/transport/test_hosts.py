"""Whether an attempt left this machine: with real sockets, the real resolver, and each urllib3."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
import urllib3

from tests.support.lab.faults import Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from pip_retry_patch.policy.retry import Patience
from pip_retry_patch.transport.errors import is_local
from tests.support.guarded import SIZE, Copy, read
from tests.support.nowhere import NO_NAME, NO_NETWORK


def failing(host: str, port: int = 9, **options: Any) -> bool:
    """Whether a request to `host`, which must fail, is taken for one that did not leave."""
    pool = urllib3.HTTPConnectionPool(host, port, timeout=5)
    with pytest.raises(urllib3.exceptions.HTTPError) as caught:
        pool.urlopen("GET", "/", **options)
    return is_local(pool, caught.value)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@pytest.mark.parametrize("host", [NO_NAME, NO_NETWORK])
def test_a_download_goes_on_soon_after_the_network_is_back(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With waits of a minute for a server that is away, and of a moment for the network."""
    patience = Patience(seconds=60, first_limit=60, last_limit=60, local_limit=0.1)
    resolve, back = socket.getaddrinfo, threading.Event()
    asked: list[str] = []

    def getaddrinfo(name: str, *arguments: Any, **options: Any) -> Any:
        asked.append(name)
        return resolve(name if back.is_set() else host, *arguments, **options)

    with Lab([Package("demo", SIZE, [Cut(1000)])]) as lab:
        response = Copy(patience).get(lab)
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        threading.Timer(1.0, back.set).start()
        began = time.monotonic()
        assert b"".join(read(response, 4096)) == lab.wheel("demo")
        assert 1.0 <= time.monotonic() - began < 5.0
        assert len(asked) > 5


@pytest.mark.parametrize("retries", [False, 0])
def test_no_name_and_no_network_are_local_however_urllib3_says_it(retries: Any) -> None:
    assert failing(NO_NAME, retries=retries)
    assert failing(NO_NETWORK, retries=retries)


def test_a_server_that_refuses_is_not_local(closed_port: int) -> None:
    assert not failing("127.0.0.1", closed_port, retries=False)


def test_a_server_that_refuses_on_one_address_is_not_local_for_lack_of_a_route_to_another(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """urllib3 tells only of the last address: on a machine without IPv6, of the IPv6 one."""
    resolve = socket.getaddrinfo

    def getaddrinfo(_: str, *arguments: Any, **options: Any) -> Any:
        both = ("127.0.0.1", NO_NETWORK)
        return [found for name in both for found in resolve(name, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    pool = urllib3.HTTPConnectionPool("both.invalid", closed_port)
    with pytest.raises(urllib3.exceptions.NewConnectionError, match="unreachable") as caught:
        pool.urlopen("GET", "/", retries=False)
    assert not is_local(pool, caught.value)


def test_a_name_that_is_for_a_socks_proxy_is_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = urllib3.HTTPConnectionPool(NO_NETWORK, 9)
    with pytest.raises(urllib3.exceptions.NewConnectionError) as caught:
        pool.urlopen("GET", "/", retries=False)
    pool.conn_kw["_socks_options"] = {}
    monkeypatch.delattr(socket, "getaddrinfo")
    assert not is_local(pool, caught.value)
