"""How hypothesis is used in the unit tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no reason to fail, and mutmut makes each call several times as slow.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
