"""One run of the tests: how it begins, and what was measured."""

from __future__ import annotations

import os
import time

from packaging.version import Version

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


def note_pip(pip: str, python: str) -> None:
    """Have a pip that a test takes, and its Python, printed at the end of the run."""
    (run_dir() / "ran" / f"{pip} on {python}").mkdir(parents=True, exist_ok=True)


def summary() -> list[str]:
    record = run_dir() / "figures"
    lines = record.read_text().splitlines() if record.exists() else []
    ran = [folder.name for folder in run_dir().glob("ran/*")]
    ran.sort(key=lambda name: Version(name.split()[0]))
    return [*lines, *([f"pips that ran, and their Pythons: {', '.join(ran)}"] if ran else [])]
