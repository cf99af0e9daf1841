"""The store with real pips: other indexes, small disks, many at once, no locks."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import pytest

from tests.support import programs, runs
from tests.support.certificates import certificates
from tests.support.downloads import Download
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Cut, Redirect
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import folders, kept, plain_then_rest, stored
from tests.support.programs import Argument

# pip writes a file in pieces of 10 KiB, later 256 KiB, or what is left of a chunk of 64 KiB.
# With this size the last piece is larger than the buffer that it goes through. Else it would be an
# accident whether it still fits when pip's cache has filled the disk in vain.
SIZE = 6_233_300
RATE = 4_000_000
MIB = 1 << 20


def continuing(download: Download) -> bool:
    return "Continuing demo-1.0" in download.run.output


def killed(pip: Environment, lab: Lab, cache: Path, name: str = "demo") -> None:
    """Kill a pip when half of a file has been sent."""
    command: list[Argument] = ["-m", "pip", "download", "--no-deps", "--dest", pip.fresh_dir()]
    command += ["--cert", certificates().ca_pem] if lab.tls else []
    process = pip.start(*command, "--index-url", lab.index_url, "--cache-dir", cache, name)
    deadline = time.monotonic() + 30
    while lab.sent(name) < SIZE // 2:
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.002)
    programs.kill(process)
    process.communicate()


# Named by its hash


@old_middle_new
def test_the_same_file_from_another_index_goes_on_where_the_first_one_stopped(
    pip: str, armed: Environment, bare: Environment
) -> None:
    """A person who sees a slow index stop at half of a file switches to another one."""
    for environment in (bare, armed):
        cache = environment.fresh_dir()
        package = Package("demo", SIZE, max_age=3600)
        with Lab([package], rate=RATE) as slow, Lab(
            [package], rate=RATE, tls=certificates().server
        ) as other:
            killed(environment, slow, cache)
            done = Download(environment, other, cache=cache)
            done.assert_right()
            wire = (slow.sent("demo") + other.sent("demo")) / len(other.wheel("demo"))
            requests = other.requests("demo", "artifact")
            if environment.armed:
                runs.note_figure(f"another index, pip {pip}: {wire:.3f} x on the wire")
                assert continuing(done) and wire <= 1.15
                assert [request.status for request in requests] == [200, 206]
                assert [bool(request.range) for request in requests] == [False, True]
                # It is of another host, and would mean nothing here.
                assert not any(request.if_range for request in requests)
                assert not stored(cache)
            else:
                assert [request.status for request in requests] == [200] and wire >= 1.4


@old_middle_new
def test_no_validator_is_sent_with_what_a_hash_covers_to_any_host(armed: Environment) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE)], host="localhost", rate=RATE) as files:
        to = f"{files.url}/files/demo/{files.filename('demo')}"
        with Lab([Package("demo", SIZE, forever=Redirect(to))]) as index:
            options = ["--trusted-host", "localhost"]
            for _ in range(2):
                command: list[Argument] = ["-m", "pip", "download", "--no-deps", *options, "demo"]
                command += ["--index-url", index.index_url, "--cache-dir", cache]
                process = armed.start(*command, "--dest", armed.fresh_dir())
                goal = files.sent("demo") + 2_000_000
                while files.sent("demo") < goal:
                    assert process.poll() is None, process.communicate()
                    time.sleep(0.002)
                programs.kill(process)
                process.communicate()
            done = Download(armed, index, *options, cache=cache)
            done.assert_right()
            assert continuing(done)
            assert [bool(request.range) for request in index.requests("demo", "artifact")] == [
                *[False],
                *[False, True],
                *[False, True],
            ]
            assert not any(request.if_range for request in index.requests("demo", "artifact"))
            assert not any(request.if_range for request in files.requests("demo", "artifact"))


@old_middle_new
def test_what_is_kept_under_the_hash_of_another_file_never_makes_a_wrong_one(
    armed: Environment,
) -> None:
    cache = armed.fresh_dir()
    faults = [Cut(SIZE // 2), *[Busy(404)] * 2]
    packages = [Package("demo", SIZE, faults), Package("other", SIZE, faults)]
    with Lab(packages) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        (demo,) = folders(cache)
        demo.rename(cache / "demo")
        armed.run(
            *("download", "--no-deps", "--dest", armed.fresh_dir(), "other"),
            *("--index-url", lab.index_url, "--cache-dir", cache),
        )
        (other,) = folders(cache)
        other.rename(demo)
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        (line,) = done.run.warnings()
        assert "What an earlier run had kept of demo-1.0 was removed." in line
        plain, rest, whole = lab.requests("demo", "artifact")[3:]
        plain_then_rest([plain, rest], SIZE // 2)
        assert whole.range is None
        assert not folders(cache)


# Small disks


@contextlib.contextmanager
def mounted(path: Path, size: int) -> Iterator[Path]:
    """A file system of its own, in memory."""
    path.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)]
    subprocess.run(command, check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


class End(NamedTuple):
    """How a run on a small disk ended."""

    ok: bool
    cached: bool


FAILED_RUN = [Cut(SIZE // 2), *[Busy(404)] * 2]
STEP = MIB // 2


def small_disk(
    environment: Environment,
    size: int,
    chunked: bool,
    before: str = "",
    env: dict[str, Argument] | None = None,
) -> End:
    """Run pip where its temporary files and its cache are on one disk.

    :param before: what a run before that one, when the disk was larger, asked for and got half of.
    """
    packages = [
        Package("demo", SIZE, FAILED_RUN if before == "demo" else (), chunked=chunked, max_age=60),
        Package("other", SIZE, FAILED_RUN, max_age=60),
    ]
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab(packages, tls=certificates().server))
        disk = stack.enter_context(mounted(environment.fresh_dir() / "disk", 10 * SIZE))
        dest = environment.fresh_dir()
        (disk / "tmp").mkdir()
        variables: dict[str, Argument] = {"TMPDIR": disk / "tmp", **(env or {})}

        def run(name: str) -> programs.Outcome:
            return environment.run(
                *("download", "--no-deps", "--dest", dest, name),
                *("--index-url", lab.index_url, "--cert", certificates().ca_pem),
                *("--cache-dir", disk / "cache"),
                env=variables,
            )

        if before:
            assert run(before).returncode != 0
            assert kept(disk / "cache")
        command = ["mount", "-o", f"remount,size={size}", str(disk)]
        subprocess.run(command, check=True)
        done = run("demo")
        assert "Traceback" not in done.output or not environment.armed, done.output
        if done.returncode == 0:
            (wheel,) = dest.iterdir()
            assert wheel.read_bytes() == lab.wheel("demo")
            assert not [path for path in kept(disk / "cache") if path.name == wheel.name]
        entries = [path for path in (disk / "cache").rglob("*") if path.is_file()]
        whole = [path for path in entries if path.stat().st_size >= SIZE]
        return End(done.returncode == 0, bool(whole) and done.returncode == 0)


@functools.lru_cache(maxsize=None)
def least(environment: Environment, chunked: bool) -> tuple[int, int]:
    """Return the smallest disks on which plain pip succeeds, and on which it also caches."""
    ends: dict[int, End] = {}

    def end(steps: int) -> End:
        if steps not in ends:
            ends[steps] = small_disk(environment, steps * STEP, chunked)
        return ends[steps]

    def bisect(good: Callable[[End], bool]) -> int:
        low, high = SIZE // STEP, 4 * SIZE // STEP
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
        f"least disk for {SIZE / MIB:.1f} MiB, {'chunked' if chunked else 'length'}, pip {pip}: "
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
def test_a_small_disk_of_temporary_files_is_not_told_as_the_network(armed: Environment) -> None:
    """pip's cache collects its copy there, and the file is in the store."""
    packages = [Package("demo", SIZE, max_age=60)]
    with Lab(packages, tls=certificates().server) as lab, mounted(
        armed.fresh_dir() / "disk", SIZE // 2
    ) as disk:
        cache = armed.fresh_dir()
        download = Download(armed, lab, cache=cache, env={"TMPDIR": disk})
        download.assert_right()
        assert len(lab.requests("demo", "artifact")) == 1
        assert not download.warnings


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
def test_where_a_quota_ends_in_the_store_pips_own_directory_is_used(armed: Environment) -> None:
    """No disk is full, as far as anyone can ask; and a plain pip has no trouble."""
    cache, site = armed.fresh_dir(), armed.fresh_dir()
    (site / "sitecustomize.py").write_text(QUOTA)
    env: dict[str, Argument] = {"PYTHONPATH": site}
    with Lab([Package("demo", SIZE)]) as lab:
        done = Download(armed, lab, cache=cache, env=env)
        done.assert_right()
        assert not done.run.warnings()
        assert [request.range for request in lab.requests("demo", "artifact")] == [None, None]
        assert not stored(cache)


# Many at once


@old_middle_new
def test_eight_pips_at_once_and_what_they_leave_is_bounded_at_the_next_start(
    pip: str, armed: Environment
) -> None:
    cache = armed.fresh_dir()
    names = [f"package-{number}" for number in range(8)]
    limit = 3 * SIZE
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_PARTIALS_SIZE": f"{limit} B"}
    packages = [Package(name, SIZE, chunked=number % 2 == 1) for number, name in enumerate(names)]

    def started(name: str) -> subprocess.Popen[str]:
        return armed.start(
            *("-m", "pip", "download", "--no-deps", "--dest", armed.fresh_dir(), name),
            *("--index-url", lab.index_url, "--cache-dir", cache),
            env=env,
        )

    with Lab([*packages, Package("demo", SIZE, max_age=3600)], rate=2_000_000) as lab:
        # What runs is no leftover, however much it is; nobody takes it from another one.
        most = 0
        running = list(map(started, names))
        while any(process.poll() is None for process in running):
            most = max(most, _bytes_of(kept(cache)))
            time.sleep(0.01)
        for process in running:
            outcome = programs.finish(process, 60)
            assert outcome.returncode == 0 and not outcome.stderr, outcome.output
        assert most > limit
        assert not stored(cache)
        # They are killed, all of them.
        before = [lab.sent(name) for name in names]
        running = list(map(started, names))
        for name, sent, process in zip(names, before, running):
            deadline = time.monotonic() + 60
            while lab.sent(name) < sent + SIZE * 2 // 3:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.002)
        for process in running:
            programs.kill(process)
            process.communicate()
        left = {path: path.stat().st_mtime for path in kept(cache)}
        all_of_them = _bytes_of(list(left))
        assert len(left) == 8 and all_of_them > limit
        # One more begins, and is killed as well, as soon as its own file is there.
        demo = started("demo")
        while not any(path.name.startswith("demo") for path in kept(cache)):
            assert demo.poll() is None, demo.communicate()
            time.sleep(0.002)
        stayed = [path for path in kept(cache) if path in left]
        programs.kill(demo)
        demo.communicate()
        runs.note_figure(
            f"eight killed pips {pip}: {all_of_them / 1e6:.1f} MB left, "
            f"{_bytes_of(stayed) / 1e6:.1f} of {limit / 1e6:.1f} MB at the next start"
        )
        assert 0 < _bytes_of(stayed) <= limit
        gone = left.keys() - stayed
        assert gone and max(left[path] for path in gone) <= min(left[path] for path in stayed)
        assert _bytes_of(stayed) + SIZE > limit, "no more than needed"


def _bytes_of(files: list[Path]) -> int:
    total = 0
    for path in files:
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


# Without locks

NO_LOCKS = {
    "ENOLCK": """
import errno, fcntl
def flock(handle, how):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
""",
    "no fcntl": """
import sys
sys.modules["fcntl"] = None
""",
}


@pytest.mark.parametrize("how", NO_LOCKS)
@old_middle_new
def test_without_locks_nothing_is_kept_and_the_guard_is_as_ever(
    how: str, armed: Environment
) -> None:
    cache, site = armed.fresh_dir(), armed.fresh_dir()
    (site / "sitecustomize.py").write_text(NO_LOCKS[how])
    env: dict[str, Argument] = {"PYTHONPATH": site}
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2)])]) as lab:
        healed = Download(armed, lab, cache=cache, env=env)
        healed.assert_right()
        assert healed.run.warnings("at 3.1 of 6.2 MB")
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 100
        assert not (cache / "retry-patch").exists()
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as lab:
        failed = Download(armed, lab, cache=cache, env=env)
        failed.assert_clear_error()
        assert "is kept" not in failed.run.output
        assert not (cache / "retry-patch").exists()
