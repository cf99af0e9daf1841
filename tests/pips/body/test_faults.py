"""Real pips against the unreliable index: each fault of the network, healed or clearly refused.

`Case.plain` says what pip does without us. That is run, too: a fault that plain pip does not notice
would prove nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import (
    GAVE_UP,
    HASH,
    NO_MATCH,
    OK,
    REFUSED,
    SIZE,
    THIRD,
    TRACEBACK,
    Download,
    end_of,
)
from tests.support.environments import Environment
from tests.support.lab import faults as f
from tests.support.lab.faults import Entry
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, THIS_PYTHON, old_middle_new, pairs, parametrized


class Case(NamedTuple):
    """One fault.

    `plain`: the ends of pip 20.3.4 and 24.0, and of 26.3. `warnings`: how many lines announce the
    healing. `wire`: how often the file may cross the network; where ranges work that is once.
    """

    package: Package
    plain: tuple[str, str]
    warnings: int = 1
    wire: float = 1.05
    tls: bool = False
    options: Sequence[str] = ()


def demo(*faults: Entry, **how: Any) -> Package:
    return Package("demo", SIZE, faults, **how)


def cut_then(*faults: Entry) -> Package:
    return demo(CUT, *faults)


CUT, RESET = f.Cut(THIRD), f.Reset(THIRD)
MIX = HASH, OK  # what a cut makes of a plain pip
STOP = TRACEBACK, TRACEBACK
AGAIN = 1, 2.5  # one line, and what was not proven came again
REPLAY = 1, 1.4
HEALED = {
    "cut-once": Case(cut_then(), MIX),
    "cut-20-times": Case(demo(*[f.Cut(100_000)] * 20), (HASH, GAVE_UP), 20),
    "cut-before-the-first-byte": Case(demo(f.Cut(0)), MIX),
    "byte-damaged": Case(demo(f.Flip(THIRD)), (HASH, HASH), 0, 2.05),
    "reset": Case(demo(RESET), (TRACEBACK, OK)),
    "stall": Case(demo(f.Stall(THIRD)), (TRACEBACK, OK), options=("--timeout", "1")),
    "tls-record-broken": Case(demo(f.Garble(THIRD)), STOP, tls=True),
    "tls-fin-without-close-notify": Case(cut_then(), MIX, tls=True),
    "tls-close-notify-too-early": Case(demo(f.Cut(THIRD, notify=True)), MIX, tls=True),
    "chunked-body-cut": Case(demo(CUT, RESET, chunked=True), STOP, 2),
    "206-from-elsewhere": Case(cut_then(f.Elsewhere(1000)), (HASH, GAVE_UP), *AGAIN),
    "206-with-another-total": Case(cut_then(f.OtherTotal(7)), MIX, *AGAIN),
    "206-with-another-validator": Case(cut_then(f.OtherETag()), MIX),
    "206-without-label": Case(cut_then(f.Unlabelled()), MIX),
    "206-without-label-from-elsewhere": Case(cut_then(f.Unlabelled(1000)), (HASH, HASH), *AGAIN),
    "200-to-a-range": Case(cut_then(f.Whole()), MIX, *REPLAY),
    "no-ranges-and-cut-again-while-replaying": Case(
        demo(CUT, f.Cut(THIRD // 2), f.Cut(2 * THIRD), ranges=False), MIX, 2, 2.5
    ),
    "416-to-a-range": Case(cut_then(f.Unsatisfiable()), (HASH, REFUSED), *REPLAY),
    "503-with-retry-after-then-429": Case(
        cut_then(f.Busy(503, retry_after=1), f.Busy(429)), (HASH, REFUSED)
    ),
    "server-away": Case(demo(f.Away(1.5, after=THIRD)), MIX),
    "no-validator": Case(demo(CUT, validator="none"), MIX),
    "no-validator-and-no-ranges": Case(demo(CUT, validator="none", ranges=False), MIX, *REPLAY),
    "weak-validator": Case(demo(CUT, validator="weak"), MIX, *REPLAY),
    "date-as-validator": Case(demo(CUT, validator="date"), MIX),
    "html-index-page-cut": Case(demo(page_faults=[f.Cut(100)]), (NO_MATCH, TRACEBACK)),
    "compressed-index-page-cut": Case(
        demo(page_faults=[f.Cut(100)], gzip=True), (NO_MATCH, TRACEBACK)
    ),
}
each_fault = pytest.mark.parametrize("case", HEALED.values(), ids=HEALED)


def check(case: Case, armed: Environment) -> None:
    with Lab([case.package], tls=certificates().server if case.tls else None) as lab:
        done = Download(armed, lab, *case.options)
        done.assert_right()
        assert done.run.times_interrupted == case.warnings, done.run.output
        assert lab.wait_idle()
        assert lab.sent("demo") <= case.wire * len(lab.wheel("demo"))


@each_fault
@pairs(("20.3.4", "3.8"), ("24.0", "3.12"))
def test_heals(case: Case, armed: Environment) -> None:
    check(case, armed)


@each_fault
@parametrized([(NEWEST, THIS_PYTHON)])
def test_the_newest_pip_heals(case: Case, armed: Environment) -> None:
    """On the Python that runs the tests, as `nox -s quick` needs it."""
    check(case, armed)


@each_fault
@old_middle_new
def test_the_fault_is_real(case: Case, pip: str, bare: Environment) -> None:
    with Lab([case.package], tls=certificates().server if case.tls else None) as lab:
        run = Download(bare, lab, *case.options, cache=bare.fresh_dir()).run
        assert any(request.fault for request in lab.log)
        if pip != NEWEST or bare.pip_version == "26.3":
            # (A pip that is newer than this table may well do better.)
            assert end_of(run) == case.plain[pip == NEWEST], run.output
