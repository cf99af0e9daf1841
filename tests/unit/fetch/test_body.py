"""One response's bytes, whole, over as many answers as it takes."""

from __future__ import annotations

import io
import itertools
import math
import ssl
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests
from pip._vendor.cachecontrol.filewrapper import CallbackFileWrapper

from pip_retry_patch.fetch import body as body_module
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.judge import OVERLAP
from pip_retry_patch.fetch.patience import FLOOR, LARGEST_PAGE, LONGEST_PAGE, MOVED, SLOW
from pip_retry_patch.fetch.request import Outcome
from tests.support.exchanges import (
    ETAG,
    RESET,
    URL,
    GaveUpError,
    World,
    busy,
    part,
    response,
    serving,
    silent,
    whole,
)

BODY = bytes(range(251)) * 1200  # 301,200 bytes
OFFSET = 100_000
REST = f"bytes={OFFSET}-"
LONGER = BODY + b"and more"


def cut(at: int = OFFSET, body: bytes = BODY, **options: Any) -> requests.Response:
    return response(body[:at], RESET, **{"length": len(body), "etag": ETAG, **options})


def changed(at: int) -> bytes:
    """Return a version of the body that differs in one byte."""
    return BODY[:at] + b"\xff" + BODY[at + 1 :]


def kept_by_an_earlier_run(content: bytes) -> Any:
    """As `store.kept.Place` has it."""
    return mock.Mock(kept=io.BytesIO(content), kept_size=len(content))


@pytest.mark.parametrize("size", [1, 7, 4096, 10 << 20, None])
def test_it_is_read_in_pieces_of_any_size_or_at_once(size: int | None) -> None:
    body = BODY[:5000]
    raw = World(cut(700, body), serving(body)).start().raw
    pieces = list(iter(lambda: raw._fp.read(size), b""))
    assert b"".join(pieces) == body and max(map(len, pieces)) <= (size or len(body))


def test_it_ends_as_a_response_of_the_standard_library_does() -> None:
    """CacheControl's tee and urllib3 ask it whether it is closed."""
    world = World(whole(BODY))
    raw, body = world.start().raw, world.body
    assert raw._fp is body and not body.closed and not body.isclosed()
    assert body.read(1) + body.read1() + body.read() == BODY
    assert body.closed and body.isclosed() and body.read(5) == b""
    world = World(whole(BODY))
    world.start().close()
    assert world.body.closed and world.body.read(5) == b""
    world = World(cut(10), serving(BODY))
    raw = world.start().raw
    assert raw.read(10) + raw.read(1) == BODY[:11]
    answer: Any = world.body._answer
    later = answer.response.raw._connection = mock.Mock()
    raw.close()
    assert later.close.called


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("at", [0, 1, OVERLAP, OFFSET, len(BODY) - 1])
@pytest.mark.parametrize("framed", ["length", "broken chunks"])
def test_it_goes_on_at_the_very_byte(at: int, hashed: bool, framed: str) -> None:
    first = response(BODY[:at], framed=framed, length=len(BODY), etag=ETAG)
    world = World(first, serving(BODY), hashed=hashed)
    assert world.read() == BODY and len(world.asked) == 2


@pytest.mark.parametrize("hashed", [True, False])
def test_parts_that_are_shorter_than_what_was_asked_for_are_put_together(hashed: bool) -> None:
    def shortly(asking: Any) -> requests.Response:
        first = int(asking.fields["Range"][6:-1])
        return part(BODY, first, min(first + 70_000, len(BODY)))

    world = World(cut(), shortly, hashed=hashed)
    assert world.read() == BODY
    assert len(world.asked) == (4 if hashed else 5)
    assert any("only a part came" in line for line in world.lines)


def test_no_byte_is_taken_that_an_answer_did_not_announce() -> None:
    more = part(BODY + b"what nobody announced", OFFSET, framed="close")
    stop = OFFSET + 100_000
    more.headers["Content-Range"] = f"bytes {OFFSET}-{stop - 1}/{len(BODY)}"
    world = World(cut(), more, serving(BODY))
    assert world.read() == BODY and world.ranges == [None, REST, f"bytes={stop}-"]


@pytest.mark.parametrize(
    "then", [serving(BODY), lambda _: whole(BODY), lambda _: whole(BODY, framed="chunks")]
)
def test_a_range_that_pip_asks_for_itself_ends_where_pip_wants(then: Any) -> None:
    """What comes before the part is neither compared nor handed on."""
    label = f"bytes 1000-9999/{len(BODY)}"
    options: Any = {"status": 206, "length": 9000, "etag": ETAG, "content_range": label}
    world = World(response(BODY[1000:1500], RESET, **options), then, ranged=True, hashed=False)
    assert world.read() == BODY[1000:10_000]
    assert world.ranges[1] == "bytes=1000-9999"


@pytest.mark.parametrize("framed", ["chunks", "close"])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_body_without_a_length_ends_where_its_answer_says_so(framed: str, hashed: bool) -> None:
    world = World(cut(framed=framed), lambda _: whole(BODY, framed=framed), hashed=hashed)
    assert world.read() == BODY
    # A total that a part tells is known from then on.
    world = World(cut(framed=framed), part(BODY, OFFSET, OFFSET + 1000), serving(BODY))
    assert world.read() == BODY and world.body.known.total == len(BODY)
    # No file is empty: its header was cut.
    world = World(whole(b"", framed=framed), serving(BODY), hashed=hashed)
    assert world.read() == (BODY if framed == "close" else b"")


@pytest.mark.parametrize("framed", ["close", "broken chunks"])
@pytest.mark.parametrize("hashed", [True, False])
def test_an_end_without_close_notify_is_taken_if_it_comes_twice(framed: str, hashed: bool) -> None:
    """Plain pip takes it at once. Chunks have an end of their own."""
    ragged = BODY, ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
    world = World(*[lambda _: response(*ragged, framed=framed)] * 12, hashed=hashed)
    if framed == "close":
        assert world.read() == BODY and len(world.asked) == 2
    else:
        with pytest.raises(GaveUpError):
            world.read()


def test_parts_without_a_validator_overlap_by_more_though_whole_answers_have_one() -> None:
    ends = iter([150_000, 200_000])

    def nearly(asking: Any) -> requests.Response:
        wanted = asking.fields.get("Range")
        if wanted is None:
            return cut(next(ends))
        return part(BODY, int(wanted[6:-1]), etag="")

    world = World(cut(), nearly, hashed=False)
    assert world.read() == BODY
    assert world.ranges == [None, f"bytes={OFFSET - OVERLAP}-", None, f"bytes={150_000 - 65_536}-"]


def test_what_is_continued_is_the_version_that_was_replayed_last() -> None:
    """Each of two nodes has one of two versions, which are the same before each offset."""
    other = bytearray(BODY)
    other[150_000] = other[250_000] = 255
    second = response(bytes(other)[:200_000], RESET, length=len(BODY), etag='"v2"')
    world = World(cut(), second, part(BODY, 200_000 - OVERLAP), whole(BODY), hashed=False)
    with pytest.raises(errors.Restart):
        world.read()


def test_a_part_that_brings_all_is_read_as_all() -> None:
    world = World(cut(**ALL), lambda _: part(BODY, 0))
    assert world.read() == BODY and world.ranges == [None, REST, None]


def test_a_416_at_the_end_ends_it() -> None:
    end = response(b"", status=416, content_range=f"bytes */{len(BODY)}")
    world = World(cut(len(BODY), framed="chunks"), end)
    assert world.read() == BODY and world.ranges[1] == f"bytes={len(BODY)}-"


def test_an_error_comes_again_to_who_reads_again() -> None:
    """A reader that asks again must not take silence for the end."""
    world = World(cut(), lambda _: busy(404))
    world.start()
    with pytest.raises(GaveUpError) as first:
        world.body.read()
    with pytest.raises(GaveUpError) as second:
        world.body.read(5)
    assert second.value is first.value


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_is_no_error_of_the_network_passes(error: type[BaseException]) -> None:
    with pytest.raises(error):
        World(response(BODY[:10], error(), length=len(BODY))).read()


@pytest.mark.parametrize("framed", ["chunks", "close"])
def test_a_second_version_that_is_longer_is_noticed_at_its_end(framed: str) -> None:
    world = World(cut(), lambda _: whole(LONGER, framed=framed), hashed=False)
    with pytest.raises(errors.Restart):
        world.read()
    with pytest.raises(errors.Restart):
        world.body.read(1)
    assert not world.body.closed


def test_a_second_version_is_noticed_at_the_first_byte_that_differs() -> None:
    seconds = [whole(changed(at), etag='"v2"') for at in (0, 5, OFFSET - 1)]
    # An overlap counts whatever the validators say.
    for second in (*seconds, part(changed(OFFSET - 1), OFFSET - OVERLAP)):
        with pytest.raises(errors.Restart):
            World(cut(), second, hashed=False).read()


def test_what_is_the_same_up_to_the_offset_is_the_beginning_of_that_version_as_well() -> None:
    other = BODY[:OFFSET] + BODY[OFFSET:][::-1]
    assert World(cut(), whole(other, etag='"v2"'), hashed=False).read() == other


def test_a_replay_is_compared_throughout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "HELD", 10_000)
    path = tmp_path / "demo.whl"

    def download(second: bytes, *more: Any) -> bytes:
        answers = whole(second, framed="chunks", etag='"v2"'), *more
        world = World(cut(), *answers, hashed=more != ())
        raw = world.start(written=lambda: str(path)).raw
        with open(path, "wb", buffering=5000) as file:
            for piece in raw.stream(1024, decode_content=False):
                file.write(piece)
        return path.read_bytes()

    assert download(BODY) == BODY
    # It may be what a gateway makes of the part that was asked for.
    assert download(BODY[OFFSET:], whole(BODY)) == BODY
    for at in (0, 50_000, OFFSET - 10_001, OFFSET - 1):
        with pytest.raises(errors.Restart):
            download(changed(at))
    # Where there is nothing to compare with, nothing is joined.
    with pytest.raises(errors.Restart):
        World(cut(290_000), whole(BODY, etag='"v2"'), hashed=False).read()


ALL: Any = {"status": 206, "content_range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}"}


@pytest.mark.parametrize(
    ("first", "then", "kept", "ranges", "line"),
    [
        ({}, [serving(BODY)], OFFSET, [None, REST], "Continuing demo-1.0 from 100"),
        ({"framed": "chunks"}, [serving(BODY)], OFFSET, [None, REST], "Continuing "),
        ({}, [], len(LONGER), [None], ""),  # of another size
        ({"framed": "chunks", "content_type": "text/html"}, [], OFFSET, [None], ""),  # a web page
        # Where the rest does not come, the first answer, which has waited, is read.
        *(({}, [busy(n, "300")], OFFSET, [None, REST], "demo-1.0 f") for n in (403, 429)),
        ({}, [silent()], OFFSET, [None, REST], "demo-1.0 f"),  # its only worker is busy with it
        ({}, [lambda _: busy()], OFFSET, [None, *[REST] * 5], "demo-1.0 w"),
        ({"framed": "close"}, [lambda _: cut(99_999)], OFFSET, [None, *[REST] * 5], "demo-1.0 w"),
        # Some servers label all of it as a part.
        (ALL, [lambda _: part(BODY, 0)], OFFSET, [None, REST], "demo-1.0 f"),
        ({"status": 206}, [lambda _: whole(BODY, status=206)], OFFSET, [None, REST], "demo-1.0 f"),
    ],
)
def test_kept_bytes_are_continued(
    first: Any, then: list[Any], kept: int, ranges: list[str | None], line: str
) -> None:
    world = World(whole(BODY, **first), *then)
    assert world.read(kept=kept_by_an_earlier_run(LONGER[:kept])) == BODY and world.ranges == ranges
    assert world.body.continued == (OFFSET if line else None)
    assert "".join(world.lines).startswith(line)
    assert all(kind == "wait" for kind, *_ in world.records)  # no interruption of this run


@pytest.mark.parametrize("at", [OFFSET // 2, 2 * OFFSET])
@pytest.mark.parametrize("status", [403, 429])
def test_a_first_answer_that_has_waited_may_break_as_well(at: int, status: int) -> None:
    world = World(cut(at), busy(status, "300"), serving(BODY))
    assert world.read(kept=kept_by_an_earlier_run(BODY[:OFFSET])) == BODY
    assert world.ranges == [None, REST, f"bytes={max(at, OFFSET)}-"]


def test_a_first_answer_that_waits_is_read_when_all_have_ended_and_closed_with_all() -> None:
    no_tunnel = OSError("Tunnel connection failed: 403 Forbidden")
    world = World(cut(2 * OFFSET), no_tunnel, no_tunnel, serving(BODY))
    assert world.read(kept=kept_by_an_earlier_run(BODY[:OFFSET])) == BODY
    world = World(whole(BODY))
    world.start(kept=kept_by_an_earlier_run(BODY[:OFFSET])).close()
    assert world.exchange.spare is not None and world.exchange.spare.stream.isclosed()


def test_a_first_answer_does_not_wait_where_all_was_kept() -> None:
    world = World(whole(BODY))
    assert world.read(kept=kept_by_an_earlier_run(BODY)) == BODY and world.exchange.spare is None


def test_kept_bytes_go_when_pips_file_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "HELD", 50_000)
    kept = kept_by_an_earlier_run(BODY[:OFFSET])
    raw = World(whole(BODY), serving(BODY)).start(kept=kept).raw
    read = b""
    for piece in raw.stream(4096, decode_content=False):
        assert not kept.superseded.called or len(read) >= OFFSET
        read += piece
    assert read == BODY and kept.superseded.called


def test_a_kept_file_that_cannot_be_read_is_continued_from_where_it_can() -> None:
    kept: Any = kept_by_an_earlier_run(BODY[:OFFSET])
    kept.kept = mock.Mock(read=mock.Mock(side_effect=OSError(5, "bad sector")))
    world = World(whole(BODY), serving(BODY))
    assert world.read(kept=kept) == BODY and world.body.continued == 0


@pytest.mark.parametrize(
    ("hashed", "rest", "is_cached"),
    [
        (True, serving(BODY), True),
        (False, serving(BODY), False),  # what was healed, but will not be checked
        (True, lambda _: busy(404), False),  # what was given up
    ],
)
def test_only_what_will_be_checked_is_cached(hashed: bool, rest: Any, is_cached: bool) -> None:
    cached: list[Any] = []
    first: Any = cut()
    first.raw._fp = CallbackFileWrapper(first.raw._fp, cached.append)
    world = World(first, rest, hashed=hashed)
    raw = world.start().raw
    assert isinstance(raw._fp, CallbackFileWrapper)
    try:
        assert b"".join(raw.stream(4096, decode_content=False)) == BODY
    except GaveUpError:
        world.body.close()
    assert list(map(bytes, cached)) == [BODY] * is_cached


FAST = 64 * 1024, 0.1


@pytest.mark.parametrize(
    ("steps", "stops"),
    [
        ([FAST, (1, 1.0)], MOVED),
        ([(1, 1.0)], SLOW),
        ([FAST, (FLOOR + 1, 1.0)], math.inf),
        ([(FLOOR + 1, 1.0)], math.inf),
        ([FAST, (1000, 3600.0), FAST], math.inf),  # one read in which the process did not run
    ],
)
def test_a_connection_has_a_minute_or_if_slow_five(steps: list[Any], stops: float) -> None:
    """It brings so many bytes in so many seconds, and the last step again and again."""
    outcome, now = Outcome(URL), 0.0
    for count, seconds in itertools.chain(steps, itertools.repeat(steps[-1], 10_000)):
        if outcome._broken is None:
            outcome._note_pace(count, seconds)
            now += seconds
    assert (outcome._broken is None and now > 1000) if stops == math.inf else 0 < now - stops < 3


@pytest.mark.parametrize(
    ("pieces", "limits", "words"),
    [
        ([bytes(1 << 20)] * 70, (LARGEST_PAGE, LONGEST_PAGE), "too large"),
        ([bytes(1000)] * 100, (LARGEST_PAGE, LONGEST_PAGE), "too slow"),
        ([b"x"] * 1000, (), "no progress, 1 B/s"),
    ],
)
@pytest.mark.parametrize("framed", ["length", "chunks", "close"])
def test_what_is_read_at_once_has_budgets(
    pieces: list[bytes], limits: Any, words: str, framed: str
) -> None:
    outcome = Outcome(URL)
    outcome.response = response(*pieces, framed=framed)
    seconds = itertools.count() if len(pieces) > 70 else itertools.repeat(0)
    with mock.patch("time.monotonic", lambda: float(next(seconds))), pytest.raises(
        requests.RequestException, match=words
    ):
        outcome.read_whole(*limits)


@pytest.mark.parametrize("framed", ["length", "chunks", "close", "broken chunks"])
def test_what_is_read_at_once_is_cached_if_it_is_whole(framed: str) -> None:
    outcome = Outcome(URL)
    cached: list[Any] = []
    answer: Any = response(BODY, framed=framed)
    outcome.response = answer
    answer.raw._fp = CallbackFileWrapper(answer.raw._fp, cached.append)
    is_broken = framed == "broken chunks"
    with pytest.raises(requests.RequestException) if is_broken else nullcontext():
        outcome.read_whole()
        assert answer.content == BODY
    assert list(map(bytes, cached)) == [BODY] * (not is_broken)
