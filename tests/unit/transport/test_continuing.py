"""A download that goes on where an earlier run stopped: what is asked, and what pip is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

import pytest

from tests.support.lab.packages import payload
from pip_retry_patch.store import header as headers
from tests.support.guarded import GaveUpError, read
from tests.support.keeping import Run, kept
from tests.support.scripted import ETAG, Answer, Script, Scripted, head, refusing, sending

DATA = payload("continuing", 1_500_000)
SIZE = 700_000
ZIP = {"Content-Type": "application/zip", "Last-Modified": "Tue, 01 Jul 2025 10:00:00 GMT"}
WHOLE = sending(DATA, "length", headers=ZIP)


def offer(size: int = SIZE) -> str:
    return f"bytes={size}-"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store in which an earlier run has left the beginning of the file."""
    with Scripted(WHOLE) as server:
        Run(tmp_path).interrupted(server, SIZE)
    assert size_of(tmp_path) == SIZE
    return tmp_path


def size_of(store: Path) -> int:
    (path,) = kept(store)
    return path.stat().st_size - headers.SIZE


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_what_goes_on_is_shown_as_the_whole_that_was_asked_for(
    framing: str, tmp_path: Path
) -> None:
    """A 206 need not repeat what the client had with the first part (RFC 9110, 15.3.7)."""
    run = Run(tmp_path)
    with Scripted(WHOLE, sending(DATA, framing, headers={"ETag": ""})) as server:
        run.interrupted(server, SIZE)
        with run.asking(server) as response:
            shown = dict(response.headers)
            assert (response.status, response.reason) == (200, "OK")
            assert not response.chunked and response.length_remaining == len(DATA)
            assert b"".join(read(response, 65_536)) == DATA
        shown.pop("Connection", None)
        assert shown == {"Content-Length": str(len(DATA)), "ETag": ETAG, **ZIP}
        assert [request.get("range") for request in server.requests] == [None, offer()]
        assert "if-range" not in server.requests[1]
    (line,) = run.lines
    assert line.startswith("Continuing demo from ")
    assert run.continuation is not None and run.continuation.continued == SIZE


def test_what_a_part_says_of_itself_is_shown_as_it_is(store: Path) -> None:
    said = {"ETag": '"v2"', "Content-Type": "x/y", "Last-Modified": "then"}
    with Scripted(sending(DATA, "length", headers=said)) as server, Run(store).asking(
        server
    ) as response:
        assert {name: response.headers[name] for name in said} == said
        assert b"".join(read(response, 65_536)) == DATA


def test_validators_of_another_host_are_not_shown(store: Path) -> None:
    """The kept ones came from another port, which is another host."""
    theirs = sending(DATA, "length", headers={"ETag": '"theirs"'})
    with Scripted(theirs) as server, Run(store).asking(server) as response:
        assert response.headers["ETag"] == '"theirs"'
        assert "Last-Modified" not in response.headers
        assert response.headers["Content-Type"] == "application/zip"


def test_what_comes_is_kept_behind_what_was_kept(store: Path) -> None:
    with Scripted(WHOLE) as server:
        Run(store).interrupted(server, 1_000_000)
        assert size_of(store) == 1_000_000
        Run(store).interrupted(server, 1_200_000)
        assert Run(store).fetch(server) == DATA
        assert [r.get("range") for r in server.requests] == [
            offer(SIZE),
            offer(1_000_000),
            offer(1_200_000),
        ]
    (path,) = kept(store)
    assert path.read_bytes()[headers.SIZE :] == DATA


def test_a_continued_download_that_is_cut_heals_from_its_exact_offset(store: Path) -> None:
    cut = sending(DATA, "length", 200_000, ZIP)
    with Scripted(cut, cut, WHOLE) as server:
        assert Run(store).fetch(server) == DATA
        asked = [request.get("range") for request in server.requests]
        assert asked == [offer(SIZE), offer(SIZE + 200_000), offer(SIZE + 400_000)]


def test_an_error_says_that_what_arrived_is_kept(store: Path) -> None:
    kept = pytest.raises(GaveUpError, match="the next run continues from there")
    with Scripted(sending(DATA, "length", 200_000), refusing(404)) as server, kept:
        Run(store).fetch(server)
    assert size_of(store) == SIZE + 200_000


def test_what_cannot_be_read_any_more_is_fetched(store: Path) -> None:
    (path,) = kept(store)
    with Scripted(WHOLE) as server, Run(store).asking(server) as response:
        with path.open("r+b") as file:
            file.truncate(headers.SIZE + 100_000)
        assert b"".join(read(response, 50_000)) == DATA
        assert len(server.requests) == 2
        first = int(server.requests[1]["range"][len("bytes=") : -1])
        assert 0 < first <= 100_000
    assert not kept(store)


# What is not offered


def test_a_range_of_the_readers_own_is_neither_changed_nor_kept(store: Path) -> None:
    """Its bytes are not the file's first ones."""
    run = Run(store)
    run.shelf.clear()
    with Scripted(WHOLE) as server:
        with run.asking(server, Range="bytes=100-") as response:
            assert response.status == 206
            assert b"".join(read(response, 65_536)) == DATA[100:]
        assert [request["range"] for request in server.requests] == ["bytes=100-"]
    assert not kept(store)


def test_a_range_of_the_readers_own_leaves_what_was_kept(store: Path) -> None:
    with Scripted(WHOLE) as server:
        assert Run(store).fetch(server, Range="bytes=100-") == DATA[100:]
    assert size_of(store) == SIZE


def test_past_every_cache_nothing_is_offered(store: Path) -> None:
    with Scripted(WHOLE) as server:
        assert Run(store).fetch(server, fresh=True) == DATA
        assert "range" not in server.requests[0]


def test_a_partial_without_a_byte_is_removed_and_not_offered(store: Path) -> None:
    (path,) = kept(store)
    with path.open("r+b") as file:
        file.truncate(headers.SIZE)
    run = Run(store)
    assert run.shelf.find() is None
    assert not path.exists()
    with Scripted(WHOLE) as server:
        assert run.fetch(server) == DATA
        assert "range" not in server.requests[0]


# Servers that do not go along


def dropping(fields: Mapping[str, str]) -> Answer:
    return Answer(b"")


def labelled(label: str, **fields: str) -> Script:
    """Answer with what says that it is that part, and is none."""
    body = bytes(len(DATA) - SIZE)
    shown = {"Content-Range": label, "Content-Length": str(len(body)), **fields}
    return lambda _: Answer(head(206, shown) + body)


TOTAL = len(DATA)
UNHELPFUL: dict[str, Any] = {
    "400": refusing(400),
    "403": refusing(403),
    "404": refusing(404),
    "416": refusing(416, {"Content-Range": f"bytes */{SIZE}"}),
    "501": refusing(501),
    "elsewhere": labelled(f"bytes {SIZE - 1}-{TOTAL - 2}/{TOTAL}"),
    "other-total": labelled(f"bytes {SIZE}-{TOTAL}/{TOTAL + 1}"),
    "unlabelled": labelled(""),
    "multipart": labelled("", **{"Content-Type": "multipart/byteranges"}),
    "coded": labelled(f"bytes {SIZE}-{TOTAL - 1}/{TOTAL}", **{"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("answer", UNHELPFUL)
def test_what_our_own_range_brings_down_is_asked_again_without_it(answer: str, store: Path) -> None:
    run = Run(store)
    with Scripted(UNHELPFUL[answer], WHOLE) as server:
        assert run.fetch(server) == DATA
        assert [request.get("range") for request in server.requests] == [offer(), None]
        assert run.lines == []
        # That host is offered nothing any more, in this run.
        run.fetch(server)
        assert "range" not in server.requests[2]
        Run(store).fetch(server)
        assert server.requests[3]["range"] == offer(TOTAL - 1)


def test_a_server_that_drops_the_offer_is_asked_without_it(store: Path) -> None:
    with Scripted(dropping, dropping, dropping, WHOLE) as server:
        assert Run(store).fetch(server) == DATA
        ranges = [request.get("range") for request in server.requests]
        assert ranges[0] == offer() and ranges[-1] is None and len(ranges) == 4


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_busy_server_is_offered_it_twice_and_then_not(status: int, store: Path) -> None:
    with Scripted(*[refusing(status)] * 3, WHOLE) as server:
        assert Run(store).fetch(server) == DATA
        ranges = [request.get("range") for request in server.requests]
        assert ranges == [offer(), offer(), None, None]


def test_all_of_it_takes_the_place_of_what_was_kept(store: Path) -> None:
    (before,) = kept(store)

    def without_ranges(fields: Mapping[str, str]) -> Answer:
        return WHOLE({})

    run = Run(store)
    with Scripted(without_ranges) as server, run.asking(server) as response:
        assert "Content-Range" not in response.headers
        assert len(response.read(400_000)) == 400_000
    assert run.lines == [] and size_of(store) == 400_000
    assert kept(store) != [before]


def test_a_web_page_in_its_place_leaves_what_was_kept(store: Path) -> None:
    page = b"<html>log in</html>"
    answer = head(200, {"Content-Type": "text/html", "Content-Length": str(len(page))}) + page
    with Scripted(lambda _: Answer(answer)) as server:
        assert Run(store).fetch(server) == page
    assert size_of(store) == SIZE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_for_pip_to_follow_and_what_was_kept_waits(status: int, store: Path) -> None:
    run = Run(store)
    with Scripted(refusing(status, {"Location": "/x"}), WHOLE) as server:
        with run.asking(server) as response:
            assert response.status == status
        assert size_of(store) == SIZE
        assert run.fetch(server) == DATA
        assert [request.get("range") for request in server.requests] == [offer(), offer()]
