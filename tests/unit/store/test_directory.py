"""The store with real files: its limit, the disk, its locks, and what it never removes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import pytest

from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.store import directory as directory_module
from pip_retry_patch.store import header as headers
from pip_retry_patch.store import locks
from pip_retry_patch.store.directory import DAY, SPARE, STEP, Directory, Limits
from pip_retry_patch.store.files import purge
from pip_retry_patch.store.partials import SMALLEST, Partial
from pip_retry_patch.store.shelf import Shelf

MB = 1_000_000
LIMITS = Limits(size=10 * MB, age=DAY)
NOBODY = 65534


def known(total: int | None = 3 * MB) -> Representation:
    return Representation(Validators('"a"'), total)


def shelf(store: Path, key: str = "a", limits: Limits = LIMITS) -> Shelf:
    return Shelf(Directory(store, limits), key * 32)


def begun(
    store: Path, key: str = "a", total: int | None = 3 * MB, size: int = MB, limits: Limits = LIMITS
) -> Partial:
    """A partial that is being written."""
    partial = shelf(store, key, limits).begin("demo", known(total), "https://index.example:443", "")
    assert partial is not None
    for offset in range(0, size, 100_000):
        partial.add(offset, bytes(min(100_000, size - offset)))
    return partial


def left(
    store: Path, key: str = "a", total: int | None = 3 * MB, size: int = MB, age: float = 0
) -> Path:
    """A partial that an earlier run has left."""
    begun(store, key, total, size).close()
    (path,) = store.glob(key * 32 + "*")
    os.utime(path, (time.time() - age,) * 2)
    return path


@contextlib.contextmanager
def held_elsewhere(path: Path) -> Iterator[None]:
    """Let another process hold a file."""
    code = "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.flock(f, 2); print(flush=True)"
    command = [sys.executable, "-c", code + "; sys.stdin.read()", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.communicate()


class Usage(NamedTuple):
    """What a disk has."""

    free: int


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], None]:
    """Let the disk have as many bytes free as a function says."""

    def be(function: Callable[[], int]) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(function()))

    return be


def as_nobody(work: Callable[[], None]) -> None:
    """Do something as another user; needs root."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def reachable(path: Path) -> None:
    for parent in path.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)


# What is continued


def test_what_was_left_is_continued_under_its_key_alone(tmp_path: Path) -> None:
    path = left(tmp_path, "a")
    assert shelf(tmp_path, "b").find() is None
    found = shelf(tmp_path, "a").find()
    assert found is not None and found.size == MB
    assert found.header.host == "https://index.example:443"
    found.add(MB, bytes(MB))
    found.close()
    assert path.stat().st_size == 2 * MB + headers.SIZE
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("how", ["renamed", "format 1", "empty", "too old"])
def test_what_is_of_no_use_is_removed_when_it_is_seen(tmp_path: Path, how: str) -> None:
    for seen_by in ("find", "another"):
        path = left(tmp_path, "a")
        if how == "renamed":
            path = path.rename(path.with_name("b" * 32 + "-x.partial"))
        elif how == "empty":
            path.write_bytes(b"")
        elif how == "too old":
            os.utime(path, (time.time() - 2 * DAY,) * 2)
        else:
            fields = json.loads(path.read_bytes()[: headers.SIZE])
            fields["format"] = 1
            line = json.dumps(fields).encode().ljust(headers.SIZE)
            path.write_bytes(line + path.read_bytes()[headers.SIZE :])
        if seen_by == "find":
            assert shelf(tmp_path, path.name[0]).find() is None
        else:
            begun(tmp_path, "c").remove()
        assert not list(tmp_path.iterdir())


def test_a_file_of_this_process_is_not_opened_a_second_time(tmp_path: Path) -> None:
    """Where flock is made of record locks, that would give up the lock."""
    partial = begun(tmp_path)
    assert shelf(tmp_path).find() is None
    shelf(tmp_path).clear()
    (path,) = tmp_path.iterdir()
    partial.close()
    assert shelf(tmp_path).find() is not None
    assert path.exists()


# The limit


def test_announced_sizes_count_and_not_what_has_arrived(tmp_path: Path) -> None:
    held = [begun(tmp_path, key, total=3 * MB, size=MB) for key in "abc"]
    assert all(partial.is_on_disk for partial in held)
    late = begun(tmp_path, "d", total=3 * MB)
    assert not late.is_on_disk
    held[0].remove()
    assert begun(tmp_path, "d", total=3 * MB).is_on_disk


def test_the_oldest_gives_way_and_what_is_held_does_not(tmp_path: Path) -> None:
    old, older, oldest = (left(tmp_path, key, age=100 * n) for n, key in enumerate("abc", 1))
    with held_elsewhere(oldest):
        # It counts with the 3 MB that it is going to have.
        assert begun(tmp_path, "d", total=6 * MB - 2 * headers.SIZE).is_on_disk
        assert oldest.exists() and not older.exists() and not old.exists()


def test_only_what_has_to_gives_way(tmp_path: Path) -> None:
    old, older = (left(tmp_path, key, age=100 * n, size=2 * MB) for n, key in enumerate("ab", 1))
    assert begun(tmp_path, "d", total=7 * MB).is_on_disk
    assert old.exists() and not older.exists()


def test_nothing_gives_way_in_vain(tmp_path: Path) -> None:
    path = left(tmp_path, "a")
    with begun_elsewhere(tmp_path, 8 * MB):
        assert not begun(tmp_path, "c", total=4 * MB).is_on_disk
        assert path.exists()


@contextlib.contextmanager
def begun_elsewhere(store: Path, total: int) -> Iterator[None]:
    begun(store, "e", total=total).close()
    (path,) = store.glob("e" * 32 + "*")
    with held_elsewhere(path):
        yield


def test_an_unknown_size_is_reserved_step_by_step(tmp_path: Path) -> None:
    limits = Limits(size=3 * STEP, age=DAY)
    partial = begun(tmp_path, "a", total=None, size=SMALLEST - 100_000, limits=limits)
    assert not partial.is_on_disk
    partial.add(partial.size, bytes(200_000))
    assert partial.is_on_disk and partial.header.reserved == SMALLEST + 100_000 + STEP
    other = begun(tmp_path, "b", total=STEP, size=MB, limits=limits)
    assert other.is_on_disk
    while partial.is_on_disk:
        (path,) = tmp_path.glob("a*")
        assert path.read_bytes()[: headers.SIZE] == partial.header.to_bytes()
        assert partial.size <= partial.header.reserved <= 2 * STEP
        partial.add(partial.size, bytes(100_000))
    assert partial.size > 2 * STEP - 2 * headers.SIZE
    assert other.is_on_disk and not list(tmp_path.glob("a*"))


def test_a_continued_one_that_may_not_grow_is_used_and_stays_as_it_is(tmp_path: Path) -> None:
    path = left(tmp_path, "a", total=6 * MB, size=2 * MB)
    with begun_elsewhere(tmp_path, 5 * MB):
        found = shelf(tmp_path, "a").find()
        assert found is not None
        assert len(found.read(2 * MB)) == 2 * MB
        found.add(2 * MB, bytes(MB))
        found.close()
        assert path.stat().st_size == 2 * MB + headers.SIZE


def test_eight_processes_at_once_keep_the_limit(tmp_path: Path) -> None:
    def work(number: int, ready: int, go: int) -> None:
        partial = begun(tmp_path, "abcdef01"[number], total=3 * MB, size=100_000)
        os.write(ready, b"1" if partial.is_on_disk else b"0")
        os.read(go, 1)
        for offset in range(100_000, 3 * MB, 100_000):
            partial.add(offset, bytes(100_000))
        partial.close()

    (said, ready), (go, start) = os.pipe(), os.pipe()
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            try:
                work(number, ready, go)
            finally:
                os._exit(0)
        children.append(child)
    kept = sum(os.read(said, 1) == b"1" for _ in children)
    os.write(start, bytes(8))
    for child in children:
        os.waitpid(child, 0)
    assert kept == 3
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert sizes == [3 * MB + headers.SIZE] * 3


# The disk


def test_what_pip_still_needs_is_left_free(tmp_path: Path, free: Callable[..., None]) -> None:
    """pip writes each piece twice, and all of it once more in the end."""
    disk = 100 * MB
    written = 0

    def now() -> int:
        mine = sum(path.stat().st_size for path in tmp_path.iterdir())
        return disk - 2 * written - mine

    free(now)
    for total, announced in ((3 * MB, 3 * MB), (9 * MB, None)):
        for tenths in range(20, 48):
            disk, written = total * tenths // 10, 0
            partial = shelf(tmp_path).begin("demo", known(announced), "", "")
            assert partial is not None
            for offset in range(0, total, 100_000):
                partial.add(offset, bytes(100_000))
                written = offset + 100_000
                if partial.is_on_disk:
                    rest = 0 if announced is None else 2 * (total - written)
                    assert now() >= rest + written
            if not 4 * total <= disk <= 4 * total + SPARE:
                assert partial.is_on_disk == (disk > 4 * total), tenths
            partial.remove()


def test_what_was_left_gives_way_to_pip_before_what_is_written(
    tmp_path: Path, free: Callable[..., None]
) -> None:
    paths = [left(tmp_path, key, age=n) for n, key in enumerate("abc", 1)]
    free(lambda: 14 * MB - sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert begun(tmp_path, "d", total=3 * MB, size=MB).is_on_disk
    assert [path.exists() for path in paths] == [True, False, False]


def test_what_is_continued_is_read_back_where_it_may_not_grow(
    tmp_path: Path, free: Callable[..., None]
) -> None:
    """To read it back and then to remove it costs pip nothing: it has those bytes by then."""
    path = left(tmp_path, size=2 * MB)
    arrived = 0
    free(lambda: 5_200_000 - 2 * arrived)
    found = shelf(tmp_path).find()
    assert found is not None
    while arrived < 2 * MB:
        piece = found.read(100_000)
        found.add(arrived, piece)
        arrived += len(piece)
    assert not path.exists() and not found.is_on_disk


def test_what_is_continued_goes_at_once_where_pip_could_not_even_take_it(
    tmp_path: Path, free: Callable[..., None]
) -> None:
    left(tmp_path, size=2 * MB)
    free(lambda: 4 * MB)
    assert shelf(tmp_path).find() is None
    assert not list(tmp_path.iterdir())


# Locks


def test_a_store_that_another_process_keeps_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TRIES", 3)
    path = left(tmp_path)
    lock = tmp_path / f"lock-{os.geteuid()}"
    lock.touch()
    with held_elsewhere(lock):
        assert shelf(tmp_path).find() is None
        assert not begun(tmp_path, "b").is_on_disk
        shelf(tmp_path).clear()
        assert path.exists()
    # What a killed process has left of it is no lock.
    assert lock.exists()
    assert shelf(tmp_path).find() is not None
    assert not lock.exists()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_locks_nothing_is_kept_and_nothing_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    store = tmp_path / "store"
    path = left(store)
    monkeypatch.setattr(fcntl, "flock", flock)
    assert shelf(store).find() is None
    assert not begun(store, "b").is_on_disk
    shelf(store).clear()
    assert list(store.iterdir()) == [path]
    path.unlink()
    assert not begun(store, "b").is_on_disk
    assert not store.exists()


def test_without_fcntl_and_msvcrt_the_guard_is_there_and_keeps_nothing(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["fcntl"] = sys.modules["msvcrt"] = None
from pathlib import Path
import pip_retry_patch.transport.guard, pip_retry_patch.hooks.session
from tests.unit.test_directory import begun
assert not begun(Path(sys.argv[1]) / "store").is_on_disk
assert not list(Path(sys.argv[1]).iterdir())
"""
    # (pytest itself would not start without them.)
    code = code.replace("from tests.unit.test_directory import begun", INLINE)
    root = Path(directory_module.__file__).parents[2]
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


INLINE = """
from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.store.directory import Directory, Limits
from pip_retry_patch.store.shelf import Shelf

def begun(store):
    shelf = Shelf(Directory(store, Limits()), "a" * 32)
    partial = shelf.begin("demo", Representation(Validators(), 3_000_000), "", "")
    partial.add(0, bytes(100_000))
    assert shelf.find() is None
    return partial
"""


# What is never removed


def test_nothing_that_is_held_is_ever_removed(tmp_path: Path) -> None:
    path = left(tmp_path)
    with held_elsewhere(path):
        os.utime(path, (time.time() - 2 * DAY,) * 2)
        assert shelf(tmp_path).find() is None
        shelf(tmp_path).clear()
        begun(tmp_path, total=3 * MB).remove()
        assert not begun(tmp_path, "b", total=8 * MB).is_on_disk
        assert purge(tmp_path) == (0, 0)
        assert path.exists()
    assert purge(tmp_path) == (1, MB + headers.SIZE)
    assert not list(tmp_path.iterdir())


def test_nothing_of_another_user_is_ever_removed_or_used(
    tmp_path: Path, free: Callable[..., None]
) -> None:
    reachable(tmp_path / "x")
    theirs = left(tmp_path, "a", age=2 * DAY)
    link = theirs.with_name("b" * 32 + "-x.partial")
    link.symlink_to(theirs)
    if os.geteuid() == 0:
        os.chown(link, 1, 1, follow_symlinks=False)

    def others() -> None:
        assert shelf(tmp_path, "a").find() is None
        shelf(tmp_path, "a").clear()
        shelf(tmp_path, "b").clear()
        assert not begun(tmp_path, "c", total=9 * MB + 500_000).is_on_disk
        assert begun(tmp_path, "c", total=3 * MB).is_on_disk
        free(lambda: 0)
        assert not Directory(tmp_path, LIMITS).give_way(MB)
        assert purge(tmp_path) == (0, 0)

    tmp_path.chmod(0o777)
    theirs.chmod(0o666)  # even where they could
    if os.geteuid() == 0:
        as_nobody(others)
        assert theirs.exists() and link.is_symlink()
        # And the other way round: what others have, root leaves.
        os.chown(theirs, NOBODY, NOBODY)
        shelf(tmp_path, "a").clear()
        assert purge(tmp_path) == (0, 0)
        assert theirs.exists() and link.is_symlink()


def test_what_an_earlier_version_left_where_there_are_no_locks_goes_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    path = left(tmp_path)
    monkeypatch.setattr(fcntl, "flock", flock)
    shelf(tmp_path).clear()
    assert path.exists()
    assert purge(tmp_path) == (1, MB + headers.SIZE)
    assert not list(tmp_path.iterdir())


def test_what_is_left_gives_way_also_where_not_even_the_lock_can_be_made(
    tmp_path: Path, free: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = left(tmp_path, "a"), left(tmp_path, "b")
    really = os.open

    def open_(name: Any, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(name, flags, *mode)

    monkeypatch.setattr(os, "open", open_)
    shelf(tmp_path, "a").clear()
    assert not path.exists() and other.exists()
    free(lambda: 0 if other.exists() else MB)
    assert Directory(tmp_path, LIMITS).give_way(MB)
    assert not list(tmp_path.iterdir())
