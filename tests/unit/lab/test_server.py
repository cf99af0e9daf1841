"""The life of the lab: its schedules, its rate, its log and its end."""

from __future__ import annotations

import http.client
import ssl
import threading
import time

import pytest

from tests.support.lab.faults import Busy, Cut, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.wire import ask, connect, lab_with, look, path


def test_connection_is_kept_and_head_takes_no_entry_of_the_schedule() -> None:
    with lab_with(None, Busy(503)) as lab:
        connection = http.client.HTTPConnection("127.0.0.1", int(lab.url.rpartition(":")[2]))
        found = []
        for method in ("HEAD", "GET", "HEAD", "GET", "GET"):
            connection.request(method, path(lab))
            local = connection.sock.getsockname()
            response = connection.getresponse()
            found.append((response.status, len(response.read()), local))
        connection.close()
        size = len(lab.wheel("p"))
        assert [each[0] for each in found] == [200, 200, 200, 503, 200]
        assert [each[1] for each in found if each[0] == 200] == [0, size, 0, size]
        assert len({each[2] for each in found}) == 1


def test_two_packages_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two packages"):
        Lab([Package("a-b"), Package("A_b")])


def test_each_kind_has_its_own_schedule() -> None:
    package = Package(
        "p", faults=[Busy(500)], page_faults=[None, Busy(502)], metadata_faults=[Busy(504)],
        metadata=True,
    )  # fmt: skip
    with Lab([package]) as lab:
        targets = (path(lab), "/simple/p/", f"{path(lab)}.metadata")
        found = [[look(lab, target).status for target in targets] for _ in range(3)]
        assert found == [[500, 200, 504], [200, 502, 200], [200, 200, 200]]


def test_forever_follows_the_schedule() -> None:
    with Lab([Package("p", faults=[Cut(1), None], forever=Cut(2))]) as lab:
        sizes = [len(look(lab).body) for _ in range(4)]
        assert sizes == [1, len(lab.wheel("p")), 2, 2]
        assert [request.sent for request in lab.requests("p", "artifact")] == sizes
        assert lab.sent("p") == sum(sizes)
        assert [request.number for request in lab.log] == [0, 1, 2, 3]


def test_rate_holds_the_body_back() -> None:
    with Lab([Package("p", 40_000)], rate=200_000) as lab:
        began = time.monotonic()
        assert look(lab).body == lab.wheel("p")
        assert time.monotonic() - began >= 0.15


def test_a_client_that_leaves_is_not_counted_as_served() -> None:
    with lab_with(size=50_000_000) as lab:
        with connect(lab) as connection:
            ask(connection, path(lab))
            connection.recv(1000)
        assert lab.wait_idle()
        assert 1000 <= lab.sent("p") < 40_000_000


def test_close_ends_everything_in_silence(
    capfd: pytest.CaptureFixture[str], server_tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    before = threading.active_count()
    with Lab([Package("p", forever=Stall(10))]) as lab, Lab([], tls=server_tls[0]) as silent:
        connections = [connect(lab), connect(lab), connect(silent)]
        ask(connections[0], path(lab))
        assert connections[0].recv(10)
        connections[1].sendall(b"GET / HT")
        connections[2].sendall(b"not TLS at all\r\n\r\n")
    assert threading.active_count() == before
    assert lab.errors == silent.errors == []
    with pytest.raises(ConnectionRefusedError):
        connect(lab)
    lab.close()
    for connection in connections:
        connection.close()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
