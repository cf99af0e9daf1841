"""The benchmarks: each part runs, and the page is the one that its figures give."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.__main__ import PAGE, PARTS, page
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
    assert f"`python -m benchmarks {part}`" in done.stdout


def test_the_page_is_what_the_kept_figures_give() -> None:
    """Nobody wrote a nicer figure by hand."""
    written = PAGE.read_text()
    assert page(written) == written
