"""Where unfinished downloads are kept: settings, limits, and many pips at once."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from tests.support.downloads import Download, stopped_at
from tests.support.environments import Environment
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import HALF, SIZE, continuing, folders, stored
from tests.support.programs import Argument

OFF: dict[str, dict[str, Argument]] = {
    "no-cache-dir": {"PIP_NO_CACHE_DIR": "1"},
    "off": {"PIP_RETRY_PATCH_PARTIALS": "off"},
    "no-size": {"PIP_RETRY_PATCH_PARTIALS_SIZE": "0"},
    "relative": {"PIP_NO_CACHE_DIR": "1", "PIP_RETRY_PATCH_PARTIALS": "not/absolute"},
}


@pytest.mark.parametrize("how", OFF)
@old_middle_new
def test_what_switches_it_off(how: str, armed: Environment) -> None:
    env = {"XDG_CACHE_HOME": armed.fresh_dir(), **OFF[how]}
    with Lab([Package("demo", SIZE, stopped_at(HALF))]) as lab:
        Download(armed, lab, env=env).assert_clear_error()
        done = Download(armed, lab, env=env)
        done.assert_right()
        assert not continuing(done)
        assert [request.range for request in lab.requests("demo", "artifact")[3:]] == [None]
    assert not list(Path(env["XDG_CACHE_HOME"]).rglob("retry-patch"))


@old_middle_new
def test_a_directory_of_its_own_for_images_without_a_cache(armed: Environment) -> None:
    cache, mount = armed.fresh_dir(), armed.fresh_dir() / "mount"
    env: dict[str, Argument] = {
        "PIP_NO_CACHE_DIR": "1",
        "XDG_CACHE_HOME": cache,  # where pip would have its cache
        "PIP_RETRY_PATCH_PARTIALS": mount,
    }
    with Lab([Package("demo", SIZE, stopped_at(HALF))]) as lab:
        Download(armed, lab, env=env).assert_clear_error()
        folder, lock = left = sorted(mount.iterdir())
        assert lock.name == f"{folder.name}.lock"
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (mount, folder, lock)]
        assert modes == [0o700, 0o700, 0o600]
        # Root never uses what belongs to another user, as with pip's own cache.
        os.chown(mount, 12345, 12345)
        with Lab([Package("demo", SIZE, stopped_at(HALF))]) as other:
            failed = Download(armed, other, env=env)
            failed.assert_clear_error()
            (line,) = failed.run.warnings("it is no directory that only this user can change")
            assert f"keeps nothing: retry-patch-partials = {mount}: " in line
            assert sorted(mount.iterdir()) == left
        os.chown(mount, 0, 0)
        done = Download(armed, lab, "-q", env=env)
        done.assert_right()
        assert done.run.output == "" and lab.requests("demo", "artifact")[-1].range
        assert not list(mount.iterdir()) and not list(cache.iterdir())


@old_middle_new
def test_pips_rule_about_cache_directories_of_others(armed: Environment) -> None:
    cache = armed.fresh_dir()
    os.chown(cache, 12345, 12345)
    with Lab([Package("demo", SIZE, stopped_at(HALF))]) as lab:
        done = Download(armed, lab, cache=cache)
        assert "owned" in done.run.output and "The cache has been disabled" in done.run.output
        assert not list(cache.iterdir())


DAY = 24 * 3600


def left_over(store: Path, name: str, size: int, age: float) -> Path:
    """Leave what a killed run would, so many seconds ago; return its folder."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    folder = store / f"sha256-{digest[:32]}-01234567"
    folder.mkdir(0o700)
    file = folder / f"{name}-1.0-py3-none-any.whl"
    file.write_bytes(bytes(size))
    os.utime(file, (time.time() - age,) * 2)
    (store / f"{folder.name}.lock").touch(0o600)
    return folder


@old_middle_new
def test_the_store_is_bounded_and_purged_with_pips_cache(pip: str, armed: Environment) -> None:
    """Of what is left over, the oldest goes first, at the beginning of a run."""
    cache = armed.fresh_dir()
    store = cache / "retry-patch"
    store.mkdir(0o700)
    for name, size, days in (("old", 3_000_000, 8), ("small", 900_000, 1), ("c", 4_000_000, 3)):
        left_over(store, name, size, days * DAY)
    a, b = (
        left_over(store, *facts) for facts in (("a", 3_000_000, DAY), ("b", 4_000_000, 2 * DAY))
    )
    foreign = [store / "notes", store / "report.lock"]
    for path in foreign:
        path.write_text("not ours")
        os.utime(path, (time.time() - 8 * DAY,) * 2)
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_PARTIALS_SIZE": "10 MB"}
    with Lab([Package("demo", SIZE, stopped_at(HALF))]) as lab:
        Download(armed, lab, cache=cache, env=env).assert_clear_error()
        (new,) = set(folders(cache)) - {a, b}
        locks = [folder.with_name(f"{folder.name}.lock") for folder in (new, a, b)]
        assert stored(cache) == sorted([new, a, b, *locks, *foreign])
        # Now they are 10.0 MB; with less room, the oldest goes, and what is continued stays.
        env["PIP_RETRY_PATCH_PARTIALS_SIZE"] = "7 MB"
        done = Download(armed, lab, cache=cache, env=env)
        done.assert_right()
        assert continuing(done)
        assert folders(cache) == [a]
    purged = armed.run("cache", "purge", "--cache-dir", cache)
    # (To pip 20.3, to have nothing else to purge is an error.)
    assert purged.returncode == (pip == "20.3.4"), purged.output
    assert "Partial downloads removed: 1 (3.0 MB)" in purged.output
    assert stored(cache) == sorted(foreign)
    again = armed.run("cache", "purge", "--cache-dir", cache)
    assert "Partial downloads" not in again.output
