"""What is on a terminal: no stale bar, every line whole, waits that are counted down, Ctrl-C."""

from __future__ import annotations

import re
import time
from typing import Any, Mapping

import pyte
import pytest

from tests.support import screens
from tests.support.environments import Environment
from tests.support.hosts import dead_index, indexes
from tests.support.lab.faults import Away, Busy, Cut, Drop, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new, pairs

# The cells of a bar: rich's, and those of pip 20.3.
BARS = "━╸╺█▉▊▋▌▍▎▏"
TOLD = [
    "demo-1.0 resumed at 2.0 of 8.0 MB (closed early)",
    "demo-1.0 resumed at 3.5 of 8.0 MB (connection reset by peer)",
    "demo-1.0 waits at 5.0 of 8.0 MB (connection refused)",
    "demo-1.0 resumed at 5.0 of 8.0 MB (closed early)",
]
WRONG = "a value that makes no sense"


# How wide a terminal is, and what the environment says of it.
TERMINALS: dict[str, tuple[int, Mapping[str, str]]] = {
    "usual": (80, {"PIP_RETRY_PATCH_PATIENCE": WRONG}),
    "wide-without-color": (200, {"PIP_NO_COLOR": "1"}),
    "dumb": (80, {"TERM": "dumb"}),
    "narrow": (40, {}),
    "without-stderr": (80, {}),
}


@pytest.mark.parametrize("name", TERMINALS)
@pairs(("20.3.4", "3.8"), ("22.3.1", "3.10"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_one_bar_is_left_and_every_line_is_whole(armed: Environment, pip: str, name: str) -> None:
    columns, env = TERMINALS[name]
    if pip == "20.3.4" and columns < 80:
        return  # its bar is wider than 80, and it erases nothing of what was wrapped
    faults = [Cut(2_000_000), Reset(1_500_000), Away(1_500_000, 1.0)]
    with Lab([Package("demo", 8_000_000, faults)], rate=4_000_000) as lab:
        command = "download", "--no-deps", "--no-cache-dir", "--index-url", lab.index_url, "demo"
        told, prefix = TOLD, ["env"]
        if name == "without-stderr":
            told, prefix = [TOLD[0], TOLD[1], TOLD[3]], ["sh", "-c", 'exec "$@" 2>/dev/null', "sh"]
        shown = screens.shown(armed, *command, env=env, columns=columns, prefix=prefix)
    assert shown.returncode == 0, shown.lines
    rows = [row.rstrip() for row in shown.lines]
    assert len([row for row in rows if set(BARS) & set(row)]) == 1, rows
    if columns < 80:
        flat = " ".join("".join(row.ljust(columns) for row in rows).split())
        assert all(line[:20] in flat for line in told), rows
    else:
        clean = [row for row in rows if not set(BARS) & set(row)]
        assert all(any(line in row for row in clean) for line in told), rows
    if name == "usual":  # a sentence stands in rows of whole words
        (first,) = [at for at, row in enumerate(rows) if "pip-retry-patch: the setting" in row]
        assert rows[first + 1].startswith("  ") and max(map(len, rows[first : first + 2])) <= 79
        assert WRONG in " ".join(" ".join(rows[first : first + 3]).split()), rows
    for at, row in enumerate(rows):
        if "PIP_NO_COLOR" in env and "WARNING" in row:
            assert {shown.screen.buffer[at][column].fg for column in range(80)} == {"default"}


SLOW = 150_000  # bytes a second


class Watched:
    """`pip download demo` in a terminal, and what was on it, with the seconds since its start."""

    def __init__(self, environment: Environment, lab: Lab, **how: Any) -> None:
        self.seen: list[tuple[float, str]] = []
        self._began = time.monotonic()
        self._until = how.pop("until", "")  # then Ctrl-C is typed
        command = ["download", "--no-deps", "--dest", str(environment.fresh_dir())]
        command += [*how.pop("options", ()), "--index-url", lab.index_url, "demo"]
        shown = screens.shown(environment, *command, during=self._look, columns=100, **how)
        self.returncode, self.text = shown.returncode, " ".join(" ".join(shown.lines).split())

    def _look(self, screen: pyte.Screen) -> bytes | None:
        text = " ".join(" ".join(screen.display).split())
        if not self.seen or self.seen[-1][1] != text:
            self.seen.append((time.monotonic() - self._began, text))
        if not self._until or not re.search(self._until, text):
            return None
        self._until = ""
        return b"\x03"

    def when(self, pattern: str) -> float:
        return next(seconds for seconds, text in self.seen if re.search(pattern, text))


@old_middle_new
def test_ctrl_c_says_what_is_kept_and_the_bar_tells_the_truth_about_the_rest(
    pip: str, armed: Environment, bare: Environment
) -> None:
    cache = {"XDG_CACHE_HOME": str(armed.fresh_dir())}
    with Lab([Package("demo", 4_000_000)], rate=4_000_000) as lab:
        half = r"[23]\.\d/4\.0 MB|\| [23]\.\d MB"
        plain, stopped = (Watched(each, lab, env=cache, until=half) for each in (bare, armed))
        assert plain.returncode == stopped.returncode == 1 and "Kept" not in plain.text
        assert re.search(r"Kept \d\.\d of 4.0 MB; the same command continues there.", stopped.text)
        lab.rate = SLOW
        watched = Watched(armed, lab, env=cache)
    assert watched.returncode == 0
    began = watched.when("Continuing demo-1.0")
    if pip == "20.3.4":
        return  # its bar tells the speed of the last pieces
    later = [text for seconds, text in watched.seen if seconds > began + 3]
    assert not re.search(r"\d MB/s", " ".join(later))
    speeds = [float(rate) * 1000 for text in later for rate in re.findall(r"([\d.]+) kB/s", text)]
    assert speeds and all(abs(rate - SLOW) < SLOW / 5 for rate in speeds)


@old_middle_new
def test_a_long_wait_is_counted_down_in_one_row(armed: Environment, bare: Environment) -> None:
    row = r"Trying again in (\d) s (?!.*Trying)"
    for env, counts in (({}, True), ({"TERM": "dumb"}, False)):
        with Lab([Package("demo", 3_000_000, [Cut(2_000_000), Busy(503, retry_after=5)])]) as lab:
            watched = Watched(armed, lab, env=env)
        assert watched.returncode == 0
        told = r"waits at 2.0 of 3.0 MB \(HTTP 503, wants 5 s\), trying again in [5-9] s"
        assert re.search(told, watched.text), watched.text
        counted = {int(n) for _, text in watched.seen for n in re.findall(row, f"{text} ")}
        assert (counted >= {5, 4, 3, 2}) == counts, counted
        assert "Trying again in" not in watched.text, "the row is gone"
    with Lab([Package("demo", 3_000_000, [Cut(2_000_000), Busy(503, retry_after=5)])]) as lab:
        assert "Trying again" not in Watched(bare, lab).text


@pairs(("20.3.4", "3.8"), (NEWEST, "3.13"))
def test_the_first_silence_has_a_word_while_it_lasts(armed: Environment) -> None:
    silence = (Drop(), Stall(0, 60))
    with Lab([Package("demo", 3_000_000, [Stall(2_000_000), silence])]) as lab:
        watched = Watched(armed, lab, options=["--timeout", "2"])
    assert watched.returncode == 0
    told = watched.when(r"waits at 2.0 of 3.0 MB \(timed out\), trying up to 8 more times")
    # Two seconds until the first read timeout, and two until that of the next request.
    assert watched.when(r"resumed at 2.0 of 3.0 MB \(timed out\)") - told > 1.5


@pytest.mark.parametrize("columns", [40, 80])
@old_middle_new
def test_an_error_stands_in_rows_of_whole_words(armed: Environment, columns: int) -> None:
    command, env = indexes(dead_index()), {"PIP_RETRY_PATCH_FIRST_CONTACT": "1"}
    shown = screens.shown(armed, "download", *command, "demo", env=env, columns=columns)
    text = "\n".join(shown.lines)
    words = set(re.sub(r"[│╰─>]", " ", text.partition("note:")[2]).split())
    assert {"Nothing", "package", "itself.", "PIP_RETRY_PATCH_FIRST_CONTACT=600."} <= words
    assert "(connection refused). Trying for 1 s; Ctrl-C stops." in " ".join(text.split())
