"""The table of what ran: printed at the end of a run, and kept in docs/matrix.md.

The test of a minor release (`tests/product/test_matrix.py`) records how it ended, fault by
fault. The whole record becomes the page when `PIP_RETRY_PATCH_TEST_WRITE_MATRIX` is set, as
`nox -s matrix` does.
"""

from __future__ import annotations

import json
import os
from typing import Iterable, Mapping, Sequence

from tests.support import directories, matrix
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


def note_row(environment: Environment, ends: Mapping[str, str]) -> None:
    """Record how a minor release ended: column to cell."""
    line = json.dumps([environment.label, environment.pip_version, ends])
    with (directories.run_dir() / "minors").open("a") as file:
        file.write(line + "\n")


def noted() -> dict[str, tuple[str, Mapping[str, str]]]:
    record = directories.run_dir() / "minors"
    lines = record.read_text().splitlines() if record.exists() else ()
    return {name: (version, ends) for name, version, ends in map(json.loads, lines)}


def missing_rows() -> list[str]:
    return [name for name in (matrix.label(*pair) for pair in MINORS) if name not in noted()]


def printed() -> list[str]:
    rows = [["pip", "Python", *GOOD]]
    for pip, python in MINORS:
        version, cells = noted().get(matrix.label(pip, python), ("", {}))
        if version:
            rows.append([version, python, *(cells[column] for column in GOOD)])
    return ["  ".join(line).rstrip() for line in padded(rows)] if rows[1:] else []


def page(rows: Iterable[tuple[str, str]]) -> str:
    """The page as it is kept, with these rows, a pip and its Python each; all of them are well."""
    lines = map("  ".join, padded([("pip", "Python"), *rows]))
    words = PAGE.read_text(encoding="utf-8").partition("```")[0]
    return words + "\n".join(["```text", *map(str.rstrip, lines), "```", ""])


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
