"""docs/windows.md says what shows each line: that has to be there."""

from __future__ import annotations

import re

from tests.support.directories import CHECKOUT


def test_each_test_that_the_page_names_is_there() -> None:
    page = (CHECKOUT / "docs" / "windows.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)*test_\w+\.py)`", page))
    assert len(named) >= 8
    for name in named:
        assert list((CHECKOUT / "tests").rglob(name)), name
