"""What Windows does otherwise with the files of the store, shown with its module handed in."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from typing import Any, Iterator

import pytest

from pip_retry_patch.store import files, header, locks

_BasePath: Any = type(Path())


class Msvcrt:
    """`msvcrt`, as far as it locks: one byte at the position of the file, for one handle."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.held: list[tuple[int, int, int]] = []  # file, offset, handle

    def locking(self, handle: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        # A number that comes again is another opening of a file.
        self.held = [held for held in self.held if is_open(held[2]) and held[2] != handle]
        place = os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR)
        if any(held[:2] == place for held in self.held):
            raise PermissionError(errno.EACCES, "Permission denied")
        self.held.append((*place, handle))


def is_open(handle: int) -> bool:
    try:
        os.fstat(handle)
    except OSError:
        return False
    return True


class WindowsPath(_BasePath):  # type: ignore[misc]
    """A path that cannot be removed while it is open."""

    msvcrt: Msvcrt

    def unlink(self, missing_ok: bool = False) -> None:
        for file, _, handle in self.msvcrt.held:
            if is_open(handle) and file == os.lstat(self).st_ino:
                raise PermissionError(errno.EACCES, "it is being used by another process")
        super().unlink()


@pytest.fixture
def msvcrt() -> Iterator[Msvcrt]:
    WindowsPath.msvcrt = Msvcrt()
    yield WindowsPath.msvcrt


@pytest.fixture
def windows(msvcrt: Msvcrt) -> locks.System:
    return locks.windows(msvcrt)


def test_a_byte_is_locked_that_nobody_reads(
    tmp_path: Path, msvcrt: Msvcrt, windows: locks.System
) -> None:
    held = locks.create(tmp_path, "a-", ".partial", windows)
    ((_, offset, _),) = msvcrt.held
    # The header is what others read, with a buffer; and older C libraries take 31 bits.
    assert header.SIZE * 1024 < offset < 2**31 - 1
    held.file.write(b"from the start")
    held.close()
    assert held.path.read_bytes() == b"from the start"


def test_what_is_held_is_held_until_it_is_closed(tmp_path: Path, windows: locks.System) -> None:
    held = locks.create(tmp_path, "a-", ".partial", windows)
    other_name_of_it = tmp_path / ".." / tmp_path.name / held.path.name  # like another drive letter
    with pytest.raises(locks.HeldError):
        locks.hold(other_name_of_it, windows)
    held.close()
    locks.hold(other_name_of_it, windows).close()


def test_a_file_is_closed_before_it_is_removed(tmp_path: Path, windows: locks.System) -> None:
    locks.create(tmp_path, "a-", ".partial", windows).close()
    (path,) = tmp_path.iterdir()
    locks.hold(WindowsPath(path), windows).remove()
    assert not path.exists()


def test_the_lock_of_the_store_is_closed_before_it_is_removed(
    tmp_path: Path, windows: locks.System
) -> None:
    with locks.held_for_a_moment(WindowsPath(tmp_path), windows):
        assert len(list(tmp_path.iterdir())) == 1
        with pytest.raises(locks.HeldError), locks.held_for_a_moment(tmp_path, windows):
            pass
    assert not list(tmp_path.iterdir())


def test_a_lock_that_is_just_being_removed_is_waited_for(
    tmp_path: Path, windows: locks.System
) -> None:
    """Windows refuses to open a name until the last handle of the removed file is closed."""

    class BeingRemoved(_BasePath):  # type: ignore[misc]
        refused = 0

        def __fspath__(self) -> str:
            if self.name.startswith("lock-") and BeingRemoved.refused < 3:
                BeingRemoved.refused += 1
                raise PermissionError(errno.EACCES, "Permission denied")
            return str(self)

    with locks.held_for_a_moment(BeingRemoved(tmp_path), windows):
        pass
    assert BeingRemoved.refused == 3
    BeingRemoved.refused = 0
    here = locks.posix(SimpleNamespace(LOCK_EX=2, LOCK_NB=4, flock=lambda *_: None))
    with pytest.raises(PermissionError), locks.held_for_a_moment(BeingRemoved(tmp_path), here):
        pass


def test_a_link_is_never_followed_where_no_flag_forbids_it(
    tmp_path: Path, windows: locks.System
) -> None:
    locks.create(tmp_path, "a-", ".partial", windows).close()
    (path,) = tmp_path.iterdir()
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(OSError, match="link"):
        locks.hold(link, windows)


def test_a_disk_without_locks_is_told_from_a_file_that_is_held(tmp_path: Path) -> None:
    def refuses(*_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    windows = locks.windows(SimpleNamespace(LK_NBLCK=2, locking=refuses))
    with pytest.raises(locks.NoLocksError):
        locks.create(tmp_path, "a-", ".partial", windows)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cache", [r"C:\Users\me\AppData\Local\pip\cache", r"\\server\share\pip"])
def test_where_pips_cache_has_room_for_a_path_ours_have(cache: str, tmp_path: Path) -> None:
    """Windows takes 260 characters, unless it is told otherwise."""
    # SafeFileCache._get_cache_path, the shorter one, of pip up to 23.0
    pips = PureWindowsPath(cache, "http", *"abcde", "f" * 56)
    held = locks.create(tmp_path, f"{'0' * 32}-", files.SUFFIX)
    ours = PureWindowsPath(cache, "retry-patch", held.path.name)
    held.remove()
    assert ours.drive == pips.drive and ours.is_absolute()
    assert len(str(ours)) < len(str(pips))


def test_what_a_directory_listing_of_windows_does_not_tell_is_not_asked(tmp_path: Path) -> None:
    """There `DirEntry.stat` gives no inode, and says of each file that it has no names."""
    held = locks.create(tmp_path, f"{'0' * 32}-", files.SUFFIX)
    listed: Any = SimpleNamespace(st_mode=0o100666, st_nlink=0, st_ino=0, st_uid=0)
    assert not files.remove(held.path, listed)
    held.close()
    unreadable = tmp_path / "directory"
    unreadable.mkdir()
    assert not files.remove(unreadable, listed), "a plain file that cannot be held is left alone"
    assert files.remove(held.path, listed)
    assert not held.path.exists()


def test_a_platform_with_neither_module_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def missing(name: str) -> Any:
        asked.append(name)
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(locks, "importlib", SimpleNamespace(import_module=missing))
    system = locks._this_system()
    assert asked == ["fcntl", "msvcrt"]
    assert system.removes_open_files == (os.name != "nt")
    assert system.no_follow == getattr(os, "O_NOFOLLOW", 0)
    with pytest.raises(locks.NoLocksError):
        locks.create(tmp_path, "a-", ".partial", system)
    assert not list(tmp_path.iterdir())


def test_a_file_is_locked_for_one_and_without_a_wait() -> None:
    locked: list[tuple[int, int]] = []
    fcntl = SimpleNamespace(LOCK_EX=2, LOCK_NB=4, flock=lambda *what: locked.append(what))
    locks.posix(fcntl).lock(7)
    assert locked == [(7, 6)]


def test_each_module_makes_the_system_that_it_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def only(wanted: str, module: Any) -> locks.System:
        def find(name: str) -> Any:
            if name != wanted:
                raise ModuleNotFoundError(name)
            return module

        monkeypatch.setattr(locks, "importlib", SimpleNamespace(import_module=find))
        return locks._this_system()

    assert only("fcntl", SimpleNamespace()).removes_open_files
    assert not only("msvcrt", SimpleNamespace()).removes_open_files


def test_each_user_has_a_lock_of_a_shared_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234, raising=False)
    with locks.held_for_a_moment(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == ["lock-1234"]
