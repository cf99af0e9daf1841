"""The small unreliable index of `selftest` and `status`, asked with http.client."""

from __future__ import annotations

import hashlib
import http.client
import io
import re
import socket
import time
import zipfile
from typing import Iterator

import pytest

from pip_retry_patch.commands.server import Fault, Package, Server

PLAIN = Package("plain-one", 100_000)
PACKAGES = [
    PLAIN,
    Package("cut", 100_000, [Fault("cut", 40_000)]),
    Package("reset", 100_000, [Fault("reset", 40_000)]),
    Package("stall", 100_000, [Fault("stall", 40_000)]),
    Package("away", 100_000, [Fault("away", 40_000, 0.5)]),
    Package("busy", 100_000, [Fault("busy", seconds=1), *[Fault("busy")] * 9]),
    Package("whole", 100_000, ranges=False),
    Package("chunked", 100_000, [Fault("cut", 40_000)], chunked=True),
    Package("page", 1000, page_faults=[Fault("cut", 50)]),
]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(PACKAGES) as server:
        yield server


def ask(server: Server, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(server.url.partition("//")[2], timeout=1)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    try:
        return response, response.read()
    finally:
        connection.close()


def package(name: str) -> Package:
    return next(each for each in PACKAGES if each.name == name)


def test_a_page_leads_to_a_wheel_with_its_hash(server: Server) -> None:
    response, page = ask(server, "/simple/plain-one/")
    found = re.search(rb"href='(/[^#]*)#sha256=(\w+)'", page)
    assert response.status == 200 and found
    response, wheel = ask(server, found[1].decode())
    assert wheel == PLAIN.wheel() and hashlib.sha256(wheel).hexdigest() == found[2].decode()
    assert zipfile.ZipFile(io.BytesIO(wheel)).testzip() is None
    assert server.sent[f"/{PLAIN.filename}"] == len(wheel)
    assert ask(server, "/other")[0].status == 404


def test_a_part_is_sent_where_that_is_wanted(server: Server) -> None:
    wheel, path = PLAIN.wheel(), f"/{PLAIN.filename}"
    response, part = ask(server, path, Range="bytes=60000-")
    assert (response.status, part) == (206, wheel[60_000:])
    assert response.headers["Content-Range"] == f"bytes 60000-{len(wheel) - 1}/{len(wheel)}"
    assert ask(server, f"/{package('whole').filename}", Range="bytes=60000-")[0].status == 200


@pytest.mark.parametrize("name", ["cut", "reset", "stall", "away", "chunked"])
def test_the_first_answer_breaks_off_and_the_next_is_whole(name: str, server: Server) -> None:
    path = f"/{package(name).filename}"
    errors = {"reset": ConnectionResetError, "stall": socket.timeout}
    with pytest.raises(errors.get(name, http.client.IncompleteRead)):
        ask(server, path)
    assert server.sent[path] == 40_000
    if name == "away":
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            ask(server, path)
        time.sleep(0.8)
    assert ask(server, path)[1] == package(name).wheel()


def test_a_busy_server_says_for_how_long(server: Server) -> None:
    for seconds in ("1", "0", "0"):
        response, _ = ask(server, f"/{package('busy').filename}")
        assert (response.status, response.headers["Retry-After"]) == (503, seconds)


def test_a_page_is_cut_once(server: Server) -> None:
    with pytest.raises(http.client.IncompleteRead):
        ask(server, "/simple/page/")
    assert ask(server, "/simple/page/")[1].endswith(b"</html>\n")
