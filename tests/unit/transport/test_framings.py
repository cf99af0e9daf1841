"""Bodies whose parts come in framings of their own: each is read to the end of the file.

The lab serves a file in one framing throughout. Real ones mix: a proxy may well send a file in
chunks, and a part of it with its length.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.lab.faults import Stall
from tests.support.lab.packages import Package, payload
from tests.support.lab.server import Lab
from pip_retry_patch.transport.reissue import PIECE
from tests.support.guarded import UNHURRIED, Copy, GaveUpError, read
from tests.support.scripted import Script, Scripted, refusing, sending

DATA = payload("framings", 100_000)


@pytest.mark.parametrize("third", ["length", "chunked", "close", "starred"])
@pytest.mark.parametrize("second", ["length", "chunked", "close", "starred"])
@pytest.mark.parametrize("first", ["length", "chunked"])
def test_a_body_that_is_cut_twice_is_whole_whatever_the_framing_of_its_parts(
    first: str, second: str, third: str
) -> None:
    scripts = [sending(DATA, first, 30_000), sending(DATA, second, 40_000), sending(DATA, third)]
    with Scripted(*scripts) as server:
        assert b"".join(read(Copy(timeout=UNHURRIED).get(server), 4096)) == DATA
        # Where nobody tells the size, only all of the file has an end; it is asked for at last.
        if first == "length" or {second, third} != {"starred"}:
            assert len(server.requests) == 3
        else:
            assert "range" not in server.requests[-1]


@pytest.mark.parametrize("second", ["length", "chunked", "close", "starred"])
def test_a_part_that_is_cut_and_never_continued_is_no_whole_file(second: str) -> None:
    scripts = sending(DATA, "chunked", 30_000), sending(DATA, second, 40_000), refusing(404)
    with Scripted(*scripts) as server, pytest.raises(GaveUpError, match="stopped at"):
        list(read(Copy(timeout=UNHURRIED).get(server), 4096))


@pytest.mark.parametrize("third", ["length", "chunked"])
@pytest.mark.parametrize("second", ["length", "chunked"])
@pytest.mark.parametrize("first", ["length", "chunked"])
def test_a_file_that_is_sent_anew_and_cut_again_is_whole(
    first: str, second: str, third: str
) -> None:
    """The server knows no ranges, and each time another framing."""

    def anew(framing: str, cut: int | None = None) -> Script:
        script = sending(DATA, framing, cut, {"ETag": ""})
        return lambda fields: script({})

    scripts = anew(first, 30_000), anew(second, 60_000), anew(third)
    with Scripted(*scripts) as server:
        assert b"".join(read(Copy(timeout=UNHURRIED).get(server), 4096)) == DATA


PAGE_IN_PLACE, FILE_IN_PLACE = b"<html>" + b"." * 1800, b"." * 1800


@pytest.mark.parametrize(
    ("other", "hashed"),
    [
        *((PAGE_IN_PLACE, True), (PAGE_IN_PLACE, False), (100 * PAGE_IN_PLACE, True)),
        *((100 * PAGE_IN_PLACE, False), (FILE_IN_PLACE, True), (FILE_IN_PLACE, False)),
        # With a hash bytes are not compared: pip will see that it is another file.
        (100 * FILE_IN_PLACE, False),
    ],
    ids=[
        "page",
        "page unhashed",
        "long page",
        "long page unhashed",
        "file",
        "file unhashed",
        "long",
    ],
)
def test_the_size_of_another_answer_is_not_that_of_the_file(other: bytes, hashed: bool) -> None:
    """Of a body in chunks nobody has told the size; what is sent in its place has one."""
    is_page = other.startswith(PAGE_IN_PLACE)
    anew = sending(DATA, "chunked", headers={"ETag": ""})
    scripts = [sending(DATA, "chunked", 30_000, {"ETag": ""}), sending(other, "length"), anew]
    copy = Copy(timeout=UNHURRIED)
    with Scripted(*[lambda _, each=each: each({}) for each in scripts]) as server:
        url = f"{server.url}/files/demo/{server.filename('demo')}"
        with copy.guards["http"].sending(url, lambda fields: None, hashed=hashed):
            response = copy.get(server)
        came = b""
        try:
            for piece in read(response, 4096):
                came += piece
        except GaveUpError as end:
            assert end.failure.changed and not is_page
        else:
            assert came == DATA and is_page
        assert DATA.startswith(came)


@pytest.mark.parametrize("offset", [1, 2, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 1])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_file_that_is_sent_anew_goes_on_at_the_very_byte(hashed: bool, offset: int) -> None:
    data = payload("anew", 2 * PIECE + 1000)
    scripts = [sending(data, "length", cut, {"ETag": ""}) for cut in (offset, None)]
    copy = Copy(timeout=UNHURRIED)
    with Scripted(*[lambda _, each=each: each({}) for each in scripts]) as server:
        url = f"{server.url}/files/demo/{server.filename('demo')}"
        with copy.guards["http"].sending(url, lambda fields: None, hashed=hashed):
            response = copy.get(server)
        assert b"".join(read(response, 4096)) == data


def test_what_else_is_asked_of_a_body_is_answered_by_the_first_response() -> None:
    with Scripted(sending(DATA, "length")) as server:
        # Each response is held: it closes its body when it is collected as garbage.
        response: Any = Copy(timeout=UNHURRIED).get(server)
        body = response._fp
        assert (body.version, body.status) == (11, 200)
        assert body.getheader("Content-Length") == str(len(DATA))
        with pytest.raises(AttributeError):
            body.no_such_thing  # noqa: B018


def test_a_read_of_one_piece_needs_no_number() -> None:
    """`read1()` and `read1(None)` are the same, and so is any number below 0."""
    for arguments in ((), (None,), (-1,)):
        with Scripted(sending(DATA, "length")) as server:
            response: Any = Copy(timeout=UNHURRIED).get(server)
            body = response._fp
            pieces = list(iter(lambda: body.read1(*arguments), b""))  # noqa: B023
            assert b"".join(pieces) == DATA
            assert body.closed
    with Scripted(sending(DATA, "length")) as server:
        response = Copy(timeout=UNHURRIED).get(server)
        body = response._fp
        assert body.read1(100) == DATA[:100]
        assert body.read(None) == DATA[100:]


def test_a_read_of_one_piece_does_not_wait_for_more() -> None:
    with Lab([Package("demo", 50_000, [Stall(10, 3.0)])]) as lab:
        response: Any = Copy(timeout=UNHURRIED).get(lab)
        body = response._fp
        began = time.monotonic()
        assert body.read1(1000) == lab.wheel("demo")[:10]
        assert time.monotonic() - began < 2
        assert body.read1(5) == lab.wheel("demo")[10:15]
        assert time.monotonic() - began > 2
        assert body.read() == lab.wheel("demo")[15:]


def test_a_buffer_is_filled_with_what_it_has_room_for() -> None:
    with Scripted(sending(DATA, "length", 30_000), sending(DATA, "length")) as server:
        response: Any = Copy(timeout=UNHURRIED).get(server)
        body = response._fp
        buffer, received = bytearray(7000), b""
        while count := body.readinto(buffer):
            received += buffer[:count]
        assert received == DATA and body.closed
