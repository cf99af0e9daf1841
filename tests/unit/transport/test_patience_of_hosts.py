"""How long a request may take, whatever its host does: with a clock that only tests wind."""

from __future__ import annotations

import random
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import urllib3

from pip_retry_patch import failures
from pip_retry_patch.policy.retry import Clock, Patience
from pip_retry_patch.transport.reissue import Request
from pip_retry_patch.transport.sender import PatientSender

TIMEOUT = 15.0
URL = "https://files.example/simple/demo/"


class ToldError(Exception):
    """Stands for pip's error."""

    def __init__(self, failure: failures.Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class World:
    """A clock, chance, and a network that does what `behave` says at each request.

    `behave` is given how many requests there were, and returns a status and its Retry-After, or
    the error of an attempt. An error takes `took` seconds.
    """

    scheme, host, port, proxy = "https", "files.example", 443, None
    conn_kw: Any = MappingProxyType({})

    def __init__(self, behave: Any, took: float = 0.0, seed: int = 1, **patience: Any) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.slept_after: list[tuple[float, int]] = []  # and how many lines were shown before
        self.lines: list[str] = []
        self.asked = 0
        self.behave, self._took = behave, took
        self._uniform = random.Random(seed).uniform
        clock = Clock(lambda: self.now, self.sleep, self._uniform)
        self.sender = PatientSender(
            Patience(**patience), clock, lambda failure, _: ToldError(failure), self.lines.append
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.slept_after.append((seconds, len(self.lines)))
        self.now += seconds

    def send(self, **options: Any) -> Any:
        """Do what urllib3 does with its own retries, but on this clock."""
        retries = options["retries"]
        while True:
            self.asked += 1
            found = self.behave(self.asked)
            if isinstance(found, Exception):
                self.now += self._took
                if retries is False:
                    raise found
                retries = retries.increment("GET", URL, error=found)
                self.sleep(retries.get_backoff_time())
                continue
            status, after = found
            headers = {} if after is None else {"retry-after": str(after)}
            if retries and retries.is_retry("GET", status, after is not None):
                retries = retries.increment("GET", URL, response=self._response(status, headers))
                self.sleep(retries.get_backoff_time())
                continue
            return self._response(status, headers)

    @staticmethod
    def _response(status: int, headers: Any) -> Any:
        return SimpleNamespace(
            status=status,
            headers=headers,
            close=lambda: None,
            release_conn=lambda: None,
            get_redirect_location=lambda: False,
        )

    def get(self, answered: bool = True, retries: int = 5) -> Any:
        if answered:
            self.sender._hosts.note(self, 200)
        own = urllib3.Retry(retries, status_forcelist=[500, 502, 503], backoff_factor=0.25)
        asked = {"method": "GET", "retries": own}
        request = Request(self, self.send, asked, {}, URL, of_pip=True)
        return self.sender.send(request, (), {"retries": own}, retries > 0)


def refused(_: int) -> Exception:
    return urllib3.exceptions.NewConnectionError(None, "refused")  # type: ignore[arg-type]


def silent(_: int) -> Exception:
    return urllib3.exceptions.ConnectTimeoutError("timed out")


BEHAVIOURS: dict[str, Any] = {
    "refused": refused,
    "silent": silent,
    "reset": lambda n: urllib3.exceptions.ProtocolError("aborted", ConnectionResetError()),
    "503": lambda n: (503, None),
    "429 after 10 s": lambda n: (429, 10),
    "503 after 100 s": lambda n: (503, 100),
    "503 after an hour": lambda n: (503, 3600),
    "comes and goes": lambda n: (503, 20) if n % 2 else refused(n),
    "silent and busy": lambda n: (503, 29) if n % 3 else silent(n),
}


@pytest.mark.parametrize("name", BEHAVIOURS)
@pytest.mark.parametrize("answered", [True, False])
def test_the_waits_of_a_request_are_bounded_together(name: str, answered: bool) -> None:
    """120 s and 30 s, and what each attempt takes, which is at most a timeout."""
    for seed in range(60):
        world = World(BEHAVIOURS[name], took=TIMEOUT if "silent" in name else 0.0, seed=seed)
        with pytest.raises(ToldError):
            world.get(answered)
        assert sum(world.slept) <= 150
        assert world.now - 1000 <= 150 + TIMEOUT * world.asked


def drawn(draw: random.Random) -> Any:
    """Return a host that does something else at each request, drawn by lot."""
    afters = [None, None, 0, 3, 20, 29, 90, 119]
    statuses = [429, 500, 502, 503, 504, 521]
    lost = [behave for name, behave in BEHAVIOURS.items() if name in ("refused", "silent", "reset")]
    of_busy = draw.random()  # hosts differ in how often they answer at all

    def behave(number: int) -> Any:
        if draw.random() < of_busy:
            return draw.choice(statuses), draw.choice(afters)
        return draw.choice(lost)(number)

    return behave


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("person", [True, False])
def test_no_sequence_of_answers_makes_the_waits_longer(answered: bool, person: bool) -> None:
    for seed in range(1500):
        draw = random.Random(seed)
        took = draw.choice([0.0, 1.0, TIMEOUT])
        world = World(drawn(draw), took, seed, person=person)
        with pytest.raises(ToldError):
            world.get(answered)
        assert sum(world.slept) <= 150, seed
        assert world.now - 1000 <= 150 + TIMEOUT * world.asked, seed


@pytest.mark.parametrize("name", ["refused", "reset"])
def test_first_contact_takes_half_a_minute_after_pips_own_retries(name: str) -> None:
    for seed in range(60):
        world = World(BEHAVIOURS[name], seed=seed)
        with pytest.raises(ToldError, match="cannot be reached"):
            world.get(answered=False)
        assert 30 <= world.now - 1000 <= 30 + 10 + 11.25


def test_a_host_is_waited_for_once_and_then_fails_at_once_with_the_same_error() -> None:
    world = World(refused)
    with pytest.raises(ToldError) as first:
        world.get(answered=False)
    asked, now = world.asked, world.now
    with pytest.raises(ToldError) as second:
        world.get(answered=False)
    assert (world.asked, world.now) == (asked, now)
    assert second.value.failure == first.value.failure and first.value.failure.first_contact


def test_what_is_asked_for_beyond_patience_is_told_at_once() -> None:
    world = World(lambda n: (503, 3600))
    with pytest.raises(ToldError, match="wants to be asked again in 3600 s"):
        world.get()
    assert not world.slept and world.asked == 1


def test_without_retries_the_truth_is_told_at_once() -> None:
    for behave in BEHAVIOURS.values():
        world = World(behave, took=0.0)
        with pytest.raises(ToldError, match="--retries 0"):
            world.get(retries=0)
        assert sum(world.slept) == 0 and world.asked == 1 and not world.lines


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_a_wait_of_more_than_three_seconds_is_announced_before_it_begins(name: str) -> None:
    """Those of pip's own retries by themselves, ours by the line that says for how long."""
    for seed in range(20):
        world = World(BEHAVIOURS[name], seed=seed)
        with pytest.raises(ToldError):
            world.get()
        assert not [seconds for seconds, lines in world.slept_after if seconds > 3 and not lines]


def test_a_person_is_back_within_a_second_of_the_server() -> None:
    back = 1020.0
    for seed in range(30):
        world = World(refused, seed=seed, person=True)

        def behave(number: int, world: World = world) -> Any:
            return (200, None) if world.now >= back else refused(number)

        world.behave = behave
        assert world.get().status == 200
        assert world.now <= back + 1


def test_pips_own_waits_are_drawn_and_keep_their_mean() -> None:
    sums = []
    for seed in range(400):
        world = World(refused, seed=seed, seconds=0.0)
        with pytest.raises(ToldError):
            world.get()
        sums.append(sum(world.slept))
    assert min(sums) < 5.5 and max(sums) > 9.5
    assert 7.2 < sum(sums) / len(sums) < 7.8
