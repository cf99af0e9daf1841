"""When to try again, how long to wait, when to give up: with a clock that only tests wind."""

from __future__ import annotations

import inspect
import itertools
import random
import re
from collections import Counter
from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pip_retry_patch.fetch import patience as numbers
from pip_retry_patch.fetch.patience import (
    Attempts,
    Clock,
    Effort,
    Patience,
    next_wait,
    retry_after,
)
from pip_retry_patch.records import replace
from tests.support.exchanges import VirtualClock

DEFAULT = Patience()


def longest(_: float, limit: float) -> float:
    return limit


def test_each_number_is_the_one_of_the_design() -> None:
    """The table of numbers, so that none changes unseen."""
    named = {
        name: value
        for name, value in vars(numbers).items()
        if re.fullmatch("[A-Z_]+", name) and isinstance(value, (int, float))
    }
    assert named == {
        "PROGRESS": 64 * 1024,
        "READ_AGAIN": 3,
        "FLOOR": 100,
        "MOVED": 60.0,
        "SLOW": 300.0,
        "UNKNOWN_NAME": 10.0,
        "LARGEST_PAGE": 64 << 20,
        "LONGEST_PAGE": 60.0,
        "IN_VAIN": 0.1,
        "TURN": 2,
        "BROKEN_URL": 5,
        "DOUBTS": 3,
        "LONG_WAIT": 3.0,
    }
    fields = {name: getattr(DEFAULT, name) for name in inspect.get_annotations(Patience)}
    assert fields == {
        "attempts": 8,
        "seconds": 120.0,
        "first_contact": 30.0,
        "first_limit": 1.0,
        "last_limit": 30.0,
        "local_limit": 2.0,
        "person_limit": 1.0,
        "person": False,
    }


def unhelpful(times: int) -> Effort:
    return Effort(unhelpful=times)


def test_the_first_retry_comes_at_once() -> None:
    assert next_wait(DEFAULT, unhelpful(1), 0.0, longest) == 0.0
    assert next_wait(DEFAULT, Effort().was_unreachable(0.0), 0.0, longest) == 0.0


def test_the_limits_double_up_to_thirty_seconds_and_end_after_eight_attempts() -> None:
    waits = []
    for times in itertools.count(1):
        wait = next_wait(DEFAULT, unhelpful(times), 0.0, longest)
        if wait is None:
            break
        waits.append(wait)
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_each_wait_is_drawn_from_nothing_up() -> None:
    """Ten thousand clients that share a lower bound would come back in step."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    for effort in (
        unhelpful(4),
        Effort().was_unreachable(0.0).was_unreachable(0.0),
        Effort().was_unreachable(0.0, local=True),
    ):
        assert next_wait(DEFAULT, effort, 0.0, uniform) is not None
    assert drawn == [(0.0, 4.0), (0.0, 1.0), (0.0, 2.0)]
    drawn_waits = [
        next_wait(DEFAULT, unhelpful(7), 0.0, random.Random(seed).uniform) for seed in range(400)
    ]
    waits = [wait for wait in drawn_waits if wait is not None]
    assert 0 <= min(waits) < 3 and 27 < max(waits) <= 30 and 13 < sum(waits) / 400 < 17


def attempts_in_vain(policy: Patience, uniform: Callable[[float, float], float]) -> list[float]:
    """Return when a server that cannot be reached is tried again, in seconds since it was lost."""
    now, attempts = 1000.0, []
    effort = Effort().was_unreachable(now)
    while (wait := next_wait(policy, effort, now, uniform)) is not None:
        now += wait
        attempts.append(now - 1000.0)
        effort = effort.was_unreachable(now)
    return attempts


def test_an_unreachable_server_is_waited_for_by_the_clock_and_tried_last_when_it_is_over() -> None:
    assert attempts_in_vain(DEFAULT, longest) == [0, 1, 3, 7, 15, 31, 61, 91, 121]


def test_those_who_lost_a_server_together_do_not_try_it_last_together() -> None:
    last = [attempts_in_vain(DEFAULT, random.Random(seed).uniform)[-1] for seed in range(1000)]
    assert min(last) >= 120 and max(last) <= 150
    assert max(Counter(int(moment) for moment in last).values()) < 100


def test_a_person_waits_a_second_at_most_for_a_lost_server() -> None:
    watched = replace(DEFAULT, person=True)
    moments = attempts_in_vain(watched, longest)
    assert max(b - a for a, b in itertools.pairwise(moments)) == 1.0
    assert next_wait(watched, unhelpful(5), 0.0, longest) == 8.0  # a busy server is left alone


@pytest.mark.parametrize(("seconds", "over"), [(0.6, 0.2), (6.0, 2.0), (45.0, 15.0), (1e4, 30.0)])
def test_the_last_wait_adds_at_most_a_third_to_a_short_patience(
    seconds: float, over: float
) -> None:
    for seed in range(100):
        *earlier, last = attempts_in_vain(Patience(seconds=seconds), random.Random(seed).uniform)
        assert max(earlier) < seconds <= last <= seconds + over


def test_the_seconds_end_when_they_are_over_and_not_before() -> None:
    lost = Effort().was_unreachable(0.0)
    assert next_wait(DEFAULT, lost, 119.999, longest) == 0.0
    assert next_wait(DEFAULT, lost, 120.0, longest) is None


def test_retry_after_is_waited_for_and_spread_and_bounded() -> None:
    busy = unhelpful(2)
    assert next_wait(DEFAULT, busy, 0.0, longest, retry_after=7.0) == 8.0
    assert next_wait(DEFAULT, unhelpful(1), 0.0, longest, retry_after=7.0) == 7.0
    assert next_wait(DEFAULT, busy, 0.0, longest, retry_after=86400.0) is None
    waited = replace(busy, waited=110.0)
    assert next_wait(DEFAULT, waited, 0.0, longest, retry_after=11.0) is None
    assert next_wait(DEFAULT, busy, 0.0, longest, retry_after=-5.0) == 1.0
    lost = Effort().was_unreachable(0.0).was_unreachable(0.0)
    assert next_wait(DEFAULT, lost, 100.0, longest, retry_after=20.0) == 21.0
    assert next_wait(DEFAULT, lost, 100.0, longest, retry_after=20.1) is None


def test_attempts_that_do_not_leave_this_machine_go_on_every_two_seconds_to_the_end() -> None:
    now, waits = 0.0, []
    effort = Effort().was_unreachable(now, local=True)
    while (wait := next_wait(DEFAULT, effort, now, longest)) is not None:
        waits.append(wait)
        now += wait
        effort = effort.was_unreachable(now, local=True)
    assert waits == [2.0] * 60


def test_attempts_that_do_not_leave_this_machine_tell_nothing_of_the_server() -> None:
    effort = Effort().was_unreachable(0.0)
    for _ in range(20):
        effort = effort.was_unreachable(5.0, local=True)
    assert next_wait(DEFAULT, effort, 6.0, longest) == 2.0
    assert next_wait(DEFAULT, effort.was_unreachable(6.0), 6.0, longest) == 1.0
    assert next_wait(DEFAULT, effort.was_unhelpful().was_unhelpful(), 6.0, longest) == 2.0


def test_the_seconds_of_a_server_begin_when_this_machine_has_a_network_again() -> None:
    effort = Effort().was_unreachable(0.0, local=True).was_unreachable(100.0, local=True)
    back = effort.was_unreachable(118.0)
    assert (effort.lost_at, back.lost_at) == (0.0, 118.0)
    assert next_wait(DEFAULT, back, 230.0, longest) is not None
    assert next_wait(DEFAULT, back, 239.0, longest) is None
    assert back.was_unreachable(119.0).lost_at == 118.0


def test_unreachable_attempts_do_not_use_up_the_attempts_of_a_server_that_answers() -> None:
    effort = Effort()
    for _ in range(20):
        effort = effort.was_unreachable(5.0)
    for _ in range(8):
        assert next_wait(DEFAULT, effort, 6.0, longest) is not None
        effort = effort.was_unhelpful()
    assert next_wait(DEFAULT, effort, 6.0, longest) is not None
    assert next_wait(DEFAULT, effort.was_unhelpful(), 6.0, longest) is None


def test_an_answer_however_unhelpful_ends_the_count_of_seconds() -> None:
    effort = Effort().was_unreachable(0.0).was_unhelpful()
    assert next_wait(DEFAULT, effort, 500.0, longest) is not None
    lost_again = effort.was_unreachable(500.0)
    assert next_wait(DEFAULT, lost_again, 619.0, longest) is not None
    assert next_wait(DEFAULT, lost_again, 620.0, longest) is None


def test_after_a_slow_failure_the_limit_is_no_less_than_the_time_it_took() -> None:
    """Who lost a server together times out together: a second of jitter would keep them so."""
    slow = Effort(unreachable=1, lost_at=0.0).was_unreachable(15.0, took=15.0)
    assert next_wait(DEFAULT, slow, 15.0, longest) == 15.0
    assert next_wait(DEFAULT, unhelpful(1).was_unhelpful(took=15.0), 15.0, longest) == 15.0
    assert next_wait(DEFAULT, replace(slow, took=300.0), 15.0, longest) == 30.0


@pytest.mark.parametrize("attempts", [0, 1, 3])
def test_attempts_are_as_many_as_were_set(attempts: int) -> None:
    policy = Patience(attempts=attempts)
    assert next_wait(policy, unhelpful(attempts + 1), 0.0, longest) is None
    assert next_wait(policy, unhelpful(attempts), 0.0, longest) is not None


def test_no_seconds_means_no_waiting_for_a_lost_server() -> None:
    policy = Patience(seconds=0.0)
    assert next_wait(policy, unhelpful(1), 9.0, longest) == 0.0
    assert next_wait(policy, Effort().was_unreachable(9.0), 9.0, longest) is None


@given(
    st.lists(st.sampled_from(["unhelpful", "unreachable", "local"]), max_size=200),
    st.floats(0, 1e6),
    st.integers(0, 20),
    st.floats(0, 1e4),
    st.none() | st.floats(-10, 1e9),
    st.randoms(use_true_random=False),
)
def test_patience_always_ends_and_never_waits_longer_than_it_says(
    outcomes: list[str],
    start: float,
    attempts: int,
    seconds: float,
    asked: float | None,
    rng: random.Random,
) -> None:
    policy = Patience(attempts=attempts, seconds=seconds)
    now, effort = start, Effort()
    for outcome in outcomes:
        if outcome == "unhelpful":
            effort = effort.was_unhelpful()
        else:
            effort = effort.was_unreachable(now, local=outcome == "local")
        wait = next_wait(policy, effort, now, rng.uniform, asked)
        if wait is None:
            lost_at = effort.lost_at
            assert (
                effort.unhelpful > attempts
                or (lost_at is not None and lost_at + seconds <= now + max(asked or 0, 0))
                or effort.waited + max(asked or 0, 0) >= policy.total
            )
            return
        assert 0 <= wait <= policy.last_limit + max(asked or 0, 0)
        effort = replace(effort, waited=effort.waited + wait)
        assert effort.waited <= policy.total + policy.last_limit
        now += wait
    assert effort.unhelpful <= attempts


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        (None, None, None),
        ("7", None, 7.0),
        (" 7 ", None, 7.0),
        ("0", None, 0.0),
        ("9" * 9, None, 999999999.0),
        ("9" * 10, None, None),
        ("-7", None, None),
        ("7.5", None, None),
        ("\u0667", None, None),
        ("soon", None, None),
        ("Tue, 01 Jul 2025 10:00:30 GMT", None, None),
        ("Tue, 01 Jul 2025 10:00:30 GMT", "Tue, 01 Jul 2025 10:00:00 GMT", 30.0),
        ("Tue, 01 Jul 2025 09:00:00 GMT", "Tue, 01 Jul 2025 10:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_read_against_the_servers_own(
    value: str | None, date: str | None, expected: float | None
) -> None:
    found = {"retry-after": value, "date": date}
    assert retry_after({name: text for name, text in found.items() if text}) == expected


def test_time_that_did_not_pass_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sleep of 2 s that takes an hour: the laptop slept, and a second of that counts."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds + 3600))
    clock = Clock()
    began = clock.now()
    clock.sleep(2.0)
    assert clock.now() - began == 3.0
    clock.leave_out(0.5)  # as late as any sleep may be
    assert clock.now() - began == 3.0


def test_attempts_count_what_was_tried_and_what_was_waited() -> None:
    clock = VirtualClock()
    attempts = Attempts(replace(DEFAULT, attempts=2), clock)
    told: list[float] = []
    for _ in range(2):
        attempts.begin()
        attempts.was_unhelpful(retry_after=7.0)
        assert attempts.wait(told.append)
        assert attempts.retry_after is None  # asked for once
    assert told == clock.waits == [7.0, 8.0] and attempts.effort.waited == attempts.seconds == 15.0
    assert attempts.is_last and attempts.left == 1
    attempts.begin()
    attempts.was_unhelpful()
    assert not attempts.wait(told.append) and attempts.count == 3


def test_only_what_was_waited_for_lengthens_the_next_wait() -> None:
    clock = VirtualClock()
    attempts = Attempts(DEFAULT, clock)
    attempts.begin()
    clock.seconds = 15.0
    attempts.was_unhelpful(at_once=True)
    assert attempts.effort.took == 0.0
    attempts.was_unhelpful()
    assert attempts.effort.took == 15.0
