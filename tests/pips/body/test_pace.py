"""Connections that stop moving, with real pips. The numbers of the policy are turned down.

The times of the lab are far apart from those of the policy, so that a slow machine changes nothing:
a connection that has stopped would take minutes, and one that is let be is slow for seconds.
"""

from __future__ import annotations

import re
from typing import Iterator

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import Download
from tests.support.environments import Environment, copy_of
from tests.support.lab.faults import Slow
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import newest, old_middle_new
from tests.support.proxies import CuttingConnectProxy

SIZE = 3_000_000
# Of fetch/patience.py: 60 s for a connection that was faster, 300 s for one that never was.
TURNED_DOWN = "FLOOR, MOVED, SLOW = 100, 2.0, 8.0"


@pytest.fixture
def hasty(armed: Environment) -> Iterator[Environment]:
    """A pip whose guard takes less time to find that a connection has stopped."""
    environment = copy_of(armed)
    module = environment.site_packages / "pip_retry_patch" / "fetch" / "patience.py"
    text = module.read_text(encoding="utf-8")
    text, count = re.subn("^FLOOR, MOVED, SLOW = .*$", TURNED_DOWN, text, flags=re.M)
    assert count == 1
    module.write_text(text, encoding="utf-8")
    yield environment


@pytest.mark.parametrize("way", ["http", "tls", "proxy"])
@old_middle_new
def test_a_connection_that_has_stopped_moving_is_left_for_another(
    hasty: Environment, way: str
) -> None:
    """From megabytes a second to fifty bytes: at that rate the rest would take hours."""
    tls = None if way == "http" else certificates().server
    package = Package("demo", SIZE, [Slow(1_000_000, 50, 3600)])
    with Lab([package], tls=tls, rate=2_000_000) as lab, CuttingConnectProxy() as proxy:
        options = ("--proxy", proxy.url) if way == "proxy" else ()
        done = Download(hasty, lab, *options)
        done.assert_right()
        assert len(done.warnings) == 1 and "B/s)" in done.warnings[0]
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 10_000


@pytest.mark.parametrize("rate", [50, 3_000])
@old_middle_new
def test_a_connection_that_was_slow_from_its_first_byte_is_let_be(
    hasty: Environment, bare: Environment, rate: int
) -> None:
    """A gateway that hands out some bytes a second until its scan is done; an old modem."""
    with Lab([Package("demo", SIZE, [Slow(0, rate, 4.0)])]) as lab:
        for environment in (hasty, bare):
            done = Download(environment, lab)
            done.assert_right()
            assert not done.run.warnings()
        assert len(lab.requests("demo", "artifact")) == 2


@newest
def test_plain_pip_waits_on_a_connection_that_has_stopped_moving(bare: Environment) -> None:
    with Lab([Package("demo", SIZE, [Slow(1_000_000, 50, 12.0)])], rate=2_000_000) as lab:
        plain = Download(bare, lab)
        plain.assert_right()
        assert plain.run.seconds > 12
