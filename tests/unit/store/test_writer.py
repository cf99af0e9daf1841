"""The writer: what others have planted leads no write elsewhere, and one writes at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pip_retry_patch.store import writer

NAMES = ("link", "second name", "directory")


@pytest.mark.parametrize("what", NAMES)
def test_only_a_plain_file_is_written(what: str, tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "path"
    victim.write_text("precious")
    if what == "link":
        path.symlink_to(victim)
    elif what == "second name":
        os.link(victim, path)
    else:
        path.mkdir()
    with pytest.raises(OSError, match="not a plain file"):
        writer.write(str(path), "x")
    with pytest.raises(OSError, match="not a plain file"):
        writer.append(str(path), b"x")
    assert victim.read_text() == "precious" and sorted(tmp_path.iterdir()) == [path, victim]


def test_root_writes_no_file_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "path"
    path.touch()
    there = os.stat_result([0o100644, 1, 1, 1, 1000, 0, 0, 0, 0, 0])
    monkeypatch.setattr(os, "lstat", lambda _: there)
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    with pytest.raises(OSError, match="another user"):
        writer.append(str(path), b"x")
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    writer.append(str(path), b"x")


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "path"
    writer.write(str(path), "one\n")
    assert path.read_bytes() == b"one\n"
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    with pytest.raises(ValueError, match="surrogates"):
        writer.write(str(path), "\udcff")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"one\n"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_lock_is_held_by_one_until_it_ends(tmp_path: Path) -> None:
    path = str(tmp_path / "path")
    code = "import sys; sys.path.insert(0, sys.argv[1]); from pip_retry_patch.store import writer\n"
    code += "with writer.locked(sys.argv[2]) as held: print(held, flush=True); sys.stdin.readline()"
    command = [sys.executable, "-c", code, str(Path(writer.__file__).parents[2]), path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"True\n"
        for wait in (0.0, 0.2):
            began = time.monotonic()
            with writer.locked(path, wait) as held:
                assert not held and wait <= time.monotonic() - began < 5
        other.kill()
    with writer.locked(path) as held:
        assert held
        with writer.locked(path, 0.0) as twice:
            assert not twice
    with writer.locked(path, 0.0) as held:
        assert held


@pytest.mark.parametrize("why", [OSError(errno.ENOLCK, "No locks available"), ImportError()])
def test_where_nothing_can_be_locked_nobody_waits(
    why: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(handle: int) -> None:
        raise why

    began = time.monotonic()
    with writer.locked(str(tmp_path / "missing" / "path"), 5.0) as held:
        assert not held
    monkeypatch.setattr(writer, "lock", refused)
    with writer.locked(str(tmp_path / "path"), 5.0) as held:
        assert not held
    assert time.monotonic() - began < 2
