"""The table of what ran: printed at the end of a run, and kept in docs/matrix.md.

The test of a minor release (`tests/product/test_matrix.py`) records how it ended, fault by
fault. The whole record becomes the page when `PIP_RETRY_PATCH_TEST_WRITE_MATRIX` is set, as
`nox -s matrix` does.
"""

from __future__ import annotations

import json
import os
from typing import Iterable, Mapping, Sequence

from packaging.version import Version

from tests.support import directories, matrix, runs
from tests.support.directories import CHECKOUT
from tests.support.environments import Environment
from tests.support.matrix import MINORS

WRITE = "PIP_RETRY_PATCH_TEST_WRITE_MATRIX"
PAGE = CHECKOUT / "docs" / "matrix.md"

# The columns, and what stands there when all is well.
GOOD: Mapping[str, str] = {
    "cut wheel": "healed",
    "reset": "healed",
    "cut page": "healed",
    "hash mismatch": "reported",
}
BAD = "FAILED"

INTRODUCTION = """\
# Every minor release of pip

Each pip of this table healed three faults and reported a fourth, on Linux, with the wheel that is
built from this tree:

- **a cut wheel**, **a reset** and **a cut index page** (HTML, from pip 22.2 on also JSON): every
  file is right, the interruption was announced once, and at most a twentieth of a wheel crossed the
  network twice;
- **a hash mismatch**: exit code 1 and pip's own words, no traceback, nothing saved; from pip 20.3
  on with the evidence of a second fetch.

Each is the newest patch release of its minor, on one Python that it declares to support.
`python -m nox -s matrix` writes this page if all rows passed. `python -m nox` runs the rows again,
and fails if PyPI has a minor release that is not here.

"""


def note_row(environment: Environment, ends: Mapping[str, str]) -> None:
    """Record how a minor release ended: column to cell."""
    line = json.dumps([environment.label, environment.pip_version, ends])
    with (directories.run_dir() / "minors").open("a") as file:
        file.write(line + "\n")


def noted() -> dict[str, tuple[str, Mapping[str, str]]]:
    """What `note_row` was given in this run: label to the pip's version and its cells."""
    record = directories.run_dir() / "minors"
    lines = record.read_text().splitlines() if record.exists() else ()
    return {name: (version, ends) for name, version, ends in map(json.loads, lines)}


def missing_rows() -> list[str]:
    """Name the rows that did not run."""
    return [name for name in (matrix.label(*pair) for pair in MINORS) if name not in noted()]


def printed() -> list[str]:
    """The table at the end of a run: all pips that did some work, and how the minors ended."""
    ends = {name: cells for name, (_, cells) in noted().items()}
    rows = [["pip", "Python", *GOOD, "armed runs", "bare runs"]]
    for (name, pip, python), counts in sorted(
        runs.what_ran().items(), key=lambda row: [*map(Version, row[0][1:])]
    ):
        cells = [ends.get(name, {}).get(column, "-") for column in GOOD]
        rows.append([pip, python, *cells, str(counts["armed"]), str(counts["bare"])])
    return ["  ".join(line).rstrip() for line in padded(rows)] if rows[1:] else []


def page(rows: Iterable[tuple[str, str]]) -> str:
    """The page for these rows, a pip and its Python each; only what is well gets there."""
    lines = map("  ".join, padded([("pip", "Python"), *rows]))
    return INTRODUCTION + "\n".join(["```text", *map(str.rstrip, lines), "```", ""])


def padded(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [[cell.ljust(width) for cell, width in zip(row, widths)] for row in rows]


def write_if_asked() -> str:
    """Write the page if that was asked for. Returns what there is to say about it, or nothing."""
    if not os.environ.get(WRITE):
        return ""
    if missing_rows() or any(cells != GOOD for _, cells in noted().values()):
        return f"{PAGE.name} was not written: not every row ran and passed"
    rows = [(noted()[matrix.label(pip, python)][0], python) for pip, python in MINORS]
    PAGE.write_text(page(rows), "utf-8")
    return f"{PAGE.name} was written"
