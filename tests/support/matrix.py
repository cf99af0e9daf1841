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
# The newest patch release of every minor since 20.0, each on one Python that it declares to support
# (docs/matrix.md). Where MATRIX has the minor, a pair of MATRIX, so that environments are shared.
# A test compares this with the index, so a new minor cannot be forgotten.
MINORS: tuple[tuple[str, str], ...] = (
    ("20.0.2", "3.8"),
    ("20.1.1", "3.8"),
    ("20.2.4", "3.8"),
    ("20.3.4", "3.9"),
    ("21.0.1", "3.9"),
    ("21.1.3", "3.9"),
    ("21.2.4", "3.9"),
    ("21.3.1", "3.9"),
    ("22.0.4", "3.10"),
    ("22.1.2", "3.10"),
    ("22.2.2", "3.11"),
    ("22.3.1", "3.10"),
    ("23.0.1", "3.11"),
    ("23.1.2", "3.11"),
    ("23.2.1", "3.12"),
    ("23.3.2", "3.12"),
    ("24.0", "3.12"),
    ("24.1.2", "3.10"),
    ("24.2", "3.8"),
    ("24.3.1", "3.13"),
    ("25.0.1", "3.8"),
    ("25.1.1", "3.13"),
    ("25.2", "3.14"),
    ("25.3", "3.9"),
    ("26.0.1", "3.14"),
    ("26.1.2", "3.12"),
    ("26.2.1", "3.15"),
    (NEWEST, "3.13"),
)


def label(pip: str, python: str) -> str:
    return f"pip{pip}-py{python}"


def parametrized(chosen: Iterable[tuple[str, str]]) -> pytest.MarkDecorator:
    parameters = [pytest.param(*pair, id=label(*pair)) for pair in chosen]
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
each_minor = parametrized(MINORS)
