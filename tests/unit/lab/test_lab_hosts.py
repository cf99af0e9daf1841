"""The lab's hosts that do not answer: seen with bare sockets, as a client sees them."""

from __future__ import annotations

import socket
import ssl
import time

import pytest
import trustme

from tests.support.lab.faults import Busy, Drop, Reset, Slow, Stall, Trickle
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.lab.stages import Entry, Lasting


def connect(lab: Lab) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(lab.url.rpartition(":")[2])), timeout=5)


def ask(lab: Lab, path: str = "/simple/demo/") -> bytes:
    """Return all that comes until the connection ends."""
    with connect(lab) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_no_answer_is_a_fin_or_a_reset_or_silence() -> None:
    faults: list[Entry] = [Drop(), (Drop(), Reset(0)), (Drop(), Stall(0, 0.5)), None]
    with Lab([Package("demo", page_faults=faults)]) as lab:
        assert ask(lab) == b""
        with pytest.raises(ConnectionResetError):
            ask(lab)
        began = time.monotonic()
        assert ask(lab) == b"" and time.monotonic() - began >= 0.5
        assert ask(lab).startswith(b"HTTP/1.1 200 ")


def test_a_fault_of_a_path_lasts_for_some_seconds() -> None:
    with Lab([Package("demo", page_faults=[Lasting(0.3, Drop()), Busy(503)])]) as lab:
        assert ask(lab) == b"" and ask(lab) == b""
        time.sleep(0.35)
        assert ask(lab).startswith(b"HTTP/1.1 503 ")
        assert ask(lab).startswith(b"HTTP/1.1 200 ")
        assert ask(lab, f"/files/demo/{lab.filename('demo')}").startswith(b"HTTP/1.1 200 ")


def test_a_page_may_fail_for_ever() -> None:
    with Lab([Package("demo", page_faults=[None], page_forever=Busy(500))]) as lab:
        assert ask(lab).startswith(b"HTTP/1.1 200 ")
        assert {ask(lab)[:12] for _ in range(3)} == {b"HTTP/1.1 500"}


def test_a_header_trickles() -> None:
    with Lab([Package("demo", page_faults=[Trickle(0.005)])]) as lab, connect(lab) as client:
        client.sendall(b"GET /simple/demo/ HTTP/1.1\r\nConnection: close\r\n\r\n")
        pieces = list(iter(lambda: client.recv(65536), b""))
        assert len(pieces) > 50 and b"".join(pieces).startswith(b"HTTP/1.1 200 ")


def test_a_body_slows_down_for_a_while_and_goes_on() -> None:
    with Lab([Package("demo", 20_000, [Slow(1000, rate=100, seconds=0.5)])]) as lab:
        began = time.monotonic()
        answer = ask(lab, f"/files/demo/{lab.filename('demo')}")
        assert answer.endswith(lab.wheel("demo")) and time.monotonic() - began >= 0.5


@pytest.mark.parametrize(
    "how, ends", [("cut", ssl.SSLError), ("reset", OSError), ("stall", socket.timeout)]
)
def test_the_first_handshakes_are_broken(how: str, ends: type[Exception]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with Lab([Package("demo")], tls=context, handshakes=[how, None]) as lab:
        with connect(lab) as client, pytest.raises(ends):
            client.settimeout(0.5)
            trust.wrap_socket(client, server_hostname="127.0.0.1")
        with connect(lab) as client:
            assert trust.wrap_socket(client, server_hostname="127.0.0.1").version()
