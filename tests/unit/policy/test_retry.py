"""When to try again, how long to wait, when to stop: with a clock that only tests wind."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pip_retry_patch.policy.retry import (
    Attempts,
    Clock,
    Effort,
    Patience,
    next_wait,
    retry_after,
)

DEFAULT = Patience()


def longest(_: float, limit: float) -> float:
    return limit


def test_the_first_retry_comes_at_once() -> None:
    assert next_wait(DEFAULT, Effort(), 0.0, longest) == 0.0


def test_the_limits_double_up_to_thirty_seconds_and_end_after_eight_attempts() -> None:
    effort, waits = Effort(), []
    while (wait := next_wait(DEFAULT, effort, 0.0, longest)) is not None:
        waits.append(wait)
        effort = effort.was_unhelpful()
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_the_wait_is_drawn_from_all_of_zero_to_the_limit() -> None:
    effort = Effort(unhelpful=6)
    drawn = [next_wait(DEFAULT, effort, 0.0, random.Random(seed).uniform) for seed in range(400)]
    waits = [wait for wait in drawn if wait is not None]
    assert len(waits) == 400
    assert 0 <= min(waits) < 3 and 27 < max(waits) <= 30
    assert 13 < sum(waits) / len(waits) < 17


def attempts_in_vain(policy: Patience, uniform: Callable[[float, float], float]) -> list[float]:
    """Return when a server that cannot be reached is tried, in seconds after it was lost."""
    now, effort, attempts = 1000.0, Effort(), []
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
    in_one_second = Counter(int(moment) for moment in last)
    assert max(in_one_second.values()) < 100


@pytest.mark.parametrize(("seconds", "over"), [(0.6, 0.2), (6.0, 2.0), (45.0, 15.0), (1e4, 30.0)])
def test_the_last_wait_adds_at_most_a_third_to_a_short_patience(
    seconds: float, over: float
) -> None:
    for seed in range(100):
        *earlier, last = attempts_in_vain(Patience(seconds=seconds), random.Random(seed).uniform)
        assert max(earlier) < seconds <= last <= seconds + over


def test_retry_after_ends_patience_if_it_asks_for_more_than_is_left() -> None:
    lost = Effort().was_unreachable(0.0)
    assert next_wait(DEFAULT, lost, 100.0, longest, retry_after=20.0) == 21.0
    assert next_wait(DEFAULT, lost, 100.0, longest, retry_after=20.1) is None


def test_attempts_that_do_not_leave_this_machine_go_on_every_two_seconds_to_the_end() -> None:
    now, effort = 0.0, Effort()
    waits = []
    while (wait := next_wait(DEFAULT, effort, now, longest)) is not None:
        waits.append(wait)
        now += wait
        effort = effort.was_unreachable(now, local=True)
    assert waits == [0.0] + [2.0] * 60


def test_attempts_that_do_not_leave_this_machine_tell_nothing_of_the_server() -> None:
    effort = Effort().was_unreachable(0.0)
    for _ in range(20):
        effort = effort.was_unreachable(5.0, local=True)
    assert next_wait(DEFAULT, effort, 6.0, longest) == 2.0
    assert next_wait(DEFAULT, effort.was_unreachable(6.0), 6.0, longest) == 2.0
    assert next_wait(DEFAULT, effort.was_unhelpful().was_unhelpful(), 6.0, longest) == 4.0


def test_unreachable_attempts_do_not_use_up_the_attempts_of_a_server_that_answers() -> None:
    effort = Effort()
    for _ in range(20):
        effort = effort.was_unreachable(5.0)
    assert next_wait(DEFAULT, effort, 6.0, longest) is not None
    for _ in range(8):
        effort = effort.was_unhelpful()
    assert next_wait(DEFAULT, effort, 6.0, longest) is None


def test_an_answer_however_unhelpful_ends_the_count_of_seconds() -> None:
    effort = Effort().was_unreachable(0.0).was_unhelpful()
    assert next_wait(DEFAULT, effort, 500.0, longest) is not None
    lost_again = effort.was_unreachable(500.0)
    assert next_wait(DEFAULT, lost_again, 619.0, longest) is not None
    assert next_wait(DEFAULT, lost_again, 620.0, longest) is None


def test_a_server_that_comes_and_goes_is_given_up_after_the_attempts() -> None:
    now, effort = 0.0, Effort()
    for step in itertools.count():
        wait = next_wait(DEFAULT, effort, now, longest)
        if wait is None:
            break
        now += wait
        effort = effort.was_unhelpful() if step % 2 else effort.was_unreachable(now)
    assert (effort.unhelpful, effort.unreachable) == (8, 8)


def test_after_a_slow_failure_the_limit_is_no_less_than_the_time_it_took() -> None:
    """Who lost a server together times out together: a second of jitter would keep them so."""
    slow = Effort().was_unreachable(15.0, took=15.0)
    assert next_wait(DEFAULT, slow, 15.0, longest) == 15.0
    assert next_wait(DEFAULT, Effort().was_unhelpful(took=15.0), 15.0, longest) == 15.0
    assert next_wait(DEFAULT, slow._replace(took=300.0), 15.0, longest) == 30.0
    assert next_wait(DEFAULT, slow._replace(unreachable=6), 15.0, longest) == 30.0
    assert next_wait(DEFAULT, slow.was_unreachable(16.0), 16.0, longest) == 2.0


def test_retry_after_is_waited_for_and_spread_and_bounded() -> None:
    busy = Effort(unhelpful=1)
    assert next_wait(DEFAULT, busy, 0.0, longest, retry_after=7.0) == 8.0
    assert next_wait(DEFAULT, busy, 0.0, longest, retry_after=86400.0) is None
    assert next_wait(DEFAULT, busy._replace(waited=110.0), 0.0, longest, retry_after=11.0) is None
    assert next_wait(DEFAULT, busy, 0.0, longest, retry_after=-5.0) == 1.0


@pytest.mark.parametrize("attempts", [0, 1, 3])
def test_attempts_are_as_many_as_were_set(attempts: int) -> None:
    policy = Patience(attempts=attempts)
    assert next_wait(policy, Effort(unhelpful=attempts), 0.0, longest) is None
    if attempts:
        assert next_wait(policy, Effort(unhelpful=attempts - 1), 0.0, longest) is not None


def test_no_seconds_means_one_try_at_once_and_no_waiting() -> None:
    policy = Patience(seconds=0.0)
    assert next_wait(policy, Effort(), 9.0, longest) == 0.0
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
        wait = next_wait(policy, effort, now, rng.uniform, asked)
        if wait is None:
            lost_at = effort.lost_at
            assert (
                effort.unhelpful >= attempts
                or (lost_at is not None and lost_at + seconds <= now + max(asked or 0, 0))
                or effort.waited + max(asked or 0, 0) >= policy.total
            )
            return
        assert 0 <= wait <= policy.last_limit + max(asked or 0, 0)
        effort = effort._replace(waited=effort.waited + wait)
        assert effort.waited <= policy.total + policy.last_limit
        now += wait
        if outcome == "unhelpful":
            effort = effort.was_unhelpful()
        else:
            effort = effort.was_unreachable(now, local=outcome == "local")
    assert effort.unhelpful <= attempts


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "9" * 100}, None),
        ({"retry-after": "-7"}, None),
        ({"retry-after": "\u0667"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 01 Jul 2025 10:00:30 GMT"}, None),
        (
            {
                "retry-after": "Tue, 01 Jul 2025 10:00:30 GMT",
                "date": "Tue, 01 Jul 2025 10:00:00 GMT",
            },
            30.0,
        ),
        (
            {
                "retry-after": "Tue, 01 Jul 2025 09:00:00 GMT",
                "date": "Tue, 01 Jul 2025 10:00:00 GMT",
            },
            0.0,
        ),
    ],
)
def test_retry_after_is_seconds_or_a_date_read_against_the_servers_own(
    headers: dict[str, str], expected: float | None
) -> None:
    assert retry_after(headers) == expected


def test_the_seconds_of_a_server_begin_when_this_machine_has_a_network_again() -> None:
    effort = Effort().was_unreachable(0.0, local=True).was_unreachable(100.0, local=True)
    back = effort.was_unreachable(118.0)
    assert (effort.lost_at, back.lost_at) == (0.0, 118.0)
    assert next_wait(DEFAULT, back, 230.0, longest) is not None
    assert next_wait(DEFAULT, back, 239.0, longest) is None
    assert back.was_unreachable(119.0).lost_at == 118.0


def test_only_what_was_waited_for_lengthens_the_next_wait() -> None:
    now = [0.0]
    attempts = Attempts(Patience(), Clock(lambda: now[0], lambda _: None, longest), Effort())
    assert attempts.wait()
    now[0] = 15.0
    attempts.was_unhelpful(at_once=True)
    assert attempts.effort.took == 0.0
    attempts.was_unhelpful()
    assert attempts.effort.took == 15.0
