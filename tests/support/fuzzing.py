"""Fuzzing by hypothesis: a few examples in the check, as many as minutes allow in `nox -s fuzz`.

Each function under @fuzz is a property of something that reads text from a network or a disk. In
the check it sees some hundred inputs, the same each time. With PIP_RETRY_PATCH_FUZZ_MINUTES it
sees new ones for so long, each batch by a seed that is printed.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any, Callable, Sequence, TypeVar

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.support.runs import note_figure

MINUTES = float(os.environ.get("PIP_RETRY_PATCH_FUZZ_MINUTES", "0"))
BATCH = 5000

T = TypeVar("T", str, bytes)
Test = Callable[..., None]


def fuzz(*strategies: Any, examples: int = 100) -> Callable[[Test], Callable[[], None]]:
    """As `hypothesis.given`, for as long as the environment says."""

    def decorate(test: Test) -> Callable[[], None]:
        inputs = 0
        name = test.__name__
        if name == "every":  # within a test that has fixtures
            name = test.__qualname__.partition(".")[0]

        def batch(count: int, number: int | None) -> None:
            rules = settings(
                max_examples=count,
                derandomize=number is None,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )

            # Another function each time: hypothesis notes in it what it has seen.
            def one(values: Any) -> None:
                nonlocal inputs
                inputs += 1
                test(*values)

            each: Any = rules(given(st.tuples(*strategies))(one))
            if number is not None:
                each = seed(number)(each)
            each()

        # By name, and not with functools.wraps: pytest would take the parameters for fixtures.
        def run() -> None:
            if not MINUTES:
                batch(examples, None)
                return
            end, number = time.monotonic() + 60 * MINUTES, random.randrange(1 << 32)
            batches = 0
            while time.monotonic() < end:
                print(f"{name}: seed {number + batches}")
                batch(BATCH, number + batches)
                batches += 1
            note_figure(f"{name}: {inputs} inputs from seed {number} on")

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        return run

    return decorate


@st.composite
def mutated(draw: Any, corpus: Sequence[T], tokens: Sequence[T]) -> T:
    """Draw one of a corpus, and spoil it: what parsers meet is nearly right."""
    text = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(text)))
        stop = draw(st.integers(start, min(len(text), start + 8)))
        how = draw(st.integers(0, 2))
        if how == 0:
            text = text[:start] + text[stop:]
        elif how == 1:
            text = text[:start] + draw(st.sampled_from(tokens)) + text[stop:]
        else:
            text = text[:stop] + text[start:stop] + text[stop:]
    result: T = text
    return result
