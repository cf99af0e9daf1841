"""Real pips against the unreliable index: each fault of the network, healed or clearly refused.

`Case.plain` says what pip does without us. That is run, too: a fault that plain pip does not notice
would prove nothing.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Callable, Iterator, NamedTuple, Sequence

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import (
    GAVE_UP,
    HASH,
    NO_MATCH,
    OK,
    ONE_PYTHON_EACH,
    REFUSED,
    SIZE,
    THIRD,
    TRACEBACK,
    Download,
    outcome_of,
)
from tests.support.environments import Environment
from tests.support.forked import Forked
from tests.support.lab.contents import Elsewhere, OtherETag, OtherTotal, Unlabelled, Whole
from tests.support.lab.faults import Away, Busy, Cut, Garble, Reset, Stall, Unsatisfiable
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.lab.stages import Fault
from tests.support.matrix import NEWEST, each_pair, pairs


class Case(NamedTuple):
    """One fault.

    `plain`: the ends of pip 20.3.4 to 25.0.1, 25.3, 26.1.2 and 26.3. `warnings`: how many lines
    the healing is announced with. `wire`: how often the file may cross the network; where ranges
    work that is once.
    """

    name: str
    package: Callable[[], Package]
    plain: tuple[str, str, str, str]
    warnings: int = 1
    wire: float = 1.05
    tls: bool = False
    options: Sequence[str] = ()


def cut_then(*faults: Fault) -> Callable[[], Package]:
    return lambda: Package("demo", SIZE, [Cut(THIRD), *faults])


HEALED = [
    Case("cut-once", cut_then(), (HASH, OK, TRACEBACK, OK)),
    Case(
        "cut-20-times",
        lambda: Package("demo", SIZE, [Cut(100_000)] * 20),
        (HASH, GAVE_UP, TRACEBACK, GAVE_UP),
        warnings=20,
    ),
    Case(
        "cut-before-the-first-byte",
        lambda: Package("demo", SIZE, [Cut(0)]),
        (HASH, OK, TRACEBACK, OK),
    ),
    Case(
        "reset",
        lambda: Package("demo", SIZE, [Reset(THIRD)]),
        (TRACEBACK, TRACEBACK, TRACEBACK, OK),
    ),
    Case(
        "stall",
        lambda: Package("demo", SIZE, [Stall(THIRD)]),
        (TRACEBACK, OK, OK, OK),
        options=("--timeout", "1"),
    ),
    Case(
        "tls-record-broken",
        lambda: Package("demo", SIZE, [Garble(THIRD)]),
        (TRACEBACK, TRACEBACK, TRACEBACK, TRACEBACK),
        tls=True,
    ),
    Case("tls-fin-without-close-notify", cut_then(), (HASH, OK, TRACEBACK, OK), tls=True),
    Case(
        "tls-close-notify-too-early",
        lambda: Package("demo", SIZE, [Cut(THIRD, notify=True)]),
        (HASH, OK, TRACEBACK, OK),
        tls=True,
    ),
    Case(
        "chunked-body-cut",
        lambda: Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)], chunked=True),
        (TRACEBACK, TRACEBACK, TRACEBACK, TRACEBACK),
        warnings=2,
    ),
    Case(
        "206-from-elsewhere", cut_then(Elsewhere(1000)), (HASH, HASH, TRACEBACK, GAVE_UP), wire=2.5
    ),
    Case("206-with-another-total", cut_then(OtherTotal(7)), (HASH, OK, TRACEBACK, OK), wire=2.5),
    Case("206-with-another-validator", cut_then(OtherETag()), (HASH, OK, TRACEBACK, OK), wire=2.5),
    Case("206-without-label", cut_then(Unlabelled()), (HASH, OK, TRACEBACK, OK)),
    Case(
        "206-without-label-from-elsewhere",
        cut_then(Unlabelled(1000)),
        (HASH, HASH, TRACEBACK, HASH),
        wire=2.5,
    ),
    Case("200-to-a-range", cut_then(Whole()), (HASH, OK, TRACEBACK, OK), wire=1.4),
    Case(
        "no-ranges-and-cut-again-while-replaying",
        lambda: Package("demo", SIZE, [Cut(THIRD), Cut(THIRD // 2), Cut(2 * THIRD)], ranges=False),
        (HASH, OK, TRACEBACK, OK),
        warnings=2,
        wire=2.5,
    ),
    Case(
        "416-to-a-range", cut_then(Unsatisfiable()), (HASH, REFUSED, TRACEBACK, REFUSED), wire=1.4
    ),
    Case(
        "503-with-retry-after-then-429",
        cut_then(Busy(503, retry_after=1), Busy(429)),
        (HASH, REFUSED, TRACEBACK, REFUSED),
    ),
    Case(
        "server-away",
        lambda: Package("demo", SIZE, [Away(1.5, after=THIRD)]),
        (HASH, OK, TRACEBACK, OK),
    ),
    Case(
        "no-validator",
        lambda: Package("demo", SIZE, [Cut(THIRD)], validator="none"),
        (HASH, OK, TRACEBACK, OK),
    ),
    Case(
        "no-validator-and-no-ranges",
        lambda: Package("demo", SIZE, [Cut(THIRD)], validator="none", ranges=False),
        (HASH, OK, TRACEBACK, OK),
        wire=1.4,
    ),
    Case(
        "weak-validator",
        lambda: Package("demo", SIZE, [Cut(THIRD)], validator="weak"),
        (HASH, OK, TRACEBACK, OK),
        wire=1.4,
    ),
    Case(
        "date-as-validator",
        lambda: Package("demo", SIZE, [Cut(THIRD)], validator="date"),
        (HASH, OK, TRACEBACK, OK),
    ),
    Case(
        "html-index-page-cut",
        lambda: Package("demo", SIZE, page_faults=[Cut(100)]),
        (NO_MATCH, NO_MATCH, TRACEBACK, TRACEBACK),
    ),
    Case(
        "compressed-index-page-cut",
        lambda: Package("demo", SIZE, page_faults=[Cut(100)], gzip=True),
        (NO_MATCH, NO_MATCH, TRACEBACK, TRACEBACK),
    ),
]


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


@each(HEALED)
@each_pair
def test_heals(case: Case, armed: Environment) -> None:
    with Lab([case.package()], tls=certificates().server if case.tls else None) as lab:
        done = Download(armed, lab, *case.options)
        done.assert_right()
        assert done.run.times_interrupted == case.warnings, done.run.output
        assert lab.wait_idle()
        assert lab.sent("demo") <= case.wire * len(lab.wheel("demo"))


@pytest.fixture(scope="module")
def forked() -> Iterator[Callable[[Environment], Forked]]:
    """Give one process for all pips of an environment; each pip is forked from it."""
    with contextlib.ExitStack() as stack:
        yield functools.lru_cache(maxsize=None)(
            lambda environment: stack.enter_context(Forked(environment))
        )


@each(HEALED)
@pairs(*ONE_PYTHON_EACH)
def test_the_fault_is_real(
    case: Case, pip: str, bare: Environment, forked: Callable[[Environment], Forked]
) -> None:
    pips = forked(bare)
    column = {"25.3": 1, "26.1.2": 2, "26.3": 3}.get(bare.pip_version, 0)
    with Lab([case.package()], tls=certificates().server if case.tls else None) as lab:
        cache = bare.fresh_dir()
        run = Download(bare, lab, *case.options, cache=cache, forked=pips).run
        assert any(request.fault for request in lab.log)
        if pip != NEWEST or column:
            # (A pip that is newer than this table may well do better.)
            assert outcome_of(run) == case.plain[column], run.output
