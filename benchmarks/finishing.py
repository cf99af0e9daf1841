"""One download over a link of its own that breaks in one way: what `finish` is made of."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.link import Link, linked
from benchmarks.peers import Peer
from benchmarks.serving import Served, serving
from tests.support.lab.faults import Away, Cut
from tests.support.lab.packages import Package

RATE = 20_000_000  # bytes per second
LIMIT = 90.0  # seconds, after which a client is stopped
# So many seconds apart the runs of one client with an outage begin: one waits, the next starts.
APART = 4.0
ALONE, OUTAGES = ("clean", "drops"), ("lost", "wifi", "away")
WAYS = {
    "clean": "nothing happens",
    "drops": "drops every {every:g} MB",
    "lost": "{outage:g} s without packets",
    "wifi": "{outage:g} s without wifi",
    "away": "{outage:g} s without server",
}


@dataclass(frozen=True)
class Scale:
    """How much is downloaded, and how often. Bytes and seconds."""

    size: int = 100_000_000
    every: int = 5_000_000
    outage: float = 20.0
    rounds: int = 2

    def ideal(self, way: str) -> float:
        """The seconds that the link itself needs."""
        return self.size / RATE + (self.outage if way in OUTAGES else 0.0)

    def words(self, way: str) -> str:
        return WAYS[way].format(every=self.every / 1e6, outage=self.outage)


@dataclass(frozen=True)
class Run:
    """One download; `seconds` is the whole process, `transfer` from the first request on."""

    end: str
    seconds: float
    transfer: float
    requests: int  # for the file


class Place(NamedTuple):
    """Where one client downloads once."""

    link: Link
    served: Served
    ca_pem: Path


def staggered(peer: Peer, ways: list[str], scale: Scale) -> list[Run]:
    """Download once in each way, each over a link of its own and from an index of its own."""
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(place(way, scale)) for way in ways]
        with ThreadPoolExecutor(len(WAYS)) as pool:
            started: list[Future[Run]] = []
            for way, where in zip(ways, places, strict=True):
                if started:
                    time.sleep(APART if scale.outage > APART else 0)
                started.append(pool.submit(run, peer, way, scale, where))
            return [future.result() for future in started]


@contextlib.contextmanager
def place(way: str, scale: Scale) -> Iterator[Place]:
    """A link, and an index at its other end that speaks TLS, as any public one does."""
    package = Package("demo", scale.size, metadata=True)
    if way == "drops":
        package = Package("demo", scale.size, metadata=True, forever=Cut(scale.every))
    if way == "away":
        away = Away(scale.outage, after=scale.size // 2)
        package = Package("demo", scale.size, metadata=True, faults=[away])
    with tempfile.TemporaryDirectory() as directory, linked(RATE) as link:
        ca_pem = Path(directory, "ca.pem")
        with serving([package], ca_pem, address=link.here) as served:
            yield Place(link, served, ca_pem)


def run(peer: Peer, way: str, scale: Scale, where: Place) -> Run:
    link, served = where.link, where.served
    over = threading.Event()
    vanishing = threading.Thread(target=vanish, args=(way, scale, link, over))
    vanishing.start()
    try:
        with tempfile.TemporaryDirectory() as directory:
            began = time.monotonic()
            done = peer.download(served, "demo", Path(directory), where.ca_pem, link.prefix, LIMIT)
    finally:
        over.set()
        vanishing.join()
    times = [request.time for request in served.requests("demo") if request.kind == "artifact"]
    transfer = done.seconds - (times[0] - began) if times else 0.0
    return Run(done.end, round(done.seconds, 3), round(transfer, 3), len(times))


def vanish(way: str, scale: Scale, link: Link, over: threading.Event) -> None:
    """Let the link go away when half of the file has passed, until the outage or all is over."""
    if way not in ("lost", "wifi"):
        return
    while link.passed() < scale.size / 2:
        if over.wait(0.005):
            return
    with link.losing() if way == "lost" else link.unplugged():
        over.wait(scale.outage)
