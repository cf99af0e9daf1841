"""Downloads that continue in the next run, with real pips that are killed, interrupted, or fail."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import Download, stopped_at
from tests.support.environments import Environment
from tests.support.lab.faults import Away, Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import (
    CLOSED_LATE,
    HALF,
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
        done = Download(armed, lab, cache=cache).assert_right()
        (line,) = continuing(done)
        assert " of 9.0 MB" in line
        assert not done.run.warnings()
        assert not stored(cache)
        plain_then_rest(lab.requests("demo", "artifact")[:1])
        plain_then_rest(lab.requests("demo", "artifact")[1:3], first)
        plain_then_rest(lab.requests("demo", "artifact")[3:], second)
        wire = lab.sent("demo") / len(lab.wheel("demo"))
        # On a quiet machine, 0.03 for each. After Ctrl-C pip tells of it before it goes.
        assert wire <= 1 + 2 * (0.1 if how == signal.SIGINT else 0.05)
        if tls or pip != "20.3.4":
            # pip's own cache has the whole file.
            again = Download(armed, lab, cache=cache).assert_right()
            assert "Using cached" in again.run.stdout
            assert len(lab.requests("demo", "artifact")) == 5


@old_middle_new
def test_a_continued_download_is_interrupted_and_heals(armed: Environment) -> None:
    cache = armed.fresh_dir()
    later = [None, Busy(503), Cut(1_000_000), Away(1_000_000, 1.0)]
    with Lab([Package("demo", SIZE, [*stopped_at(2_000_000), *later])]) as lab:
        Download(armed, lab, cache=cache)
        done = Download(armed, lab, cache=cache).assert_right()
        assert len(continuing(done)) == 1
        at_three, at_four = done.warnings
        assert " at 3.0 of 6.0 MB" in at_three and " at 4.0 of 6.0 MB" in at_four
        ranges = [request.range for request in lab.requests("demo", "artifact")]
        starts = ["", *["2000000", ""] * 2, "", "2000000", "2000000", "3000000", "4000000"]
        assert ranges == [(start and f"bytes={start}-") or None for start in starts]
        assert not stored(cache)


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
        Download(armed, lab, cache=cache).assert_right()
        plain_then_rest(lab.requests("demo", "artifact")[2:], sizes[1])
        assert not stored(cache)


def outside(path: Path) -> Path:
    return path.parents[2] / "outside"


def lock(path: Path) -> Path:
    return path.parent.with_name(f"{path.parent.name}.lock")


def linked(what: Path, there: Path) -> None:
    """Move it, and leave a link in its place."""
    what.rename(there)
    what.symlink_to(there)


# What is done to the kept file, and what then comes: it goes on, it goes on and has to be fetched
# again because the hash does not fit, or it is not used.
GOES_ON, AGAIN, NOT_USED = "goes on", "again", "not used"
WHOLE = len(Package("demo", SIZE).wheel())
SPOILED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (lambda path: os.truncate(path, 1_500_000), GOES_ON),
    "beheaded": (lambda path: os.truncate(path, 100), NOT_USED),
    "extended": (lambda path: path.write_bytes(path.read_bytes() + bytes(700_000)), AGAIN),
    # As it is on a file system that gives a file its last size first.
    "filled-up": (lambda path: os.truncate(path, WHOLE), AGAIN),
    # A run that was killed before its check.
    "whole": (lambda path: path.write_bytes(Package("demo", SIZE).wheel()), GOES_ON),
    "altered": (lambda path: path.write_bytes(bytes(9) + path.read_bytes()[9:]), AGAIN),
    "renamed": (lambda path: path.rename(path.with_name("other.whl")), GOES_ON),
    "beside-a-shorter-file": (
        lambda path: path.with_name("other.whl").write_bytes(bytes(2_000_000)),
        GOES_ON,
    ),
    "link": (lambda path: linked(path, outside(path)), NOT_USED),
    "second-name": (lambda path: os.link(path, outside(path)), NOT_USED),
    "given-away": (lambda path: os.chown(path, 12345, 12345), NOT_USED),
    "without-lock": (lambda path: lock(path).unlink(), GOES_ON),
}
# What is not ours stays as it is. (A file of another user in a folder of ours goes with it.)
STAYS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "lock-given-away": (lambda path: os.chown(lock(path), 12345, 12345), NOT_USED),
    "folder-given-away": (lambda path: os.chown(path.parent, 12345, 12345), NOT_USED),
    "folder-is-a-link": (lambda path: linked(path.parent, outside(path)), NOT_USED),
    "lock-is-a-link": (lambda path: linked(lock(path), outside(path)), NOT_USED),
}


@pytest.mark.parametrize("how", [*SPOILED, *STAYS])
@old_middle_new
def test_a_spoiled_file_never_makes_a_wrong_file(how: str, armed: Environment) -> None:
    spoil, end = {**SPOILED, **STAYS}[how]
    cache = armed.fresh_dir()
    rate = RATE if how == "whole" else None
    with Lab([Package("demo", SIZE, stopped_at(HALF))], rate=rate) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        (file,) = kept(cache)
        folder = file.parent
        spoil(file)
        before = contents(outside(file))
        done = Download(armed, lab, cache=cache).assert_right()
        # Where nothing is missing, or so it seems, nothing is continued.
        shown = bool(continuing(done)) or how in ("filled-up", "whole")
        assert shown == (end is not NOT_USED)
        assert len(done.run.warnings()) == (end is AGAIN), done.run.output
        ranges = [request.range for request in lab.requests("demo", "artifact")[5:]]
        if end is AGAIN:
            (line,) = done.run.warnings("in an earlier run), complete")
            assert line.endswith("). Fetched anew, its hash fits.")
            assert ranges[-1] is None and len(ranges) in (2, 3)
        elif end is NOT_USED or how == "whole":
            assert ranges == [None]
            assert end is NOT_USED or lab.sent("demo") <= HALF + CLOSED_LATE
        assert (folder in stored(cache)) == bool(stored(cache)) == (how in STAYS)
        assert contents(outside(file)) == before


def contents(path: Path) -> bytes | None:
    """Return what is in a file, or in the only file of a folder."""
    if path.is_dir():
        (path,) = path.iterdir()
    return path.read_bytes() if path.exists() else None
