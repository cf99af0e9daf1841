"""One response's bytes, whole, over as many answers as it takes."""

from __future__ import annotations

import gc
import http.client
import io
import weakref
from pathlib import Path
from typing import Any

import pytest
import requests
from pip._vendor.cachecontrol.filewrapper import CallbackFileWrapper

from pip_retry_patch.fetch import body as body_module
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch import outcome as outcome_module
from pip_retry_patch.fetch.body import Body
from pip_retry_patch.fetch.job import Source
from pip_retry_patch.fetch.judge import OVERLAP, ContentRange, span_of
from pip_retry_patch.fetch.outcome import LARGE, Outcome
from pip_retry_patch.fetch.patience import FLOOR, MOVED, SLOW
from pip_retry_patch.records import replace
from tests.support.exchanges import (
    ETAG,
    RESET,
    URL,
    GaveUpError,
    World,
    part,
    response,
    serving,
    whole,
)

BODY = bytes(range(251)) * 1200  # 301,200 bytes
OFFSET = 100_000
LONGER = BODY + b"and more"


def cut(at: int = OFFSET, body: bytes = BODY, **options: Any) -> requests.Response:
    return response(body[:at], RESET, **{"length": len(body), "etag": ETAG, **options})


class Kept:
    """What an earlier run received, as `store.kept.Place` has it."""

    def __init__(self, content: bytes) -> None:
        self.kept = io.BytesIO(content)
        self.kept_size = len(content)
        self.is_superseded = False

    def superseded(self) -> None:
        self.is_superseded = True


# A body that comes at once.


@pytest.mark.parametrize("framed", ["length", "chunks", "close"])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_body_that_comes_whole_is_handed_on_and_told_of_to_nobody(
    framed: str, hashed: bool
) -> None:
    world = World(whole(BODY, framed=framed), hashed=hashed)
    assert world.read() == BODY
    assert len(world.asked) == 1 and not world.lines and not world.records


@pytest.mark.parametrize("size", [1, 7, 4096, 10 << 20])
def test_it_is_read_in_pieces_of_any_size(size: int) -> None:
    body = BODY[:5000]
    raw = World(cut(700, body), serving(body)).start().raw
    pieces = list(iter(lambda: raw._fp.read(size), b""))
    assert b"".join(pieces) == body and max(map(len, pieces)) <= size


def test_all_of_it_can_be_read_at_once() -> None:
    world = World(cut(), serving(BODY))
    assert world.start().content == BODY
    world = World(cut(), serving(BODY))
    assert world.start().raw._fp.read1() + world.body.read() == BODY


def test_it_ends_as_a_response_of_the_standard_library_does() -> None:
    """CacheControl's tee and urllib3 ask it whether it is closed."""
    world = World(whole(BODY))
    raw = world.start().raw
    body = world.body
    assert raw._fp is body and not body.closed and not body.isclosed()
    received = b""
    while not body.closed:
        assert not body.isclosed()
        received += body.read(100_000)
    assert received == BODY and body.isclosed() and body.read(5) == b""


def test_it_is_closed_with_its_connection() -> None:
    world = World(whole(BODY))
    world.start().close()
    assert world.body.closed and world.body.read(5) == b""


def test_it_shows_what_it_replaces_but_where_urllib3_would_read_below_it() -> None:
    world = World(whole(BODY, framed="chunks"))
    raw = world.start().raw
    assert raw._fp.getheader("ETag") == ETAG and raw._fp.chunked
    assert not hasattr(raw._fp, "fp") and not raw.supports_chunked_reads()
    assert b"".join(raw.stream(4096)) == BODY


def test_nothing_of_a_clean_download_stays_in_memory_once_it_was_read() -> None:
    gc.disable()
    try:
        # Without the world, which holds itself.
        job = replace(World().job, source=Source(URL, lambda *_: whole(BODY)))
        exchange = World().exchange_of(job)
        outcome, _ = exchange.obtain()
        answer = outcome.response
        body = Body(exchange, outcome, ContentRange(0, len(BODY) - 1, len(BODY)))
        seen = [weakref.ref(thing) for thing in (answer, answer.raw, body)]
        assert b"".join(answer.raw.stream(4096)) == BODY
        del answer, body, outcome
        assert [ref() for ref in seen] == [None] * 3
    finally:
        gc.enable()


# Interruptions.


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("at", [0, 1, OVERLAP, OFFSET, len(BODY) - 1])
@pytest.mark.parametrize("framed", ["length", "broken chunks"])
def test_it_goes_on_at_the_very_byte(at: int, hashed: bool, framed: str) -> None:
    first = response(BODY[:at], framed=framed, length=len(BODY), etag=ETAG)
    world = World(first, serving(BODY), hashed=hashed)
    assert world.read() == BODY
    assert len(world.asked) == 2


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
    label = f"bytes {OFFSET}-{OFFSET + 99_999}/{len(BODY)}"
    more = response(
        *(BODY[OFFSET : OFFSET + 100_000], b"what nobody announced"),
        status=206,
        framed="close",
        content_range=label,
    )
    world = World(cut(), more, serving(BODY))
    assert world.read() == BODY
    assert world.ranges == [None, f"bytes={OFFSET}-", f"bytes={OFFSET + 100_000}-"]


def test_a_range_that_pip_asks_for_itself_ends_where_pip_wants() -> None:
    wanted: dict[str, Any] = {"ranged": True, "hashed": False}
    first = response(
        *(BODY[1000:1500], RESET),
        status=206,
        length=9000,
        etag=ETAG,
        content_range=f"bytes 1000-9999/{len(BODY)}",
    )
    world = World(first, serving(BODY), **wanted)
    assert world.read() == BODY[1000:10_000]
    assert world.ranges[1] == "bytes=1000-9999"
    # What was before the part is not compared with what pip has, nor handed on.
    first = response(
        *(BODY[1000:1500], RESET),
        status=206,
        length=9000,
        content_range=f"bytes 1000-9999/{len(BODY)}",
    )
    world = World(first, lambda _: whole(BODY), **wanted)
    assert world.read() == BODY[1000:10_000]


@pytest.mark.parametrize("framed", ["chunks", "close"])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_body_without_a_length_ends_where_its_answer_says_so(framed: str, hashed: bool) -> None:
    broken = response(BODY[:OFFSET], RESET, framed=framed, etag=ETAG)
    world = World(broken, lambda _: whole(BODY, framed=framed), hashed=hashed)
    assert world.read() == BODY


def test_a_total_that_a_part_tells_is_known_from_then_on() -> None:
    broken = response(BODY[:OFFSET], RESET, framed="chunks", etag=ETAG)
    label = f"bytes {OFFSET}-{OFFSET + 999}/{len(BODY)}"
    short = response(BODY[OFFSET : OFFSET + 1000], status=206, content_range=label)
    world = World(broken, short, serving(BODY))
    assert world.read() == BODY and world.body.known.total == len(BODY)


def test_a_416_at_the_end_ends_it() -> None:
    broken = response(BODY, RESET, framed="chunks", etag=ETAG)
    end = response(b"", status=416, content_range=f"bytes */{len(BODY)}")
    world = World(broken, end)
    assert world.read() == BODY and world.ranges[1] == f"bytes={len(BODY)}-"


def test_an_error_comes_again_to_who_reads_again() -> None:
    """A reader that asks again must not take silence for the end."""
    world = World(cut(), lambda _: response(b"", status=404))
    world.start()
    with pytest.raises(GaveUpError) as first:
        world.body.read()
    with pytest.raises(GaveUpError) as second:
        world.body.read(5)
    assert second.value is first.value


def test_what_is_no_error_of_the_network_passes() -> None:
    world = World(response(BODY[:10], KeyboardInterrupt(), length=len(BODY)))
    with pytest.raises(KeyboardInterrupt):
        world.read()
    world = World(response(BODY[:10], ZeroDivisionError(), length=len(BODY)))
    with pytest.raises(ZeroDivisionError):
        world.read()


# Without a hash: compared, as it comes.


def test_a_second_version_that_is_longer_is_noticed_at_its_end() -> None:
    for framed in ("chunks", "close"):
        world = World(cut(), lambda _, f=framed: whole(LONGER, framed=f), hashed=False)
        with pytest.raises(errors.Restart):
            world.read()
        with pytest.raises(errors.Restart):
            world.body.read(1)
        assert not world.body.closed


def test_a_second_version_is_noticed_at_the_first_byte_that_differs() -> None:
    for at in (0, 5, OFFSET - 1):
        other = BODY[:at] + b"\xff" + BODY[at + 1 :]
        world = World(cut(), whole(other, etag='"v2"'), hashed=False)
        with pytest.raises(errors.Restart):
            world.read()
    # What is the same up to the offset is the beginning of that version as well.
    other = BODY[:OFFSET] + BODY[OFFSET:][::-1]
    world = World(cut(), whole(other, etag='"v2"'), hashed=False)
    assert world.read() == other


def test_an_overlap_that_differs_is_another_version_whatever_the_validators_say() -> None:
    other = BODY[: OFFSET - 1] + b"\xff" + BODY[OFFSET:]
    world = World(cut(), part(other, OFFSET - OVERLAP), hashed=False)
    with pytest.raises(errors.Restart):
        world.read()


def test_a_replay_is_compared_with_the_file_and_with_what_is_not_written_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "HELD", 10_000)
    path = tmp_path / "demo.whl"

    def download(second: bytes) -> bytes:
        world = World(cut(), whole(second, framed="chunks", etag='"v2"'), hashed=False)
        raw = world.start(written=lambda: str(path)).raw
        with open(path, "wb", buffering=5000) as file:
            for piece in raw.stream(1024, decode_content=False):
                file.write(piece)
        return path.read_bytes()

    assert download(BODY) == BODY
    for at in (0, 50_000, OFFSET - 10_001, OFFSET - 1):
        with pytest.raises(errors.Restart):
            download(BODY[:at] + b"\xff" + BODY[at + 1 :])


def test_where_there_is_nothing_to_compare_with_nothing_is_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_module, "HELD", 1000)
    world = World(cut(290_000), whole(BODY, etag='"v2"'), hashed=False)
    with pytest.raises(errors.Restart):
        world.read()


# What an earlier run kept.


def test_kept_bytes_are_handed_on_and_the_rest_is_asked_for() -> None:
    kept = Kept(BODY[:OFFSET])
    world = World(whole(BODY), serving(BODY))
    assert world.read(kept=kept) == BODY
    assert world.ranges == [None, f"bytes={OFFSET}-"] and world.body.continued == OFFSET
    assert world.lines == ["Continuing demo-1.0 from 100 of 301 kB, kept from an earlier run"]
    assert not world.records  # that was no interruption of this run


def test_kept_bytes_are_superseded_when_pips_file_has_them_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_module, "HELD", 50_000)
    kept = Kept(BODY[:OFFSET])
    world = World(whole(BODY), serving(BODY))
    raw = world.start(kept=kept).raw
    read = b""
    for piece in raw.stream(4096, decode_content=False):
        assert not kept.is_superseded or len(read) >= OFFSET
        read += piece
    assert read == BODY and kept.is_superseded


def test_kept_bytes_of_another_size_or_of_an_answer_without_length_are_no_harm() -> None:
    world = World(whole(BODY), serving(BODY))
    assert world.read(kept=Kept(LONGER)) == BODY and world.ranges == [None]
    world = World(whole(BODY, framed="chunks"), serving(BODY))
    assert world.read(kept=Kept(BODY[:OFFSET])) == BODY and world.body.continued == OFFSET


def test_a_kept_file_that_cannot_be_read_is_continued_from_where_it_can() -> None:
    kept = Kept(BODY[:OFFSET])
    kept.kept.read = lambda _=-1: (_ for _ in ()).throw(OSError(5, "bad sector"))  # type: ignore[method-assign]
    world = World(whole(BODY), serving(BODY))
    assert world.read(kept=kept) == BODY and world.body.continued == 0


def test_a_server_that_refuses_ranges_costs_kept_bytes_one_replay() -> None:
    world = World(whole(BODY), response(b"", status=403), whole(BODY))
    assert world.read(kept=Kept(BODY[:OFFSET])) == BODY
    assert world.exchange.story.again == OFFSET


# Below CacheControl's tee.


def teed(answer: Any, cached: list[bytes]) -> Any:
    answer.raw._fp = CallbackFileWrapper(answer.raw._fp, cached.append)
    return answer


@pytest.mark.parametrize(("hashed", "count"), [(True, 1), (False, 0)])
def test_what_was_healed_is_cached_only_where_a_hash_will_be_checked(
    hashed: bool, count: int
) -> None:
    cached: list[Any] = []
    world = World(teed(cut(), cached), serving(BODY), hashed=hashed)
    raw = world.start().raw
    assert isinstance(raw._fp, CallbackFileWrapper)
    assert b"".join(raw.stream(4096, decode_content=False)) == BODY
    assert list(map(bytes, cached)) == [BODY] * count


def test_what_was_given_up_is_not_cached() -> None:
    cached: list[Any] = []
    world = World(teed(cut(), cached), lambda _: response(b"", status=404))
    with pytest.raises(GaveUpError):
        world.read()
    world.body.close()
    del world
    gc.collect()
    assert not cached


# The pace of a connection.


class Slow:
    """A source that brings so many bytes in so many seconds of a virtual clock, each time."""

    def __init__(self, *steps: tuple[int, float]) -> None:
        self.steps, self.now = list(steps), 0.0

    def read1(self, most: int) -> bytes:
        count, seconds = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        self.now += seconds
        return bytes(min(count, most))


def opened(answer: Any) -> Outcome:
    outcome = Outcome(answer.url)
    outcome.response = answer
    outcome.open()
    return outcome


def pace(monkeypatch: pytest.MonkeyPatch, *steps: tuple[int, float]) -> float:
    """Return after how many seconds a connection is said to have stopped."""
    slow = Slow(*steps)
    monkeypatch.setattr(outcome_module.time, "monotonic", lambda: slow.now)  # type: ignore[attr-defined]
    answer = whole(BODY)
    monkeypatch.setattr(answer.raw, "_fp", slow)
    subject = opened(answer)
    with pytest.raises(errors.StoppedError):
        while slow.now < 10_000:
            subject.read(LARGE)
    return slow.now


def test_a_connection_that_was_faster_has_a_minute_and_a_slow_one_five(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert MOVED <= pace(monkeypatch, (64 * 1024, 0.1), (1, 1.0)) <= MOVED + 3
    assert SLOW <= pace(monkeypatch, (1, 1.0)) <= SLOW + 3


def test_a_connection_above_the_floor_never_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.fail.Exception):
        pace(monkeypatch, (64 * 1024, 0.1), (FLOOR + 1, 1.0))
    with pytest.raises(pytest.fail.Exception):
        pace(monkeypatch, (FLOOR + 1, 1.0))


def test_one_read_in_which_the_process_did_not_run_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept = (64 * 1024, 0.1), (1000, 3600.0), (64 * 1024, 0.1)
    with pytest.raises(pytest.fail.Exception):
        pace(monkeypatch, *slept)


def test_what_came_before_an_error_is_handed_on_first(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = opened(cut(10))
    assert subject.read(LARGE) == BODY[:10]
    with pytest.raises((ConnectionResetError, http.client.HTTPException)):
        subject.read(LARGE)


def test_a_first_answer_that_is_a_part_is_a_span_of_the_file() -> None:
    outcome, _ = World(part(BODY, 5), ranged=True).obtain()
    span = span_of(206, outcome.response.headers)
    assert span is not None
    world = World(part(BODY, 5), ranged=True)
    body = Body(world.exchange, outcome, span)
    assert (body.start, body.offset, body.stop, body.last) == (5, 5, len(BODY), len(BODY) - 1)
