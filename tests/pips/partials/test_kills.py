"""Downloads that continue in the next run, with real pips that are killed, interrupted, or fail."""

from __future__ import annotations

import signal

import pytest

from tests.support import programs, runs
from tests.support.certificates import certificates
from tests.support.downloads import Download
from tests.support.environments import Environment
from tests.support.lab.faults import Away, Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import (
    CLOSED_LATE,
    RATE,
    SIZE,
    continuing,
    interrupted,
    kept,
    plain_then_rest,
    start,
    stop,
    stored,
    until,
    wait_for_bytes,
)
from tests.support.programs import Argument

LARGE = 9_000_000


@pytest.mark.parametrize(
    ("how", "tls"),
    [
        (signal.SIGKILL, False),
        (signal.SIGKILL, True),
        (signal.SIGTERM, False),
        (signal.SIGINT, False),  # Ctrl-C; test_screens.py has what it says
    ],
    ids=["kill", "kill-tls", "sigterm", "ctrl-c"],
)
@old_middle_new
def test_a_killed_download_goes_on_in_the_next_run(
    pip: str, how: int, tls: bool, armed: Environment
) -> None:
    cache = armed.fresh_dir()
    package = Package("demo", LARGE, max_age=3600)
    with Lab([package], rate=RATE, tls=certificates().server if tls else None) as lab:
        first, second = (
            interrupted(armed, lab, cache, LARGE // 3, how).stat().st_size for _ in range(2)
        )
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        (line,) = continuing(done)
        assert " of 9.0 MB" in line
        assert not done.run.warnings()
        assert not stored(cache)
        plain_then_rest(lab.requests("demo", "artifact")[:1])
        plain_then_rest(lab.requests("demo", "artifact")[1:3], first)
        plain_then_rest(lab.requests("demo", "artifact")[3:], second)
        wire = lab.sent("demo") / len(lab.wheel("demo"))
        runs.note_figure(f"2 kills by {how}, pip {pip}, tls {tls}: {wire:.3f} on the wire")
        # On a quiet machine, 0.03 for each. After Ctrl-C pip tells of it before it goes.
        assert wire <= 1 + 2 * (0.1 if how == signal.SIGINT else 0.05)
        if tls or pip != "20.3.4":
            # pip's own cache has the whole file.
            again = Download(armed, lab, cache=cache)
            again.assert_right()
            assert "Using cached" in again.run.stdout
            assert len(lab.requests("demo", "artifact")) == 5


@old_middle_new
def test_a_whole_file_of_a_run_that_was_killed_before_its_check_is_not_fetched_again(
    armed: Environment,
) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE, max_age=3600)], rate=RATE, tls=certificates().server) as lab:
        file = interrupted(armed, lab, cache)
        file.write_bytes(lab.wheel("demo"))
        sent = lab.sent("demo")
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert not done.run.warnings()
        assert lab.sent("demo") <= sent + CLOSED_LATE
        plain_then_rest(lab.requests("demo", "artifact")[1:])
        assert not stored(cache)
        # pip's own cache has it, as after any download.
        Download(armed, lab, cache=cache).assert_right()
        assert len(lab.requests("demo", "artifact")) == 2


@old_middle_new
def test_a_continued_download_is_interrupted_and_heals(armed: Environment) -> None:
    cache = armed.fresh_dir()
    faults = [
        Cut(2_000_000),
        *[Busy(404)] * 2,
        None,
        Busy(503),
        Cut(1_000_000),
        Away(1.0, after=1_000_000),
    ]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(armed, lab, cache=cache)
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert len(continuing(done)) == 1
        at_three, at_four = done.warnings
        assert " at 3.0 of 6.0 MB" in at_three and " at 4.0 of 6.0 MB" in at_four
        ranges = [request.range for request in lab.requests("demo", "artifact")]
        assert ranges == [None, "bytes=2000000-", None, None, *["bytes=2000000-"] * 2, *RESUMED]
        assert not stored(cache)


RESUMED = ["bytes=3000000-", "bytes=4000000-"]


@old_middle_new
def test_two_at_once_keep_their_own_and_the_longest_is_continued(armed: Environment) -> None:
    """What runs is no leftover, however much it is: nobody takes it from another one."""
    cache = armed.fresh_dir()
    limit: dict[str, Argument] = {"PIP_RETRY_PATCH_PARTIALS_SIZE": "1 MB"}
    with Lab([Package("demo", SIZE)], rate=1_500_000) as lab:
        first = start(armed, lab, cache, **limit)
        wait_for_bytes(first, lab, 1_500_000)
        second = start(armed, lab, cache, **limit)
        both = first, second
        until(lambda: len(lab.requests("demo", "artifact")) == 2, *both)
        assert lab.requests("demo", "artifact")[1].range is None
        until(lambda: lab.requests("demo", "artifact")[1].sent >= 500_000, *both)
        for process in both:
            stop(process)
        sizes = sorted(path.stat().st_size for path in kept(cache))
        assert len(sizes) == 2
        lab.rate = RATE
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        plain_then_rest(lab.requests("demo", "artifact")[2:], sizes[1])
        assert not stored(cache)
        pair = [start(armed, lab, cache, **limit) for _ in range(2)]
        outcomes = [programs.finish(process, 60) for process in pair]
        assert [outcome.returncode for outcome in outcomes] == [0, 0]
        assert not stored(cache)
