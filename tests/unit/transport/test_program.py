"""What `protect()` gives a program: all that urllib3 shows of a response, healed."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any, Iterator

import pytest
import urllib3

from tests.support.lab.faults import Away, Cut, Drop
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from pip_retry_patch.transport import guard
from tests.support.guarded import SIZE


@pytest.fixture(autouse=True)
def protected() -> Iterator[None]:
    original = urllib3.HTTPConnectionPool.urlopen
    guard.protect()
    try:
        yield
    finally:
        urllib3.HTTPConnectionPool.urlopen = original  # type: ignore[method-assign]


def get(lab: Lab, retries: Any = None, **options: Any) -> Any:
    url = f"{lab.url}/files/demo/{lab.filename('demo')}"
    manager = urllib3.PoolManager(timeout=2, retries=retries)
    return manager.request("GET", url, preload_content=False, **options)


@pytest.mark.parametrize("faults", [[], [Cut(100_000), Cut(70_000)]], ids=["whole", "cut"])
def test_the_chunks_of_a_body_can_be_read(faults: list[Any]) -> None:
    with Lab([Package("demo", SIZE, faults, chunked=True)]) as lab:
        response = get(lab)
        assert response.supports_chunked_reads()
        assert b"".join(response.read_chunked()) == lab.wheel("demo")
    with Lab([Package("demo", SIZE, faults, chunked=True)]) as lab:
        response = get(lab)
        assert b"".join(response.read_chunked(1000)) == lab.wheel("demo")
        assert response._fp.fp is None


@pytest.mark.parametrize("chunked", [False, True])
def test_the_socket_behind_a_body_can_be_found(chunked: bool) -> None:
    with Lab([Package("demo", SIZE, chunked=chunked)]) as lab:
        response = get(lab)
        assert isinstance(response._fp.fp.raw._sock, socket.socket)
        assert b"".join(response.stream(4096)) == lab.wheel("demo")


@contextlib.contextmanager
def stream_of_events() -> Iterator[int]:
    """A server whose answer never says that it ends; it is closed behind three events."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            for _ in range(2):
                with contextlib.suppress(OSError):
                    client, _ = server.accept()
                    client.recv(65536)
                    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    client.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
                    client.sendall(b"7\r\ndata: 1\r\n" * 3)
                    client.close()

        threading.Thread(target=serve, daemon=True).start()
        yield port


def test_a_stream_of_events_is_not_read_again_from_its_start() -> None:
    with stream_of_events() as port:
        response = urllib3.PoolManager().request(
            "GET", f"http://127.0.0.1:{port}/", preload_content=False
        )
        received = b""
        with pytest.raises(urllib3.exceptions.HTTPError):
            for piece in response.stream(7):
                received += piece
        assert received == b"data: 1" * 3


@pytest.mark.parametrize("retries", [False, 0, urllib3.Retry(0)])
def test_a_program_that_wants_no_retries_does_not_wait_for_a_host(retries: Any) -> None:
    with Lab([Package("demo", SIZE, [None, (Drop(), Away(30))])]) as lab:
        assert get(lab, retries).data
        began = time.monotonic()
        with pytest.raises(urllib3.exceptions.HTTPError):
            for _ in range(3):
                get(lab, retries)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("retries", [False, 0])
def test_a_body_is_healed_all_the_same_but_not_for_a_host_that_went_away(retries: Any) -> None:
    with Lab([Package("demo", SIZE, [Cut(100_000)])]) as lab:
        assert b"".join(get(lab, retries).stream(4096)) == lab.wheel("demo")
    with Lab([Package("demo", SIZE, [Away(30, after=100_000)])]) as lab:
        response = get(lab, retries)
        began = time.monotonic()
        with pytest.raises(urllib3.exceptions.HTTPError):
            list(response.stream(4096))
        assert time.monotonic() - began < 10
