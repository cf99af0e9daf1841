"""Disks that are small, full, read-only or without locks: no download fails because of that."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Callable, NamedTuple

import pytest

from tests.support import programs, runs
from tests.support.certificates import certificates
from tests.support.downloads import Download, stopped_at
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
    kept,
    start,
    stored,
    wait_for_bytes,
)
from tests.support.programs import Argument

# pip writes a file in pieces of 10 KiB, later 256 KiB, or what is left of a chunk of 64 KiB.
# With this size the last piece is larger than the buffer that it goes through. Else it would be an
# accident whether it still fits when pip's cache has filled the disk in vain.
LARGE = 6_233_300
MIB = 1 << 20
STEP = MIB // 2


class End(NamedTuple):
    """How a run on a small disk ended."""

    ok: bool
    cached: bool


def small_disk(environment: Environment, size: int, chunked: bool, before: str = "") -> End:
    """Run pip where its temporary files and its cache are on one disk.

    :param before: what a run before that one, when the disk was larger, asked for and got half of.
    """
    cut = stopped_at(LARGE // 2)
    packages = [
        Package("demo", LARGE, cut if before == "demo" else (), chunked=chunked, max_age=60),
        Package("other", LARGE, cut, max_age=60),
    ]
    with Lab(packages, tls=certificates().server) as lab, mounted(
        environment.fresh_dir() / "disk", f"size={10 * LARGE}"
    ) as disk:
        cache, dest = disk / "cache", environment.fresh_dir()
        (disk / "tmp").mkdir()

        def run(name: str) -> programs.Outcome:
            return environment.run(
                *("download", "--no-deps", "--dest", dest, name, "--cache-dir", cache),
                *("--index-url", lab.index_url, "--cert", certificates().ca_pem),
                env={"TMPDIR": disk / "tmp"},
            )

        if before:
            assert run(before).returncode != 0
            assert kept(cache)
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
        done = run("demo")
        assert "Traceback" not in done.output or not environment.armed, done.output
        if done.returncode:
            return End(ok=False, cached=False)
        (wheel,) = dest.iterdir()
        assert wheel.read_bytes() == lab.wheel("demo")
        assert not [path for path in kept(cache) if path.name == wheel.name]
        sizes = [path.stat().st_size for path in cache.rglob("*") if path.is_file()]
        return End(ok=True, cached=max(sizes, default=0) >= LARGE)


@functools.lru_cache(maxsize=None)
def least(environment: Environment, chunked: bool) -> tuple[int, int]:
    """Return the smallest disks on which plain pip succeeds, and on which it also caches."""
    end = functools.lru_cache(maxsize=None)(
        lambda steps: small_disk(environment, steps * STEP, chunked)
    )

    def bisect(good: Callable[[End], bool]) -> int:
        low, high = LARGE // STEP, 4 * LARGE // STEP
        assert not good(end(low)) and good(end(high))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if good(end(middle)) else (middle, high)
        return high * STEP

    return bisect(lambda found: found.ok), bisect(lambda found: found.cached)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@old_middle_new
def test_the_least_disk_with_us_is_the_least_disk_without_us(
    chunked: bool, pip: str, armed: Environment, bare: Environment
) -> None:
    ok, cached = least(bare, chunked)
    runs.note_figure(
        f"least disk for {LARGE / MIB:.1f} MiB, {'chunked' if chunked else 'length'}, pip {pip}: "
        f"{ok / MIB:.1f} MiB, {cached / MIB:.1f} MiB to have it cached"
    )
    assert small_disk(armed, ok, chunked).ok
    assert small_disk(armed, cached, chunked).cached
    # With half of it kept. Then the answer for the rest tells the size, chunked or not.
    told = least(bare, False)
    assert small_disk(armed, max(ok, told[0]), chunked, "demo").ok
    assert small_disk(armed, cached, chunked, "demo").cached
    # With half of another file kept. Where no size is told, nobody can make room beforehand: it
    # goes when the disk is full, and pip's cache has given up by then.
    assert small_disk(armed, ok, chunked, "other").ok
    found = small_disk(armed, cached, chunked, "other")
    assert found.ok if chunked else found.cached


@old_middle_new
def test_a_disk_that_is_full_or_fills_up_stops_no_download(
    armed: Environment, bare: Environment
) -> None:
    """pip's own directory is on another disk, which has room; a plain pip does not even notice."""
    with mounted(armed.fresh_dir() / "disk", "size=30m") as disk:
        cache = disk / "cache"
        with Lab([Package("demo", SIZE)], rate=RATE) as lab:
            process = start(armed, lab, cache)
            wait_for_bytes(process, lab, 2_000_000)
            assert kept(cache)
            fill(disk)
            outcome = programs.finish(process, 60)
            assert outcome.returncode == 0 and not outcome.stderr, outcome.output
            assert not stored(cache)
            Download(bare, lab, cache=cache).assert_right()
        # Full from the start.
        with Lab([Package("demo", SIZE, [Cut(HALF)])]) as lab:
            fill(disk)
            Download(armed, lab, cache=cache).assert_right()
            assert not kept(cache)
        # What an earlier run left makes room at first.
        (disk / "ballast").unlink()
        with Lab([Package("demo", SIZE, stopped_at(HALF))]) as lab:
            Download(armed, lab, cache=cache).assert_clear_error()
            assert kept(cache)
            fill(disk)
            Download(armed, lab, cache=cache).assert_right()
            assert not kept(cache)


@old_middle_new
def test_a_small_disk_of_temporary_files_is_not_told_as_the_network(armed: Environment) -> None:
    """pip's cache collects its copy there, and the file is in the store."""
    with Lab([Package("demo", SIZE, max_age=60)], tls=certificates().server) as lab, mounted(
        armed.fresh_dir() / "disk", f"size={HALF}"
    ) as disk:
        done = Download(armed, lab, cache=armed.fresh_dir(), env={"TMPDIR": disk})
        done.assert_right()
        assert len(lab.requests("demo", "artifact")) == 1
        assert not done.warnings


@old_middle_new
def test_where_pips_own_directory_is_on_another_disk_nothing_is_left(armed: Environment) -> None:
    """The file stays in the store for as long as pip needs it."""
    cache, target = armed.fresh_dir(), armed.fresh_dir()
    faults = [*stopped_at(HALF), None, None, Cut(HALF)]
    with mounted(armed.fresh_dir() / "disk", "size=30m") as disk:
        env: dict[str, Argument] = {"TMPDIR": disk}
        with Lab([Package("demo", SIZE, faults)]) as lab:
            Download(armed, lab, cache=cache, env=env).assert_clear_error()
            done = Download(armed, lab, cache=cache, env=env)
            done.assert_right()
            assert continuing(done) and not stored(cache)
            options = "--target", target, "--index-url", lab.index_url, "--cache-dir", cache
            installed = armed.run("install", *options, "demo", env=env)
            assert installed.returncode == 0, installed.output
            assert len(installed.interruptions) == 1
            assert (target / "demo" / "payload.bin").exists()
        assert not stored(cache)
        assert not list(disk.iterdir())


@old_middle_new
def test_directories_that_cannot_be_used_stop_no_download(armed: Environment) -> None:
    def is_not_kept(cache: Path) -> None:
        with Lab([Package("demo", SIZE, stopped_at(HALF))]) as lab:
            Download(armed, lab, cache=cache).assert_clear_error()
            done = Download(armed, lab, cache=cache)
            done.assert_right()
            assert not continuing(done) and not done.run.stderr

    cache = armed.fresh_dir()
    (cache / "retry-patch").write_text("a file in the way")
    is_not_kept(cache)
    cache, elsewhere = armed.fresh_dir(), armed.fresh_dir()
    (cache / "retry-patch").symlink_to(elsewhere)
    is_not_kept(cache)
    assert not list(elsewhere.iterdir())
    with mounted(armed.fresh_dir() / "disk", "size=30m,ro") as disk:
        is_not_kept(disk)
    # One that vanishes meanwhile.
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE)], rate=RATE) as lab:
        process = start(armed, lab, cache)
        wait_for_bytes(process, lab, 2_000_000)
        shutil.rmtree(cache / "retry-patch")
        outcome = programs.finish(process, 60)
        assert outcome.returncode == 0 and not outcome.stderr, outcome.output


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
NO_FCNTL = "import sys\nsys.modules['fcntl'] = None\n"
NO_LOCKS = """
import errno, fcntl
def flock(handle, how):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""
# What a Python is given, and the requests for a file that is then cut: their Ranges.
LIMITS = {
    # No disk is full, as far as anyone can ask; and a plain pip has no trouble.
    "quota": (QUOTA, [], [None, None]),
    "no-locks": (NO_LOCKS, [Cut(HALF)], [None, f"bytes={HALF}-"]),
    "no-fcntl": (NO_FCNTL, [Cut(HALF)], [None, f"bytes={HALF}-"]),
}


@pytest.mark.parametrize("limit", LIMITS)
@old_middle_new
def test_where_the_store_has_no_room_or_no_locks_pips_own_directory_is_used(
    limit: str, armed: Environment
) -> None:
    code, faults, ranges = LIMITS[limit]
    cache, site = armed.fresh_dir(), armed.fresh_dir()
    (site / "sitecustomize.py").write_text(code)
    env: dict[str, Argument] = {"PYTHONPATH": site}
    with Lab([Package("demo", SIZE, faults)]) as lab:
        done = Download(armed, lab, cache=cache, env=env)
        done.assert_right()
        assert len(done.run.warnings()) == len(faults)
        assert [request.range for request in lab.requests("demo", "artifact")] == ranges
        assert not stored(cache)
    with Lab([Package("demo", SIZE, stopped_at(HALF // 2))]) as lab:
        failed = Download(armed, lab, cache=cache, env=env)
        failed.assert_clear_error()
        assert ("is kept" in failed.run.output) == (limit == "quota")
