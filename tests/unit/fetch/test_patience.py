"""When to try again, how long to wait, when to give up: with a clock that only tests wind."""

from __future__ import annotations

import random
from typing import Any, Sequence
from unittest import mock

import pytest

from pip_retry_patch import names
from pip_retry_patch.fetch import patience as numbers
from pip_retry_patch.fetch.judge import Answer, Verdict
from pip_retry_patch.fetch.patience import Attempts, Clock, Host, Hosts, Patience, retry_after
from pip_retry_patch.fetch.request import Outcome
from pip_retry_patch.records import replace
from tests.support.exchanges import VirtualClock, refused

DEFAULT = Patience()

# Other tests go up to each of them, and beyond.
NUMBERS = {
    **{"PROGRESS": 64 * 1024, "READ_AGAIN": 4, "FLOOR": 100, "MOVED": 60.0, "SLOW": 300.0},
    **{"UNKNOWN_NAME": 10.0, "LONGEST_REQUEST": 60.0, "LARGEST_PAGE": 64 << 20, "BROKEN_URL": 5},
    **{"LONGEST_PAGE": 60.0, "LOOK_SECONDS": 2.0, "LOOK_BYTES": 64 << 20, "DECODED": 20},
    **{"DECODED_MORE": 10_000_000, "HASTY": 0.1, "TURN": 2, "DOUBTS": 3},
    **{"LONG_WAIT": 3.0, "HAS_ANSWER": (5, 15.0), "WAS_IN_VAIN": (1, 1.0), "PIPS_SECONDS": 8.0},
}


def test_each_number_is_the_one_of_the_design() -> None:
    """So that none changes unseen."""
    assert {name: value for name, value in vars(numbers).items() if name.isupper()} == NUMBERS
    assert {name: getattr(DEFAULT, name) for name in Patience.__annotations__} == {
        **{"attempts": 8, "seconds": 120.0, "first_contact": 30.0, "least": 3},
        **{"first_limit": 1.0, "last_limit": 30.0, "lost_limit": 10.0},
        **{"local_limit": 2.0, "person_limit": 1.0, "person": False},
    }


# What came of an attempt: "busy", "lost" or "local"; or the seconds until the next one.
Steps = Sequence["str | float"]


def after(steps: Steps, policy: Patience = DEFAULT, uniform: Any = None) -> Attempts:
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


def test_a_machine_without_a_network_tries_again_each_two_seconds() -> None:
    """How often a busy server is tried, and a lost one, test_exchange.py has."""
    assert moments(outcome="local") == list(range(2, 122, 2))


@pytest.mark.parametrize(
    ("steps", "asked", "wait"),
    [
        # Attempts that do not leave this machine tell nothing of the server.
        (["lost", *["local"] * 20], None, 2.0),
        (["lost", *["local"] * 20, "lost"], None, 1.0),
        (["lost", *["local"] * 20, "lost", "busy"], None, 2.0),
        # The seconds of a server begin when this machine has a network again,
        (["local", 118.0, "lost", "lost", 119.0], None, 1.0),
        (["local", 118.0, "lost", "lost", 60.0, 60.0], None, None),
        # and once more with each answer, however unhelpful.
        (["lost", "busy", 500.0, "lost", 119.0], None, 2.0),
        (["lost", "busy", 500.0, "lost", 60.0, 60.0], None, None),
        # Lost attempts do not use up those of a server that answers.
        ([*["lost"] * 20, *["busy"] * 8], None, 30.0),
        ([*["lost"] * 20, *["busy"] * 9], None, None),
        # Retry-After is waited for, and spread, and bounded.
        (["busy", "busy"], 7.0, 8.0),
        (["busy"], 7.0, 7.0),
        (["busy", "busy"], 86400.0, None),
        (["busy", "busy"], -5.0, 1.0),
        (["lost", "lost", 100.0], 20.0, 21.0),
        (["lost", "lost", 100.0], 20.1, None),
    ],
)
def test_attempts_and_seconds_are_counted_apart(steps: Steps, asked: Any, wait: Any) -> None:
    attempts = after(steps)
    attempts.retry_after = asked
    assert attempts.next_wait() == wait


def test_the_first_retries_come_also_after_silences_that_took_all_seconds() -> None:
    attempts = after([])
    for waits, left in ((0.0, 260.0), (10.0, 130.0), (None, 0.0)):
        attempts.begin()
        attempts._clock.sleep(130.0)
        take(attempts, "lost")
        assert attempts.left == left and attempts.next_wait() == waits


def test_each_wait_is_drawn_from_nothing_up() -> None:
    """Ten thousand clients that share a lower bound would come back in step."""
    for steps, highest in ((["busy"] * 4, 4.0), (["lost"] * 2, 1.0), (["local"], 2.0)):
        uniform = mock.Mock(return_value=0.5)
        assert after(steps, uniform=uniform).next_wait() == 0.5
        uniform.assert_called_once_with(0.0, highest)


def test_a_person_waits_a_second_at_most_for_a_lost_server() -> None:
    watched = replace(DEFAULT, person=True)
    found = moments(watched)
    assert max(b - a for a, b in zip(found, found[1:])) == 1.0
    # A busy server is left alone.
    assert after(["busy"] * 5, watched).next_wait() == 8.0


@pytest.mark.parametrize(("seconds", "over"), [(0.6, 0.2), (6.0, 2.0), (45.0, 10.0), (1e4, 10.0)])
def test_the_last_wait_adds_a_third_to_a_short_patience(seconds: float, over: float) -> None:
    for seed in range(100):
        policy = Patience(seconds=seconds)
        *earlier, last = moments(policy, uniform=random.Random(seed).uniform)
        assert max(earlier) < seconds <= last <= seconds + over


@pytest.mark.parametrize(("outcome", "longest"), [("busy", 30.0), ("lost", 10.0)])
@pytest.mark.parametrize("took", [9.0, 110.0])
def test_a_wait_may_be_as_long_as_a_slow_failure(outcome: str, longest: float, took: float) -> None:
    """Clients that lose a server together time out together: a second of jitter would keep them so.

    Time that was not spent in waiting for an answer does not count.
    """
    attempts = after(["lost", 0.0])
    attempts._clock.sleep(took)
    if outcome == "busy":
        attempts.was_unhelpful()
    else:
        attempts.was_unreachable(local=False)
    assert attempts.next_wait() == min(took, longest)
    attempts.was_unhelpful(at_once=True)
    assert attempts.next_wait() == 2.0


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
def test_retry_after_is_seconds_or_a_date(value: Any, date: Any, expected: Any) -> None:
    found = {"retry-after": value, "date": date}
    assert retry_after({name: text for name, text in found.items() if text}) == expected


def test_an_index_is_a_host_of_its_own() -> None:
    hosts = Hosts()
    hosts.indexes = tuple(f"https://h.example/{n}/" for n in ("one", "two", "two/more", "links"))
    assert names.base_of("https://a.example/x", ("https://A.example",)) == "https://A.example"
    hosts.note("https://h.example/two/demo/", 200)
    hosts.at("https://user@h.example/links").rest = Host.BUSY
    heard = {"one/demo/": 0, "two/x/": 1, "two/more/x/": 0, "demo.whl": 1, "links": 0, "links/a": 0}
    for path, count in heard.items():
        host = hosts.at(f"https://user:secret@H.example/{path}")
        assert host.helped == count and (host.rest != "") == path.startswith("links")
    # Whoever was waited for in vain is not waited for again because of another index.
    outcome = Outcome("https://h.example/two/x/")
    outcome.error, outcome.worth = refused(outcome.url), Answer(Verdict.LOST)
    assert hosts.patience(DEFAULT, outcome).seconds == 120
    hosts.give_up(Outcome("https://h.example/one/x/"), Host.LOST)
    assert hosts.patience(DEFAULT, outcome).seconds == 8


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

    def other(_: float) -> None:
        clock._sleep = None
        clock.sleep(2.0)

    clock._sleep = other  # of two threads, each of which wakes from the same hour
    clock.sleep(2.0)
    assert clock.now() - began == 6.0
