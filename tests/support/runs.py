"""One run of the tests: how it begins, which pips and Pythons ran, and what was measured."""

from __future__ import annotations

import os
import time

from tests.support.directories import RUN, SOURCE, prune, run_dir
from tests.support.matrix import MATRIX, label
from tests.support.supplies import source_key


def begin_run() -> None:
    """Fix what the workers of this run share; called once, by the run's first process."""
    os.environ[RUN] = f"{time.time_ns()}-{os.getpid()}"
    os.environ[SOURCE] = source_key()
    run_dir().mkdir(parents=True)
    prune()


def note_run(label: str, pip: str, python: str, armed: bool) -> None:
    """Record that a pip did some work; appended in one write, for the workers share the file."""
    line = (label, pip, python, "armed" if armed else "bare")
    with (run_dir() / "ran").open("a") as file:
        file.write("\t".join(line) + "\n")


def note_figure(text: str) -> None:
    """Have a measured figure printed at the end of the run."""
    with (run_dir() / "figures").open("a") as file:
        file.write(text + "\n")


def figures() -> list[str]:
    """What `note_figure` was given in this run."""
    record = run_dir() / "figures"
    return record.read_text().splitlines() if record.exists() else []


def what_ran() -> dict[tuple[str, str, str], dict[str, int]]:
    """Count the runs of this test run: (label, pip, python) to armed and bare runs."""
    counts: dict[tuple[str, str, str], dict[str, int]] = {}
    record = run_dir() / "ran"
    for line in record.read_text().splitlines() if record.exists() else ():
        name, pip, python, kind = line.split("\t")
        counts.setdefault((name, pip, python), {"armed": 0, "bare": 0})[kind] += 1
    return counts


def missing_pairs() -> list[str]:
    """Name the pairs of the matrix of which no armed pip did any work."""
    ran = {name for (name, _, _), counts in what_ran().items() if counts["armed"]}
    return [name for name in (label(*pair) for pair in MATRIX) if name not in ran]
