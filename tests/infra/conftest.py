"""docs/infra.md, from how the cases ended.

A whole run compares it with what it found; `PIP_RETRY_PATCH_TEST_WRITE_INFRA` writes it.
"""

from __future__ import annotations

import itertools
import json
import os
import re

import pytest

from tests.conftest import is_worker
from tests.infra.cases import ENDLESS, MIDDLE
from tests.support import directories
from tests.support.downloads import GAVE_UP, HASH, NO_MATCH, OK, OTHER, REFUSED, TRACEBACK
from tests.support.matrix import NEWEST

PAGE = directories.CHECKOUT / "docs" / "infra.md"
BEGIN = "<!-- The table is written by the tests. -->\n\n"
HEADING = ["", "what happens", "pip 24.0", "newest pip", "with pip-retry-patch", "bytes"]
WORDS = {
    OK: "ok",
    HASH: "blames hash",
    TRACEBACK: "traceback",
    GAVE_UP: "gives up",
    OTHER: "error",
    REFUSED: "HTTP error",
    ENDLESS: "no end",
    NO_MATCH: "no match",
    None: "",
}


def written() -> str:
    """The table, from what the cases noted."""
    rows = [HEADING]
    lines = (directories.run_dir() / "infra").read_text().splitlines()
    noted = sorted(map(json.loads, lines))
    for (_, _, where, fault, error), runs in itertools.groupby(noted, lambda row: row[:5]):
        pips = {pip: (end, wire) for *_, pip, end, wire in runs}
        plain = [WORDS[pips[pip][0] if pip in pips else None] for pip in (MIDDLE, NEWEST)]
        ours = f"error: “{error}”" if error else WORDS[OK]
        wire = max(wire for _, wire in pips.values())
        rows.append([where, fault, *plain, ours, "" if error else f"{wire:.2f}"])
    widths = [max(map(len, column)) for column in zip(*rows)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths)] for row in rows)
    heading, *lines = (f"| {' | '.join(line)} |" for line in padded)
    rule = re.sub(r"[^|]", "-", heading)
    return "\n".join([heading, rule, *lines, ""])


def unmeasured(text: str) -> str:
    """The same without what each run measures anew."""
    return re.sub(r"\d\.\d\d(?= +\|$)|-", "", text, flags=re.MULTILINE)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    option = config.option
    chosen = option.keyword or option.lf or config.args != ["tests/infra"]
    if is_worker(config) or session.exitstatus or chosen:
        return
    text, now = PAGE.read_text("utf-8"), written()
    introduction, _, kept = text.partition(BEGIN)
    if os.environ.get("PIP_RETRY_PATCH_TEST_WRITE_INFRA"):
        PAGE.write_text(introduction + BEGIN + now, "utf-8")
    elif unmeasured(kept) != unmeasured(now):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nFAILED: {PAGE.name} does not say this:\n{now}")
