"""Faults that end or hold the connection."""

from __future__ import annotations

import ssl
import time

import pytest

from tests.support.lab.faults import Away, Cut, Drop, Garble, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.lab.stages import Fault
from tests.support.wire import ask, connect, lab_with, look, path, read_all


@pytest.mark.parametrize("after", [0, 1, 65536, 100_000])
def test_cut(after: int) -> None:
    with lab_with(Cut(after)) as lab:
        seen = look(lab)
        assert (seen.body, seen.end) == (lab.wheel("p")[:after], "fin")
        assert seen.headers["Content-Length"] == str(len(lab.wheel("p")))
        (request,) = lab.log
        assert (request.sent, request.fault) == (after, f"Cut(after={after}, notify=False)")
        assert look(lab).body == lab.wheel("p")


@pytest.mark.parametrize(("notify", "end"), [(False, "ragged"), (True, "fin")])
def test_cut_on_tls(
    server_tls: tuple[ssl.SSLContext, ssl.SSLContext], notify: bool, end: str
) -> None:
    server, client = server_tls
    with Lab([Package("p", faults=[Cut(70_000, notify=notify)])], tls=server) as lab:
        seen = look(lab, client=client)
        assert (seen.body, seen.end) == (lab.wheel("p")[:70_000], end)
        assert look(lab, client=client)[2:] == (lab.wheel("p"), "fin")
        assert lab.url.startswith("https://")


@pytest.mark.parametrize("after", [0, 1, 100_000])
def test_reset_comes_when_the_bytes_have_arrived(after: int) -> None:
    with lab_with(Reset(after)) as lab:
        seen = look(lab)
        assert (seen.body, seen.end) == (lab.wheel("p")[:after], "reset")
        assert lab.sent("p") == after


def test_reset_on_tls(server_tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, client = server_tls
    with Lab([Package("p", faults=[Reset(70_000)])], tls=server) as lab:
        seen = look(lab, client=client)
        assert (seen.body, seen.end) == (lab.wheel("p")[:70_000], "reset")


def test_stall_lasts_until_the_client_goes_away() -> None:
    with lab_with(Stall(1000)) as lab:
        seen = look(lab, patience=0.2)
        assert (seen.body, seen.end) == (lab.wheel("p")[:1000], "silence")
        assert lab.wait_idle()
        assert lab.sent("p") == 1000


def test_stall_ends_by_itself() -> None:
    with lab_with((Stall(1000, seconds=0.1), Stall(2000, seconds=0.1))) as lab:
        began = time.monotonic()
        assert look(lab).body == lab.wheel("p")
        assert time.monotonic() - began >= 0.2


def test_garble_is_a_record_that_does_not_decrypt(
    server_tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = server_tls
    with Lab([Package("p", faults=[Garble(70_000)])], tls=server) as lab:
        seen = look(lab, client=client)
        assert (seen.body, seen.end) == (lab.wheel("p")[:70_000], "garbled")
        assert lab.sent("p") == 70_000


def test_garble_needs_tls() -> None:
    for package in (Package("p", forever=Garble(1)), Package("p", page_faults=[(Garble(1),)])):
        with pytest.raises(ValueError, match="TLS"):
            Lab([package])


def test_drop_answers_nothing() -> None:
    with lab_with(Drop()) as lab:
        seen = look(lab)
        assert (seen.status, seen.body, seen.end) == (0, b"", "fin")
        assert (lab.log[0].status, lab.log[0].sent) == (0, 0)


@pytest.mark.parametrize("fault", [Away(0.3, 1000), (Drop(), Away(0.3))])
def test_away_refuses_connections_and_returns_to_its_port(
    fault: Fault | tuple[Fault, ...],
) -> None:
    with lab_with(fault) as lab:
        idle = connect(lab)
        ask(idle, "/simple/p/")
        assert idle.recv(10)
        assert len(look(lab).body) == (1000 if isinstance(fault, Away) else 0)
        refused = 0
        while True:
            try:
                again = connect(lab)
            except ConnectionRefusedError:
                refused += 1
                time.sleep(0.02)
            else:
                break
        assert refused
        assert read_all(idle)[1] == "fin"
        ask(again, path(lab), Connection="close")
        assert read_all(again)[0].endswith(lab.wheel("p"))
        for connection in (idle, again):
            connection.close()


def test_chunked_body_is_cut_within_a_chunk() -> None:
    with Lab([Package("p", chunked=True, forever=Cut(70_000))]) as lab:
        seen, data = look(lab), lab.wheel("p")
        expected = b"10000\r\n%b\r\n10000\r\n%b" % (data[:65536], data[65536:70_000])
        assert (seen.body, seen.end) == (expected, "fin")
        assert lab.sent("p") == 70_000
        seen = look(lab, Range=f"bytes={len(data) - 10}-")
        assert seen.body == b"a\r\n%b\r\n" % data[-10:]  # all is there but the last chunk
