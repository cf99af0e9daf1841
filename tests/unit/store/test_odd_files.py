"""Files that have the name of a partial and are none, or are more than that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

import pytest

from pip_retry_patch.store import files, locks
from pip_retry_patch.store.directory import Directory
from pip_retry_patch.store.shelf import Shelf
from tests.unit.store.test_kept_bytes import KEY, LIMITS, left

NAME = f"{KEY}-x.partial"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    found = tmp_path / "store"
    found.mkdir(0o700)
    yield found


def find(store: Path) -> object:
    return Shelf(Directory(store, LIMITS), KEY).find()


def status(path: Path) -> os.stat_result:
    return os.lstat(path)


def test_a_link_is_never_followed(store: Path, tmp_path: Path) -> None:
    """Somebody may have put it there, to a file that is not ours to write or to remove."""
    target = left(store, 1_200_000).rename(tmp_path / "precious")
    before = target.read_bytes()
    link = store / NAME
    link.symlink_to(target)
    with pytest.raises(OSError):
        locks.hold(link)
    assert find(store) is None
    assert target.read_bytes() == before
    if not link.is_symlink():
        link.symlink_to(target)
    assert files.purge(store)[0] == 1
    assert not link.is_symlink() and target.read_bytes() == before


def test_a_file_with_another_name_is_not_written_to(store: Path, tmp_path: Path) -> None:
    path = left(store, 1_200_000)
    os.link(path, tmp_path / "other")
    before = path.read_bytes()
    with pytest.raises(OSError):
        locks.hold(path)
    assert find(store) is None
    assert (tmp_path / "other").read_bytes() == before
    if path.exists():
        assert files.remove(path, status(path))
    assert not path.exists() and (tmp_path / "other").read_bytes() == before


@pytest.mark.parametrize(
    "name",
    [
        "README",
        f"{KEY}.partial",
        f"{KEY}-x.partial.bak",
        f"{KEY}-\u00e9.partial",
        f"{KEY.upper()}-x.partial",
        f"{KEY[1:]}-x.partial",
        f"{KEY}-x y.partial",
    ],
)
def test_files_of_others_in_a_directory_that_the_user_named_stay(name: str, store: Path) -> None:
    (store / name).write_bytes(b"theirs")
    assert list(files.entries(store)) == []
    assert files.purge(store) == (0, 0)
    Shelf(Directory(store, LIMITS), KEY).clear()
    assert (store / name).read_bytes() == b"theirs"


def test_a_directory_of_that_name_stays(store: Path) -> None:
    (store / NAME).mkdir()
    assert list(files.entries(store)) == [] and find(store) is None
    assert files.purge(store) == (0, 0) and (store / NAME).is_dir()


def test_what_is_held_is_not_evicted_and_what_is_not_is(store: Path) -> None:
    path = left(store, 1_200_000)
    held = locks.hold(path)
    assert not files.evict(path) and not files.remove(path, status(path))
    with pytest.raises(locks.HeldError):
        locks.hold(path)
    held.close()
    assert files.evict(path) and not path.exists()
    assert not files.evict(path), "it is gone"


def test_a_file_that_is_removed_while_somebody_waits_for_it_is_not_held(store: Path) -> None:
    path = left(store, 1_200_000)
    handle = os.open(path, os.O_RDWR)
    locks.hold(path).remove()
    assert os.fstat(handle).st_nlink == 0
    os.close(handle)
    with pytest.raises(FileNotFoundError):
        locks.hold(path)


def test_the_lock_of_the_store_is_there_for_a_moment_only(store: Path) -> None:
    with locks.held_for_a_moment(store):
        (lock,) = store.iterdir()
        assert lock.name == f"lock-{os.geteuid()}" and lock.stat().st_mode & 0o777 == 0o600
    assert not list(store.iterdir())
    with pytest.raises(ZeroDivisionError), locks.held_for_a_moment(store):
        raise ZeroDivisionError
    assert not list(store.iterdir())


def test_a_store_is_made_for_its_user_alone(tmp_path: Path) -> None:
    store = tmp_path / "a" / "store"
    path = left(store, 1_200_000)
    assert store.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
