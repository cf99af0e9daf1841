"""The writer: what others have planted leads no write elsewhere, and one writes at a time."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pip_retry_patch.store import writer
from tests.support.needs import needs_links, needs_posix


@pytest.mark.parametrize(
    "make", [os.link, lambda _, path: path.mkdir(), pytest.param(os.symlink, marks=needs_links)]
)
def test_only_a_plain_file_is_written(make: Any, tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "path"
    victim.write_text("precious")
    make(victim, path)
    with pytest.raises(OSError, match="not a plain file"):
        writer.write(str(path), "x")
    with pytest.raises(OSError, match="not a plain file"):
        writer.check(str(path))
    assert victim.read_text() == "precious" and sorted(tmp_path.iterdir()) == [path, victim]


def test_a_path_of_which_no_part_is_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        writer.check_directory("not-there/at-all")


def test_root_writes_only_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = mock.Mock(st_mode=stat.S_IFREG, st_nlink=1)
    monkeypatch.setattr(os, "lstat", lambda *_, **__: found)
    monkeypatch.setattr(os, "stat", lambda *_, **__: found)
    for check in (writer.check, writer.check_directory):
        for user, owner in ((0, 0), (1000, 1000), (1001, 1000), (0, 1000)):
            found.st_uid = owner
            monkeypatch.setattr(os, "geteuid", lambda user=user: user, raising=False)
            is_refused = user == 0 != owner
            with pytest.raises(OSError, match="another user") if is_refused else nullcontext():
                check(str(tmp_path / "path"))


@needs_posix
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
def test_no_other_user_can_change_a_safe_store(
    monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, user: int, safe: bool
) -> None:
    found = mock.Mock(st_uid=owner, st_mode=stat.S_IFDIR | mode, st_nlink=2)
    monkeypatch.setattr(os, "lstat", lambda _: found)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert writer.is_safe("anywhere") is safe


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "path"
    writer.write(str(path), "one\n")
    assert path.read_bytes() == b"one\n"
    with pytest.raises(ValueError, match="surrogates"):
        writer.write(str(path), "\udcff")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"one\n"]


def test_a_lock_is_held_by_one_until_it_ends(tmp_path: Path) -> None:
    path = str(tmp_path / "path")
    for _ in range(2):
        with writer.locked(path) as held:
            assert held
            for wait in (0.0, 0.2):
                began = time.monotonic()
                with writer.locked(path, wait) as twice:
                    assert not twice and wait <= time.monotonic() - began < 5


@pytest.mark.parametrize("why", [OSError(errno.ENOLCK, "No locks available"), ImportError()])
@pytest.mark.parametrize("name", ["path", "missing/path"])
def test_nobody_waits_without_locks(
    why: Exception, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "lock", mock.Mock(side_effect=why))
    began = time.monotonic()
    with writer.locked(str(tmp_path / name), 5.0) as held:
        assert not held and time.monotonic() - began < 2
