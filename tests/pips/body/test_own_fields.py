"""Our own Range brings something down that works without it, in this run and in the next ones."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.downloads import OK, SIZE, THIRD, Download, outcome_of
from tests.support.environments import Environment
from tests.support.lab.contents import Unconditional
from tests.support.lab.faults import Busy, Cut, Drop, Reset, Stall, ToRange
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new
from tests.support.partials import SIZE as KEPT_SIZE
from tests.support.partials import continuing, kept, stored

REFUSALS: dict[str, Any] = {
    **{str(status): ToRange(Busy(status)) for status in (400, 403, 405, 500, 501)},
    "closed": ToRange(Drop()),
    "reset": (ToRange(Drop()), ToRange(Reset(0))),
    "silent": (ToRange(Drop()), ToRange(Stall(0))),
}
each_refusal = pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
TIMEOUT = ("--timeout", "1")


@each_refusal
@old_middle_new
def test_a_server_that_refuses_ranges_is_asked_without_one(
    refusal: Any, armed: Environment, bare: Environment
) -> None:
    """One cut ends a plain pip, for it cannot continue either."""
    again = (*(refusal if isinstance(refusal, tuple) else (refusal,)), Cut(2 * THIRD))
    package = Package("demo", SIZE, [Cut(THIRD), *[again] * 3], forever=refusal)
    with Lab([package]) as lab:
        done = Download(armed, lab, *TIMEOUT)
        done.assert_right()
        requests = lab.requests("demo", "artifact")
        # Once it is known for the host, no range is asked for any more.
        assert requests[-1].range is None
        assert sum(request.range is not None for request in requests) <= 2
    with Lab([package]) as lab:
        plain = Download(bare, lab, *TIMEOUT)
        assert outcome_of(plain.run) != OK


@each_refusal
@old_middle_new
def test_what_an_earlier_run_kept_never_makes_a_later_one_fail(
    refusal: Any, armed: Environment, bare: Environment
) -> None:
    """Where a plain pip has no trouble at all: nothing is cut any more."""
    cut = [Cut(KEPT_SIZE // 2), *[Busy(404)] * 2]
    cache = armed.fresh_dir()
    with Lab([Package("demo", KEPT_SIZE, cut, forever=refusal)]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        assert kept(cache)
        done = Download(armed, lab, *TIMEOUT, cache=cache)
        done.assert_right()
        assert not continuing(done)
        # What refuses our Range costs one replay, and no more.
        requests = lab.requests("demo", "artifact")[3:]
        assert [request.status for request in requests if not request.range] == [200, 200]
        ranges = [request.range for request in requests if request.range]
        assert ranges == [f"bytes={KEPT_SIZE // 2}-"] * len(ranges)
        (line,) = done.warnings
        says_so = isinstance(refusal, ToRange) and isinstance(refusal.fault, Busy)
        assert ("demo-1.0 fetches 3.0 of 6.0 MB again" in line) == says_so
        # Silence or a lost connection may be an accident, once.
        assert len(ranges) == 1 if says_so else len(ranges) <= 2
        assert not stored(cache)
        again = Download(armed, lab, *TIMEOUT, cache=cache)
        again.assert_right()
        assert not continuing(again) and not again.run.warnings()
        plain = Download(bare, lab)
        plain.assert_right()


@pytest.mark.parametrize("hashes", [True, False], ids=["hash", "no-hash"])
@old_middle_new
def test_a_server_that_takes_if_range_for_a_refusal_of_ranges_sends_parts(
    hashes: bool, pip: str, armed: Environment, bare: Environment
) -> None:
    faults = [(Cut(800_000), Unconditional()) for _ in range(12)]
    package = Package("demo", SIZE, faults, forever=Unconditional(), hashes=hashes)
    with Lab([package]) as lab:
        done = Download(armed, lab)
        done.assert_right()
    with Lab([package]) as lab:
        plain = Download(bare, lab)
        assert outcome_of(plain.run) != OK or not plain.is_right or pip == NEWEST
