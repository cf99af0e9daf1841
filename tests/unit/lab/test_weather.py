"""The proxy of the soak, whose connections have fates: the same ones for the same seed."""

from __future__ import annotations

import socket
import threading
from collections import Counter

import pytest

from tests.support.proxies import WeatherProxy


def test_a_seed_gives_each_connection_its_fate() -> None:
    first, again, other = WeatherProxy("a"), WeatherProxy("a"), WeatherProxy("b")
    fates = [first.draw(number) for number in range(2000)]
    assert fates == [again.draw(number) for number in range(2000)]
    assert fates != [other.draw(number) for number in range(2000)]
    assert all(first.LEAST <= after <= first.MOST for _, after in fates)
    shares = Counter(how for how, _ in fates)
    for how, share in first.FATES.items():
        assert 0.7 * share < shares[how] / 20 < 1.3 * share


@pytest.mark.parametrize("how", ["fin", "rst", "drop"])
def test_what_is_drawn_befalls_a_connection(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = WeatherProxy("a")
    monkeypatch.setattr(proxy, "draw", lambda number: (how, 40_000))
    with socket.create_server(("127.0.0.1", 0)) as server, proxy:
        threading.Thread(target=send, args=(server, 60_000), daemon=True).start()
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
            port = server.getsockname()[1]
            client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
            arrived, end = b"", "fin"
            try:
                while piece := client.recv(10_000):
                    arrived += piece
            except ConnectionResetError:
                end = "rst"
    body = arrived.partition(b"\r\n\r\n")[2]
    assert len(body) == (0 if how == "drop" else 40_000)
    assert how == "drop" or end == how
    assert dict(proxy.struck) == {how: 1}


def send(server: socket.socket, size: int) -> None:
    peer, _ = server.accept()
    with peer:
        peer.sendall(bytes(size))
