"""Connections that stop moving, and tunnels that are cut.

The numbers of the policy are turned down. The times of the lab are far apart from them, so that a
slow machine changes nothing: a connection that has stopped would take minutes, and one that is let
be is slow for seconds.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import Download
from tests.support.environments import Environment, copy_of
from tests.support.lab.faults import Slow
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new, pairs
from tests.support.programs import Outcome
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
    hasty: Environment, bare: Environment, pip: str, way: str
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
    if (way, pip) == ("http", NEWEST):
        with Lab([Package("demo", SIZE, [Slow(1_000_000, 50, 12.0)])], rate=2_000_000) as lab:
            assert Download(bare, lab).run.seconds > 12, "plain pip waits"


@old_middle_new
def test_a_connection_that_was_slow_from_its_first_byte_is_let_be(
    hasty: Environment, bare: Environment
) -> None:
    """A gateway that hands out some bytes a second until its scan is done."""
    with Lab([Package("demo", SIZE, [Slow(0, 50, 4.0)] * 2)]) as lab:
        for environment in (hasty, bare):
            done = Download(environment, lab)
            done.assert_right()
            assert not done.run.warnings()
        assert len(lab.requests("demo", "artifact")) == 2


MB = 1_000_000
REAL = "numpy==1.26.4"  # 18 MB, with wheels for Python 3.9 to 3.12


def download(environment: Environment, proxy: CuttingConnectProxy) -> tuple[Outcome, list[Path]]:
    target = environment.fresh_dir()
    options = "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--proxy", proxy.url
    run = environment.run("download", *options, "--dest", target, REAL, machine=True, timeout=300)
    return run, list(target.iterdir())


def file_bytes(proxy: CuttingConnectProxy) -> int:
    """The bytes of the tunnels that carried the file: by far the most of all."""
    return max(proxy.downstream.values())


@pytest.mark.timeout(400)
@pairs(("24.0", "3.12"), (NEWEST, "3.11"))
def test_a_real_wheel_arrives_through_a_proxy_that_cuts_every_tunnel(
    pip: str, armed: Environment, bare: Environment
) -> None:
    """From the configured default index."""
    with CuttingConnectProxy() as whole:
        direct, (expected,) = download(bare, whole)
    assert direct.returncode == 0, direct.output
    with CuttingConnectProxy(after=4 * MB) as cutting:
        outcome, (file,) = download(armed, cutting)
    assert outcome.returncode == 0, outcome.output
    assert (file.name, file.read_bytes()) == (expected.name, expected.read_bytes())
    cuts = sum(cutting.struck.values())
    assert cuts == file.stat().st_size // (4 * MB)
    assert outcome.times_interrupted == cuts, outcome.output
    assert file_bytes(cutting) <= 1.05 * file_bytes(whole)
    if pip == "24.0":
        with CuttingConnectProxy(after=4 * MB) as cutting:
            outcome, files = download(bare, cutting)
        assert "DO NOT MATCH THE HASHES" in outcome.output and not files
