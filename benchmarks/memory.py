"""Whether the memory that pip takes grows with what it downloads, or with what is interrupted."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import charts, processes
from benchmarks.peers import OURS
from benchmarks.serving import Served, serving
from tests.support import environments
from tests.support.environments import Environment
from tests.support.lab.faults import Cut
from tests.support.lab.packages import Package

TITLE = "Memory"

SIZES = {"100 MB": 100_000_000, "1 GB": 1_000_000_000}
CUTS = 50
FLAT = 1.1  # the largest by the smallest of what should not differ
PLAIN, CLEAN, BROKEN = "pip alone", "with the patch", f"with the patch, {CUTS} cuts"


def measure(quick: bool) -> dict[str, Any]:
    sizes = {"5 MB": 5_000_000, "10 MB": 10_000_000} if quick else SIZES
    figures: dict[str, Any] = {"pips": {}}
    times = 1 if quick else 2
    for pip, python in OURS[:1] if quick else OURS:
        peaks: dict[str, dict[str, list[int]]] = {}
        for name, size in sizes.items():
            peaks[name] = {what: [] for what in (PLAIN, CLEAN, BROKEN)}
            for what, found in peaks[name].items():
                environment = environments.environment(pip, python, armed=what != PLAIN)
                for _ in range(times):
                    cuts = [Cut(size // (CUTS + 2))] * CUTS if what == BROKEN else []
                    with serving([Package("large", size, cuts)]) as served:
                        found.append(_peak(environment, served))
                        answers = len(served.requests("large"))
                    if (what == BROKEN) != (answers >= CUTS):
                        raise processes.ProcessError(f"{what}: {answers} requests")
        version = environments.environment(pip, python, armed=False).pip_version
        figures["pips"][version] = {"python": python, "peaks": peaks}
    return figures


def _peak(environment: Environment, served: Served) -> int:
    """Let pip download it; return its peak in KiB."""
    directory = environment.fresh_dir()
    words = processes.download(directory, served.index_url, "large")
    command = [environment.python, "-m", "pip", *words]
    try:
        return processes.spend(command, processes.environ_of_pip(directory), directory).peak
    finally:
        shutil.rmtree(directory)


# --- the page ----------------------------------------------------------------------------------


def section(figures: dict[str, Any]) -> str:
    parts = [
        "The peak resident size of `pip download` of one wheel over HTTP, in MiB: the median of "
        "some runs, and the least and the most. Plain pip cannot finish the download that is cut "
        f"{CUTS} times, so that is compared with its clean one."
    ]
    rows = []
    for pip, told in figures["pips"].items():
        for size, peaks in told["peaks"].items():
            cells = [
                f"{median(found) / 1024:.1f} ({min(found) / 1024:.1f} to {max(found) / 1024:.1f})"
                for found in peaks.values()
            ]
            rows.append([f"pip {pip}, {size}", *cells])
    whats = next(iter(next(iter(figures["pips"].values()))["peaks"].values()))
    parts += [charts.table(["", *whats], rows), _meaning(figures)]
    return "\n\n".join(parts)


def _meaning(figures: dict[str, Any]) -> str:
    more, growth = [], []
    for told in figures["pips"].values():
        for peaks in told["peaks"].values():
            plain = median(peaks[PLAIN])
            more += [(median(peaks[what]) - plain) / 1024 for what in (CLEAN, BROKEN)]
        guarded = [
            median(found[what]) for found in told["peaks"].values() for what in (CLEAN, BROKEN)
        ]
        growth.append(max(guarded) / min(guarded))
    text = f"The patch takes {min(more):.1f} to {max(more):.1f} MiB more than pip alone. "
    if max(growth) <= FLAT:
        return text + (
            "That is flat: it grows neither with the file nor with the interruptions, for nothing "
            "is held but the piece that is on its way."
        )
    return text + f"It is not flat: the largest is {max(growth):.2f} times the smallest."


def draw(figures: dict[str, Any], directory: Path) -> None:
    """Two numbers that are the same make no chart."""
