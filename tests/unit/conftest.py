"""How hypothesis is used: the same inputs in each check, others in `nox -s fuzz`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

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
