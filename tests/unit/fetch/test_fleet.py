"""What many machines do to a server that comes back: a simulation with the real policy.

A server that is fully used has as many clients in mid-download as it serves in the time that a
download takes (Little's law). Ten seconds is long: 50 MB at 5 MB/s.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter

import pytest

from pip_retry_patch.fetch.patience import Attempts, Patience
from pip_retry_patch.records import replace
from tests.support.exchanges import VirtualClock

CLIENTS, WORK = 2000, 10  # the server needs so many seconds for all of them
CAPACITY = CLIENTS // WORK  # requests that it serves in a second; the others are answered 503
DEFAULT = Patience()


def peak(policy: Patience, outage: int) -> float:
    """Return the most requests of a second after the first one, in capacities.

    :param outage: the seconds in which connections are refused.
    """
    clock, served = VirtualClock(), 0
    asked: Counter[int] = Counter()
    clock.uniform = random.Random(1).uniform
    clients = [Attempts(policy, clock) for _ in range(CLIENTS)]
    for client in clients:  # the interruption is the first attempt
        client.was_unhelpful(at_once=True)
    waiting = [(0.0, number) for number in range(CLIENTS)]
    while waiting:
        clock.seconds, number = heapq.heappop(waiting)
        second = int(clock.seconds - outage)
        if clock.seconds < outage:
            clients[number].was_unreachable(local=False)
        else:
            asked[second] += 1
            if asked[second] <= CAPACITY:
                served += 1
                continue
            clients[number].was_unhelpful(at_once=True)
        if clients[number].wait(lambda _: None):
            heapq.heappush(waiting, (clock.seconds, number))
    assert served > 0.99 * CLIENTS
    return max(count for second, count in asked.items() if second) / CAPACITY


@pytest.mark.parametrize("outage", [5, 20, 60])
def test_machines_wait_no_longer_than_a_server_that_comes_back_needs(outage: int) -> None:
    """Ten seconds keep each second below two capacities, and eight do not."""
    assert peak(DEFAULT, outage) < 2.0
    if outage > 5:  # before, no wait has grown so long
        assert peak(replace(DEFAULT, lost_limit=8.0), outage) > 2.0
