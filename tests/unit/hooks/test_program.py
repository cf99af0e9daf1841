"""What `protect()` gives a program: the bodies that its requests downloads, healed."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from typing import Any, Iterator

import pytest
import requests

import pip_retry_patch
from pip_retry_patch import wrapping
from tests.support.lab.faults import Away, Busy, Cut, Drop
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab

SIZE = 300_000


@pytest.fixture(autouse=True)
def protected() -> Iterator[None]:
    original = vars(requests.Session)["request"]
    pip_retry_patch.protect()
    try:
        yield
    finally:
        requests.Session.request = original  # type: ignore[method-assign]


def get(lab: Lab, **options: Any) -> requests.Response:
    url = f"{lab.url}/files/demo/{lab.filename('demo')}"
    return requests.get(url, timeout=2, **options)


FAULTS = [[], [Cut(100_000), Cut(70_000)], [Cut(100_000), Busy()]]


@pytest.mark.parametrize("faults", FAULTS, ids=["whole", "cut", "busy"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_comes_whole(faults: list[Any], stream: bool, chunked: bool) -> None:
    with Lab([Package("demo", SIZE, faults, chunked=chunked)]) as lab:
        response = get(lab, stream=stream)
        assert b"".join(response.iter_content(4096)) == lab.wheel("demo")
        assert len(lab.requests()) == 1 + len(faults)


def test_what_breaks_for_good_is_the_programs_error_and_nobodys_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And never an answer of ours: that would be a part, or a refusal."""
    monkeypatch.setattr(wrapping, "STRICT", False)
    monkeypatch.setattr(wrapping, "failures", [])
    for rest in (Cut(0), Busy(404)):
        with Lab([Package("demo", SIZE, [Cut(100_000)], forever=rest)]) as lab:
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                get(lab)
            assert not wrapping.failures


def test_protect_may_be_called_again() -> None:
    wrapped = vars(requests.Session)["request"]
    pip_retry_patch.protect()
    assert vars(requests.Session)["request"] is wrapped


def test_a_range_of_the_programs_own_is_healed_to_its_end() -> None:
    with Lab([Package("demo", SIZE, [Cut(50_000)])]) as lab:
        response = get(lab, headers={"Range": "bytes=1000-199999"})
        assert response.status_code == 206
        assert response.content == lab.wheel("demo")[1000:200_000]


def test_what_a_status_or_a_host_that_is_away_means_the_program_decides() -> None:
    with Lab([Package("demo", SIZE, [Busy(), None, (Drop(), Away(30))])]) as lab:
        assert get(lab).status_code == 503
        assert get(lab).content == lab.wheel("demo")
        began = time.monotonic()
        with pytest.raises(requests.RequestException):
            get(lab)
        assert time.monotonic() - began < 10


def test_other_methods_and_bodies_are_left_alone() -> None:
    with Lab([Package("demo", SIZE, forever=Cut(100_000))]) as lab:
        url = f"{lab.url}/files/demo/{lab.filename('demo')}"
        assert requests.head(url, timeout=2).status_code == 200
        with pytest.raises(requests.RequestException):
            requests.get(url, data=iter([b"x"]), timeout=2).content  # noqa: B018


@contextlib.contextmanager
def stream_of_events() -> Iterator[int]:
    """A server whose answer never says that it ends; it is closed behind three events."""
    with socket.create_server(("127.0.0.1", 0)) as server:

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
        yield server.getsockname()[1]


def test_a_stream_of_events_is_not_read_again_from_its_start() -> None:
    with stream_of_events() as port:
        response = requests.get(f"http://127.0.0.1:{port}/", stream=True, timeout=2)
        received = b""
        with pytest.raises(requests.RequestException):
            for piece in response.iter_content(7):
                received += piece
        assert received == b"data: 1" * 3


def test_a_connection_is_used_again_after_a_healed_body() -> None:
    with Lab([Package("demo", SIZE, [Cut(100_000)])]) as lab, requests.Session() as session:
        url = f"{lab.url}/files/demo/{lab.filename('demo')}"
        for _ in range(3):
            assert session.get(url, timeout=2).content == lab.wheel("demo")
        gc.collect()
        assert len(lab.requests()) == 4
