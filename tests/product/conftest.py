"""Fixtures for what is broken on purpose."""

from __future__ import annotations

import pytest

from tests.support.breakage import Breakage
from tests.support.environments import Factory


@pytest.fixture
def broken(pip: str, python: str, armed: Factory, bare: Factory) -> Breakage:
    """An environment to be broken."""
    return Breakage(armed(pip, python), bare(pip, python))
