"""Where partials are kept, by pip's settings and ours, and what pip's cache is asked to remove."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch.hooks import cache
from pip_retry_patch.hooks.cache import Library, evict, past_caches, sweep
from pip_retry_patch.settings import Settings
from pip_retry_patch.store.directory import SPARE

KEY = {"sha256": ["a" * 64]}


class Session:
    """pip's, with an HTTP cache, or without one."""

    def __init__(self, folder: Path | None) -> None:
        directory = None if folder is None else str(folder / "http")
        self.adapter: Any = SimpleNamespace(cache=SimpleNamespace(directory=directory))

    def get_adapter(self, url: str) -> Any:
        return self.adapter


def library(lines: Any = None, **settings: Any) -> Library:
    return Library("pip", Settings(**settings), lines)


def kept(shelf: Any) -> Path:
    found: Path = shelf._directory.path
    return found


def test_partials_lie_beside_pips_cache_unless_a_directory_is_named(tmp_path: Path) -> None:
    assert library().directory(str(tmp_path)) == tmp_path / "retry-patch"
    assert library().directory(None) is None is library().directory("")
    named = library(partials_dir=str(tmp_path / "here"))
    assert named.directory(None) == named.directory("/other") == tmp_path / "here"


def test_a_link_to_a_directory_is_followed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # For root, pip takes a link for what is another user's.
    monkeypatch.setattr("pip._internal.utils.filesystem.check_path_owner", lambda path: True)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert library(partials_dir=str(tmp_path / "link")).directory(None) == tmp_path / "real"


def test_a_link_that_pip_does_not_trust_is_told_as_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pip._internal.utils.filesystem.check_path_owner", lambda path: False)
    (tmp_path / "link").symlink_to(tmp_path)
    assert library(partials_dir=str(tmp_path / "link")).trouble() == "it is a symbolic link"


def test_a_directory_that_cannot_be_used_is_said_once_and_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lines: list[str] = []
    found = library(lines.append, partials_dir=str(tmp_path / "file"))
    assert found.shelf(Session(tmp_path), KEY) is None
    assert found.shelf(Session(None), KEY) is None
    (line,) = lines
    assert str(tmp_path / "file") in line and "it is not a directory" in line
    assert library(partials_dir=str(tmp_path / "file" / "below")).trouble()


@pytest.mark.parametrize(
    ("allowed", "owned", "why"),
    [
        (True, True, ""),
        (False, True, "it cannot be written to"),
        (True, False, "it belongs to another user"),
    ],
)
def test_why_a_directory_cannot_be_used(
    allowed: bool, owned: bool, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def access(path: str, mode: int) -> bool:
        asked.append((path, mode))
        return allowed

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr("pip._internal.utils.filesystem.check_path_owner", lambda path: owned)
    assert library(partials_dir=str(tmp_path / "a" / "b")).trouble() == why
    assert asked == [(str(tmp_path), os.W_OK | os.X_OK)], "the nearest one that is there"
    assert library().trouble() == ""


def test_a_directory_that_cannot_be_made_is_said_with_the_reason_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever that is: only to make it shows it."""
    monkeypatch.setattr("pip._internal.utils.filesystem.check_path_owner", lambda path: True)
    wanted = str(tmp_path / ("x" * 300))
    assert library(partials_dir=wanted).trouble() == "it cannot be made (file name too long)"
    assert library(partials_dir=wanted).directory(None) is None
    assert library(partials_dir=wanted, partials=False).trouble() == ""
    here = tmp_path / "a" / "b"
    assert library(partials_dir=str(here)).directory(None) == here
    assert list(tmp_path.iterdir()) == [], "it was made in vain"
    below = tmp_path / "c" / ("x" * 300)
    assert library(partials_dir=str(below)).trouble() == "it cannot be made (file name too long)"
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_of_what(tmp_path: Path) -> None:
    session = Session(tmp_path)
    shelf = library().shelf(session, KEY)
    assert shelf is not None and kept(shelf) == tmp_path / "retry-patch"
    assert library().shelf(session, {}) is None, "nothing without a hash"
    assert library().shelf(Session(None), KEY) is None
    assert library(partials=False).shelf(session, KEY) is None
    assert library().shelf(SimpleNamespace(get_adapter=lambda url: None), KEY) is None


def test_each_cache_of_a_run_has_one_directory(tmp_path: Path) -> None:
    found = library(partials_size=77)
    one, again = (found.shelf(Session(tmp_path), KEY) for _ in range(2))
    other = found.shelf(Session(tmp_path / "x"), KEY)
    assert one and again and other
    assert one._directory is again._directory is not other._directory
    assert one._directory._limits == (77, 7 * 86400)


def test_how_often_pip_writes_a_file_on_the_disk_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = {"store": 1, "http": 1, "tmp": 1}
    monkeypatch.setattr(cache, "_device", lambda path: disks[path.name])
    monkeypatch.setattr(cache, "tempfile", SimpleNamespace(gettempdir=lambda: "/tmp"))
    store = tmp_path / "store"
    assert cache._copies(store, "/http") == (2, 1)
    assert cache._copies(store, None) == (1, 0)
    disks["http"] = 2
    assert cache._copies(store, "/http") == (2, 0)
    disks["tmp"] = 2
    assert cache._copies(store, "/http") == (0, 0)
    disks["http"] = 1
    assert cache._copies(store, "/http") == (0, 1)


def test_the_disk_of_what_is_not_there_yet_is_that_of_the_nearest(tmp_path: Path) -> None:
    assert cache._device(tmp_path / "a" / "b") == tmp_path.stat().st_dev


def watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[cache.Library, Session, list[int]]:
    """Return a library and a session, and what the store was asked to give way to."""
    goals: list[int] = []
    found, session = library(), Session(tmp_path)
    shelf = found.shelf(session, KEY)
    assert shelf is not None
    monkeypatch.setattr(shelf._directory, "give_way", goals.append)
    shelf._directory.arriving, shelf._directory._ending = 2, 1
    return found, session, goals


def test_what_earlier_runs_left_gives_way_to_what_pip_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, session, goals = watched(tmp_path, monkeypatch)
    found.leave_room(session, announced=1000)
    assert goals == [], "nothing is kept"
    (tmp_path / "retry-patch").mkdir()
    (tmp_path / "retry-patch" / f"{'a' * 32}-x.partial").write_bytes(bytes(7_000_000))
    found.leave_room(session, announced=10_000_000)
    found.leave_room(session, fetched=1_000_000)
    found.leave_room(session, announced=1_000_000, fetched=1_000_000)
    assert goals == [30_000_000 + SPARE, 7_000_000, 3_000_000 + SPARE + 5 * 2_000_000]
    library(partials=False).leave_room(session)


def test_the_disk_is_looked_at_once_for_many_small_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, session, goals = watched(tmp_path, monkeypatch)
    (tmp_path / "retry-patch").mkdir()
    (tmp_path / "retry-patch" / f"{'a' * 32}-x.partial").write_bytes(bytes(10))
    few, looked = cache.UNNOTICED // 3 + 1, []
    for _ in range(7):
        found.leave_room(session, announced=few)
        found.leave_room(session, fetched=few)
        looked.append(len(goals))
    assert looked == [0, 0, 1, 1, 2, 2, 3]
    assert 2 * cache.UNPACKED * cache.UNNOTICED <= SPARE, "it fits into what is left free"
    found.leave_room(session)
    assert len(goals) == 4, "what is not announced may be large"
    found.leave_room(session, announced=cache.UNNOTICED)
    assert len(goals) == 5


def test_a_fresh_fetch_goes_past_every_cache() -> None:
    assert past_caches(None) == {"Cache-Control": "no-cache"}
    before = {"Accept": "x", "Cache-Control": "max-age=0"}
    assert past_caches(before) == {"Accept": "x", "Cache-Control": "no-cache"}
    assert before["Cache-Control"] == "max-age=0"


def test_pips_cache_is_asked_by_the_name_that_it_has_for_a_url(tmp_path: Path) -> None:
    deleted: list[str] = []
    session = Session(tmp_path)
    evict(session, "https://h.example/a")
    sweep(session, "https://h.example/a")
    assert not deleted, "what is not cached has no controller"
    session.adapter.controller = SimpleNamespace(cache_url=lambda url: url.rpartition("/")[2])
    session.adapter.cache.delete = deleted.append
    session.adapter.cache._get_cache_path = lambda key: str(tmp_path / key)
    for name in ("a1.tmp", "a", "b1.tmp"):
        (tmp_path / name).touch()
    (tmp_path / "a2.tmp").mkdir()
    evict(session, "https://h.example/a")
    sweep(session, "https://h.example/a")
    assert deleted == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a2.tmp", "b1.tmp"]


# `pip cache purge`


class Command:
    """pip's CacheCommand, that finds so many files of its own."""

    found = 1

    def purge_cache(self, options: Any, args: Any) -> str:
        if args:
            raise ValueError("Too many arguments")
        if not self.found:
            raise LookupError("No matching packages")
        return "purged"


def purging(monkeypatch: pytest.MonkeyPatch, enabled: bool = True) -> Any:
    class Purging(Command):
        pass

    commands = SimpleNamespace(__name__="pip._internal.commands.cache", CacheCommand=Purging)
    monkeypatch.setattr(
        cache, "read_settings", lambda pip: Settings(enabled=pip == "pip" and enabled)
    )
    Purging.purge_cache = Command.purge_cache  # type: ignore[method-assign]
    cache.install_purge(commands)
    return Purging()


@pytest.mark.parametrize("enabled", [True, False])
def test_a_purge_empties_the_store_too(
    enabled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pip_retry_patch")
    partial = tmp_path / "retry-patch" / f"{'a' * 32}-x.partial"
    partial.parent.mkdir()
    partial.write_bytes(bytes(3000))
    options = SimpleNamespace(cache_dir=str(tmp_path))
    command = purging(monkeypatch, enabled)
    with pytest.raises(ValueError):
        command.purge_cache(options, ["x"])
    assert partial.exists(), "what pip did not do is not done here"
    assert command.purge_cache(options, []) == "purged"
    assert partial.exists() is not enabled
    said = [record.getMessage() for record in caplog.records]
    assert said == (["Partial downloads removed: 1 (3.0 kB)"] if enabled else [])
    assert command.purge_cache(SimpleNamespace(cache_dir=None), []) == "purged"


def test_a_cache_that_is_empty_is_no_reason_to_leave_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = tmp_path / "retry-patch" / f"{'a' * 32}-x.partial"
    partial.parent.mkdir()
    partial.write_bytes(bytes(3000))
    command = purging(monkeypatch)
    command.found = 0
    with pytest.raises(LookupError):
        command.purge_cache(SimpleNamespace(cache_dir=str(tmp_path)), [])
    assert not partial.exists()
