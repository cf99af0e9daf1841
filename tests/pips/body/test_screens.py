"""What is on a terminal after an interrupted download: no stale bar, and every line whole."""

from __future__ import annotations

import pytest

from tests.support import screens
from tests.support.environments import Environment
from tests.support.lab.faults import Away, Cut, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, pairs

# The cells of a bar: rich's, and those of pip 20.3.
BARS = "━╸╺", "█▉▊▋▌▍▎▏"
TOLD = [
    "demo-1.0 resumed at 2.0 of 8.0 MB (closed early)",
    "demo-1.0 resumed at 3.5 of 8.0 MB (connection reset by peer)",
    "demo-1.0 waits at 5.0 of 8.0 MB (connection refused)",
    "demo-1.0 resumed at 5.0 of 8.0 MB (closed early)",
]


def downloaded(
    environment: Environment, columns: int = 80, env: dict[str, str] | None = None
) -> screens.Shown:
    """Download in a terminal through a cut, a reset and an outage."""
    faults = [Cut(2_000_000), Reset(1_500_000), Away(1.0, 1_500_000)]
    with Lab([Package("demo", 8_000_000, faults)], rate=4_000_000) as lab:
        shown = screens.shown(
            environment,
            *("download", "--no-deps", "--no-cache-dir", "--index-url", lab.index_url, "demo"),
            env=env,
            columns=columns,
            rows=100,
        )
    assert shown.returncode == 0, shown.lines
    return shown


def has_each_line_whole(shown: screens.Shown) -> bool:
    return all(any(line in row for row in shown.lines) for line in TOLD)


def rows_with_a_bar(shown: screens.Shown) -> list[str]:
    return [row for row in shown.lines if any(cell in row for bar in BARS for cell in bar)]


@pytest.mark.parametrize("columns", [80, 200])
@pairs(("20.3.4", "3.8"), ("22.3.1", "3.10"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_one_bar_is_left_and_every_line_is_whole(armed: Environment, columns: int) -> None:
    shown = downloaded(armed, columns)
    assert has_each_line_whole(shown), shown.lines
    assert len(rows_with_a_bar(shown)) == 1, shown.lines


@pytest.mark.parametrize("columns", [40, 56, 72])
@pairs(("22.3.1", "3.10"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_one_bar_is_left_on_a_narrow_terminal(armed: Environment, columns: int) -> None:
    """Before pip 22.0 the bar is wider than that, and pip erases nothing of what was wrapped."""
    shown = downloaded(armed, columns)
    flat = " ".join("".join(row.ljust(columns) for row in shown.lines).split())
    assert all(line[:20] in flat for line in TOLD), shown.lines
    assert len(rows_with_a_bar(shown)) == 1, shown.lines


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"PIP_NO_COLOR": "1"}], ids=["dumb", "plain"])
@pairs(("20.3.4", "3.8"), ("22.3.1", "3.10"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_what_a_terminal_cannot_do_is_not_asked_of_it(
    armed: Environment, env: dict[str, str]
) -> None:
    shown = downloaded(armed, env=env)
    assert has_each_line_whole(shown), shown.lines
    assert len(rows_with_a_bar(shown)) == 1, shown.lines
    for row, text in enumerate(shown.lines):
        if env.get("PIP_NO_COLOR") and "WARNING" in text:
            assert {shown.screen.buffer[row][column].fg for column in range(80)} == {"default"}


@pairs(("20.3.4", "3.8"), ("22.3.1", "3.10"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_a_sentence_stands_in_rows_of_whole_words(armed: Environment) -> None:
    wrong = "a value that makes no sense"
    shown = downloaded(armed, env={"PIP_RETRY_PATCH_PATIENCE": wrong})
    rows = [row.rstrip() for row in shown.lines]
    (first,) = [at for at, row in enumerate(rows) if "WARNING: pip-retry-patch: the setting" in row]
    assert rows[first + 1].startswith("  ") and max(map(len, rows[first : first + 2])) <= 79
    assert wrong in " ".join(" ".join(rows[first : first + 3]).split()), rows
