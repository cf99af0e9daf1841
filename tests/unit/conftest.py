"""What several tests of the parts need."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from pip_retry_patch import wrapping

# How hypothesis is used: the same inputs in each check, others in `nox -s fuzz`.
EXAMPLES = int(os.environ.get("PIP_RETRY_PATCH_TEST_EXAMPLES", "0"))
settings.register_profile(
    "ours",
    max_examples=EXAMPLES or 200,
    derandomize=not EXAMPLES,
    database=None,
    # A busy machine is no reason to fail, and mutmut makes each call several times as slow.
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("ours")


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What failed open, in a run that is not strict and says nothing at its end."""
    noted: list[str] = []
    monkeypatch.setattr(wrapping, "STRICT", False)
    monkeypatch.setattr(wrapping, "failures", noted)
    monkeypatch.setattr(wrapping.atexit, "register", lambda _: None)  # type: ignore[attr-defined]
    return noted
