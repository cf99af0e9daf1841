"""One run of the tests: how it begins, and what was measured."""

from __future__ import annotations

import os
import time

from tests.support.directories import RUN, SOURCE, prune, run_dir
from tests.support.supplies import source_key


def begin_run() -> None:
    """Fix what the workers of this run share; called once, by the run's first process."""
    os.environ[RUN] = f"{time.time_ns()}-{os.getpid()}"
    os.environ[SOURCE] = source_key()
    run_dir().mkdir(parents=True)
    prune()


def note_figure(text: str) -> None:
    """Have a measured figure printed at the end of the run."""
    with (run_dir() / "figures").open("a") as file:
        file.write(text + "\n")


def summary() -> list[str]:
    """Return what was measured."""
    record = run_dir() / "figures"
    return record.read_text().splitlines() if record.exists() else []
