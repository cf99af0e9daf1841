"""When to try again, how long to wait, when to give up: with a clock that only tests wind."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pip_retry_patch.fetch import patience as numbers
from pip_retry_patch.fetch.patience import Attempts, Clock, Patience, retry_after
from pip_retry_patch.records import replace
from tests.support.exchanges import VirtualClock

DEFAULT = Patience()

# What each limit is, and which test of tests/unit goes up to it, and beyond.
PAGE = "hooks/test_mirrors.py", "the_page_of_a_mirror_has_a_budget_of_bytes_and_of_seconds"
PACE = "fetch/test_body.py", "a_connection_that_was_faster_has_a_minute_and_a_slow_one_five"
LOOK = "hooks/test_contents.py", "a_look_has_a_budget_and_beyond_it_nothing_is_called_broken"
DECODING = "hooks/test_mismatch.py", "nothing_is_decoded_beyond_the_budget"
LOOP = "fetch/test_exchange.py"
TRIED_BY: dict[str, tuple[float, str, str]] = {
    "PROGRESS": (64 * 1024, LOOP, "real_progress_renews_the_budgets_and_less_does_not"),
    "READ_AGAIN": (3, LOOP, "bytes_are_read_again_three_times_the_size_at_most"),
    "FLOOR": (100, *PACE),
    "MOVED": (60.0, *PACE),
    "SLOW": (300.0, *PACE),
    "UNKNOWN_NAME": (10.0, LOOP, "a_first_contact_has_thirty_seconds_and_a_name_that_does_not"),
    "LONGEST_REQUEST": (
        60.0,
        LOOP,
        "a_request_in_which_the_process_did_not_run_spends_no_patience",
    ),
    "LARGEST_PAGE": (64 << 20, *PAGE),
    "LONGEST_PAGE": (60.0, *PAGE),
    "LOOK_SECONDS": (2.0, *LOOK),
    "LOOK_BYTES": (64 << 20, *LOOK),
    "DECODED": (20, *DECODING),
    "DECODED_MORE": (10_000_000, *DECODING),
    "IN_VAIN": (0.1, LOOP, "first_contact_is_shared_by_all_hosts_and_a_lost_one_is_not_waited_for"),
    "TURN": (2, LOOP, "after_two_requests_in_vain_it_is_the_next_ones_turn"),
    "BROKEN_URL": (5, LOOP, "an_answer_is_pips_as_soon_as_asking_again_would_not_help"),
    "DOUBTS": (3, LOOP, "a_page_that_names_no_file_is_doubted_once_and_then_taken"),
    "LONG_WAIT": (3.0, LOOP, "retry_after_is_waited_for_and_announced_or_ends_it_at_once"),
}


def test_each_number_is_the_one_of_the_design_and_has_a_test() -> None:
    """So that none changes unseen."""
    constants = {name: value for name, value in vars(numbers).items() if name.isupper()}
    assert constants == {name: value for name, (value, *_) in TRIED_BY.items()}
    for _, file, test in TRIED_BY.values():
        assert f"\ndef test_{test}" in (Path(__file__).parents[1] / file).read_text()
    fields = {name: getattr(DEFAULT, name) for name in Patience.__annotations__}
    assert fields == {
        **{"attempts": 8, "seconds": 120.0, "first_contact": 30.0, "person": False},
        **{"first_limit": 1.0, "last_limit": 30.0, "lost_limit": 10.0},
        **{"local_limit": 2.0, "person_limit": 1.0},
    }


# What came of an attempt: "busy", "lost" or "local"; or the seconds until the next one.
Steps = Sequence["str | float"]


def after(steps: Steps, policy: Patience = DEFAULT, uniform: Any = None) -> Attempts:
    """Return a search that has come so far."""
    clock = VirtualClock()
    clock.uniform = uniform or clock.uniform
    attempts = Attempts(policy, clock)
    take(attempts, *steps)
    return attempts


def take(attempts: Attempts, *steps: str | float) -> None:
    for step in steps:
        if isinstance(step, float):
            attempts._clock.sleep(step)
            attempts.begin()
        elif step == "busy":
            attempts.was_unhelpful(at_once=True)
        else:
            attempts.was_unreachable(local=step == "local")


def moments(policy: Patience = DEFAULT, outcome: str = "lost", uniform: Any = None) -> list[float]:
    """Return when a server is tried again that never helps, in seconds since the first attempt."""
    found, attempts = [], after([0.0, outcome], policy, uniform)
    while attempts.wait(lambda _: None):
        found.append(attempts.seconds)
        take(attempts, 0.0, outcome)
    return found


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        # The first retry comes at once, and the limits double up to thirty seconds.
        ("busy", [0, 1, 3, 7, 15, 31, 61, 91]),
        # By the clock, and once more when it is over.
        ("lost", [0, 1, 3, 7, *range(15, 126, 10)]),
        ("local", list(range(2, 122, 2))),
    ],
)
def test_a_server_that_does_not_help_is_tried_again(outcome: str, expected: list[float]) -> None:
    assert moments(outcome=outcome) == expected


@pytest.mark.parametrize(
    ("steps", "wait"),
    [
        # Attempts that do not leave this machine tell nothing of the server.
        (["lost", *["local"] * 20], 2.0),
        (["lost", *["local"] * 20, "lost"], 1.0),
        (["lost", *["local"] * 20, "lost", "busy"], 2.0),
        # The seconds of a server begin when this machine has a network again,
        (["local", 118.0, "lost", "lost", 119.0], 1.0),
        (["local", 118.0, "lost", "lost", 120.0], None),
        # and once more with each answer, however unhelpful.
        (["lost", "busy", 500.0, "lost", 119.0], 2.0),
        (["lost", "busy", 500.0, "lost", 120.0], None),
        # Lost attempts do not use up those of a server that answers.
        ([*["lost"] * 20, *["busy"] * 8], 30.0),
        ([*["lost"] * 20, *["busy"] * 9], None),
    ],
)
def test_attempts_and_seconds_are_counted_apart(steps: Steps, wait: float | None) -> None:
    assert after(steps).next_wait() == wait


def test_the_first_retry_comes_also_after_a_silence_that_took_all_seconds() -> None:
    attempts = after([])
    for waits, left in ((0.0, -10.0), (None, -140.0)):
        attempts.begin()
        attempts._clock.sleep(130.0)
        take(attempts, "lost")
        assert attempts.left == left and attempts.next_wait() == waits


def test_each_wait_is_drawn_from_nothing_up() -> None:
    """Ten thousand clients that share a lower bound would come back in step."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    for steps in (["busy"] * 4, ["lost"] * 2, ["local"]):
        assert after(steps, uniform=uniform).next_wait() is not None
    assert drawn == [(0.0, 4.0), (0.0, 1.0), (0.0, 2.0)]


def test_those_who_lost_a_server_together_do_not_try_it_last_together() -> None:
    last = [moments(uniform=random.Random(seed).uniform)[-1] for seed in range(1000)]
    assert min(last) >= 120 and max(last) <= 130
    assert max(Counter(int(moment) for moment in last).values()) < 200


def test_a_person_waits_a_second_at_most_for_a_lost_server() -> None:
    watched = replace(DEFAULT, person=True)
    found = moments(watched)
    assert max(b - a for a, b in zip(found, found[1:])) == 1.0
    # A busy server is left alone.
    assert after(["busy"] * 5, watched).next_wait() == 8.0


@pytest.mark.parametrize(("seconds", "over"), [(0.6, 0.2), (6.0, 2.0), (45.0, 10.0), (1e4, 10.0)])
def test_the_last_wait_adds_at_most_a_third_to_a_short_patience(
    seconds: float, over: float
) -> None:
    for seed in range(100):
        policy = Patience(seconds=seconds)
        *earlier, last = moments(policy, uniform=random.Random(seed).uniform)
        assert max(earlier) < seconds <= last <= seconds + over


@pytest.mark.parametrize(
    ("steps", "asked", "expected"),
    [
        (["busy", "busy"], 7.0, 8.0),
        (["busy"], 7.0, 7.0),
        (["busy", "busy"], 86400.0, None),
        (["busy", "busy"], -5.0, 1.0),
        (["lost", "lost", 100.0], 20.0, 21.0),
        (["lost", "lost", 100.0], 20.1, None),
    ],
)
def test_retry_after_is_waited_for_and_spread_and_bounded(
    steps: Steps, asked: float, expected: float | None
) -> None:
    attempts = after(steps)
    attempts.retry_after = asked
    assert attempts.next_wait() == expected


@pytest.mark.parametrize(("outcome", "longest"), [("busy", 30.0), ("lost", 10.0)])
def test_after_a_slow_failure_the_limit_is_no_less_than_the_time_it_took(
    outcome: str, longest: float
) -> None:
    """Clients that lose a server together time out together: a second of jitter would keep them so.

    Time that was not spent in waiting for an answer does not count.
    """
    for took in (9.0, 110.0):
        attempts = after(["lost", 0.0])
        attempts._clock.sleep(took)
        if outcome == "busy":
            attempts.was_unhelpful()
        else:
            attempts.was_unreachable(local=False)
        assert attempts.next_wait() == min(took, longest)
        attempts.was_unhelpful(at_once=True)
        assert attempts.next_wait() == 2.0


@given(
    st.lists(st.sampled_from(["busy", "lost", "local"]), max_size=200),
    st.integers(0, 20),
    st.floats(0, 1e4),
    st.none() | st.floats(-10, 1e9),
    st.randoms(use_true_random=False),
)
def test_patience_always_ends_and_never_waits_longer_than_it_says(
    outcomes: list[str], most: int, seconds: float, asked: float | None, rng: random.Random
) -> None:
    policy = Patience(attempts=most, seconds=seconds)
    attempts = after([], policy, rng.uniform)
    waits: list[float] = []
    for outcome in outcomes:
        take(attempts, outcome)
        attempts.retry_after = asked
        before = sum(waits)
        if not attempts.wait(waits.append):
            assert attempts.unhelpful > most or before + max(asked or 0, 0) >= min(
                policy.total, seconds
            ) * (1 - 1e-9)
            return
        assert sum(waits) - before <= (policy.last_limit + max(asked or 0, 0)) * (1 + 1e-9)
        assert sum(waits) <= policy.total + policy.last_limit
    assert attempts.unhelpful <= most


MOMENT = "Tue, 01 Jul 2025 10:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        (None, None, None),
        *(("7", None, 7.0), (" 7 ", None, 7.0), ("0", None, 0.0), ("9" * 9, None, 999999999.0)),
        *((nonsense, None, None) for nonsense in ("9" * 10, "-7", "7.5", "\u0667", "soon")),
        ("Tue, 01 Jul 2025 10:00:30 GMT", None, None),
        ("Tue, 01 Jul 2025 10:00:30 GMT", MOMENT, 30.0),
        ("Tue, 01 Jul 2025 09:00:00 GMT", MOMENT, 0.0),
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
    attempts = after([], replace(DEFAULT, attempts=2))
    told: list[float] = []
    for _ in range(2):
        attempts.begin()
        attempts.was_unhelpful(retry_after=7.0)
        assert attempts.wait(told.append)
        assert attempts.retry_after is None  # asked for once
    assert told == [7.0, 8.0] and attempts.seconds == 15.0
    assert attempts.is_last and attempts.count == 2
