"""What `protect()` gives a program: the bodies that its requests downloads, healed."""

from __future__ import annotations

import io
import time
from typing import Any
from unittest import mock

import pytest
import requests
import wrapt

import pip_retry_patch
from tests.support.hosts import answering
from tests.support.lab.faults import Away, Busy, Cut, Drop
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab

SIZE = 300_000


@pytest.fixture(autouse=True)
def protected(monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests of this process, which wait as short as chance has it."""
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    monkeypatch.setattr(requests.Session, "request", vars(requests.Session)["request"])
    wrapt.wrap_function_wrapper(requests, "Session.request", lambda call, _, a, k: call(*a, **k))
    pip_retry_patch.protect()
    wrapped = vars(requests.Session)["request"]
    pip_retry_patch.protect()
    assert vars(requests.Session)["request"] is wrapped, "once is enough"


def get(lab: Lab, method: str = "GET", **options: Any) -> requests.Response:
    url = f"{lab.url}/files/demo/{lab.filename('demo')}"
    return requests.request(method, url.encode(), timeout=2, **options)


@pytest.mark.parametrize("faults", [[], [Cut(100_000), Cut(70_000)], [Cut(100_000), Busy()]])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_comes_whole(faults: list[Any], stream: bool, chunked: bool) -> None:
    hooks: Any = {"response": lambda answer, **_: answer.raise_for_status()}  # for its own requests
    with Lab([Package("demo", SIZE, faults, chunked=chunked)]) as lab:
        response = get(lab, stream=stream, hooks=hooks)
        assert b"".join(response.iter_content(4096)) == lab.wheel("demo")
        assert len(lab.log) == 1 + len(faults)


@pytest.mark.parametrize("rest", [Cut(0), Busy(404)])
def test_what_breaks_for_good_is_the_programs_error(rest: Any, failures: list[str]) -> None:
    """And never an answer of ours: that would be a part, or a refusal."""
    with Lab([Package("demo", SIZE, [Cut(100_000)], forever=rest)]) as lab:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            get(lab)
        assert not failures


def test_a_range_of_the_programs_own_is_healed_to_its_end() -> None:
    with Lab([Package("demo", SIZE, [Cut(50_000)])]) as lab:
        response = get(lab, headers={"Range": "bytes=1000-199999"})
        assert response.status_code == 206
        assert response.content == lab.wheel("demo")[1000:200_000]


def test_what_a_status_or_a_host_that_is_away_means_the_program_decides() -> None:
    with Lab([Package("demo", SIZE, [Busy(), None, (Drop(), Away(0, 30))])]) as lab:
        assert get(lab).status_code == 503
        assert get(lab).content == lab.wheel("demo")
        began = time.monotonic()
        with pytest.raises(requests.RequestException):
            get(lab)
        assert time.monotonic() - began < 10


def test_other_methods_and_bodies_are_left_alone() -> None:
    with Lab([Package("demo", SIZE, forever=Cut(100_000))]) as lab:
        assert get(lab, "HEAD").status_code == 200
        with pytest.raises(requests.RequestException):
            get(lab, data=iter([b"x"])).content  # noqa: B018


EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_stream_of_events_is_not_read_again_from_its_start() -> None:
    """It never says that it ends, and is closed behind three events."""
    with answering(EVENTS + b"7\r\ndata: 1\r\n" * 3) as port:
        response = requests.get(f"http://127.0.0.1:{port}/", stream=True, timeout=2)
        received: list[bytes] = []
        with pytest.raises(requests.RequestException):
            received.extend(response.iter_content(7))
        assert received == [b"data: 1"] * 3


def test_what_only_urllib3_reads_or_another_adapter_is_left_alone(failures: list[str]) -> None:
    head = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'
    with answering(head + b"3\r\nabc\r\n0\r\n\r\n") as port:
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=2).content == b"abc"
    answer = requests.Response()
    answer.status_code, answer.url, answer.raw = 200, "file:///x", io.BytesIO(b"abc")
    answer.headers["Content-Length"] = "3"  # as requests-file sends it
    with requests.Session() as session:
        session.mount("file://", mock.Mock(send=mock.Mock(return_value=answer)))
        assert session.get("file:///x").content == b"abc" and not failures
