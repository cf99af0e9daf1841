"""Our own Range brings something down that works without it, in this run and in the next ones."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.downloads import OK, SIZE, THIRD, Download, end_of
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Cut, Drop, Reset, Stall, ToRange
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import SIZE as KEPT_SIZE
from tests.support.partials import continuing, kept, stored

REFUSALS: dict[str, Any] = {
    **{str(status): ToRange(Busy(status)) for status in (400, 403, 405, 500, 501)},
    "closed": ToRange(Drop()),
    "reset": (ToRange(Drop()), ToRange(Reset(0))),
    "silent": (ToRange(Drop()), ToRange(Stall(0))),
}
each_refusal = pytest.mark.parametrize("name", REFUSALS)
TIMEOUT = ("--timeout", "1")


@each_refusal
@old_middle_new
def test_a_server_that_refuses_ranges_is_asked_without_one(
    name: str, armed: Environment, bare: Environment
) -> None:
    """One cut ends a plain pip, for it cannot continue either."""
    refusal = REFUSALS[name]
    again = (*(refusal if isinstance(refusal, tuple) else (refusal,)), Cut(2 * THIRD))
    package = Package("demo", SIZE, [Cut(THIRD), *[again] * 3], forever=refusal)
    with Lab([package]) as lab:
        Download(armed, lab, *TIMEOUT).assert_right()
        requests = lab.requests("demo", "artifact")
        # Once it is known for the host, no range is asked for any more.
        assert requests[-1].range is None
        asked = sum(request.range is not None for request in requests)
        assert asked <= (2 if name.isdigit() else 4)  # two lost requests may be chance, once
    with Lab([package]) as lab:
        assert end_of(Download(bare, lab, *TIMEOUT).run) != OK


@old_middle_new
def test_a_server_that_is_busy_for_ranges_alone_gets_a_plain_request_in_the_end(
    armed: Environment,
) -> None:
    with Lab([Package("demo", SIZE, [Cut(THIRD)], forever=ToRange(Busy(502)))]) as lab:
        Download(armed, lab, env={"PIP_RETRY_PATCH_ATTEMPTS": "2"}).assert_right()


@each_refusal
@old_middle_new
def test_what_an_earlier_run_kept_never_makes_a_later_one_fail(
    name: str, armed: Environment, bare: Environment
) -> None:
    """Where a plain pip has no trouble at all: nothing is cut any more."""
    cut, cache = [Cut(KEPT_SIZE // 2), *[Busy(404)] * 2], armed.fresh_dir()
    with Lab([Package("demo", KEPT_SIZE, cut, forever=REFUSALS[name])]) as lab:
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
        assert "demo-1.0 fetches 3.0 of 6.0 MB again" in line
        # Silence or a lost connection may be an accident, once.
        assert len(ranges) == 1 if name.isdigit() else len(ranges) <= 2
        assert not stored(cache)
        again = Download(armed, lab, *TIMEOUT, cache=cache)
        again.assert_right()
        assert not continuing(again) and not again.run.warnings()
        Download(bare, lab).assert_right()
