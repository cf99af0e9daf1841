"""When a connection has stopped moving: with links that are only numbers, and a virtual clock."""

from __future__ import annotations

from typing import Iterable, Iterator

import pytest

from pip_retry_patch.policy.pace import Course, Pace

PACE = Pace()
DAY = 86400.0


def link(*stretches: tuple[float, float]) -> Iterator[tuple[float, float, int]]:
    """Yield reads of a link that brings so many bytes a second, for so many seconds each.

    A link brings a packet of up to 1400 bytes at a time, or ten reads a second of more.
    """
    now = 0.0
    for rate, seconds in stretches:
        until = now + seconds
        size = max(1, min(1400, round(rate)) if rate < 14_000 else round(rate / 10))
        while now < until:
            began, now = now, now + size / rate
            yield began, now, size


def stopped_at(course: Course, reads: Iterable[tuple[float, float, int]]) -> float | None:
    """Return when the connection is given up, in seconds; None if it never is."""
    return next((end for begin, end, n in reads if course.stopped(begin, end, n)), None)


@pytest.mark.parametrize("rate", [150, 300, 900, 1200, 3000, 10_000, 56_000 / 8, 1e6, 1e8])
def test_a_steady_link_is_never_touched_however_slow(rate: float) -> None:
    hours = 3600.0 * (24 if rate < 1e5 else 0.1)
    assert stopped_at(Course(PACE), link((rate, hours))) is None


@pytest.mark.parametrize("fast", [1200, 3000, 1e5, 1e7])
@pytest.mark.parametrize("slow", [0.5, 1, 10, 99])
def test_a_fast_link_that_falls_below_the_floor_is_given_up_within_half_a_minute(
    fast: float, slow: float
) -> None:
    at = stopped_at(Course(PACE), link((fast, 30), (slow, DAY)))
    assert at is not None and 50 <= at <= 57, at


@pytest.mark.parametrize("share, given_up", [(0.005, True), (0.009, True), (0.02, False)])
@pytest.mark.parametrize("fast", [1e6, 1e7, 1e8])
def test_a_fast_link_that_falls_to_less_than_a_hundredth_is_given_up(
    fast: float, share: float, given_up: bool
) -> None:
    at = stopped_at(Course(PACE), link((fast, 10), (share * fast, 600)))
    assert (at is not None) == given_up
    assert at is None or at <= 36


@pytest.mark.parametrize("dips", [4, 8, 14])
def test_a_dip_that_ends_in_time_is_left_alone(dips: float) -> None:
    stretches = [(1e6, 10.0), (20.0, dips)] * 20
    assert stopped_at(Course(PACE), link(*stretches)) is None


@pytest.mark.parametrize("scan", [25, 120, 290])
def test_a_gateway_that_hands_out_crumbs_while_it_scans_is_left_alone(scan: float) -> None:
    assert stopped_at(Course(PACE), link((1.0, scan), (1e6, 60))) is None


def test_a_link_that_never_moved_is_given_up_after_five_minutes_and_then_ever_later() -> None:
    course, waits = Course(PACE), []
    for _ in range(5):
        at = stopped_at(course, link((1.0, DAY)))
        assert at is not None
        waits.append(round(at / 60))
        course.connect()
    assert waits == [5, 10, 20, 20, 20]


def test_a_new_link_that_is_no_faster_is_left_alone_for_minutes() -> None:
    course = Course(PACE)
    first = stopped_at(course, link((1e6, 30), (50.0, DAY)))
    assert first is not None and first < 60
    course.connect()
    second = stopped_at(course, link((50.0, DAY)))
    assert second is not None and second >= 300
    course.connect()
    third = stopped_at(course, link((50.0, DAY)))
    assert third is not None and third >= 600
    course.connect()
    # A link that moves begins the count anew.
    assert stopped_at(course, link((1e6, 30), (50.0, DAY))) is not None
    course.connect()
    again = stopped_at(course, link((50.0, DAY)))
    assert again is not None and again < 310


def test_a_reader_that_is_slow_itself_is_no_slow_link() -> None:
    """It takes 64 KiB once a minute, and finds them there."""
    reads = ((60.0 * n, 60.0 * n + 0.001, 65536) for n in range(1000))
    assert stopped_at(Course(PACE), reads) is None


def test_a_reader_that_is_slow_at_first_does_not_make_a_link_a_fast_one() -> None:
    """What waits in a buffer is there at once, which says nothing of the link."""

    def reads() -> Iterator[tuple[float, float, int]]:
        now = 0.0
        for _ in range(10):
            yield now, now + 1e-4, 4000
            now += 10
        for begin, end, count in link((300.0, 600)):
            yield now + begin, now + end, count

    assert stopped_at(Course(PACE), reads()) is None


def test_a_burst_does_not_make_a_link_a_fast_one() -> None:
    """100 kB that a gateway had in its memory, and then a satellite phone."""
    burst = [(0.0, 0.001, 3000)]
    reads = [*burst, *((b + 0.001, e + 0.001, n) for b, e, n in link((240.0, 900)))]
    assert stopped_at(Course(PACE), reads) is None
