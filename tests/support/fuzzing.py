"""Input for what parses text from a network or a disk."""

from __future__ import annotations

from typing import Any, Sequence, TypeVar

from hypothesis import strategies as st

T = TypeVar("T", str, bytes)


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
