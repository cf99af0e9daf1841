"""What is read of a mirror before it is believed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Iterator

import pytest

from pip_retry_patch.fetch.patience import LARGEST_PAGE, LONGEST_PAGE
from pip_retry_patch.hooks import mirrors


@pytest.mark.parametrize(("piece", "seconds"), [(1 << 20, 0.0), (1, 1.0)])
def test_a_page_has_a_budget(piece: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    read = [0]

    def iter_content(_: int) -> Iterator[bytes]:
        while read[0] < 1000:  # of both limits, one is met long before
            read[0] += 1
            yield bytes(piece)

    now: Any = SimpleNamespace(monotonic=lambda: seconds * read[0])
    monkeypatch.setattr(mirrors, "time", now)
    endless: Any = SimpleNamespace(iter_content=iter_content, close=lambda: None)
    with pytest.raises(ConnectionError, match="too large, or too slow"):
        mirrors._read_whole(endless)
    most = LONGEST_PAGE if seconds else LARGEST_PAGE // piece
    assert read[0] == most + 1
