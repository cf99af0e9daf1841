"""What is said while something is waited for, and what is told apart for that."""

from __future__ import annotations

import http.client
import socket
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import urllib3

from tests.support.lab.faults import Busy, Cut, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from pip_retry_patch.policy.representation import is_endless
from pip_retry_patch.policy.retry import Patience
from pip_retry_patch.transport import errors, header
from pip_retry_patch.transport.continuation import host_of
from tests.support.guarded import SIZE, UNHURRIED, Copy, GaveUpError, read
from tests.unit.transport.test_patience_of_hosts import ToldError, World

NOBODY: Any = None


@pytest.mark.parametrize("fault", [Cut(100_000), Stall(100_000, 1.0)])
def test_an_interruption_that_heals_is_one_line_that_names_the_file(fault: Any) -> None:
    copy = Copy()
    with Lab([Package("demo", SIZE, [fault])]) as lab:
        assert b"".join(read(copy.get(lab), 4096)) == lab.wheel("demo")
    (line,) = copy.lines
    assert "demo-1.0" in line


def test_a_long_wait_that_a_server_asks_for_is_said_each_time() -> None:
    """In mid-download. The first one is said with the interruption."""
    copy = Copy(Patience(attempts=3, first_limit=0.01, last_limit=0.02, seconds=20), UNHURRIED)
    faults = [Cut(100_000), *[Busy(503, retry_after=4)] * 2, None]
    clock = copy.guards["http"].clock
    waits: list[float] = []
    virtual = clock._replace(sleep=waits.append)
    copy.guards["http"]._origins._clock = virtual
    with Lab([Package("demo", SIZE, faults)]) as lab:
        assert b"".join(read(copy.get(lab), 4096)) == lab.wheel("demo")
    long = [seconds for seconds in waits if seconds > 3]
    assert len(long) == 2
    assert len([line for line in copy.lines if "4 s" in line]) >= 2


def test_fifty_cuts_with_a_short_wait_each_have_few_lines() -> None:
    """Three have two lines each, and the others are counted, at most once in a tenth."""
    copy = Copy(Patience(attempts=3, first_limit=0.01, last_limit=0.02, seconds=20), UNHURRIED)
    clock = copy.guards["http"].clock
    copy.guards["http"]._origins._clock = clock._replace(sleep=lambda seconds: None)
    faults = [fault for _ in range(50) for fault in (Cut(70_000), Busy(503))]
    with Lab([Package("demo", 51 * 70_000, faults)]) as lab:
        assert b"".join(read(copy.get(lab), 65536)) == lab.wheel("demo")
    first, others, last = copy.lines[:6], copy.lines[6:-1], copy.lines[-1]
    assert [" waits at " in line for line in first] == [True, False] * 3
    assert [" goes on at " in line for line in first] == [False, True] * 3
    assert len(others) <= 9 and all(" times so far" in line for line in others), others
    assert "cut 50 times" in last


def test_each_long_wait_for_a_busy_page_is_said_before_it_begins() -> None:
    world = World(lambda n: (429, 10), attempts=5)
    with pytest.raises(ToldError):
        world.get()
    asked_for = [(seconds, lines) for seconds, lines in world.slept_after if seconds >= 10]
    assert len(asked_for) == 4
    assert [lines for _, lines in asked_for] == sorted({lines for _, lines in asked_for})


def test_a_refusal_of_a_proxy_is_told_with_its_answer() -> None:
    refusal = OSError("Tunnel connection failed: 407 Proxy Authentication Required")
    error = urllib3.exceptions.ProxyError("Cannot connect to proxy.", refusal)
    world = World(lambda n: error)
    with pytest.raises(ToldError, match="407 Proxy Authentication Required") as end:
        world.get()
    assert "refuses the connection" in end.value.failure.message and world.asked <= 6


@pytest.mark.parametrize("routed", ["192.0.2.1", "2001:db8::1"])
def test_a_machine_with_one_kind_of_address_is_not_without_network(
    routed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where names are answered, though this one does not exist."""
    monkeypatch.setattr(errors, "_has_route", lambda host, port: host == routed)
    pool = SimpleNamespace(conn_kw=MappingProxyType({}), host="x.invalid", port=1, proxy=None)
    error = urllib3.exceptions.NewConnectionError(NOBODY, "no name")
    error.__cause__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert not errors.is_offline(pool, error)


def test_there_is_a_route_to_this_machine_and_none_to_what_is_no_address() -> None:
    assert errors._has_route("127.0.0.1", 9) and errors._has_route("localhost", None)
    assert not errors._has_route("nowhere.invalid", 9)
    assert not errors._has_route("255.255.255.255", 9)
    assert not errors._has_route("x" * 70 + ".example", 9)


@pytest.mark.parametrize(
    "url, host",
    [
        ("http://a.example/x", "http://a.example:80"),
        ("http://a.example:80", "http://a.example:80"),
        ("https://A.example/x?y", "https://a.example:443"),
        ("https://user:secret@a.example:8443/", "https://a.example:8443"),
        ("https://[::1]/", "https://::1:443"),
        ("/x", ""),
        ("https:///x", ""),
        ("https://a.example:x/", ""),
        ("https://[", ""),
    ],
)
def test_a_host_has_one_spelling(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize("name", ["content-length", "etag", "last-modified"])
def test_what_says_how_long_or_which_it_is_is_a_file(name: str) -> None:
    assert not is_endless({name: "1"})
    assert is_endless({name: "1", "content-type": "text/event-stream; charset=utf-8"})
    assert is_endless({"content-type": "text/plain"})


def test_the_headers_of_a_urllib3_are_limited_unless_it_has_a_class_of_its_own() -> None:
    class Connection(http.client.HTTPConnection):
        """As in urllib3."""

    header.install(SimpleNamespace(HTTPConnection=Connection))
    assert Connection.response_class is header.PunctualResponse
    header.install(SimpleNamespace())


def test_an_error_in_the_end_says_what_ended_the_last_attempt() -> None:
    copy = Copy(timeout=UNHURRIED)
    with Lab([Package("demo", SIZE, [Cut(100_000)], forever=Busy(503))]) as lab:
        with pytest.raises(GaveUpError) as end:
            list(read(copy.get(lab), 4096))
        failure = end.value.failure
        assert "closed" in failure.context and "503" in failure.context
        assert f"127.0.0.1:{lab.url.rpartition(':')[2]}" in failure.context
        assert len(lab.requests("demo")) == 1 + copy.guards["http"].patience.attempts
