"""The newest pip through the ten faults that people meet most, on the Python that runs the tests.

This is the part of the real pips that `nox -s quick` runs. It needs no other Python, neither root
nor a chroot. tests/pips/body/test_faults.py looks closer, at more faults and more pips.
"""

from __future__ import annotations

import sys
from typing import Callable, NamedTuple, Sequence

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import SIZE, THIRD, Download
from tests.support.environments import Environment
from tests.support.lab.contents import Flip
from tests.support.lab.faults import Away, Busy, Cut, Garble, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, parametrized

THIS_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Case(NamedTuple):
    """One fault, and what its healing may cost.

    `warnings`: how many lines announce an interruption. `wire`: how often the file may cross the
    network.
    """

    package: Callable[[], Package]
    warnings: int = 1
    wire: float = 1.05
    tls: bool = False
    options: Sequence[str] = ()


CASES = {
    "connection-cut-20-times": Case(lambda: Package("demo", SIZE, [Cut(100_000)] * 20), 20),
    "connection-reset": Case(lambda: Package("demo", SIZE, [Reset(THIRD)])),
    "server-falls-silent": Case(
        lambda: Package("demo", SIZE, [Stall(THIRD)]), options=("--timeout", "1")
    ),
    "tls-record-broken": Case(lambda: Package("demo", SIZE, [Garble(THIRD)]), tls=True),
    "chunked-body-cut": Case(lambda: Package("demo", SIZE, [Cut(THIRD)], chunked=True)),
    "cut-and-no-range-requests": Case(
        lambda: Package("demo", SIZE, [Cut(THIRD)], ranges=False), wire=1.4
    ),
    "cut-then-busy": Case(
        lambda: Package("demo", SIZE, [Cut(THIRD), Busy(503, retry_after=1), Busy(429)])
    ),
    "server-away-for-a-second": Case(lambda: Package("demo", SIZE, [Away(1.0, after=THIRD)])),
    "index-page-cut": Case(
        lambda: Package("demo", SIZE, page_faults=[Cut(50)], page_format="json")
    ),
    "byte-damaged-on-its-way": Case(
        lambda: Package("demo", SIZE, [Flip(THIRD)]), warnings=0, wire=2.05
    ),
}


@pytest.mark.parametrize("name", CASES)
@parametrized([(NEWEST, THIS_PYTHON)])
def test_the_newest_pip_gets_the_right_file(name: str, armed: Environment) -> None:
    case = CASES[name]
    with Lab([case.package()], tls=certificates().server if case.tls else None) as lab:
        done = Download(armed, lab, *case.options)
        done.assert_right()
        assert done.run.times_interrupted == case.warnings, done.run.output
        assert any(request.fault for request in lab.log)
        assert lab.wait_idle()
        assert lab.sent("demo") <= case.wire * len(lab.wheel("demo"))
