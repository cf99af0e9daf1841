"""Fixtures for what is broken on purpose."""

from __future__ import annotations

import pytest

from tests.support.breakage import Breakage
from tests.support.environments import Environment


@pytest.fixture
def broken(armed: Environment, bare: Environment) -> Breakage:
    """An environment to be broken."""
    return Breakage(armed, bare)
