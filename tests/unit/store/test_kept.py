"""The store that keeps the very file that pip writes."""

from __future__ import annotations

import atexit
import errno
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator
from unittest import mock

import pytest

from pip_retry_patch.store import kept
from pip_retry_patch.store.kept import SMALLEST, Place, Store, key_of

KEY = f"sha256-{'a' * 64}"
OTHER = f"sha256-{'b' * 64}"
LIMIT = 100 * SMALLEST

is_root = hasattr(os, "geteuid") and os.geteuid() == 0

# What other processes do: the path of the store, the key, the size, and what comes last.
CHILD = """
import sys, time
from pip_retry_patch.store.kept import Store
place = Store(sys.argv[1], 10**9).place(sys.argv[2])
with open(place.folder + "/f.whl", "wb") as file:
    file.write(b"c" * int(sys.argv[3]))
exec(sys.argv[4])
print(place.kept_size, flush=True)
time.sleep(60)
"""
START = """
import sys
from pip_retry_patch.store.kept import Store
for _ in range(30):
    place = Store(sys.argv[1], 10**9).place(sys.argv[2])
    with open(place.folder + "/f.whl", "wb") as file:
        file.write(place.kept.read() if place.kept else b"")
        file.truncate(place.kept_size + 1_000_000)
    place.leave() if place.kept_size < 5_000_000 else place.finish()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "kept"


@pytest.fixture(autouse=True)
def nothing_stays_held() -> Iterator[None]:
    with mock.patch.object(kept, "_held", set()):
        yield


def given(place: Place | None) -> Place:
    assert place is not None
    return place


def place_of(path: Path, key: str = KEY, limit: int = LIMIT) -> Place:
    return given(Store(str(path), limit).place(key))


def write(place: Place, size: int, name: str = "f.whl", byte: bytes = b"x") -> str:
    file = os.path.join(place.folder, name)
    with open(file, "wb") as out:
        out.write(byte * size)
    return file


def left(path: Path, size: int, key: str = KEY, byte: bytes = b"x", age: float = 0) -> Path:
    """Leave what a killed run would, and return its folder."""
    folder = path / f"{key}-{hashlib.md5(os.urandom(8)).hexdigest()[:8]}"
    folder.mkdir(0o700, parents=True)
    os.chmod(path, 0o700)
    file = folder / "f.whl"
    file.write_bytes(byte * size)
    os.utime(file, (time.time() - age,) * 2)
    Path(f"{folder}.lock").touch(0o600)
    return folder


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def child(path: Path, size: int, last: str = "", key: str = KEY) -> subprocess.Popen[str]:
    """Start a process that holds a place, and wait until it has written to it."""
    command = [sys.executable, "-c", CHILD, str(path), key, str(size), last]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.kept_size = int(process.stdout.readline())  # type: ignore[attr-defined]
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


# One run after another.


def test_nothing_is_created_before_a_place_is_asked_for(path: Path) -> None:
    store = Store(str(path), LIMIT)
    assert store.left_over() == store.purge() == (0, 0)
    assert not path.parent.exists()


def test_a_place_is_an_empty_folder_that_only_its_user_can_read(path: Path) -> None:
    place = place_of(path)
    assert os.listdir(place.folder) == []
    assert os.path.basename(place.folder).startswith(f"{KEY}-")
    assert (place.kept, place.kept_size) == (None, 0)
    if os.name != "nt":
        assert os.stat(place.folder).st_mode & 0o777 == 0o700
        assert os.stat(path).st_mode & 0o777 == 0o700


def test_what_a_failed_download_leaves_is_continued_by_the_next_run(path: Path) -> None:
    first = place_of(path)
    write(first, 2 * SMALLEST, byte=b"1")
    assert first.leave() == 2 * SMALLEST
    second = place_of(path)
    assert second.kept is not None and second.kept_size == 2 * SMALLEST
    assert second.kept.read() == b"1" * 2 * SMALLEST
    assert second.folder != first.folder and os.listdir(second.folder) == []


def test_another_artifact_is_not_continued(path: Path) -> None:
    left(path, 2 * SMALLEST)
    assert place_of(path, OTHER).kept is None


def test_the_longest_leftover_is_continued(path: Path) -> None:
    for size in (2, 5, 3):
        left(path, size * SMALLEST)
    place = place_of(path)
    assert place.kept_size == 5 * SMALLEST
    assert Store(str(path), LIMIT).left_over() == (2, 5 * SMALLEST)


def test_less_than_is_worth_a_request_is_neither_continued_nor_kept(path: Path) -> None:
    small = left(path, SMALLEST - 1)
    place = place_of(path)
    assert place.kept is None and not small.exists()
    write(place, SMALLEST - 1)
    assert place.leave() == 0
    assert names(path) == []


def test_a_shorter_file_leaves_the_older_one_to_the_next_run(path: Path) -> None:
    older = left(path, 3 * SMALLEST)
    place = place_of(path)
    write(place, 2 * SMALLEST)
    assert place.leave() == 3 * SMALLEST
    assert names(path) == [older.name, f"{older.name}.lock"]
    assert place_of(path).kept_size == 3 * SMALLEST


def test_a_file_that_is_as_long_takes_the_place_of_the_older_one(path: Path) -> None:
    left(path, 3 * SMALLEST)
    left(path, 2 * SMALLEST)
    place = place_of(path)
    write(place, 3 * SMALLEST)
    assert place.leave() == 3 * SMALLEST
    assert names(path) == [os.path.basename(place.folder), f"{os.path.basename(place.folder)}.lock"]


def test_a_superseded_file_frees_the_disk_at_once(path: Path) -> None:
    older = left(path, 3 * SMALLEST)
    place = place_of(path)
    write(place, 3 * SMALLEST)
    place.superseded()
    assert place.kept is not None and place.kept.closed
    assert not older.exists() and os.path.exists(place.folder)
    # pip's file may lag what pip was given by what its writer buffers.
    write(place, 3 * SMALLEST - 5)
    assert place.leave() == 3 * SMALLEST - 5


def test_a_longer_leftover_of_another_run_is_not_superseded(path: Path) -> None:
    left(path, 2 * SMALLEST)
    place = place_of(path)
    longer = left(path, 5 * SMALLEST)
    place.superseded()
    assert longer.exists()
    place.finish()
    assert names(path) == []


def test_a_finished_file_leaves_nothing_of_its_artifact(path: Path, tmp_path: Path) -> None:
    other = left(path, 2 * SMALLEST, OTHER)
    left(path, 2 * SMALLEST)
    left(path, 3 * SMALLEST)
    place = place_of(path)
    moved = place.move(write(place, 9), str(tmp_path))
    place.finish()
    assert moved == str(tmp_path / "f.whl") and os.path.getsize(moved) == 9
    assert names(path) == [other.name, f"{other.name}.lock"]


def test_a_moved_file_replaces_what_has_its_name(path: Path, tmp_path: Path) -> None:
    (tmp_path / "f.whl").write_bytes(b"old")
    place = place_of(path)
    moved = place.move(write(place, 2), str(tmp_path))
    assert Path(moved).read_bytes() == b"xx"
    assert names(path) == []  # a batch is checked at its end: meanwhile no lock is held
    assert place.leave() == 0 and Path(moved).exists()


def test_a_moved_file_whose_hash_is_never_checked_leaves_the_older_one(
    path: Path, tmp_path: Path
) -> None:
    older = left(path, 2 * SMALLEST)
    place = place_of(path)
    place.move(write(place, 3 * SMALLEST), str(tmp_path))
    assert place.leave() == 2 * SMALLEST
    assert older.exists()


def test_what_is_finished_is_gone(path: Path) -> None:
    left(path, 2 * SMALLEST)
    left(path, 3 * SMALLEST)
    place = place_of(path)
    write(place, 5 * SMALLEST)
    place.finish()
    assert names(path) == [] and place.leave() == 0


@pytest.mark.parametrize("end", ["finish", "leave"])
def test_every_method_may_be_called_again(path: Path, tmp_path: Path, end: str) -> None:
    left(path, 2 * SMALLEST)
    place = place_of(path)
    file = write(place, 3 * SMALLEST)
    place.superseded()
    place.superseded()
    first = getattr(place, end)()
    assert getattr(place, end)() == first
    before = names(path)
    place.superseded()
    place.finish()
    assert names(path) == before == ([] if end != "leave" else before)
    assert place.leave() == (first or 0)
    assert place.move(file, str(tmp_path / "nowhere")) == file


def test_a_store_that_vanishes_raises_nothing(path: Path, tmp_path: Path) -> None:
    places = [place_of(path) for _ in range(3)]
    shutil.rmtree(path)
    places[0].superseded()
    assert places[0].move(os.path.join(places[0].folder, "f"), str(tmp_path)).endswith("f")
    places[0].finish()
    places[1].finish()
    assert places[2].leave() == 0


# What is in a folder.


def test_the_largest_regular_file_counts(path: Path, tmp_path: Path) -> None:
    folder = left(path, SMALLEST)
    (folder / ".hidden").write_bytes(b"h" * 2 * SMALLEST)
    (folder / "directory").mkdir()
    huge = tmp_path / "huge"
    huge.write_bytes(b"x" * 9 * SMALLEST)
    (folder / "linked").symlink_to(huge)
    os.link(huge, folder / "second-name")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "fifo")
    place = place_of(path)
    assert place.kept is not None and place.kept.read(1) == b"h"
    assert place.kept_size == 2 * SMALLEST
    place.finish()
    assert names(path) == [] and huge.stat().st_size == 9 * SMALLEST


def test_a_leftover_that_cannot_be_opened_is_passed_over(path: Path) -> None:
    left(path, 2 * SMALLEST)
    left(path, 3 * SMALLEST)
    opened, real = [], os.open

    def fails_once(file: str, flags: int, mode: int = 0o777) -> int:
        if file.endswith(".whl"):
            opened.append(file)
            if len(opened) == 1:
                raise OSError(errno.EIO, "a broken disk")
        return real(file, flags, mode)

    with mock.patch("os.open", fails_once):
        place = place_of(path)
    assert place.kept_size == 2 * SMALLEST
    assert Store(str(path), LIMIT).left_over() == (1, 3 * SMALLEST)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no other users here")
@pytest.mark.parametrize(
    ("owner", "mode", "user", "safe"),
    [
        (0, 0o755, 1000, True),  # of root, who could do anything anyway
        (0, 0o1777, 1000, True),
        (0, 0o777, 1000, False),  # here each user could put another folder in the place of ours
        (0, 0o775, 1000, False),
        (1000, 0o777, 1000, True),
        (1000, 0o755, 0, False),  # `sudo pip` leaves nothing in the directories of others
        (1001, 0o1777, 1000, False),
    ],
)
def test_a_store_is_where_no_other_user_can_change_it(
    monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, user: int, safe: bool
) -> None:
    found = mock.Mock(st_uid=owner, st_mode=stat.S_IFDIR | mode, st_nlink=2)
    monkeypatch.setattr(os, "lstat", lambda _: found)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert kept.is_safe("anywhere") is safe


def test_a_folder_that_is_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    place_of(path).finish()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f.whl").write_bytes(b"x" * 2 * SMALLEST)
    (path / f"{KEY}-01234567").symlink_to(outside)
    store = Store(str(path), LIMIT)
    place = given(store.place(KEY))
    assert place.kept is None
    place.finish()
    assert store.purge() == (0, 0)
    assert (outside / "f.whl").exists()


@pytest.mark.skipif(not kept.SAFE, reason="nothing here refuses to follow a link")
def test_a_lock_file_that_is_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    folder = left(path, 2 * SMALLEST)
    lock = Path(f"{folder}.lock")
    lock.unlink()
    lock.symlink_to(tmp_path / "planted")
    assert place_of(path).kept is None
    assert folder.exists() and not (tmp_path / "planted").exists()


def test_what_is_not_ours_stays(path: Path) -> None:
    ours = left(path, 2 * SMALLEST, age=kept.LONGEST_KEPT + 9)
    strangers = ["notes", f"{KEY}-0123456", f"{KEY}-01234567.txt", "sha256-12-01234567", ".lock"]
    for name in strangers:
        (path / name).mkdir()
    (path / f"{KEY}-89abcdef").write_text("a file in place of a folder")
    store = Store(str(path), LIMIT)
    given(store.place(KEY)).finish()
    store.purge()
    assert not ours.exists()
    assert names(path) == sorted([*strangers, f"{KEY}-89abcdef"])


# Age, limit, orphans.


def test_leftovers_expire_when_a_run_begins(path: Path) -> None:
    old = left(path, 2 * SMALLEST, age=kept.LONGEST_KEPT + 60)
    young = left(path, 2 * SMALLEST, age=kept.LONGEST_KEPT - 60)
    store = Store(str(path), LIMIT)
    given(store.place(OTHER)).finish()
    assert names(path) == [young.name, f"{young.name}.lock"]
    left(path, 2 * SMALLEST, age=kept.LONGEST_KEPT + 60)
    given(store.place(OTHER)).finish()
    assert store.left_over() == (2, 4 * SMALLEST)
    assert not old.exists()


def test_the_oldest_leftovers_go_until_the_limit_is_kept(path: Path) -> None:
    folders = [left(path, 2 * SMALLEST, age=age) for age in (30, 10, 40, 20)]
    place_of(path, OTHER, limit=4 * SMALLEST).finish()
    assert [folder.exists() for folder in folders] == [False, True, False, True]


def test_a_leftover_that_is_larger_than_the_limit_goes(path: Path) -> None:
    folder = left(path, 3 * SMALLEST)
    place_of(path, OTHER, limit=3 * SMALLEST).finish()
    assert folder.exists()
    place_of(path, OTHER, limit=3 * SMALLEST - 1).finish()
    assert not folder.exists()


def test_what_is_held_counts_for_no_limit(path: Path) -> None:
    held = place_of(path, limit=3 * SMALLEST)
    file = write(held, 5 * SMALLEST)
    folder = left(path, 2 * SMALLEST, age=9)
    place_of(path, OTHER, limit=3 * SMALLEST).finish()
    assert folder.exists() and os.path.exists(file)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_keeps_nothing(path: Path, limit: int) -> None:
    left(path, 2 * SMALLEST)
    store = Store(str(path), limit)
    assert store.place(KEY) is None
    assert store.purge() == (1, 2 * SMALLEST)


def test_lock_files_without_a_folder_go_after_a_minute(path: Path) -> None:
    place_of(path).finish()
    old, young = path / f"{KEY}-00000000.lock", path / f"{KEY}-11111111.lock"
    for lock, age in ((old, kept.ORPHAN + 5), (young, kept.ORPHAN - 30)):
        lock.touch(0o600)
        os.utime(lock, (time.time() - age,) * 2)
    store = Store(str(path), LIMIT)
    assert store.left_over()[0] == 0
    given(store.place(OTHER)).finish()
    assert names(path) == [young.name]


def test_a_folder_without_a_lock_file_is_continued_and_removed(path: Path) -> None:
    folder = left(path, 2 * SMALLEST)
    os.unlink(f"{folder}.lock")
    place = place_of(path)
    assert place.kept_size == 2 * SMALLEST
    place.finish()
    assert names(path) == []


def test_a_purge_counts_what_it_removes(path: Path) -> None:
    left(path, 2 * SMALLEST)
    left(path, 3 * SMALLEST, OTHER)
    held = place_of(path, f"md5-{'0' * 32}")
    write(held, SMALLEST)
    store = Store(str(path), LIMIT)
    assert store.left_over() == (2, 5 * SMALLEST)
    assert store.purge() == (2, 5 * SMALLEST)
    assert store.left_over() == store.purge() == (0, 0)
    assert len(names(path)) == 2
    held.leave()
    assert store.purge() == (1, SMALLEST)


# Several at once.


def test_two_places_of_one_artifact_at_once(path: Path) -> None:
    left(path, 2 * SMALLEST)
    left(path, 3 * SMALLEST)
    store = Store(str(path), LIMIT)
    places = [given(store.place(KEY)) for _ in range(3)]
    assert [place.kept_size for place in places] == [3 * SMALLEST, 2 * SMALLEST, 0]
    assert len({place.folder for place in places}) == 3
    write(places[1], 4 * SMALLEST)
    places[0].finish()
    assert os.path.exists(places[1].folder) and places[1].kept is not None
    assert places[1].kept.read(1) == b"x"
    assert places[1].leave() == 4 * SMALLEST
    places[2].finish()
    assert names(path) == []


def test_a_process_never_opens_its_own_locks_again(path: Path) -> None:
    """On NFS it could lock them a second time, and would lose both locks."""
    with mock.patch.object(kept, "lock"):
        first, second = place_of(path), place_of(path)
        write(first, 2 * SMALLEST)
        assert place_of(path).kept is None
        second.finish()
        assert Store(str(path), LIMIT).purge() == (0, 0)
    assert os.path.exists(first.folder)


def test_a_place_that_another_process_holds_is_untouched(path: Path) -> None:
    process = child(path, 3 * SMALLEST)
    try:
        store = Store(str(path), SMALLEST)
        place = given(store.place(KEY))
        assert place.kept is None
        assert store.left_over() == store.purge() == (0, 0)
        place.finish()
        assert len(names(path)) == 2
    finally:
        kill(process)


@pytest.mark.parametrize("signum", [signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)])
def test_what_a_killed_process_wrote_is_continued(path: Path, signum: int) -> None:
    process = child(path, 3 * SMALLEST)
    process.send_signal(signum)
    process.communicate()
    place = place_of(path)
    assert place.kept is not None and place.kept.read() == b"c" * 3 * SMALLEST
    place.finish()
    assert names(path) == []


def test_a_process_killed_while_it_continues_leaves_both_files(path: Path) -> None:
    left(path, 4 * SMALLEST)
    process = child(path, 2 * SMALLEST)
    assert process.kept_size == 4 * SMALLEST  # type: ignore[attr-defined]
    assert place_of(path).kept is None
    kill(process)
    assert place_of(path).kept_size == 4 * SMALLEST


def test_a_file_that_could_not_be_moved_goes_when_the_process_ends(path: Path) -> None:
    # `move` to a directory that does not exist fails like one to another file system.
    last = (
        "print(place.move(place.folder + '/f.whl', '/nowhere/at/all')); place.finish(); sys.exit()"
    )
    command = [sys.executable, "-c", CHILD, str(path), KEY, "9", last]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout.strip().endswith("/f.whl")
    assert names(path) == []


def test_a_kill_after_a_move_that_failed_leaves_the_file_to_the_next_run(path: Path) -> None:
    kill(child(path, 2 * SMALLEST, "place.move(place.folder + '/f.whl', '/nowhere/at/all')"))
    assert place_of(path).kept_size == 2 * SMALLEST


def test_many_processes_fight_for_one_artifact(path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", START, str(path), KEY]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[1] for process in processes] == [""] * 4
    Store(str(path), LIMIT).purge()
    # A lock file whose folder another process just removed may be made anew, and is found later.
    assert not [name for name in names(path) if not name.endswith(".lock")]


def test_a_lock_file_that_was_removed_meanwhile_locks_nothing(path: Path) -> None:
    """A pip that slept between the making and the locking of its lock file has lost it."""
    path.mkdir(parents=True)

    def removed(handle: int) -> None:
        for name in names(path):
            os.unlink(path / name)

    with mock.patch.object(kept, "lock", removed):
        assert Store(str(path), LIMIT).place(KEY) is None
    assert names(path) == []


def test_a_run_with_very_many_files_does_not_hold_a_lock_for_each(path: Path) -> None:
    store = Store(str(path), LIMIT)
    places = [store.place(KEY) for _ in range(kept.MOST_HELD + 1)]
    assert places[-1] is None and places[-2] is not None
    places[-2].finish()
    assert store.place(KEY) is not None
    for place in places[:-1]:
        given(place).finish()


# Where the store cannot be used.


def assert_is_off(store: Store) -> None:
    """It gives no place, and does not look again."""
    assert store.place(KEY) is None
    with mock.patch("os.makedirs", side_effect=AssertionError("it tried again")):
        assert store.place(OTHER) is None
    assert store.left_over() == store.purge() == (0, 0)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_store_that_is_a_link_is_not_used(path: Path, tmp_path: Path, end: str) -> None:
    real = tmp_path / "real"
    left(real, 2 * SMALLEST, age=kept.LONGEST_KEPT + 9)
    path.parent.mkdir()
    path.symlink_to(real)
    assert_is_off(Store(f"{path}{end}", LIMIT))
    assert len(names(real)) == 2


def test_a_store_behind_a_link_is_used(path: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path.parent.symlink_to(tmp_path / "real")
    place_of(path).finish()
    assert (tmp_path / "real" / "kept").is_dir()


@pytest.mark.skipif(not is_root, reason="only root gives a directory away")
def test_a_store_of_another_user_is_not_used(path: Path) -> None:
    left(path, 2 * SMALLEST, age=kept.LONGEST_KEPT + 9)
    os.chown(path, 12345, -1)
    assert_is_off(Store(str(path), LIMIT))
    assert len(names(path)) == 2


@pytest.mark.skipif(not is_root, reason="only root gives a file away")
def test_files_of_other_users_stay(path: Path) -> None:
    folder, lock, file = (left(path, n * SMALLEST, age=10**7) for n in (2, 3, 4))
    os.chown(folder, 12345, -1)
    os.chown(f"{lock}.lock", 12345, -1)
    os.chown(file / "f.whl", 12345, -1)
    store = Store(str(path), LIMIT)
    place = given(store.place(KEY))
    assert place.kept is None
    place.finish()
    store.purge()
    # A folder of this user goes, whoever has written into it.
    assert folder.exists() and lock.exists() and not file.exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("what", ["os.mkdir", "os.open"])
def test_a_store_that_cannot_be_written_is_not_used(path: Path, what: str, number: int) -> None:
    with mock.patch(what, side_effect=OSError(number, "no")):
        assert Store(str(path), LIMIT).place(KEY) is None
    assert not path.exists()


def test_a_full_disk_leaves_no_lock_file_behind(path: Path) -> None:
    folder = left(path, 2 * SMALLEST)
    with mock.patch("os.mkdir", side_effect=OSError(errno.ENOSPC, "full")):
        assert Store(str(path), LIMIT).place(KEY) is None
    assert names(path) == [folder.name, f"{folder.name}.lock"]


@pytest.mark.skipif(os.name == "nt", reason="modes of directories are of POSIX")
def test_a_read_only_store_is_not_used(path: Path) -> None:
    code = (
        "import os, sys; from pip_retry_patch.store import kept\n"
        "import shutil; os.geteuid() or (os.chown(sys.argv[1], 65534, -1), os.seteuid(65534))\n"
        "store = kept.Store(sys.argv[1], 10**9); assert store.place(sys.argv[2]) is None\n"
    )
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        store = Path(directory) / "kept"
        store.mkdir(0o500)
        subprocess.run([sys.executable, "-c", code, str(store), KEY], check=True)
        assert names(store) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_left_as_it_was(path: Path, number: int) -> None:
    with mock.patch.object(kept, "lock", side_effect=OSError(number, "no locks")):
        assert_is_off(Store(str(path), LIMIT))
        assert not path.exists()
        folder = left(path, 2 * SMALLEST)
        assert_is_off(Store(str(path), LIMIT))
    assert names(path) == [folder.name, f"{folder.name}.lock"]


def test_a_platform_without_locks_is_left_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", None)
    assert_is_off(Store(str(path), LIMIT))
    assert not path.exists()


class Msvcrt:
    """Its module for files, as far as it is used: it locks one byte of a file, or EACCES."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.locked: dict[int, int] = {}

    def locking(self, handle: int, mode: int, size: int) -> None:
        assert (mode, size) == (2, 1)
        inode = os.fstat(handle).st_ino
        for other, of in list(self.locked.items()):
            try:
                is_open = os.fstat(other).st_ino == of
            except OSError:
                is_open = False
            if is_open and of == inode and other != handle:
                raise PermissionError(errno.EACCES, "locked")
        self.locked[handle] = inode


def test_windows_locks_by_its_own_module(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", Msvcrt())
    left(path, 2 * SMALLEST)
    first, second = place_of(path), place_of(path)
    with mock.patch.object(kept, "_held", set()):  # as another process sees it
        assert place_of(path).kept is None
    assert first.kept_size == 2 * SMALLEST and second.kept is None


@pytest.mark.parametrize("key", ["", "..", "../../evil", "notes", f"sha256-{'A' * 64}", KEY + "\n"])
def test_a_key_that_is_no_file_name_gets_no_place(path: Path, key: str) -> None:
    store = Store(str(path), LIMIT)
    assert store.place(key) is None
    assert not path.exists()
    assert store.place(KEY) is not None


def test_a_path_that_windows_could_not_open_is_not_given(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "LONGEST", len(str(path)) + len(KEY))
    store = Store(str(path), LIMIT)
    assert store.place(KEY) is None
    assert store.place(f"md5-{'0' * 32}") is not None


# Moves and removals that fail.


def fails(number: int, times: int, real: Callable[..., object]) -> mock.Mock:
    errors = [OSError(number, "no")] * times
    return mock.Mock(side_effect=lambda *a: real(*a) if not errors else raise_(errors.pop()))


def raise_(error: OSError) -> None:
    raise error


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No test sleeps. It sees for how long the code would have."""
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSPC, errno.EROFS])
def test_a_file_that_cannot_be_moved_stays_until_the_process_ends(
    path: Path, tmp_path: Path, number: int, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[Callable[[], object]] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    monkeypatch.setattr("os.replace", fails(number, 9, os.replace))
    left(path, 2 * SMALLEST)
    place = place_of(path)
    file = write(place, 2 * SMALLEST)
    assert place.move(file, str(tmp_path)) == place.move(file, str(tmp_path)) == file
    assert not slept and len(registered) == 1
    place.finish()
    assert place.leave() == 0
    assert Store(str(path), LIMIT).purge() == (0, 0)  # held, for pip reads it
    assert names(path) == [os.path.basename(place.folder), f"{os.path.basename(place.folder)}.lock"]
    registered[0]()
    assert names(path) == []


def test_a_file_that_stays_is_not_removed_before_the_process_ends(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[Callable[[], object]] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    place = place_of(path)
    file = write(place, 2 * SMALLEST)
    with mock.patch("os.replace", side_effect=OSError(errno.EXDEV, "elsewhere")):
        place.move(file, str(tmp_path))
    place.finish()
    assert os.path.exists(file)  # it may still be looked into, to tell why its hash did not fit
    registered[0]()
    assert names(path) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOTEMPTY])
@pytest.mark.parametrize("what", ["os.replace", "os.unlink", "shutil.rmtree"])
def test_what_another_program_has_open_is_tried_again(
    path: Path, tmp_path: Path, slept: list[float], what: str, number: int
) -> None:
    module, name = what.split(".")
    real = getattr(sys.modules[module], name)
    place = place_of(path)
    file = write(place, 9)
    with mock.patch(what, fails(number, 3, real)):
        assert place.move(file, str(tmp_path)) == str(tmp_path / "f.whl")
    place.finish()
    assert names(path) == [] and len(slept) == 3


def test_what_another_program_has_open_costs_a_run_one_second_in_all(
    path: Path, tmp_path: Path, slept: list[float]
) -> None:
    store = Store(str(path), LIMIT)
    places = [given(store.place(KEY)) for _ in range(3)]
    with mock.patch("shutil.rmtree", side_effect=PermissionError(errno.EACCES, "open")):
        for place in places:
            write(place, 9)
            place.finish()
    assert 0.9 < sum(slept) < 1.1
    assert store.purge() == (3, 27)  # what stayed is not held
    assert names(path) == []


def test_files_are_closed_before_they_are_moved_or_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses otherwise."""
    left(path, 2 * SMALLEST)
    place = place_of(path)
    real = shutil.rmtree

    def rmtree(folder: str) -> None:
        assert place.kept is not None and place.kept.closed
        real(folder)

    def unlink(file: str, real: Callable[..., None] = os.unlink, **more: int) -> None:
        assert file not in kept._held
        real(file, **more)

    monkeypatch.setattr("shutil.rmtree", rmtree)
    monkeypatch.setattr("os.unlink", unlink)
    place.finish()
    assert names(path) == []


# Names.

DIGESTS = {name: hashlib.new(name, b"").hexdigest() for name in kept.DIGITS}


@pytest.mark.parametrize("algorithm", list(kept.DIGITS))
def test_a_digest_is_a_name(algorithm: str) -> None:
    assert key_of({algorithm: [DIGESTS[algorithm]]}) == f"{algorithm}-{DIGESTS[algorithm]}"


def test_the_best_algorithm_names_the_file() -> None:
    hashes = {name: [digest] for name, digest in DIGESTS.items()}
    for name in kept.DIGITS:
        assert key_of(hashes) == f"{name}-{DIGESTS[name]}"
        del hashes[name]
    assert key_of(hashes) is None


def test_several_digests_have_one_name_in_any_order(path: Path) -> None:
    one, two = "0" * 64, "1" * 64
    key = key_of({"sha256": [one, two]})
    assert key is not None and key == key_of({"sha256": [two, one, one]})
    assert key not in (key_of({"sha256": [one]}), key_of({"sha256": [two]}))
    assert key_of({"sha256": [one, one]}) == f"sha256-{one}"
    place_of(path, key).finish()


@pytest.mark.parametrize(
    "digest",
    [
        "../../evil",
        "",
        "a" * 63,
        "a" * 65,
        "A" * 64,
        "a" * 64 + "\n",
        "\u0661" * 64,
        "a" * 31 + "/" + "a" * 32,
        "." * 64,
        "a" * 63 + "\0",
    ],
)
def test_a_hostile_digest_is_no_name(digest: str) -> None:
    assert key_of({"sha256": [digest]}) is None
    assert key_of({"sha256": ["a" * 64, digest]}) is None
    assert key_of({"sha256": [digest], "md5": ["a" * 32]}) == f"md5-{'a' * 32}"


def test_other_hashes_are_no_name() -> None:
    assert key_of({}) is None
    assert key_of({"sha256": []}) is None
    assert key_of({"../sha256": ["a" * 64], "sha3_256": ["a" * 64]}) is None
    assert key_of({"sha256": "a" * 64}) is None  # its elements are letters
