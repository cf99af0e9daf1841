"""What no test of the transport leaves to the next one."""

from __future__ import annotations

import pytest

from pip_retry_patch.transport import retries


@pytest.fixture(autouse=True)
def _made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the classes of retries be made in this test: mutmut forks from where they were made."""
    monkeypatch.setattr(retries, "_classes", {})
