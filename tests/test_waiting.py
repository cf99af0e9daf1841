"""Who waits tells patience what it must know: a network that needs its time, and no real one."""

from __future__ import annotations

import random
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch import ranges
from pip_retry_patch.part import Part
from pip_retry_patch.patience import Patience
from pip_retry_patch.resume import GaveUpError, Origin, Resumption

TOOK = 0.1
PATIENCE = Patience(attempts=3, seconds=0.25, first_limit=0.001)


class Network:
    """Each attempt takes a while, and then comes to the next of `ends`: an error, or a status."""

    def __init__(self, *ends: type[Exception] | int) -> None:
        self.ends = list(ends)

    def ask(self, fields: object) -> Part:
        time.sleep(TOOK)
        end = self.ends.pop(0)
        if isinstance(end, int):
            empty: Any = SimpleNamespace(fp=None, length=0)
            return Part(end, {}, empty, lambda reusable: None)
        raise end


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The limits from which waits are drawn, all of which are 0."""
    limits: list[float] = []

    def uniform(_: float, limit: float) -> float:
        limits.append(limit)
        return 0.0

    monkeypatch.setattr(random, "uniform", uniform)
    return limits


@pytest.mark.parametrize("end", [ConnectionRefusedError, TimeoutError, 503])
def test_a_body_waits_as_long_as_it_was_kept_waiting(
    end: type[Exception] | int, limits: list[float]
) -> None:
    network = Network(*[end] * 9)
    origin = Origin(
        name="demo",
        host="files.example",
        ask=network.ask,
        ask_again=None,
        unreachable=lambda error: isinstance(error, ConnectionRefusedError),
        announce=lambda line: None,
        error=lambda failure, error: error,
        patience=PATIENCE,
        unproven=True,
    )
    known = ranges.Representation(ranges.Validators.of({}), 1000, ranges.coding_of({}))
    with pytest.raises(GaveUpError):
        Resumption(origin, known, 0, None).reopen(500, ConnectionResetError(), None)
    assert len(limits) >= 2 and min(limits) >= TOOK
