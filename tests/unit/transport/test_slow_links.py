"""Connections that stop moving, through a real urllib3: given up and resumed, or left alone.

The numbers are those of policy/pace.py, turned down to a twentieth; test_pace.py has the true ones.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import time
from types import SimpleNamespace
from typing import Any, Iterator

import pytest
import trustme
import urllib3

from tests.support.lab.faults import Slow
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.lab.stages import Entry
from pip_retry_patch.policy.pace import Pace
from pip_retry_patch.policy.retry import Patience
from pip_retry_patch.transport import guard
from pip_retry_patch.transport.errors import GaveUpError
from pip_retry_patch.transport.origin import OVERLAP
from tests.support.proxies import CuttingConnectProxy

SIZE = 400_000
PACE = Pace(slice=0.25, slow=1.0, patience=15.0, longest=60.0)
PATIENCE = Patience(attempts=4, seconds=2.0, first_limit=0.01, last_limit=0.02)


pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")


class Link:
    """A guarded urllib3 of its own, and what it told."""

    def __init__(self, pace: Pace = PACE) -> None:
        self.lines: list[str] = []

        def copy(pool: type) -> Any:
            return type(pool.__name__, (pool,), {"urlopen": urllib3.HTTPConnectionPool.urlopen})

        self.pools = {
            "http": copy(urllib3.HTTPConnectionPool),
            "https": copy(urllib3.HTTPSConnectionPool),
        }
        for pool in self.pools.values():
            module = SimpleNamespace(
                connectionpool=SimpleNamespace(HTTPConnectionPool=pool),
                exceptions=urllib3.exceptions,
            )
            guard.Guard(
                module, PATIENCE, lambda end, _: GaveUpError(end), self.lines.append, pace=pace
            ).wrap()

    def read(self, lab: Lab, proxy: str | None = None) -> bytes:
        """Download as pip does, with `--timeout 3`."""
        manager = urllib3.PoolManager(cert_reqs="CERT_NONE")
        if proxy is not None:
            manager = urllib3.ProxyManager(proxy, cert_reqs="CERT_NONE")
        manager.pool_classes_by_scheme = self.pools
        response = manager.request(
            "GET",
            f"{lab.url}/files/demo/{lab.filename('demo')}",
            headers={"Accept-Encoding": "identity"},
            retries=urllib3.Retry(3, backoff_factor=0),
            timeout=3,
            preload_content=False,
            decode_content=False,
        )
        return b"".join(response.stream(10_240, decode_content=False))


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@contextlib.contextmanager
def served(
    way: str, tls: ssl.SSLContext, *faults: Entry, rate: int | None = 100_000, **options: Any
) -> Iterator[tuple[Lab, str | None]]:
    """Serve a file at 100 kB a second, over HTTP, TLS, or TLS through a proxy."""
    package = Package("demo", SIZE, list(faults), **options)
    with Lab([package], tls=None if way == "http" else tls, rate=rate) as lab:
        if way != "proxy":
            yield lab, None
            return
        with CuttingConnectProxy() as proxy:
            yield lab, proxy.url


WAYS = pytest.mark.parametrize("way", ["http", "tls", "proxy"])


@WAYS
def test_a_fast_connection_that_falls_to_a_trickle_is_resumed_soon(
    way: str, tls: ssl.SSLContext
) -> None:
    link = Link()
    with served(way, tls, Slow(100_000, rate=50)) as (lab, proxy):
        began = time.monotonic()
        assert link.read(lab, proxy) == lab.wheel("demo")
        assert time.monotonic() - began < 60, "by the trickle alone it would take hours"
        (line,) = link.lines
        assert re.search(r"resumed at .* \(\d+ B/s\)", line)
        assert lab.sent("demo") <= 1.01 * len(lab.wheel("demo")) + OVERLAP


@WAYS
def test_a_connection_that_was_slow_from_its_first_byte_is_left_alone(
    way: str, tls: ssl.SSLContext
) -> None:
    """As behind a gateway that hands out crumbs until it has scanned the file."""
    link = Link()
    with served(way, tls, Slow(0, rate=20, seconds=3), rate=None) as (lab, proxy):
        assert link.read(lab, proxy) == lab.wheel("demo")
        assert not link.lines and len(lab.requests("demo")) == 1


@WAYS
def test_a_connection_that_resumes_through_such_a_gateway_is_left_alone(
    way: str, tls: ssl.SSLContext
) -> None:
    link = Link()
    trickle = Slow(100_000, rate=50), Slow(0, rate=20, seconds=3)
    with served(way, tls, *trickle) as (lab, proxy):
        assert link.read(lab, proxy) == lab.wheel("demo")
        assert len(link.lines) == 1 and len(lab.requests("demo")) == 2


def test_a_steady_slow_link_is_never_touched(tls: ssl.SSLContext) -> None:
    link = Link()
    with Lab([Package("demo", 10_000)], rate=3000) as lab:
        assert link.read(lab) == lab.wheel("demo")
        assert not link.lines and len(lab.requests("demo")) == 1


@pytest.mark.parametrize(
    "options", [{"ranges": False}, {"validator": "none"}, {"validator": "weak"}]
)
def test_a_connection_is_left_alone_where_resuming_cannot_be_expected_to_work(
    options: dict[str, Any], tls: ssl.SSLContext
) -> None:
    link = Link()
    slow = Slow(100_000, rate=50, seconds=2.5)
    with served("http", tls, slow, **options) as (lab, _):
        assert link.read(lab) == lab.wheel("demo")
        assert not link.lines and len(lab.requests("demo")) == 1


def test_a_trickle_for_ever_is_given_up_as_no_progress(tls: ssl.SSLContext) -> None:
    link = Link(PACE._replace(patience=0.5, longest=0.5))
    with served("http", tls, Slow(150_000, 50), *[Slow(100, 30)] * 9) as (lab, _):
        with pytest.raises(GaveUpError, match="no progress") as end:
            link.read(lab)
        assert "stopped at 150 kB of 401 kB" in str(end.value)
        assert "4 attempts in" in str(end.value)
