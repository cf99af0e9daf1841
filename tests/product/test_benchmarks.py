"""The benchmarks: each part runs, and the page is the one that its figures give."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import DOCS, PARTS, RESULTS, page
from tests.support import directories


@pytest.mark.parametrize("part", PARTS)
def test_each_part_runs(part: str) -> None:
    """Its figures mean nothing here; that it still works with this tree does."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", part],
        cwd=directories.CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n| " in done.stdout  # a table


def test_the_page_is_what_the_kept_figures_give(tmp_path: Path) -> None:
    """Nobody wrote a nicer figure by hand; and each chart that the page shows is there."""
    page(tmp_path, RESULTS)
    written = (tmp_path / "benchmarks.md").read_text()
    assert (DOCS / "benchmarks.md").read_text() == written
    shown = re.findall(r"!\[[^]]*\]\((images/[^)]+)\)", written)
    assert shown
    for image in shown:
        assert (tmp_path / image).exists(), image
        assert (DOCS / image).exists(), image
