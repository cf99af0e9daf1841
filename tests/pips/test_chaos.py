"""Faults of all kinds, mirrors, kept bytes and kills at once: a few worlds here, an hour on demand.

`python -m nox -s chaos -- 60` plays new worlds for an hour. Whatever a world is, no run brings
another file, hangs, ends in a traceback or accuses the hash, and nothing is left on the disk.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter

from tests.support import runs
from tests.support.chaos import Chaos
from tests.support.environments import Environment
from tests.support.matrix import old_middle_new

MINUTES = float(os.environ.get("PIP_RETRY_PATCH_CHAOS_MINUTES", "0"))
SEED = int(os.environ.get("PIP_RETRY_PATCH_CHAOS_SEED", "0"))
IN_THE_CHECK = 4


@old_middle_new
def test_whatever_goes_wrong_the_file_is_right_or_the_error_is(armed: Environment) -> None:
    first = SEED or (random.randrange(1 << 32) if MINUTES else 1)
    end, worlds = time.monotonic() + 60 * MINUTES, 0
    ends: Counter[str] = Counter()
    while time.monotonic() < end if MINUTES else worlds < IN_THE_CHECK:
        chaos = Chaos(first + worlds, armed)
        chaos.play()
        ends += chaos.ends
        worlds += 1
    told = ", ".join(f"{count} {how}" for how, count in sorted(ends.items()))
    runs.note_figure(
        f"pip {armed.pip_version}: {worlds} worlds from seed {first} on, "
        f"{sum(ends.values())} runs: {told}"
    )
