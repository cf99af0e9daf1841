"""The store that keeps the very file that pip writes.

What becomes of files that were left, spoiled or given away, tests/pips/partials shows with pips.
"""

from __future__ import annotations

import atexit
import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable
from unittest import mock

import pytest

from pip_retry_patch.store import kept, writer
from pip_retry_patch.store.kept import SMALLEST, Place, Store, key_of
from tests.support.needs import needs_links
from tests.support.partials import KEY, left

OTHER = f"sha256-{'b' * 32}"
LIMIT = 100 * SMALLEST

# Many times: it makes a place, continues what is there, and leaves or finishes it.
FIGHT = """
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
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short one, for Windows."""
    return tmp_path_factory.mktemp("s") / "cache" / "kept"


@pytest.fixture(autouse=True)
def nothing_stays_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_held", set())
    monkeypatch.setattr(writer, "_left", writer.PATIENCE)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No test sleeps. It sees for how long the code would have."""
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


def given(place: Place | None) -> Place:
    assert place is not None
    return place


def place_of(path: Path, key: str = KEY, limit: int = LIMIT) -> Place:
    return given(Store(str(path), limit).place(key))


def write(place: Place, size: int, name: str = "f.whl") -> str:
    file = os.path.join(place.folder, name)
    Path(file).write_bytes(b"x" * size)
    return file


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def with_locks(*folders: Path | str) -> list[str]:
    stems = [os.path.basename(folder) for folder in folders]
    return sorted([*stems, *(f"{stem}.lock" for stem in stems)])


def test_nothing_is_created_before_a_place_is_asked_for(path: Path) -> None:
    store = Store(str(path), LIMIT)
    assert store.left_over() == store.purge() == (0, 0)
    store.make_room(10**18)
    assert not path.parent.exists()


def test_the_longest_leftover_is_continued(path: Path) -> None:
    for size in (2, 5, 3):
        left(path, size * SMALLEST)
    left(path, 9 * SMALLEST, OTHER)
    place = place_of(path)
    assert place.kept is not None and len(place.kept.read()) == place.kept_size == 5 * SMALLEST
    assert os.listdir(place.folder) == []
    assert Store(str(path), LIMIT).left_over() == (3, 14 * SMALLEST)
    assert Store(str(path), LIMIT).purge() == (3, 14 * SMALLEST)


@pytest.mark.parametrize(("size", "ours"), [(2, False), (3, True), (4, True)])
def test_the_longer_of_two_files_is_left(path: Path, size: int, ours: bool) -> None:
    older = left(path, 3 * SMALLEST)
    left(path, 2 * SMALLEST)
    place = place_of(path)
    write(place, size * SMALLEST)
    assert place.leave() == max(size, 3) * SMALLEST
    place.superseded()
    place.finish()
    assert Path(place.folder).exists() == ours != older.exists()
    assert place_of(path).kept_size == max(size, 3) * SMALLEST


def test_a_superseded_file_frees_the_disk_at_once(path: Path) -> None:
    older = left(path, 3 * SMALLEST)
    place = place_of(path)
    place.superseded()
    assert not older.exists() and os.path.exists(place.folder)
    # pip's file may lag what pip was given by what its writer buffers.
    write(place, 3 * SMALLEST - 5)
    assert place.leave() == 3 * SMALLEST - 5


def test_a_longer_leftover_of_another_run_is_not_superseded(path: Path) -> None:
    left(path, 2 * SMALLEST)
    other = given(Store(str(path), LIMIT).place(KEY))  # it continues that one
    assert other.kept_size == 2 * SMALLEST
    left(path, SMALLEST)
    place = place_of(path)
    write(other, 5 * SMALLEST)
    assert other.leave() == 5 * SMALLEST
    place.superseded()
    assert os.path.exists(other.folder)
    place.finish()
    assert names(path) == []


def test_a_moved_file_that_is_not_checked_leaves_the_older_one(path: Path, tmp_path: Path) -> None:
    older = left(path, 2 * SMALLEST)
    place = place_of(path)
    place.move(write(place, 3 * SMALLEST), str(tmp_path))
    assert place.leave() == 2 * SMALLEST
    assert older.exists()


def test_leftovers_that_cannot_be_opened_are_passed_over(path: Path) -> None:
    for size in (2, 3):
        left(path, size * SMALLEST)
    with mock.patch("os.fdopen", side_effect=OSError(errno.EIO, "a broken disk")):
        assert place_of(path).kept is None
    assert Store(str(path), LIMIT).left_over() == (2, 5 * SMALLEST)


def test_room_is_made_or_too_little_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: mock.Mock(free=1000))
    folder = left(path, 2 * SMALLEST)
    store = Store(str(path), LIMIT)
    given(store.place(OTHER))
    assert store.make_room(1000, 1000) and folder.exists()
    assert not store.make_room(10**17, 10**17) and folder.exists()  # a server may lie
    assert not store.make_room(1001, 1001) and not folder.exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: mock.Mock(free=0))
    assert store.make_room(1001, 1001)  # nothing is known of such a disk


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


def test_a_process_never_opens_its_own_locks_again(path: Path) -> None:
    """On NFS it could lock them a second time, and would lose both locks."""
    with mock.patch.object(kept, "lock"):
        first, second = place_of(path), place_of(path)
        write(first, 2 * SMALLEST)
        assert place_of(path).kept is None
        second.finish()
        assert Store(str(path), LIMIT).purge() == (0, 0)
    assert os.path.exists(first.folder)


def test_many_processes_fight_for_one_artifact(path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", FIGHT, str(path), KEY]
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
    assert places[-1] is None and not store.trouble
    given(places[-2]).finish()
    assert store.place(KEY) is not None


@needs_links
@pytest.mark.parametrize("end", ["", "/"])
def test_a_store_that_is_a_link_is_not_used(path: Path, tmp_path: Path, end: str) -> None:
    left(tmp_path / "real", 2 * SMALLEST, age=kept.LONGEST_KEPT + 9)
    before = names(tmp_path / "real")
    path.parent.mkdir()
    path.symlink_to(tmp_path / "real")
    store = Store(f"{path}{end}", LIMIT)
    assert store.place(KEY) is None and "only this user can change" in store.trouble
    assert store.left_over() == store.purge() == (0, 0)
    assert names(tmp_path / "real") == before


@pytest.mark.parametrize("what", ["os.mkdir", "os.open", "pip_retry_patch.store.kept.lock"])
def test_a_store_that_failed_is_as_before_and_is_not_tried_again(path: Path, what: str) -> None:
    """A disk is full or read-only, or has no locks."""
    store = Store(str(path), LIMIT)
    with mock.patch(what, side_effect=OSError(errno.EROFS, "no locks")):
        assert store.place(KEY) is None and store.trouble == "no locks"
    assert not path.exists()
    with mock.patch("os.makedirs", side_effect=AssertionError("it tried again")):
        assert store.place(OTHER) is None
    folder = left(path, 2 * SMALLEST)
    with mock.patch(what, side_effect=OSError(errno.EROFS, "no locks")):
        assert Store(str(path), LIMIT).place(KEY) is None
    assert names(path) == with_locks(folder)


def test_a_path_that_windows_could_not_open_is_not_given(path: Path) -> None:
    store = Store(str(path), LIMIT)
    with mock.patch.object(kept, "LONGEST", len(str(path)) + len(KEY)):
        assert store.place(KEY) is None
        assert store.place(f"md5-{'0' * 32}") is not None


def test_a_file_that_cannot_be_moved_stays_until_the_process_ends(
    path: Path, tmp_path: Path, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[Callable[[], object]] = []
    monkeypatch.setattr(atexit, "register", ends.append)
    monkeypatch.setattr("os.replace", mock.Mock(side_effect=OSError(errno.EXDEV, "no")))
    left(path, 2 * SMALLEST)
    place = place_of(path)
    file = write(place, 2 * SMALLEST)
    assert place.move(file, str(tmp_path)) == file and not slept
    place.finish()
    assert place.leave() == 0
    assert Store(str(path), LIMIT).purge() == (0, 0)  # held: pip reads it, and we may, too
    assert names(path) == with_locks(place.folder)
    (at_the_end,) = ends
    at_the_end()
    assert names(path) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOTEMPTY])
@pytest.mark.parametrize("what", ["os.replace", "os.unlink", "shutil.rmtree"])
def test_a_file_in_use_is_tried_again(
    path: Path, tmp_path: Path, slept: list[float], what: str, number: int
) -> None:
    module, name = what.split(".")
    tries = [OSError(number, "no")] * 3 + [mock.DEFAULT]
    place = place_of(path)
    file = write(place, 9)
    with mock.patch(what, wraps=getattr(sys.modules[module], name), side_effect=tries):
        assert place.move(file, str(tmp_path)) == str(tmp_path / "f.whl")
    place.finish()
    assert names(path) == [] and len(slept) == 3


def test_files_in_use_cost_a_run_one_second_in_all(path: Path, slept: list[float]) -> None:
    store = Store(str(path), LIMIT)
    places = [given(store.place(KEY)) for _ in range(3)]
    with mock.patch("shutil.rmtree", side_effect=PermissionError(errno.EACCES, "open")):
        for place in places:
            write(place, 9)
            place.finish()
    assert 0.9 < sum(slept) < 1.1
    assert store.purge() == (3, 27)  # what stayed is not held
    assert names(path) == []


ONE, TWO, MD5 = "0" * 64, "1" * 64, "a" * 32
HOSTILE = (
    *("../../evil", "", "a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n", "\u0661" * 64),
    *("a" * 31 + "/" + "a" * 32, "." * 64, "a" * 63 + "\0"),
)


@pytest.mark.parametrize(
    ("hashes", "key"),
    [
        ({"sha256": [ONE, ONE]}, f"sha256-{ONE[:32]}"),
        *(({"sha256": [digest]}, None) for digest in HOSTILE),
        *(({"sha256": [ONE, digest]}, None) for digest in HOSTILE),
        *(({"sha256": [digest], "md5": [MD5]}, f"md5-{MD5}") for digest in HOSTILE),
        ({}, None),
        ({"sha256": []}, None),
        ({"../sha256": [ONE], "sha3_256": [ONE]}, None),
        ({"sha256": ONE}, None),  # letters
    ],
)
def test_a_digest_is_a_name_but_no_hostile_one(hashes: Any, key: str | None) -> None:
    assert key_of(hashes) == key


def test_the_best_algorithm_names_the_file_and_several_digests_in_any_order() -> None:
    hashes = {name: [hashlib.new(name, b"").hexdigest()] for name in kept.DIGITS}
    for name in kept.DIGITS:
        (digest,) = hashes[name]
        assert key_of(hashes) == f"{name}-{digest[:32]}"
        del hashes[name]
    several = {key_of({"sha256": digests}) for digests in ([ONE, TWO], [TWO, ONE, ONE])}
    assert len(several) == 1 and not several & {key_of({"sha256": [one]}) for one in (ONE, TWO)}
    assert all(re.fullmatch(kept.NAME, f"{key}-00000000") for key in several)


def test_a_file_that_cannot_be_moved_without_a_store_stays_until_pip_has_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "demo.whl").write_bytes(b"x")
    monkeypatch.setattr(kept, "persist", lambda *_: False)
    place = kept.Plain(str(folder))
    path = place.move(str(folder / "demo.whl"), str(tmp_path))
    place.finish()
    assert Path(path).read_bytes() == b"x"
