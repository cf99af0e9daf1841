"""The small unreliable index of `selftest` and `status`, asked with http.client."""

from __future__ import annotations

import hashlib
import http.client
import io
import re
import socket
import time
import zipfile

import pytest

from pip_retry_patch.commands.server import Fault, Package, Server

PLAIN = Package("plain-one", 100_000)
WHEEL = f"/{PLAIN.filename}"
CHUNKED = PLAIN._replace(chunked=True)


def ask(server: Server, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(server.url.partition("//")[2], timeout=1)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    try:
        return response, response.read()
    finally:
        connection.close()


def test_a_page_leads_to_a_wheel_with_its_hash() -> None:
    with Server(PLAIN) as server:
        response, page = ask(server, "/simple/plain-one/")
        found = re.search(rb"href='(/[^#]*)#sha256=(\w+)'", page)
        assert response.status == 200 and found
        response, wheel = ask(server, found[1].decode())
        assert wheel == PLAIN.wheel() and hashlib.sha256(wheel).hexdigest() == found[2].decode()
        assert zipfile.ZipFile(io.BytesIO(wheel)).testzip() is None
        assert server.sent == len(page) + len(wheel)
        assert ask(server, "/other")[0].status == 404


def test_a_part_is_sent_where_that_is_wanted() -> None:
    wheel = PLAIN.wheel()
    with Server(PLAIN) as server:
        response, part = ask(server, WHEEL, Range="bytes=60000-")
    assert (response.status, part) == (206, wheel[60_000:])
    assert response.headers["Content-Range"] == f"bytes 60000-{len(wheel) - 1}/{len(wheel)}"
    with Server(PLAIN._replace(ranges=False)) as server:
        assert ask(server, WHEEL, Range="bytes=60000-")[0].status == 200


@pytest.mark.parametrize(
    ("kind", "package", "error"),
    [
        ("cut", PLAIN, http.client.IncompleteRead),
        ("cut", CHUNKED, http.client.IncompleteRead),
        ("reset", PLAIN, ConnectionResetError),
        ("stall", PLAIN, socket.timeout),
        ("away", PLAIN, http.client.IncompleteRead),
    ],
)
def test_the_first_answer_breaks_off_and_the_next_is_whole(
    kind: str, package: Package, error: type[Exception]
) -> None:
    with Server(package._replace(faults=[Fault(kind, 40_000, 0.5)])) as server:
        with pytest.raises(error):
            ask(server, WHEEL)
        assert server.sent == 40_000
        if kind == "away":
            with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                ask(server, WHEEL)
            time.sleep(0.8)
        assert ask(server, WHEEL)[1] == PLAIN.wheel()


def test_a_busy_server_says_for_how_long() -> None:
    with Server(PLAIN._replace(faults=[Fault("busy", seconds=1), Fault("busy")])) as server:
        for seconds in ("1", "0"):
            response, _ = ask(server, WHEEL)
            assert (response.status, response.headers["Retry-After"]) == (503, seconds)


def test_a_page_is_cut_once() -> None:
    with Server(PLAIN._replace(page_faults=[Fault("cut", 50)])) as server:
        with pytest.raises(http.client.IncompleteRead):
            ask(server, "/simple/plain-one/")
        assert ask(server, "/simple/plain-one/")[1].endswith(b"</html>\n")
