"""Many clients that lose one server, and what they do to it when it is back: a simulation.

The clock is virtual and every random number is seeded, so that the same figures come out each time.
What decides is the real code: `Attempts` of fetch/patience.py, called as exchange.py
calls them, and the `Retry` of the installed urllib3, as pip builds it.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from typing import Any, Callable, NamedTuple, Protocol

import urllib3

from pip_retry_patch.fetch.patience import Attempts, Clock, Patience

Uniform = Callable[[float, float], float]
# What a client does next: wait so many seconds, with this state; no seconds: it gives up.
Next = tuple[Any, float | None]

# When Linux sends a SYN again that nobody answers, and when pip stops waiting (`--timeout`).
SYN_AGAIN = (1.0, 3.0, 7.0)
TIMEOUT = 15.0


class Scene(NamedTuple):
    """What happens to the fleet. Seconds, and numbers of clients.

    :param work: how long the server works if the fleet asks evenly; so capacity = clients / work.
    :param spread: within how many seconds the clients notice the loss; 0: all at once.
    :param retry_after: what the server asks for with a 503.
    :param silent: the server does not refuse connections but does not answer either.
    """

    clients: int
    outage: float = 20.0
    work: float = 30.0
    spread: float = 0.0
    retry_after: int | None = None
    silent: bool = False

    @property
    def capacity(self) -> int:
        return max(1, round(self.clients / self.work))


class Client(Protocol):
    """What a client does after an attempt that failed; the first is made at once.

    Its state, `start` at first, is handed back to it each time. `took`: how long the attempt was
    under way; `after`: what Retry-After said.
    """

    start: Any

    def unreachable(self, state: Any, now: float, uniform: Uniform, took: float) -> Next: ...

    def busy(self, state: Any, now: float, uniform: Uniform, after: int | None) -> Next: ...


# The interruption of a body counts as an attempt, and the one after it comes at once.
INTERRUPTED = 1


class _Moment(Clock):
    """A clock that stands where the simulation is."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = 0.0

    def now(self) -> float:
        return self.reading


class Ours:
    """A body that was interrupted, or a request of a host that answered before.

    :param start: `INTERRUPTED`, or 0 for a request of which nothing is known yet.
    :param jitter: else it always waits for the longest time that might have been drawn.
    """

    def __init__(self, start: int = INTERRUPTED, jitter: bool = True) -> None:
        self.start = start
        self.patience = Patience()
        self.jitter = jitter
        self.clock = _Moment()

    def unreachable(self, state: Any, now: float, uniform: Uniform, took: float) -> Next:
        attempts = self._at(state, now - took)
        attempts.begin()
        self.clock.reading = now
        attempts.was_unreachable(local=False)
        return self._wait(attempts, uniform)

    def busy(self, state: Any, now: float, uniform: Uniform, after: int | None) -> Next:
        attempts = self._at(state, now)
        attempts.was_unhelpful(after, at_once=True)
        return self._wait(attempts, uniform)

    def _at(self, state: Any, now: float) -> Attempts:
        self.clock.reading = now
        if isinstance(state, Attempts):
            return state
        attempts = Attempts(self.patience, self.clock)
        attempts.unhelpful = state
        return attempts

    def _wait(self, attempts: Attempts, uniform: Uniform) -> Next:
        self.clock.uniform = uniform if self.jitter else max
        wait = attempts.next_wait()
        attempts._waited += wait or 0.0
        return attempts, wait


class OursAndPeople:
    """The same, but some sit at a terminal, and their waits are short (`Patience.person`).

    :param share: how many of all.
    """

    start: tuple[bool, Any] | None = None

    def __init__(self, share: float) -> None:
        self.share = share
        self.machine, self.person = Ours(), Ours()
        self.person.patience = Patience(person=True)

    def _one(self, state: tuple[bool, Any] | None, uniform: Uniform) -> tuple[Ours, bool, Any]:
        person, effort = state or (uniform(0.0, 1.0) < self.share, INTERRUPTED)
        return (self.person if person else self.machine), person, effort

    def unreachable(
        self, state: tuple[bool, Any] | None, now: float, uniform: Uniform, took: float
    ) -> Next:
        one, person, effort = self._one(state, uniform)
        after, wait = one.unreachable(effort, now, uniform, took)
        return (person, after), wait

    def busy(
        self, state: tuple[bool, Any] | None, now: float, uniform: Uniform, after: int | None
    ) -> Next:
        one, person, effort = self._one(state, uniform)
        later, wait = one.busy(effort, now, uniform, after)
        return (person, later), wait


class Pip:
    """One request of pip's: urllib3's Retry, as pip/_internal/network/session.py builds it.

    :param rounds: how often the whole is begun again: pip 25.1 and later, mid-download
        (`--resume-retries`).
    """

    start = (0, 0)

    def __init__(self, rounds: int = 1) -> None:
        self.rounds = rounds
        retry = urllib3.Retry(
            total=5, status_forcelist=[500, 502, 503, 520, 527], backoff_factor=0.25
        )
        # Without backoff_jitter the wait depends on nothing but the length of the history, so
        # each length is asked for once.
        self.parse = retry.parse_retry_after
        self.waits: list[float] = []
        error = urllib3.exceptions.ProtocolError()
        while True:
            try:
                retry = retry.increment("GET", "/", error=error)
            except urllib3.exceptions.MaxRetryError:
                break
            self.waits.append(retry.get_backoff_time())

    def unreachable(
        self, state: tuple[int, int], now: float, uniform: Uniform, took: float
    ) -> Next:
        return self.busy(state, now, uniform, None)

    def busy(self, state: tuple[int, int], now: float, uniform: Uniform, after: int | None) -> Next:
        finished, failures = state
        if failures < len(self.waits):
            wait = self.parse(str(after)) if after else self.waits[failures]
            return (finished, failures + 1), wait
        return (finished + 1, 0), 0.0 if finished + 1 < self.rounds else None


CLIENTS: dict[str, Client] = {
    "ours, download": Ours(),
    "ours, 5 % people": OursAndPeople(0.05),
    "ours, no jitter": Ours(jitter=False),
    "ours, index page": Ours(0),
    "pip, one request": Pip(),
    "pip, mid-download": Pip(rounds=5),
}


class Result(NamedTuple):
    """What came out. `rate` counts the requests of each second, the return being second 0."""

    scene: Scene
    rate: dict[int, int]
    served: int
    gave_up: int
    last_served: float | None

    def peak(self, first: bool) -> float:
        """Return the most requests of any second, in capacities: the first second, or later."""
        rates = [n for s, n in self.rate.items() if (s == 0 if first else s > 0)]
        return max(rates, default=0) / self.scene.capacity

    @property
    def too_many(self) -> int:
        """The seconds, after the first, with more than twice the capacity."""
        return sum(n > 2 * self.scene.capacity for s, n in self.rate.items() if s > 0)

    def figures(self) -> dict[str, float | None]:
        """Return what the tables show: seconds, per cent, and peaks in capacities."""
        clients, last = self.scene.clients, self.last_served
        return {
            "first": round(self.peak(True), 2),
            "after": round(self.peak(False), 2),
            "above": self.too_many,
            "last": None if last is None else round(last, 1),
            "gave_up": round(100 * self.gave_up / clients, 1),
            "requests": round(sum(self.rate.values()) / clients, 1),
        }


def simulate(client: Client, scene: Scene, seed: int = 1) -> Result:
    """Let the fleet run until each client is served or has given up."""
    draw = random.Random(seed)
    uniform, outage, capacity = draw.uniform, scene.outage, scene.capacity
    unreachable, busy = client.unreachable, client.busy
    rate: Counter[int] = Counter()
    served_in: Counter[int] = Counter()
    served = gave_up = 0
    last_served: float | None = None
    events: list[tuple[float, int, Any]] = [
        (draw.uniform(0.0, scene.spread), number, client.start) for number in range(scene.clients)
    ]
    heapq.heapify(events)
    while events:
        now, number, state = heapq.heappop(events)
        second = int((now - outage) // 1)
        took = TIMEOUT if scene.silent else 0.0
        if now < outage and scene.silent:
            syn = next((now + s for s in SYN_AGAIN if now + s >= outage), None)
            if syn is not None:
                heapq.heappush(events, (syn, number, state))
                continue
        rate[second] += 1
        if now < outage:
            state, wait = unreachable(state, now + took, uniform, took)
            now += took
        elif served_in[second] < capacity:
            served_in[second] += 1
            served += 1
            last_served = now - outage
            continue
        else:
            state, wait = busy(state, now, uniform, scene.retry_after)
        if wait is None:
            gave_up += 1
        else:
            heapq.heappush(events, (now + wait, number, state))
    return Result(scene, dict(rate), served, gave_up, last_served)
