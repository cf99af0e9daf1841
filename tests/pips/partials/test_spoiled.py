"""What became of a kept file between two runs never makes a wrong file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.support.downloads import Download, stopped_at
from tests.support.environments import Environment
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import HALF, SIZE, continuing, kept, stored


def append(path: Path, size: int) -> None:
    with path.open("ab") as file:
        file.write(bytes(size))


def alter(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(bytes(9))


def add_shorter(path: Path) -> None:
    path.with_name("other.whl").write_bytes(bytes(2_000_000))


def outside(path: Path) -> Path:
    """Return a path that is not in the store."""
    return path.parents[2] / "outside"


def lock(path: Path) -> Path:
    return path.parent.with_name(f"{path.parent.name}.lock")


def replace(path: Path, by: Callable[[Path], Any]) -> None:
    path.unlink()
    by(path)


def move(path: Path, by: Callable[[Path], Any]) -> None:
    """Move it out of the store, and make something in its place."""
    there = outside(path) if path.is_file() else path.parents[1] / "outside"
    path.rename(there)
    by(path)


def link_lock(path: Path) -> None:
    outside(path).write_text("not ours")
    replace(lock(path), lambda p: p.symlink_to(outside(path)))


# What is done to the kept file, and what then comes: it goes on, it goes on and has to be fetched
# again because the hash does not fit, or it is not used.
GOES_ON, AGAIN, NOT_USED = "goes on", "again", "not used"
WHOLE = len(Package("demo", SIZE).wheel())
SPOILED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (lambda path: os.truncate(path, 1_500_000), GOES_ON),
    "beheaded": (lambda path: os.truncate(path, 100), NOT_USED),
    "extended": (lambda path: append(path, 700_000), AGAIN),
    # As it is on a file system that gives a file its last size first.
    "filled-up": (lambda path: os.truncate(path, WHOLE), AGAIN),
    "altered": (alter, AGAIN),
    "renamed": (lambda path: path.rename(path.with_name("other.whl")), GOES_ON),
    "beside-a-shorter-file": (add_shorter, GOES_ON),
    "link": (lambda path: move(path, lambda p: p.symlink_to(outside(p))), NOT_USED),
    "second-name": (lambda path: os.link(path, outside(path)), NOT_USED),
    "given-away": (lambda path: os.chown(path, 12345, 12345), NOT_USED),
    "pipe": (lambda path: replace(path, os.mkfifo), NOT_USED),
    "directory": (lambda path: replace(path, Path.mkdir), NOT_USED),
    "without-lock": (lambda path: lock(path).unlink(), GOES_ON),
}
# What is not ours stays as it is. (A file of another user in a folder of ours goes with it.)
STAYS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "lock-given-away": (lambda path: os.chown(lock(path), 12345, 12345), NOT_USED),
    "folder-given-away": (lambda path: os.chown(path.parent, 12345, 12345), NOT_USED),
    "folder-is-a-link": (
        lambda path: move(path.parent, lambda p: p.symlink_to(outside(path))),
        NOT_USED,
    ),
    "folder-is-a-file": (
        lambda path: move(path.parent, lambda p: p.write_bytes(bytes(HALF))),
        NOT_USED,
    ),
    "lock-is-a-link": (link_lock, NOT_USED),
    "lock-is-a-pipe": (lambda path: replace(lock(path), os.mkfifo), NOT_USED),
}


@pytest.mark.parametrize("how", [*SPOILED, *STAYS])
@old_middle_new
def test_a_spoiled_file_never_makes_a_wrong_file(how: str, armed: Environment) -> None:
    spoil, end = {**SPOILED, **STAYS}[how]
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE, stopped_at(HALF))]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        (file,) = kept(cache)
        folder = file.parent
        spoil(file)
        before = contents(outside(file))
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        shown = bool(continuing(done)) or how == "filled-up"  # nothing is missing, so it seems
        assert shown == (end is not NOT_USED)
        assert len(done.run.warnings()) == (end is AGAIN), done.run.output
        ranges = [request.range for request in lab.requests("demo", "artifact")[3:]]
        if end is AGAIN:
            assert done.run.warnings("What an earlier run had kept of demo-1.0 was removed.")
            assert ranges[-1] is None and len(ranges) in (2, 3)
        elif end is NOT_USED:
            assert ranges == [None]
        assert (folder in stored(cache)) == bool(stored(cache)) == (how in STAYS)
        assert contents(outside(file)) == before


def contents(path: Path) -> bytes | None:
    """Return what is in a file, or in the only file of a folder."""
    if path.is_dir():
        (path,) = path.iterdir()
    return path.read_bytes() if path.exists() else None
