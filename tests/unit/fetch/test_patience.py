"""When to try again, how long to wait, when to give up: with a clock that only tests wind."""

from __future__ import annotations

import inspect
import itertools
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pip_retry_patch.fetch import patience as numbers
from pip_retry_patch.fetch.patience import (
    Attempts,
    Clock,
    Patience,
    retry_after,
)
from pip_retry_patch.records import replace
from tests.support.exchanges import VirtualClock

DEFAULT = Patience()


# Which test goes up to each limit, and beyond.
EXCHANGE, BODY = "fetch/test_exchange.py", "fetch/test_body.py"
PACE = BODY, "test_a_connection_that_was_faster_has_a_minute_and_a_slow_one_five"
MIRROR = "hooks/test_mirrors.py", "test_the_page_of_a_mirror_has_a_budget_of_bytes_and_of_seconds"
LOOK = "hooks/test_contents.py", "test_a_look_has_a_budget_and_beyond_it_nothing_is_called_broken"
DECODING = "hooks/test_mismatch.py", "test_nothing_is_decoded_beyond_the_budget"
TRIED_BY = {
    "PROGRESS": (EXCHANGE, "test_real_progress_renews_the_budgets_and_less_does_not"),
    "READ_AGAIN": (EXCHANGE, "test_bytes_are_read_again_three_times_the_size_at_most"),
    **dict.fromkeys(("FLOOR", "MOVED", "SLOW"), PACE),
    "UNKNOWN_NAME": (EXCHANGE, "test_a_name_that_does_not_exist_is_waited_for_ten_seconds"),
    "LONGEST_REQUEST": (
        EXCHANGE,
        "test_a_request_in_which_the_process_did_not_run_spends_no_patience",
    ),
    **dict.fromkeys(("LARGEST_PAGE", "LONGEST_PAGE"), MIRROR),
    **dict.fromkeys(("LOOK_SECONDS", "LOOK_BYTES"), LOOK),
    **dict.fromkeys(("DECODED", "DECODED_MORE"), DECODING),
    "IN_VAIN": (
        EXCHANGE,
        "test_first_contact_is_shared_by_all_hosts_and_a_lost_one_is_not_waited_for_again",
    ),
    "TURN": (EXCHANGE, "test_after_two_requests_in_vain_it_is_the_next_ones_turn"),
    "BROKEN_URL": (
        EXCHANGE,
        "test_a_500_is_asked_for_as_often_as_pip_does_and_its_host_is_not_busy",
    ),
    "DOUBTS": (EXCHANGE, "test_a_page_that_names_no_file_is_doubted_once_and_then_taken"),
    "LONG_WAIT": (EXCHANGE, "test_retry_after_is_waited_for_and_announced"),
}


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
        "LONGEST_REQUEST": 60.0,
        "LARGEST_PAGE": 64 << 20,
        "LONGEST_PAGE": 60.0,
        "LOOK_SECONDS": 2.0,
        "LOOK_BYTES": 64 << 20,
        "DECODED": 20,
        "DECODED_MORE": 10_000_000,
        "IN_VAIN": 0.1,
        "TURN": 2,
        "BROKEN_URL": 5,
        "DOUBTS": 3,
        "LONG_WAIT": 3.0,
    }
    tests = Path(__file__).parents[1]
    for name in named:
        file, test = TRIED_BY[name]
        assert f"\ndef {test}(" in (tests / file).read_text(), name
    fields = {name: getattr(DEFAULT, name) for name in inspect.get_annotations(Patience)}
    assert fields == {
        "attempts": 8,
        "seconds": 120.0,
        "first_contact": 30.0,
        "first_limit": 1.0,
        "last_limit": 30.0,
        "lost_limit": 10.0,
        "local_limit": 2.0,
        "person_limit": 1.0,
        "person": False,
    }


def search(*outcomes: str, policy: Patience = DEFAULT, uniform: Any = None) -> Attempts:
    """Return a search in which this came of its attempts: "busy", "lost" or "local"."""
    clock = VirtualClock()
    clock.uniform = uniform or clock.uniform
    attempts = Attempts(policy, clock)
    count(attempts, *outcomes)
    return attempts


def count(attempts: Attempts, *outcomes: str) -> None:
    for outcome in outcomes:
        if outcome == "busy":
            attempts.was_unhelpful(at_once=True)
        else:
            attempts.was_unreachable(local=outcome == "local")


def moments(policy: Patience = DEFAULT, outcome: str = "lost", uniform: Any = None) -> list[float]:
    """Return when a server is tried again that never helps, in seconds since the first attempt."""
    found, attempts = [], search(policy=policy, uniform=uniform)
    attempts.begin()
    count(attempts, outcome)
    while attempts.wait(lambda _: None):
        found.append(attempts.seconds)
        attempts.begin()
        count(attempts, outcome)
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


def test_each_wait_is_drawn_from_nothing_up() -> None:
    """Ten thousand clients that share a lower bound would come back in step."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    for outcomes in (["busy"] * 4, ["lost"] * 2, ["local"]):
        assert search(*outcomes, uniform=uniform).next_wait() is not None
    assert drawn == [(0.0, 4.0), (0.0, 1.0), (0.0, 2.0)]


def test_those_who_lost_a_server_together_do_not_try_it_last_together() -> None:
    last = [moments(uniform=random.Random(seed).uniform)[-1] for seed in range(1000)]
    assert min(last) >= 120 and max(last) <= 130
    assert max(Counter(int(moment) for moment in last).values()) < 200


def test_a_person_waits_a_second_at_most_for_a_lost_server() -> None:
    watched = replace(DEFAULT, person=True)
    assert max(b - a for a, b in itertools.pairwise(moments(watched))) == 1.0
    # A busy server is left alone.
    assert search(*["busy"] * 5, policy=watched).next_wait() == 8.0


@pytest.mark.parametrize(("seconds", "over"), [(0.6, 0.2), (6.0, 2.0), (45.0, 10.0), (1e4, 10.0)])
def test_the_last_wait_adds_at_most_a_third_to_a_short_patience(
    seconds: float, over: float
) -> None:
    for seed in range(100):
        policy = Patience(seconds=seconds)
        *earlier, last = moments(policy, uniform=random.Random(seed).uniform)
        assert max(earlier) < seconds <= last <= seconds + over


@pytest.mark.parametrize(
    ("outcomes", "asked", "now", "expected"),
    [
        (["busy", "busy"], 7.0, 0.0, 8.0),
        (["busy"], 7.0, 0.0, 7.0),
        (["busy", "busy"], 86400.0, 0.0, None),
        (["busy", "busy"], -5.0, 0.0, 1.0),
        (["lost", "lost"], 20.0, 100.0, 21.0),
        (["lost", "lost"], 20.1, 100.0, None),
    ],
)
def test_retry_after_is_waited_for_and_spread_and_bounded(
    outcomes: list[str], asked: float, now: float, expected: float | None
) -> None:
    attempts = search(*outcomes)
    attempts._clock.sleep(now)
    attempts.retry_after = asked
    assert attempts.next_wait() == expected


def test_attempts_that_do_not_leave_this_machine_tell_nothing_of_the_server() -> None:
    attempts = search("lost", *["local"] * 20)
    assert attempts.next_wait() == 2.0
    count(attempts, "lost")
    assert attempts.next_wait() == 1.0
    count(attempts, "busy")
    assert attempts.next_wait() == 2.0


def test_the_first_retry_comes_also_after_a_silence_that_took_all_seconds() -> None:
    attempts = search()
    for waits in (0.0, None):
        attempts.begin()
        attempts._clock.sleep(130.0)
        count(attempts, "lost")
        assert attempts.left == -10.0 if waits is not None else attempts.left < -130.0
        assert attempts.next_wait() == waits


def test_the_seconds_of_a_server_begin_when_this_machine_has_a_network_again() -> None:
    attempts = search("local")
    attempts._clock.sleep(118.0)
    attempts.begin()
    count(attempts, "lost", "lost")
    attempts._clock.sleep(119.0)
    assert attempts.next_wait() is not None
    attempts._clock.sleep(1.0)
    assert attempts.next_wait() is None


def test_lost_attempts_do_not_use_up_those_of_a_server_that_answers() -> None:
    attempts = search(*["lost"] * 20)
    count(attempts, *["busy"] * 8)
    assert attempts.next_wait() is not None and attempts.is_last
    count(attempts, "busy")
    assert attempts.next_wait() is None


def test_an_answer_however_unhelpful_ends_the_count_of_seconds() -> None:
    attempts = search("lost", "busy")
    attempts._clock.sleep(500.0)
    attempts.begin()
    count(attempts, "lost")
    attempts._clock.sleep(119.0)
    assert attempts.next_wait() is not None
    attempts._clock.sleep(1.0)
    assert attempts.next_wait() is None


@pytest.mark.parametrize(("outcome", "longest"), [("busy", 30.0), ("lost", 10.0)])
def test_after_a_slow_failure_the_limit_is_no_less_than_the_time_it_took(
    outcome: str, longest: float
) -> None:
    """Clients that lose a server together time out together: a second of jitter would keep them so.

    Time that was not spent in waiting for an answer does not count.
    """
    for took in (9.0, 110.0):
        attempts = search("lost")
        attempts.begin()
        attempts._clock.sleep(took)
        if outcome == "busy":
            attempts.was_unhelpful()
        else:
            attempts.was_unreachable(local=False)
        assert attempts.next_wait() == min(took, longest)
        attempts.was_unhelpful(at_once=True)
        assert attempts.next_wait() == 2.0


@pytest.mark.parametrize("attempts", [0, 1, 3])
def test_attempts_are_as_many_as_were_set(attempts: int) -> None:
    assert len(moments(Patience(attempts=attempts), "busy")) == attempts


def test_no_seconds_means_no_waiting_for_a_lost_server() -> None:
    assert moments(Patience(seconds=0.0)) == []
    assert moments(Patience(seconds=0.0), "busy")[0] == 0.0


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
    attempts = search(policy=policy, uniform=rng.uniform)
    waits: list[float] = []
    for outcome in outcomes:
        count(attempts, outcome)
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
    attempts = search(policy=replace(DEFAULT, attempts=2))
    told: list[float] = []
    for _ in range(2):
        attempts.begin()
        attempts.was_unhelpful(retry_after=7.0)
        assert attempts.wait(told.append)
        assert attempts.retry_after is None  # asked for once
    assert told == [7.0, 8.0] and attempts.seconds == 15.0 and attempts.is_last
    attempts.begin()
    attempts.was_unhelpful()
    assert not attempts.wait(told.append) and attempts.count == 3
