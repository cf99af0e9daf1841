"""Which pips are tested, each on which Python."""

from __future__ import annotations

import sys
from typing import Iterable

import pytest

NEWEST = "newest"
THIS_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
MATRIX: tuple[tuple[str, str], ...] = (
    ("20.3.4", "3.8"),
    ("20.3.4", "3.9"),
    ("21.3.1", "3.9"),
    ("22.3.1", "3.10"),
    ("23.0.1", "3.11"),
    ("24.0", "3.12"),
    ("25.0.1", "3.8"),
    ("25.3", "3.9"),
    ("26.1.2", "3.10"),
    ("26.1.2", "3.12"),
    (NEWEST, "3.11"),
    (NEWEST, "3.13"),
    (NEWEST, "3.14"),
    (NEWEST, "3.15"),
)


def parametrized(chosen: Iterable[tuple[str, str]]) -> pytest.MarkDecorator:
    parameters = [pytest.param(*pair, id="pip{}-py{}".format(*pair)) for pair in chosen]
    return pytest.mark.parametrize(("pip", "python"), parameters)


def pairs(*chosen: tuple[str, str]) -> pytest.MarkDecorator:
    """Run a test once for each (pip, python), with readable ids."""
    for pair in chosen:
        assert pair in MATRIX, pair
    return parametrized(chosen)


each_pair = pairs(*MATRIX)
# Where a pip makes no difference but by its age: 25.1 and later resume by themselves.
old_middle_new = pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
newest = pairs((NEWEST, "3.13"))
