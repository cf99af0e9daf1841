"""Whose turn it is to be asked, where a body may come from more than one source."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pip_retry_patch.policy.retry import Attempts, Clock, Effort, Patience
from pip_retry_patch.transport.elsewhere import REST, Breaker
from pip_retry_patch.transport.inquiry import Turns


class Source(SimpleNamespace):
    """As much of an Origin as turns look at."""


class World:
    """Sources, of which the first is the original, and a clock that moves by waits alone."""

    def __init__(self, *mirrors: str, patience: Patience | None = None) -> None:
        self.time = 0.0
        self.waits: list[float] = []
        self.delivered: list[tuple[str, int, bool]] = []
        names = ["original", *mirrors]
        self.sources = [Source(url=n, mirror=n if n in mirrors else None) for n in names]
        elsewhere = SimpleNamespace(sources=lambda: list(self.sources), delivered=self._note)
        for source in self.sources:
            source.elsewhere = elsewhere
        clock = Clock(lambda: self.time, self._sleep, lambda low, high: high)
        self.attempts = Attempts(patience or Patience(), clock, Effort())
        first: Any = self.sources[0]
        self.turns = Turns(first)

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds

    def _note(self, source: Any, offset: int, failed: Any, why: str, down: bool) -> None:
        self.delivered.append((source.url, offset, down))

    def asked(self, count: int, unhelpful: bool = True) -> list[str]:
        """Let so many be asked, all in vain."""
        found = []
        for _ in range(count):
            if not self.turns.next(self.attempts, lambda _: None):
                break
            found.append(self.turns.origin.url)
            if unhelpful:
                self.attempts.was_unhelpful(at_once=True)
            else:
                self.attempts.was_unreachable(False)
        return found


def test_each_source_gets_two_requests_without_a_wait_and_then_it_is_the_next_ones_turn() -> None:
    world = World("a", "b")
    assert world.asked(6) == ["original", "original", "a", "a", "b", "b"]
    assert world.waits == [] and world.attempts.count == 6


def test_then_they_are_asked_in_turn_with_a_wait_for_each_round() -> None:
    world = World("a")
    assert world.asked(8) == ["original", "original", "a", "a", "original", "a", "original", "a"]
    assert len(world.waits) == 2


def test_a_round_counts_as_one_attempt() -> None:
    world = World("a", "b", patience=Patience(attempts=3))
    assert len(world.asked(100)) == 6 + 3 + 3


def test_an_unreachable_round_ends_with_the_seconds() -> None:
    world = World("a", patience=Patience(seconds=10, first_limit=1))
    world.asked(100, unhelpful=False)
    assert 10 <= sum(world.waits) <= 20


def test_who_will_not_deliver_is_left_at_once_and_its_host_need_not_rest() -> None:
    world = World("a")
    assert world.asked(1) == ["original"]
    world.turns.leave()
    assert world.asked(1) == ["a"]
    world.turns.delivered(500, "gone")
    assert world.delivered == [("a", 500, False)]


def test_where_nobody_ever_will_it_ends_without_a_wait() -> None:
    world = World("a")
    for _ in range(2):
        assert world.asked(1)
        world.turns.leave()
    assert world.asked(1) == [] and world.waits == []


def test_who_delivered_is_asked_first_the_next_time() -> None:
    world = World("a", "b")
    world.asked(3)
    world.turns.delivered(500, "lost")
    world.turns.progressed()
    assert world.delivered == [("a", 500, True)]
    assert world.asked(4) == ["a", "a", "original", "original"]


def test_a_mirror_that_can_only_send_all_of_it_lets_the_others_go_first() -> None:
    world = World("a", "b")
    assert world.asked(3) == ["original", "original", "a"]
    assert world.turns.defer()
    assert world.asked(3) == ["b", "b", "a"]
    assert not world.turns.defer(), "there is nobody else now"


def test_without_other_sources_it_is_patience_alone() -> None:
    world = World()
    world.turns.origin.elsewhere = None  # type: ignore[misc]
    assert world.asked(3) == ["original"] * 3
    assert len(world.waits) == 2


def test_a_host_that_delivered_nothing_rests_for_five_minutes() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    one, other = "https://a.example/x", "https://b.example/y"
    breaker.open(one)
    assert breaker.rests("https://a.example:443/z") and not breaker.rests(other)
    assert not breaker.rests("http://a.example/x"), "another port"
    assert breaker.in_order([one, other], str) == [other, one]
    now[0] = REST
    assert not breaker.rests(one)
