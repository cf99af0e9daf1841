"""pip's own retries as they are changed: on this machine's urllib3, and against real sockets."""

from __future__ import annotations

import ssl
import time
from typing import Any

import pytest
import urllib3

from tests.support.lab.faults import Trickle
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from pip_retry_patch.policy.retry import Clock
from pip_retry_patch.transport import errors, header
from pip_retry_patch.transport.retries import Waits, with_waits
from tests.support.scripted import Answer, Scripted

PIPS = urllib3.Retry(total=5, status_forcelist=[500, 503], backoff_factor=0.25)


def highest(_: float, limit: float) -> float:
    return limit


def changed(announced: list[Any]) -> Any:
    clock = Clock(time.monotonic, time.sleep, highest)
    return with_waits(PIPS, Waits(clock, lambda seconds, last: announced.append((seconds, last))))


def test_its_waits_are_drawn_and_long_ones_announced() -> None:
    announced: list[Any] = []
    retry, waits = changed(announced), []
    error = urllib3.exceptions.ProtocolError("aborted")
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        while True:
            retry = retry.increment("GET", "/", error=error)
            waits.append(retry.get_backoff_time())
    assert waits == [0, 0.75, 1.5, 3.0, 6.0]
    ((seconds, last),) = announced
    assert seconds == 6.0 and last.error is error
    assert (retry.waits.seconds, retry.waits.count) == (11.25, 5)


def test_it_is_a_retry_of_its_urllib3_that_looks_like_one() -> None:
    retry = changed([])
    assert isinstance(retry, urllib3.Retry)
    assert repr(retry) == repr(PIPS)
    assert urllib3.Retry.from_int(retry) is retry
    assert type(PIPS) is urllib3.Retry and PIPS.respect_retry_after_header, "pip's own is as it was"


def test_retry_after_is_left_to_us() -> None:
    retry = changed([])
    assert retry.is_retry("GET", 503) and PIPS.is_retry("GET", 503, has_retry_after=True)
    assert not retry.is_retry("GET", 503, has_retry_after=True)
    assert not retry.is_retry("GET", 429, has_retry_after=True)


def test_a_refused_certificate_is_not_tried_again() -> None:
    error = urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed"))
    with pytest.raises(urllib3.exceptions.MaxRetryError) as end:
        changed([]).increment("GET", "/", error=error)
    assert end.value.reason is error


def test_a_mistake_in_an_announcement_costs_pip_nothing() -> None:
    def broken(seconds: float, last: Any) -> None:
        raise ValueError("no logger")

    retry: Any = with_waits(PIPS, Waits(Clock(time.monotonic, time.sleep, highest), broken))
    for _ in range(5):
        retry = retry.increment("GET", "/", error=urllib3.exceptions.ProtocolError("aborted"))
    assert retry.get_backoff_time() == 4.0


class Punctual(urllib3.connection.HTTPConnection):
    """urllib3's connection, with its header limited."""

    response_class = header.PunctualResponse


class Pool(urllib3.HTTPConnectionPool):
    """A pool of such connections."""

    ConnectionCls = Punctual


@pytest.mark.parametrize("timeout, comes", [(0.3, False), (None, True)])
def test_a_header_has_two_timeouts_to_arrive_in(timeout: float | None, comes: bool) -> None:
    """It takes 2.5 seconds, byte by byte; without a timeout nobody is in a hurry."""
    with Lab([Package("demo", 1000, [Trickle(0.01)])]) as lab:
        pool = Pool("127.0.0.1", int(lab.url.rpartition(":")[2]), timeout=timeout)
        path = f"/files/demo/{lab.filename('demo')}"
        if comes:
            assert pool.urlopen("GET", path, retries=False).data == lab.wheel("demo")
            return
        with pytest.raises(urllib3.exceptions.ReadTimeoutError) as end:
            pool.urlopen("GET", path, retries=False)
        assert errors.reason(end.value) == "the answer's header did not arrive in time"


def test_a_slow_body_is_not_limited_by_the_header() -> None:
    with Lab([Package("demo", 30_000)], rate=20_000) as lab:
        pool = Pool("127.0.0.1", int(lab.url.rpartition(":")[2]), timeout=0.3)
        response = pool.urlopen("GET", f"/files/demo/{lab.filename('demo')}", retries=False)
        assert response.data == lab.wheel("demo")


def test_another_response_class_is_left_in_its_place() -> None:
    class Theirs:
        """Somebody else was here first."""

    class Connection:
        """A connection class of somebody else."""

        response_class = Theirs

    class Module:
        """A module `connection`."""

        HTTPConnection = Connection

    header.install(Module)
    assert Connection.response_class is Theirs


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_a_header_that_breaks_off_is_no_answer(timeout: float | None) -> None:
    """Without a timeout as with one: http.client takes it for a page without its length."""
    with Scripted(lambda _: Answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")) as server:
        pool = Pool("127.0.0.1", server.port, timeout=timeout)
        with pytest.raises(urllib3.exceptions.ProtocolError, match="within the header"):
            pool.urlopen("GET", "/", retries=False)


REDIRECT = b"HTTP/1.1 302 Found\r\n"
CUT_REDIRECTS = {
    "in-the-address": (b"Location: /files/de", False),
    "before-the-address": (b"Content-Length: 0\r\n", False),
    "at-the-end": (b"Location: /files/demo\r\n", True),
}


@pytest.mark.parametrize("cut", CUT_REDIRECTS)
def test_a_redirect_whose_address_may_be_cut_is_no_answer(cut: str) -> None:
    """A careless server may leave out the empty line only."""
    fields, comes = CUT_REDIRECTS[cut]
    with Scripted(lambda _: Answer(REDIRECT + fields)) as server:
        pool = Pool("127.0.0.1", server.port, timeout=5.0)
        if comes:
            response = pool.urlopen("GET", "/", retries=False, redirect=False)
            assert response.headers["location"] == "/files/demo"
            return
        with pytest.raises(urllib3.exceptions.ProtocolError, match="within the header"):
            pool.urlopen("GET", "/", retries=False, redirect=False)


CODINGS = [
    *("chunked", "Chunked", "gzip, chunked", "chunked, chunked", "identity,chunked"),
    "identity\r\nTransfer-Encoding: chunked",
]


@pytest.mark.parametrize("length", [b"", b"Content-Length: 3\r\n"])
@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_is_in_chunks_for_http_client_where_it_is_for_urllib3(
    coding: str, length: bytes
) -> None:
    shown = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n%b\r\n" % (coding.encode(), length)
    body = b"5\r\nhello\r\n0\r\n\r\n"
    with Scripted(lambda _: Answer(shown + body)) as server:
        for connection in (Punctual, urllib3.connection.HTTPConnection):
            pool = Pool("127.0.0.1", server.port, timeout=5.0)
            pool.ConnectionCls = connection  # type: ignore[assignment]
            response: Any = pool.urlopen("GET", "/", retries=False, preload_content=False)
            assert response.chunked
            if connection is Punctual:
                assert response._fp.read() == b"hello"
            else:
                assert b"".join(response.stream(100)) == b"hello"
