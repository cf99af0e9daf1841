"""Where unfinished downloads are kept: settings, limits, and disks of all kinds.

Disks are small, full, read-only or without locks: no download fails because of that.
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
import subprocess
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Callable

import pytest

from tests.support import programs
from tests.support.certificates import certificates
from tests.support.downloads import Download, downloaded, stopped_at
from tests.support.environments import Environment
from tests.support.lab.faults import Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.mounts import fill, mounted
from tests.support.partials import (
    HALF,
    RATE,
    SIZE,
    continuing,
    folders,
    kept,
    left,
    start,
    stored,
    wait_for_bytes,
)
from tests.support.programs import Argument

OFF: dict[str, dict[str, Argument]] = {
    "no-cache-dir": {"PIP_NO_CACHE_DIR": "1"},
    "off": {"PIP_RETRY_PATCH_PARTIALS": "off"},
    "no-size": {"PIP_RETRY_PATCH_PARTIALS_SIZE": "0"},
    "relative": {"PIP_NO_CACHE_DIR": "1", "PIP_RETRY_PATCH_PARTIALS": "not/absolute"},
}


NO_LOCKS = """
import errno, fcntl
def flock(handle, how):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


@pytest.mark.parametrize("how", [*OFF, "no-locks", "read-only", "given-away"])
@old_middle_new
def test_what_switches_it_off(how: str, armed: Environment) -> None:
    home, site = armed.fresh_dir(), armed.fresh_dir()
    (site / "sitecustomize.py").write_text(NO_LOCKS if how == "no-locks" else "")
    env = {"XDG_CACHE_HOME": home, "PYTHONPATH": site, **OFF.get(how, {})}
    disk = mounted(home, "size=9m,ro") if how == "read-only" else nullcontext()
    if how == "given-away":  # pip's own rule: it disables its cache
        os.chown(home, 12345, 12345)
    with Lab([Package("demo", SIZE, stopped_at(HALF))]) as lab, disk:
        failed = Download(armed, lab, env=env).assert_clear_error()
        assert "is kept" not in failed.run.output
        done = Download(armed, lab, env=env).assert_right()
        assert not continuing(done) and len(done.run.warnings("retry-patch")) == (how == "relative")
        assert [request.range for request in lab.requests("demo", "artifact")[5:]] == [None]
        assert not list(home.rglob("retry-patch"))


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
        folder, lock = sorted(mount.iterdir())
        assert lock.name == f"{folder.name}.lock"
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (mount, folder, lock)]
        assert modes == [0o700, 0o700, 0o600]
        done = Download(armed, lab, "-q", env=env).assert_right()
        assert done.run.output == "" and lab.requests("demo", "artifact")[-1].range
        assert not list(mount.iterdir()) and not list(cache.iterdir())


DAY = 24 * 3600


@old_middle_new
def test_the_store_is_bounded_and_purged_with_pips_cache(pip: str, armed: Environment) -> None:
    """Of what is left over, the oldest goes first, at the beginning of a run."""
    cache = armed.fresh_dir()
    store = cache / "retry-patch"
    for size, days in ((3_000_000, 8), (900_000, 1), (4_000_000, 3)):  # too old, small, too much
        left(store, size, age=days * DAY)
    a, b = (left(store, size, age=age) for size, age in ((3_000_000, DAY), (4_000_000, 2 * DAY)))
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
        done = Download(armed, lab, cache=cache, env=env).assert_right()
        assert continuing(done)
        assert folders(cache) == [a]
    purged = armed.run("cache", "purge", "--cache-dir", cache)
    # (To pip 20.3, to have nothing else to purge is an error.)
    assert purged.returncode == (pip == "20.3.4"), purged.output
    assert "Partial downloads removed: 1 (3.0 MB)" in purged.output
    assert stored(cache) == sorted(foreign)
    again = armed.run("cache", "purge", "--cache-dir", cache)
    assert "Partial downloads" not in again.output


# pip writes a file in pieces of 10 KiB, later 256 KiB, or what is left of a chunk of 64 KiB.
# With this size the last piece is larger than the buffer that it goes through. Else it would be an
# accident whether it still fits when pip's cache has filled the disk in vain.
LARGE = 6_233_300
STEP = 1 << 19


def small_disk(
    environment: Environment, size: int, chunked: bool, before: str = ""
) -> tuple[bool, bool]:
    """Run pip where its temporary files and its cache are on one disk.

    :param before: what a run before that one, when the disk was larger, asked for and got half of.
    :returns: whether it succeeds, and whether the file is then in pip's cache.
    """
    cut = stopped_at(LARGE // 2)
    packages = [
        Package("demo", LARGE, cut if before == "demo" else (), chunked=chunked, max_age=60),
        Package("other", LARGE, cut, max_age=60),
    ]
    with Lab(packages, tls=certificates().server) as lab, mounted(
        environment.fresh_dir() / "disk", f"size={10 * LARGE}"
    ) as disk:
        cache, temporary = disk / "cache", disk / "tmp"
        temporary.mkdir()

        def run(name: str) -> Download:
            return Download(environment, lab, cache=cache, name=name, env={"TMPDIR": temporary})

        if before:
            assert run(before).run.returncode != 0
            assert kept(cache)
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
        done = run("demo")
        assert "Traceback" not in done.run.output or not environment.armed, done.run.output
        if done.run.returncode:
            return False, False
        done.assert_right()
        assert not [path for path in kept(cache) if path.name == done.file.name]
        sizes = [path.stat().st_size for path in cache.rglob("*") if path.is_file()]
        return True, max(sizes, default=0) >= LARGE


@functools.lru_cache(maxsize=None)
def least(environment: Environment, chunked: bool) -> list[int]:
    """Return the smallest disks on which plain pip succeeds, and on which it also caches."""
    end = functools.lru_cache(None)(lambda steps: small_disk(environment, steps * STEP, chunked))
    found = []
    for which in (0, 1):
        low, high = LARGE // STEP, 4 * LARGE // STEP
        assert not end(low)[which] and end(high)[which]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if end(middle)[which] else (middle, high)
        found.append(high * STEP)
    return found


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@old_middle_new
def test_the_least_disk_with_us_is_the_least_disk_without_us(
    chunked: bool, armed: Environment, bare: Environment
) -> None:
    ok, cached = least(bare, chunked)
    assert small_disk(armed, ok, chunked)[0]
    assert all(small_disk(armed, cached, chunked))
    # With half of it kept. Then the answer for the rest tells the size, chunked or not.
    told, _ = least(bare, False)
    assert small_disk(armed, max(ok, told), chunked, "demo")[0]
    assert all(small_disk(armed, cached, chunked, "demo"))
    # With half of another file kept. Where no size is told, nobody can make room beforehand: it
    # goes when the disk is full, and pip's cache has given up by then.
    assert small_disk(armed, ok, chunked, "other")[0]
    found = small_disk(armed, cached, chunked, "other")
    assert found[0] if chunked else all(found)


def lose_store(disk: Path) -> None:
    shutil.rmtree(disk / "cache" / "retry-patch")


@pytest.mark.parametrize("strike", [fill, lose_store])
@old_middle_new
def test_a_store_that_fills_up_or_vanishes_stops_no_download(
    strike: Callable[[Path], None], armed: Environment, bare: Environment
) -> None:
    """pip's own directory is on another disk, which has room; a plain pip does not even notice."""
    disk = mounted(armed.fresh_dir() / "disk", "size=30m")
    with disk as path, Lab([Package("demo", SIZE)], rate=RATE) as lab:
        process = start(armed, lab, path / "cache")
        wait_for_bytes(process, lab, 2_000_000)
        assert kept(path / "cache")
        strike(path)
        outcome = programs.finish(process, 60)
        assert outcome.returncode == 0 and not outcome.stderr, outcome.output
        assert not stored(path / "cache")
        Download(bare, lab, cache=path / "cache").assert_right()


@old_middle_new
def test_a_full_disk_stops_no_download_and_what_an_earlier_run_left_makes_room(
    armed: Environment,
) -> None:
    with mounted(armed.fresh_dir() / "disk", "size=30m") as disk:
        for faults in ([Cut(HALF)], stopped_at(HALF)):
            cache = disk / "cache"
            with Lab([Package("demo", SIZE, faults)]) as lab:
                if len(faults) > 1:
                    (disk / "ballast").unlink()
                    Download(armed, lab, cache=cache).assert_clear_error()
                    assert kept(cache)
                fill(disk)
                Download(armed, lab, cache=cache).assert_right()
                assert not kept(cache)


@old_middle_new
def test_where_pips_own_directory_is_on_another_disk_nothing_is_left(armed: Environment) -> None:
    """The file stays in the store for as long as pip needs it."""
    cache, target = armed.fresh_dir(), armed.fresh_dir()
    faults = [*stopped_at(HALF), None, None, Cut(HALF)]
    with mounted(armed.fresh_dir() / "disk", "size=30m") as disk:
        env: dict[str, Argument] = {"TMPDIR": disk}
        with Lab([Package("demo", SIZE, faults)]) as lab:
            Download(armed, lab, cache=cache, env=env).assert_clear_error()
            done = Download(armed, lab, cache=cache, env=env).assert_right()
            assert continuing(done) and not stored(cache)
            options = "--target", target, "--index-url", lab.index_url, "--cache-dir", cache
            installed = armed.run("install", *options, "demo", env=env).assert_success()
            assert len(installed.interruptions) == 1
            assert (target / "demo" / "payload.bin").exists()
        assert not stored(cache)
        assert not list(disk.iterdir())


QUOTA = """
import builtins, errno, io
class Limited(io.FileIO):
    def write(self, data):
        if "retry-patch" in self.name and self.tell() + len(data) > 2_000_000:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        return super().write(data)
opened = builtins.open
def open(file, mode="r", *args, **more):
    if mode == "wb" and not args and not more:
        return io.BufferedWriter(Limited(file, "w"))
    return opened(file, mode, *args, **more)
builtins.open = open
"""


@old_middle_new
def test_where_the_store_has_a_quota_pips_own_directory_is_used(armed: Environment) -> None:
    """No disk is full, as far as anyone can ask; and a plain pip has no trouble."""
    cache, site = armed.fresh_dir(), armed.fresh_dir()
    (site / "sitecustomize.py").write_text(QUOTA)
    done = downloaded(armed, Package("demo", SIZE), cache=cache, env={"PYTHONPATH": site})
    done.assert_right()
    assert not done.run.warnings() and not stored(cache)
    assert [request.range for request in done.lab.requests("demo", "artifact")] == [None, None]
