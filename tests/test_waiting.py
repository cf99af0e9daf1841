"""Who waits tells patience what it must know: a network and a clock that are both made up."""

from __future__ import annotations

import ssl
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import urllib3

from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.retry import Clock, Patience
from pip_retry_patch.transport.asking import Asking
from pip_retry_patch.transport.errors import GaveUpError
from pip_retry_patch.transport.hosts import Hosts
from pip_retry_patch.transport.reissue import Part, Request
from pip_retry_patch.transport.resumption import Origin, Resumption

TOOK = 0.1
PATIENCE = Patience(attempts=3, seconds=0.33, first_limit=0.001)


class VirtualTime:
    """A clock that stands still until somebody waits; every draw is 0."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.limits: list[float] = []  # those that waits were drawn from

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def uniform(self, _: float, limit: float) -> float:
        self.limits.append(limit)
        return 0.0


TIME = VirtualTime()
CLOCK = Clock(lambda: TIME.now, TIME.sleep, TIME.uniform)


class Network:
    """Each attempt takes a while, and then comes to the next of `ends`: an error, or a status."""

    def __init__(self, *ends: type[Exception] | int) -> None:
        self.ends = list(ends)

    def ask(self, fields: object) -> Part:
        CLOCK.sleep(TOOK)
        end = self.ends.pop(0)
        if isinstance(end, int):
            empty: Any = SimpleNamespace(fp=None, length=0)
            return Part(end, {}, empty, lambda reusable: None)
        raise end


@pytest.fixture
def limits() -> list[float]:
    """The limits from which waits are drawn."""
    TIME.limits.clear()
    return TIME.limits


@pytest.mark.parametrize("end", [ConnectionRefusedError, TimeoutError, 503])
def test_a_body_waits_as_long_as_it_was_kept_waiting(
    end: type[Exception] | int, limits: list[float]
) -> None:
    network = Network(*[end] * 9)
    origin = Origin(
        name="demo",
        host="files.example",
        ask=network.ask,
        ask_first_url=None,
        unreachable=lambda error: isinstance(error, ConnectionRefusedError),
        local=lambda error: False,
        announce=lambda line: None,
        error=lambda failure, error: error,
        patience=PATIENCE,
        clock=CLOCK,
        unproven=True,
    )
    known = ranges.Representation(ranges.Validators.of({}), 1000, ranges.coding_of({}))
    with pytest.raises(GaveUpError):
        Resumption(origin, known, 0, None).reopen(500, ConnectionResetError(), None)
    assert len(limits) >= 2 and min(limits) >= TOOK


class Pool(Network):
    """The same, as urllib3 sends a request and answers."""

    scheme, host, port, proxy = "https", "files.example", 443, None
    conn_kw: Any = MappingProxyType({})
    closed = 0

    def send(self, *_: object, **asked: Any) -> Any:
        assert asked == {"retries": False, "redirect": False}
        part = self.ask(asked)
        return SimpleNamespace(
            status=part.status, headers=part.headers, close=self.close, release_conn=lambda: None
        )

    def close(self) -> None:
        self.closed += 1


def asking(pool: Pool, patience: Patience = PATIENCE, retried: float = 0.0) -> Asking:
    """A request to a host that answered before, for which urllib3 waited so long already."""
    hosts = Hosts()
    hosts.note(pool, 200)
    asked = {"method": "GET", "retries": urllib3.Retry(5)}
    url = "https://files.example/simple/demo/"
    request = Request(pool, pool.send, asked, {}, url, of_pip=True)
    asking = Asking(hosts, request, pool.send, patience, CLOCK, lambda line: None)
    asking._waits.seconds = retried
    return asking


def wait_for(pool: Pool) -> Any:
    return asking(pool).again(urllib3.exceptions.ConnectTimeoutError())


LOST = urllib3.exceptions.ConnectTimeoutError


def test_a_host_is_waited_for_as_long_as_it_kept_waiting(limits: list[float]) -> None:
    with pytest.raises(GaveUpError, match="cannot be reached any more"):
        wait_for(Pool(*[LOST] * 9))
    assert len(limits) >= 2 and min(limits[1:]) >= TOOK


def test_a_host_that_is_back_but_busy_is_waited_for_until_the_attempts_are_over(
    limits: list[float],
) -> None:
    pool = Pool(LOST, 503, 429, 504)
    with pytest.raises(GaveUpError, match="is there, but of no help now") as end:
        wait_for(pool)
    assert ": the server answers 504; 5 attempts in" in str(end.value)
    assert pool.closed == 3
    assert len(limits) == 4 and min(limits[1:]) >= TOOK


@pytest.mark.parametrize(
    "error", [urllib3.exceptions.ProtocolError, urllib3.exceptions.HTTPError, ConnectionResetError]
)
def test_a_host_that_breaks_the_connection_before_it_answers_is_lost_all_the_same(
    error: type[Exception], limits: list[float]
) -> None:
    with pytest.raises(GaveUpError, match="cannot be reached any more"):
        wait_for(Pool(error, LOST, *[error] * 9))


@pytest.mark.parametrize("error", [GaveUpError, ValueError])
def test_what_no_patience_can_help_ends_the_wait_for_a_host(
    error: type[Exception], limits: list[float]
) -> None:
    refused = ssl.SSLCertVerificationError if error is GaveUpError else error
    with pytest.raises(error, match="did not prove" if error is GaveUpError else None):
        wait_for(Pool(LOST, refused))


def test_a_host_that_comes_and_goes_is_given_up(limits: list[float]) -> None:
    ends: list[type[Exception] | int] = [LOST, 503] * 9
    pool = Pool(*ends)
    with pytest.raises(GaveUpError, match="is there, but of no help now"):
        wait_for(pool)
    assert len(pool.ends) == 18 - 6


@pytest.mark.parametrize("status", [200, 304, 302, 401, 404])
def test_any_other_answer_is_pips(status: int, limits: list[float]) -> None:
    pool = Pool(LOST, 503, status)
    assert wait_for(pool).status == status
    assert pool.closed == 1


@pytest.mark.parametrize("retried, first", [(0.0, 1.0), (7.5, 8.0)])
def test_the_waits_go_on_from_those_of_urllib3s_own_retries(
    retried: float, first: float, limits: list[float]
) -> None:
    asking(Pool(200), Patience(), retried).again(urllib3.exceptions.ConnectTimeoutError())
    assert limits == [first]
