"""What is in a partial: the very bytes that came, in their order, from the first on."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab.packages import payload
from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.store import header as headers
from pip_retry_patch.store.directory import DAY, SPARE, STEP, Directory, Limits
from pip_retry_patch.store.partials import SMALLEST, Partial
from pip_retry_patch.store.shelf import Shelf

LIMITS = Limits(size=100_000_000, age=DAY)
DATA = payload("kept", STEP + 3_000_000)
KEY = "a" * 32


def shelf(store: Path, key: str = KEY, limits: Limits = LIMITS) -> Shelf:
    return Shelf(Directory(store, limits), key)


def begun(store: Path, total: int | None, **more: Any) -> Partial:
    known = Representation(Validators('"a"'), total)
    partial = shelf(store, **more).begin("demo", known, "https://h.example:443", "a/b")
    assert partial is not None
    return partial


def add(partial: Partial, start: int, stop: int, step: int = 70_001) -> None:
    for offset in range(start, stop, step):
        partial.add(offset, DATA[offset : min(offset + step, stop)])


def contents(store: Path) -> bytes:
    (path,) = store.glob("*.partial")
    return path.read_bytes()[headers.SIZE :]


@pytest.mark.parametrize("total", [None, len(DATA)], ids=["unknown", "known"])
def test_the_bytes_that_came_are_kept_and_no_others(total: int | None, tmp_path: Path) -> None:
    """Of an unknown size the first million waits in memory, and the header is written anew."""
    partial = begun(tmp_path, total)
    add(partial, 0, len(DATA) - 1000)
    partial.close()
    assert contents(tmp_path) == DATA[:-1000]


@pytest.mark.parametrize("total", [None, len(DATA)], ids=["unknown", "known"])
def test_what_is_continued_is_read_back_and_grows_at_its_end(
    total: int | None, tmp_path: Path
) -> None:
    partial = begun(tmp_path, total)
    add(partial, 0, 1_500_000)
    partial.close()
    for stop in (2_000_000, STEP + 2_000_000):
        found = shelf(tmp_path).find()
        assert found is not None and found.header.content_type == "a/b"
        size, received = found.size, b""
        while len(received) < size:
            piece = found.read(50_000)
            assert 0 < len(piece) <= 50_000
            found.add(len(received), piece)
            received += piece
        assert received == DATA[:size]
        add(found, size, stop)
        found.close()
        assert contents(tmp_path) == DATA[:stop]


def test_a_piece_that_was_read_from_here_is_not_kept_twice(tmp_path: Path) -> None:
    partial = begun(tmp_path, len(DATA))
    add(partial, 0, 1_000_000)
    partial.add(0, DATA[:1000])
    partial.add(999_000, DATA[999_000:1_000_000])
    add(partial, 1_000_000, 1_100_000)
    partial.close()
    assert contents(tmp_path) == DATA[:1_100_000]


def test_more_than_was_announced_is_not_kept(tmp_path: Path) -> None:
    partial = begun(tmp_path, 1_200_000)
    add(partial, 0, 1_200_000)
    assert partial.is_on_disk
    partial.add(1_200_000, b"x")
    assert not partial.is_on_disk and not list(tmp_path.glob("*.partial"))
    partial.add(1_200_001, b"y")
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("size, kept", [(SMALLEST - 1, False), (SMALLEST, True)])
def test_what_is_worth_a_file_is_a_million_bytes_exactly(
    size: int, kept: bool, tmp_path: Path
) -> None:
    known = Representation(Validators('"a"'), size)
    assert (shelf(tmp_path).begin("demo", known, "", "") is not None) == kept
    partial = begun(tmp_path, None)
    add(partial, 0, size)
    assert partial.is_on_disk == kept
    partial.close()
    assert bool(list(tmp_path.glob("*.partial"))) == kept


def test_of_a_whole_file_the_last_byte_is_left_to_be_asked_for(tmp_path: Path) -> None:
    partial = begun(tmp_path, 1_200_000)
    add(partial, 0, 1_200_000)
    partial.close()
    found = shelf(tmp_path).find()
    assert found is not None and found.size == 1_199_999
    found.close()
    assert contents(tmp_path) == DATA[:1_199_999]


def test_more_bytes_than_the_file_has_are_no_partial_of_it(tmp_path: Path) -> None:
    partial = begun(tmp_path, 1_200_000)
    add(partial, 0, 1_200_000)
    partial.close()
    (path,) = tmp_path.glob("*.partial")
    with path.open("ab") as file:
        file.write(b"x")
    assert shelf(tmp_path).find() is None and not path.exists()


@pytest.mark.parametrize("size", [1, 2])
def test_a_partial_of_a_byte_or_two_is_one(size: int, tmp_path: Path) -> None:
    partial = begun(tmp_path, 1_200_000)
    add(partial, 0, 1_000_000)
    partial.close()
    (path,) = tmp_path.glob("*.partial")
    with path.open("r+b") as file:
        file.truncate(headers.SIZE + size)
    found = shelf(tmp_path).find()
    assert found is not None and found.read(10) == DATA[:size]


def left(store: Path, size: int) -> Path:
    before = set(store.glob("*.partial"))
    partial = begun(store, len(DATA))
    add(partial, 0, size)
    partial.close()
    (path,) = set(store.glob("*.partial")) - before
    return path


def test_the_longest_that_nobody_holds_is_continued(tmp_path: Path) -> None:
    sizes = [1_200_000, 1_600_000, 1_400_000, 1_100_000]
    for size in sizes:
        left(tmp_path, size)
    held = []
    for size in sorted(sizes, reverse=True):
        found = shelf(tmp_path).find()
        assert found is not None and found.size == size
        held.append(found)
    assert shelf(tmp_path).find() is None
    assert len(list(tmp_path.glob("*.partial"))) == 4


def test_what_is_of_no_use_does_not_hide_what_is(tmp_path: Path) -> None:
    longest, other = left(tmp_path, 1_600_000), left(tmp_path, 1_200_000)
    os.utime(longest, (time.time() - 2 * DAY,) * 2)
    found = shelf(tmp_path).find()
    assert found is not None and found.size == 1_200_000
    assert not longest.exists() and other.exists()


def test_what_is_given_back_frees_the_disk(tmp_path: Path) -> None:
    mine = shelf(tmp_path)
    known = Representation(Validators('"a"'), len(DATA))
    partial = mine.begin("demo", known, "", "")
    assert partial is not None
    add(partial, 0, 1_200_000)
    assert mine.give_back() and not partial.is_on_disk
    assert not list(tmp_path.glob("*.partial"))
    assert not mine.give_back(), "there is nothing left to give"
    assert not shelf(tmp_path, "b" * 32).give_back()


def test_only_its_own_key_is_cleared(tmp_path: Path) -> None:
    mine, other = left(tmp_path, 1_200_000), begun(tmp_path, len(DATA), key="b" * 32)
    add(other, 0, 1_200_000)
    other.close()
    shelf(tmp_path).clear()
    assert not mine.exists() and len(list(tmp_path.glob("b*.partial"))) == 1


def test_what_another_run_left_meanwhile_is_cleared(tmp_path: Path) -> None:
    mine = shelf(tmp_path)
    assert mine.find() is None
    path = left(tmp_path, 1_200_000)
    small = Representation(Validators('"a"'), SMALLEST - 1)
    for known, stays in ((small, True), (small._replace(total=None), False)):
        mine.begin("demo", known, "", "")
        mine.clear()
        # A small file is kept by nobody: there is no need to look again.
        assert path.exists() == stays


def test_a_store_of_another_user_is_not_roots_to_use(tmp_path: Path) -> None:
    """As with pip's own cache: `sudo pip` leaves nothing behind there."""
    if os.geteuid() != 0:
        return  # who is not root cannot give a directory away
    path = left(tmp_path, 1_200_000)
    os.chown(tmp_path, 12345, 12345)
    assert shelf(tmp_path).find() is None
    partial = begun(tmp_path, len(DATA))
    add(partial, 0, 1_200_000)
    assert not partial.is_on_disk
    shelf(tmp_path).clear()
    assert list(tmp_path.glob("*.partial")) == [path]


def test_a_store_that_is_a_link_or_a_file_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_bytes(b"")
    for name in ("link", "file"):
        partial = begun(tmp_path / name, len(DATA))
        add(partial, 0, 1_200_000)
        assert not partial.is_on_disk
    assert not list((tmp_path / "real").iterdir())


@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_is_met_to_the_byte(over: int, tmp_path: Path) -> None:
    total = 2_000_000
    limits = Limits(size=total + headers.SIZE - over, age=DAY)
    partial = begun(tmp_path, total, limits=limits)
    add(partial, 0, 1_200_000)
    assert partial.is_on_disk == (not over)


@pytest.mark.parametrize("age, found", [(-60.0, True), (60.0, False)])
def test_age_is_met(age: float, found: bool, tmp_path: Path) -> None:
    path = left(tmp_path, 1_200_000)
    when = time.time() - DAY - age
    os.utime(path, (when, when))
    assert (shelf(tmp_path).find() is not None) == found
    assert path.exists() == found


def test_what_pip_still_needs(tmp_path: Path) -> None:
    """Twice what still arrives, once the whole of it, and some room."""
    store = Directory(tmp_path, LIMITS, arriving=2, ending=1)
    assert store.needed(100, 1000) == 2 * 900 + 1000 + SPARE
    assert store.needed(100, None) == 100 + SPARE
    assert Directory(tmp_path, LIMITS, arriving=0, ending=0).needed(1, 10) == SPARE
