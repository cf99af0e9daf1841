"""What it takes to finish where an index and its files die for good in the middle of a download."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import charts
from benchmarks.peers import OURS, Peer, other_installers, pip
from benchmarks.serving import Near
from tests.support.lab.faults import Away
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab

TITLE = "Another source"

SIZE = 40_000_000  # of the wheel's payload
RATE = 5_000_000  # bytes a second, of each answer
DIES_AT = 0.57
REPEATS = 2
LIMIT = 90.0  # seconds for one client
SECOND = "{}, then again with -i MIRROR"


@contextlib.contextmanager
def sources(size: int) -> Iterator[tuple[Near, Near]]:
    """An index that goes away for good in mid-file, and its mirror."""
    dying = Package("large", size, [Away(3600.0, int(size * DIES_AT))])
    with Lab([dying], rate=RATE) as index, Lab([replace(dying, faults=())], rate=RATE) as mirror:
        yield Near(index), Near(mirror)


def measure(quick: bool) -> dict[str, Any]:
    size = 2_000_000 if quick else SIZE
    figures: dict[str, Any] = {"size": size, "clients": {}}
    pairs = OURS[:1] if quick else OURS
    peers = [pip(*pair, armed=armed) for armed in (True, False) for pair in pairs]
    for peer in [*peers, *([] if quick else other_installers())]:
        found = figures["clients"].setdefault(peer.name, [])
        for _ in range(1 if quick else REPEATS):
            found.append(_once(peer, size, again=False))
        if not peer.armed:
            again = figures["clients"].setdefault(SECOND.format(peer.name), [])
            for _ in range(1 if quick else REPEATS):
                again.append(_once(peer, size, again=True))
    return figures


def _once(peer: Peer, size: int, again: bool) -> dict[str, Any]:
    """Let one client try; `again`: once more from the mirror, as a person would."""
    with sources(size) as (index, mirror), tempfile.TemporaryDirectory() as scratch:
        first, second = Path(scratch) / "first", Path(scratch) / "second"
        first.mkdir()
        second.mkdir()
        # uv with its own number of retries: here nobody gains from more.
        env = {"UV_HTTP_RETRIES": "3"}
        if peer.armed:
            env = {"PIP_RETRY_PATCH_MIRRORS": mirror.index_url}
        outcome = replace(peer, env=env).download(index, "large", first, limit=LIMIT)
        end, seconds = outcome.end, outcome.seconds
        if again and end != "right":
            outcome = peer.download(mirror, "large", second, limit=LIMIT)
            end, seconds = outcome.end, seconds + outcome.seconds
        sent = index.sent("large") + mirror.sent("large")
        return {"end": end, "seconds": round(seconds, 2), "ratio": sent / index.size("large")}


# --- the page ----------------------------------------------------------------------------------


def section(figures: dict[str, Any]) -> str:
    ideal = figures["size"] / RATE
    told = (
        f"{figures['size'] / 1e6:.0f} MB at {RATE / 1e6:.0f} MB/s: at best {ideal:.1f} s. At "
        f"{DIES_AT:.0%} of the file the index and its files go away for good; a mirror has all of "
        "it. With the patch, `retry-patch-mirrors` names it. The others were run once, and then "
        "again with the mirror as their index, as a person does who has read the error. Bytes are "
        "those that both servers sent, by the size of the file; medians."
    )
    rows = []
    for client, found in figures["clients"].items():
        ends = " / ".join(dict.fromkeys(one["end"] for one in found))
        ratio = median(one["ratio"] for one in found)
        seconds = median(one["seconds"] for one in found)
        rows.append([client, ends, f"{ratio:.2f}", f"{seconds:.1f} s", f"{seconds - ideal:+.1f} s"])
    head = ["", "end", "bytes by size", "time", "beyond the ideal"]
    return "\n\n".join([told, charts.table(head, rows)])


def draw(figures: dict[str, Any], directory: Path) -> None:
    """A table says it."""
