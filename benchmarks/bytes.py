"""What interrupted downloads cost in bytes: those on the wire by the size of the file."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.patches import Rectangle

from benchmarks.charts import GREY, ORANGE, SKY, chart, table
from benchmarks.peers import SILENCE, TRIES, Peer, everyone
from benchmarks.serving import Served, serving_here
from tests.support.lab.faults import Busy, Cut, Garble, Redirect, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.stages import Fault

TITLE = "Bytes: how much is fetched twice"

SIZE = 40_000_000  # of the wheel's payload
REPEATS = 3
STEP = 77_777  # later in each repeat, so that no client's buffer fits by luck
LIMIT = 60.0  # seconds for one download
# Up to this ratio nothing counts as fetched twice: that allows for pip's buffer of 256 KiB.
THRIFTY = 1.01
FAULTS = (
    "one cut",
    "twenty cuts",
    "reset",
    "stall",
    "broken TLS record",
    "no ranges, a cut",
    "expired signature",
)


@dataclass(frozen=True)
class Run:
    """One download. Kept as text, one line in the results."""

    sent: int
    end: str

    @classmethod
    def parsed(cls, text: str) -> Run:
        sent, _, end = text.partition(" ")
        return cls(int(sent), end)

    def __str__(self) -> str:
        return f"{self.sent} {self.end}"


def perfect(fault: str) -> float:
    """The least of bytes on the wire by the size: without ranges, the first half comes twice."""
    return 1.0 if has_ranges(fault) else 1.5


def has_ranges(fault: str) -> bool:
    return not fault.startswith("no ranges")


def package(fault: str, size: int, repeat: int, silence: float) -> Package:
    """What is served for one fault; of the expired signature, the file behind the first link."""
    half = size // 2 + repeat * STEP
    faults: Mapping[str, Sequence[Fault]] = {
        "twenty cuts": [Cut(size // 21 - repeat * STEP // 21)] * 20,
        "reset": [Reset(half)],
        "stall": [Stall(half, silence)],
        "broken TLS record": [Garble(half)],
    }
    expired = Busy(403) if fault == "expired signature" else None
    spoiled = faults.get(fault, [Cut(half)])
    return Package("demo", size, spoiled, expired, ranges=has_ranges(fault))


class Signed(Served):
    """An index that redirects to signed links; the bytes are those of the files behind them."""

    def __init__(self, index: Served, files: list[Served]) -> None:
        self._index, self._files = index, files
        self.url, self.index_url = index.url, index.index_url

    def _ask(self, method: str, *arguments: Any) -> Any:
        if method == "sent":
            return sum(each.sent(*arguments) for each in self._files)
        if method == "wait_idle":
            return all(each.wait_idle() for each in (self._index, *self._files))
        return self._index._ask(method, *arguments)


@contextlib.contextmanager
def serving_signed(first: Package) -> Iterator[Served]:
    """Serve a file behind a link that expires when it breaks, and behind a fresh one after that.

    Whoever asks the index again is redirected to the fresh link; the old one answers 403 for good.
    """
    fresh = Package(first.name, first.size)
    with serving_here([first]) as old, serving_here([fresh]) as new:
        links = [f"{old.file_url('demo')}?signature=0", f"{new.file_url('demo')}?signature=1"]
        redirects = [Redirect(link) for link in links]
        index = Package(first.name, first.size, redirects, forever=redirects[-1])
        with serving_here([index]) as served:
            yield Signed(served, [old, new])


def run(peer: Peer, fault: str, size: int, repeat: int, silence: float) -> tuple[Run, int]:
    """Let one client meet one fault; return what came of it, and the size of the file."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        home = Path(scratch, "home")
        home.mkdir()
        ca_pem = Path(scratch, "ca.pem") if "TLS" in fault else None
        what = package(fault, size, repeat, silence)
        if fault == "expired signature":
            served = stack.enter_context(serving_signed(what))
        else:
            served = stack.enter_context(serving_here([what], ca_pem))
        outcome = peer.download(served, what.name, home, ca_pem=ca_pem, limit=LIMIT)
    return Run(outcome.sent, outcome.end), outcome.size


def measure(quick: bool) -> dict[str, Any]:
    """Let every client meet every fault, some times over; two clients run at a time."""
    peers = everyone()
    if quick:
        peers = [peers[0], peers[-1]]
    size, silence = (3_000_000, 1.0) if quick else (SIZE, 4.0 * SILENCE)
    jobs = [
        (fault, repeat, peer)
        for fault in FAULTS
        for repeat in range(1 if quick or fault == "stall" else REPEATS)
        for peer in peers
    ]
    runs: dict[str, dict[str, list[str]]] = {fault: {p.name: [] for p in peers} for fault in FAULTS}
    whole = 0
    with ThreadPoolExecutor(2) as pool:
        # A result is a count of bytes: two clients at a time do not disturb each other.
        ended = pool.map(lambda job: run(job[2], job[0], size, job[1], silence), jobs)
        for (fault, repeat, peer), (done, whole) in zip(jobs, ended, strict=True):
            runs[fault][peer.name].append(str(done))
            print(f"{fault}, {repeat}: {peer.name}: {done.sent / whole:.3f} {done.end}", flush=True)
    ours = [peer.name for peer in peers if peer.armed]
    return {
        "size": whole,
        "tries": TRIES,
        "silence": SILENCE,
        "limit": LIMIT,
        "ours": ours,
        "runs": runs,
    }


# The page


def runs_of(figures: dict[str, Any], fault: str, peer: str) -> list[Run]:
    return [Run.parsed(text) for text in figures["runs"][fault][peer]]


def spread(ratios: list[float]) -> str:
    """Say the least and the most, or one figure where they agree."""
    low, high = f"{min(ratios):.2f}", f"{max(ratios):.2f}"
    return low if low == high else f"{low} to {high}"


def cell(runs: list[Run], size: int) -> tuple[str, str]:
    """Say how one client's runs with one fault ended, and their bytes by the file's size."""
    ends = sorted({run.end for run in runs})
    if ends == ["right"]:
        said = ""
    elif len(ends) == 1:
        said = ends[0]
    else:
        said = ", ".join(f"{sum(run.end == end for run in runs)} {end}" for end in ends)
    return said, spread([run.sent / size for run in runs])


def discarded(figures: dict[str, Any]) -> int:
    """Bytes sent before a reset that even the most exact client had to ask for again.

    Those reached the system, which threw them away unread.
    """
    size = figures["size"]
    surplus = [
        run.sent - size
        for name in figures["runs"]["reset"]
        for run in runs_of(figures, "reset", name)
        if run.end == "right"
    ]
    return min(surplus, default=0)


def exact(figures: dict[str, Any], names: list[str]) -> list[str]:
    """Those that were right in every run, and fetched nothing twice but without ranges."""

    def good(name: str) -> bool:
        return all(
            run.end == "right" and run.sent <= THRIFTY * figures["size"] * perfect(fault)
            for fault in FAULTS
            for run in runs_of(figures, fault, name)
        )

    return [name for name in names if good(name)]


def section(figures: dict[str, Any]) -> str:
    """What was done, the table, the chart, and what follows from them."""
    size, names = figures["size"], list(figures["runs"][FAULTS[0]])
    rows = []
    for name in names:
        row = [name]
        for fault in FAULTS:
            said, ratio = cell(runs_of(figures, fault, name), size)
            row.append(f"{said} ({ratio})" if said else f"**{ratio}**")
        rows.append(row)
    counts = {fault: len(runs_of(figures, fault, names[0])) for fault in FAULTS}
    always = exact(figures, names)
    others = [name for name in always if name not in figures["ours"]]
    lost = discarded(figures)
    silent = (
        "here it discarded nothing, and each byte that had arrived could still be read"
        if lost == 0
        else f"here that was {lost} bytes at the least, and they are in every figure of that column"
    )
    return f"""
One wheel of {size / 1e6:.0f} MB, interrupted half-way; of the twenty cuts, each response ends
after a 21st of the file. The signed link breaks once and then answers 403 for good, while the index
redirects to a fresh one. Every client has its own unreliable index with the same faults, and its
turn {counts["one cut"]} times ({counts["stall"]} for the stall), broken off each time a little
further on.

The pips run as they are, except where an option is named. The others may try
{figures["tries"]} times, wait a second in between where they have such an option, and give a silent
server {figures["silence"]} s; all are stopped after {figures["limit"]:.0f} s. "curl -C - in a
loop" is a shell loop around it, since `curl --retry` throws away what it had.

A figure is the body bytes of the file that the server sent, by the size of the file: in bold where
the file came right each time, and behind what happened where it did not. 1.00 is perfect; without
ranges 1.50 is, since the first half has to be sent again.

{table(["", *FAULTS], rows)}

![Bytes on the wire by the size of the file, for every client and fault](images/bytes.svg)

Right each time, with nothing to save in any column: {", ".join(always) or "nobody"}.
{_peers_said(others)} The twenty cuts are kind to a client that starts again from the first byte,
because they end: on a link that never lets the whole file through, it does not arrive.

A reset can make the system discard what had arrived and was not yet read, which no client can
help; {silent}.
"""


def _peers_said(others: list[str]) -> str:
    if others:
        return f"So {', '.join(others)} did as well as pip with the patch."
    return "No other client did, but each figure beside theirs shows where one is as good."


def draw(figures: dict[str, Any], directory: Path) -> None:
    """A table in colour: what failed has no colour, and a cross."""
    size, names = figures["size"], list(figures["runs"][FAULTS[0]])
    with chart(directory / "bytes.svg", figsize=(10.5, 0.42 * len(names) + 1.3)) as (_, axes):
        for y, name in enumerate(names):
            for x, fault in enumerate(FAULTS):
                said, ratio = cell(runs_of(figures, fault, name), size)
                most = max(run.sent / size for run in runs_of(figures, fault, name))
                thrifty = most <= THRIFTY * perfect(fault)
                options: dict[str, Any] = {"facecolor": SKY if thrifty else ORANGE}
                if said:
                    options = {"fill": False, "edgecolor": GREY}
                axes.add_patch(Rectangle((x - 0.47, y - 0.43), 0.94, 0.86, lw=0.6, **options))
                text = f"\N{BALLOT X} {said}" if said else ratio
                colour = GREY if said else "black"
                axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=9)
        axes.set_xlim(-0.5, len(FAULTS) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        labels = [fault.replace(" a ", "\na ").replace(" TLS", "\nTLS") for fault in FAULTS]
        axes.set_xticks(range(len(FAULTS)), labels)
        axes.set_yticks(range(len(names)), names)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel(
            "bytes on the wire / size of the file; blue: nothing fetched twice that need not be; "
            "\N{BALLOT X}: no right file"
        )
