"""Where unfinished downloads are kept: settings, limits, and directories that cannot be used."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any

from tests.support import programs
from tests.support.downloads import Download
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.mounts import mounted
from tests.support.partials import (
    RATE,
    SIZE,
    continuing,
    folders,
    kept,
    start,
    stored,
    wait_for_bytes,
)
from tests.support.programs import Argument


def _kept_under(
    environment: Environment, cache: Path, *options: Argument, **env: Argument
) -> Download:
    """Let a download fail half-way, and then another one succeed; return the latter."""
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as lab:
        Download(environment, lab, *options, cache=cache, env=env)
        done = Download(environment, lab, *options, cache=cache, env=env)
        done.assert_right()
        return done


@old_middle_new
def test_what_switches_it_off(armed: Environment) -> None:
    for options, env in (
        (["--no-cache-dir"], {}),
        ([], {"PIP_RETRY_PATCH_PARTIALS": "off"}),
        ([], {"PIP_RETRY_PATCH_PARTIALS_SIZE": "0"}),
        (["--no-cache-dir"], {"PIP_RETRY_PATCH_PARTIALS": "not/absolute"}),
    ):
        cache = armed.fresh_dir()
        arguments: list[Argument] = [*options]
        variables: dict[str, Argument] = {**env}
        with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as lab:
            more: Any = {"cache": cache, "env": variables}
            Download(armed, lab, *arguments, **more).assert_clear_error()
            assert not stored(cache), (options, env)
            done = Download(armed, lab, *arguments, **more)
            done.assert_right()
            assert not continuing(done), (options, env)
            assert [request.range for request in lab.requests("demo", "artifact")[3:]] == [None]
            assert not stored(cache)


@old_middle_new
def test_a_directory_of_its_own_for_images_without_a_cache(armed: Environment) -> None:
    cache, mount = armed.fresh_dir(), armed.fresh_dir() / "mount"
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as lab:
        env: dict[str, Argument] = {
            "PIP_NO_CACHE_DIR": "1",
            "XDG_CACHE_HOME": cache,  # where pip would have its cache
            "PIP_RETRY_PATCH_PARTIALS": mount,
        }
        Download(armed, lab, env=env).assert_clear_error()
        folder, lock = left = sorted(mount.iterdir())
        assert lock.name == f"{folder.name}.lock"
        assert stat.S_IMODE(mount.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
        # Root never uses what belongs to another user, as with pip's own cache.
        os.chown(mount, 12345, 12345)
        with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as other:
            failed = Download(armed, other, env=env)
            failed.assert_clear_error()
            (line,) = failed.run.warnings("it is no directory that only this user can change")
            assert f"keeps nothing: retry-patch-partials = {mount}: " in line
            assert sorted(mount.iterdir()) == left
        os.chown(mount, 0, 0)
        done = Download(armed, lab, env=env)
        done.assert_right()
        assert continuing(done)
        assert not list(mount.iterdir())
        assert not list(cache.iterdir())


@old_middle_new
def test_pips_rule_about_cache_directories_of_others(armed: Environment) -> None:
    cache = armed.fresh_dir()
    os.chown(cache, 12345, 12345)
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as lab:
        done = Download(armed, lab, cache=cache)
        assert "owned" in done.run.output and "The cache has been disabled" in done.run.output
        assert not list(cache.iterdir())


@old_middle_new
def test_the_store_is_bounded_and_purged_with_pips_cache(pip: str, armed: Environment) -> None:
    """Of what is left over, the oldest goes first, at the beginning of a run."""
    cache = armed.fresh_dir()
    store = cache / "retry-patch"
    store.mkdir(0o700)
    day = 24 * 3600
    made = {
        name: _left_over(store, name, size, days * day)
        for name, size, days in (
            ("old", 3_000_000, 8),
            ("small", 900_000, 1),
            ("c", 4_000_000, 3),
            ("b", 4_000_000, 2),
            ("a", 3_000_000, 1),
        )
    }
    foreign = [store / "notes", store / "report.lock"]
    for path in foreign:
        path.write_text("not ours")
        os.utime(path, (time.time() - 8 * day,) * 2)
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_PARTIALS_SIZE": "10 MB"}
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as lab:
        Download(armed, lab, cache=cache, env=env).assert_clear_error()
        (new,) = set(folders(cache)) - set(made.values())
        assert set(folders(cache)) == {new, made["a"], made["b"]}
        expected = [new, made["a"], made["b"]]
        locks = [folder.with_name(f"{folder.name}.lock") for folder in expected]
        assert stored(cache) == sorted([*expected, *locks, *foreign])
        # Now they are 10.0 MB; with less room, the oldest goes, and what is continued stays.
        env["PIP_RETRY_PATCH_PARTIALS_SIZE"] = "7 MB"
        done = Download(armed, lab, cache=cache, env=env)
        done.assert_right()
        assert continuing(done)
        assert folders(cache) == [made["a"]]
    purged = armed.run("cache", "purge", "--cache-dir", cache)
    # (To pip 20.3, to have nothing else to purge is an error.)
    assert purged.returncode == (pip == "20.3.4"), purged.output
    assert "Partial downloads removed: 1 (3.0 MB)" in purged.output
    assert stored(cache) == sorted(foreign)
    again = armed.run("cache", "purge", "--cache-dir", cache)
    assert "Partial downloads" not in again.output


def _left_over(store: Path, name: str, size: int, age: float) -> Path:
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
def test_a_disk_that_is_full_or_fills_up_stops_no_download(armed: Environment) -> None:
    """pip's own directory is on another disk, which has room; a plain pip does not even notice."""
    with mounted(armed.fresh_dir() / "disk", "size=30m") as disk:
        cache = disk / "cache"
        with Lab([Package("demo", SIZE)], rate=RATE) as lab:
            process = start(armed, lab, cache)
            wait_for_bytes(process, lab, 2_000_000)
            assert kept(cache)
            _fill(disk)
            outcome = programs.finish(process, 60)
            assert outcome.returncode == 0 and not outcome.stderr, outcome.output
            assert not stored(cache)
        # Full from the start.
        with Lab([Package("demo", SIZE, [Cut(SIZE // 2)])]) as lab:
            _fill(disk)
            done = Download(armed, lab, cache=cache)
            done.assert_right()
            assert not kept(cache)
        # What an earlier run left makes room at first.
        (disk / "ballast").unlink()
        with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as lab:
            Download(armed, lab, cache=cache).assert_clear_error()
            assert kept(cache)
            _fill(disk)
            done = Download(armed, lab, cache=cache)
            done.assert_right()
            assert not kept(cache)


def _fill(disk: Path) -> None:
    """Leave no room on a disk."""
    with contextlib.suppress(OSError), (disk / "ballast").open("ab", 0) as ballast:
        while True:
            ballast.write(bytes(4096))


@old_middle_new
def test_directories_that_cannot_be_used_stop_no_download(armed: Environment) -> None:

    def is_not_kept(cache: Path) -> None:
        done = _kept_under(armed, cache)
        assert not continuing(done)
        assert not done.run.stderr

    cache = armed.fresh_dir()
    (cache / "retry-patch").write_text("a file in the way")
    is_not_kept(cache)

    cache, elsewhere = armed.fresh_dir(), armed.fresh_dir()
    (cache / "retry-patch").symlink_to(elsewhere)
    is_not_kept(cache)
    assert not list(elsewhere.iterdir())

    with mounted(armed.fresh_dir() / "disk", "size=30m,ro") as disk:
        is_not_kept(disk)


@old_middle_new
def test_a_directory_that_vanishes_stops_no_download(armed: Environment) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE)], rate=RATE) as lab:
        process = start(armed, lab, cache)
        wait_for_bytes(process, lab, 2_000_000)
        shutil.rmtree(cache / "retry-patch")
        outcome = programs.finish(process, 60)
        assert outcome.returncode == 0 and not outcome.stderr, outcome.output


@old_middle_new
def test_where_pips_own_directory_is_on_another_disk_nothing_is_left(armed: Environment) -> None:
    """The file stays in the store for as long as pip needs it."""
    cache = armed.fresh_dir()
    with mounted(armed.fresh_dir() / "disk", "size=30m") as disk:
        env: dict[str, Argument] = {"TMPDIR": disk}
        done = _kept_under(armed, cache, **env)
        assert continuing(done)
        assert not stored(cache)
        with Lab([Package("demo", SIZE, [Cut(SIZE // 2)])]) as lab:
            target = armed.fresh_dir()
            installed = armed.run(
                *("install", "--target", target, "--index-url", lab.index_url),
                *("--cache-dir", cache, "demo"),
                env=env,
            )
            assert installed.returncode == 0, installed.output
            assert (target / "demo" / "payload.bin").exists()
        assert not stored(cache)
        assert not list(disk.iterdir())


@old_middle_new
def test_quiet_hides_the_line(armed: Environment) -> None:
    done = _kept_under(armed, armed.fresh_dir(), "-q")
    assert done.run.output == ""
