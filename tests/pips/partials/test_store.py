"""The store with real pips: other indexes, small disks, many at once, no locks."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import pytest

from tests.support.lab.faults import Busy, Cut, Redirect
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from pip_retry_patch.store import header as headers
from tests.support import programs, runs
from tests.support.certificates import Certificates
from tests.support.downloads import Download
from tests.support.environments import Environment, Factory
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Argument

# pip writes a file in pieces of 10 KiB, later 256 KiB, or what is left of a chunk of 64 KiB.
# With this size the last piece is larger than the buffer that it goes through. Else it would be an
# accident whether it still fits when pip's cache has filled the disk in vain.
SIZE = 6_233_300
RATE = 4_000_000
MIB = 1 << 20

SOME = pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))


def partials(cache: Path) -> list[Path]:
    return sorted((cache / "retry-patch").glob("*"))


def continuing(download: Download) -> bool:
    return "Continuing demo-1.0" in download.run.output


def killed(
    pip: Environment, lab: Lab, certificates: Certificates, cache: Path, name: str = "demo"
) -> None:
    """Kill a pip when half of a file has been sent."""
    command: list[Argument] = ["-m", "pip", "download", "--no-deps", "--dest", pip.fresh_dir()]
    command += ["--cert", certificates.ca_pem] if lab.tls else []
    process = pip.start(*command, "--index-url", lab.index_url, "--cache-dir", cache, name)
    deadline = time.monotonic() + 30
    while lab.sent(name) < SIZE // 2:
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.002)
    programs.kill(process)
    process.communicate()


# Named by its hash


@SOME
def test_the_same_file_from_another_index_goes_on_where_the_first_one_stopped(
    pip: str, python: str, armed: Factory, bare: Factory, certificates: Certificates
) -> None:
    """A person who sees a slow index stop at half of a file switches to another one."""
    for environment in (bare(pip, python), armed(pip, python)):
        cache = environment.fresh_dir()
        package = Package("demo", SIZE, max_age=3600)
        with Lab([package], rate=RATE) as slow, Lab([package], tls=certificates.server) as other:
            killed(environment, slow, certificates, cache)
            done = Download(environment, other, certificates, cache=cache)
            done.assert_right()
            wire = (slow.sent("demo") + other.sent("demo")) / len(other.wheel("demo"))
            (request,) = other.requests("demo", "artifact")
            if environment.armed:
                runs.note_figure(f"another index, pip {pip}: {wire:.3f} x on the wire")
                assert continuing(done) and wire <= 1.2
                assert request.status == 206 and request.range is not None
                # It is of another host, and would mean nothing here.
                assert request.if_range is None
                assert not partials(cache)
            else:
                assert request.status == 200 and wire >= 1.4


@SOME
def test_no_validator_is_sent_with_what_a_hash_covers_to_any_host(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    with Lab([Package("demo", SIZE)], host="localhost", rate=RATE) as files:
        to = f"{files.url}/files/demo/{files.filename('demo')}"
        with Lab([Package("demo", SIZE, forever=Redirect(to))]) as index:
            options = ["--trusted-host", "localhost"]
            for _ in range(2):
                command: list[Argument] = ["-m", "pip", "download", "--no-deps", *options, "demo"]
                command += ["--index-url", index.index_url, "--cache-dir", cache]
                process = environment.start(*command, "--dest", environment.fresh_dir())
                goal = files.sent("demo") + 2_000_000
                while files.sent("demo") < goal:
                    assert process.poll() is None, process.communicate()
                    time.sleep(0.002)
                programs.kill(process)
                process.communicate()
            done = Download(environment, index, certificates, *options, cache=cache)
            done.assert_right()
            assert continuing(done)
            assert [bool(request.range) for request in index.requests("demo", "artifact")] == [
                False,
                True,
                True,
            ]
            assert not any(request.if_range for request in index.requests("demo", "artifact"))
            assert not any(request.if_range for request in files.requests("demo", "artifact"))


@SOME
def test_a_partial_under_the_name_of_another_is_not_used(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(SIZE // 2), *[Busy(404)] * 2]
    packages = [Package("demo", SIZE, faults), Package("other", SIZE, faults)]
    with Lab(packages) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        (demo,) = partials(cache)
        killed_name = demo.name
        demo.unlink()
        environment.run(
            *("download", "--no-deps", "--dest", environment.fresh_dir(), "other"),
            *("--index-url", lab.index_url, "--cache-dir", cache),
        )
        (other,) = partials(cache)
        other.rename(other.with_name(killed_name))
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert not continuing(done) and not done.run.warnings()
        assert lab.requests("demo", "artifact")[-1].range is None
        assert not partials(cache)


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
    certificates: Certificates,
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
        lab = stack.enter_context(Lab(packages, tls=certificates.server))
        disk = stack.enter_context(mounted(environment.fresh_dir() / "disk", 10 * SIZE))
        dest = environment.fresh_dir()
        (disk / "tmp").mkdir()
        variables: dict[str, Argument] = {"TMPDIR": disk / "tmp", **(env or {})}

        def run(name: str) -> programs.Outcome:
            return environment.run(
                *("download", "--no-deps", "--dest", dest, name),
                *("--index-url", lab.index_url, "--cert", certificates.ca_pem),
                *("--cache-dir", disk / "cache"),
                env=variables,
            )

        if before:
            assert run(before).returncode != 0
            assert partials(disk / "cache")
        command = ["mount", "-o", f"remount,size={size}", str(disk)]
        subprocess.run(command, check=True)
        done = run("demo")
        assert "Traceback" not in done.output or not environment.armed, done.output
        if done.returncode == 0:
            (wheel,) = dest.iterdir()
            assert wheel.read_bytes() == lab.wheel("demo")
            assert not partials(disk / "cache")
        entries = [path for path in (disk / "cache").rglob("*") if path.is_file()]
        whole = [path for path in entries if path.stat().st_size >= SIZE]
        return End(done.returncode == 0, bool(whole) and done.returncode == 0)


@functools.lru_cache(maxsize=None)
def least(environment: Environment, certificates: Certificates, chunked: bool) -> tuple[int, int]:
    """Return the smallest disks on which plain pip succeeds, and on which it also caches."""
    ends: dict[int, End] = {}

    def end(steps: int) -> End:
        if steps not in ends:
            ends[steps] = small_disk(environment, certificates, steps * STEP, chunked)
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
@SOME
def test_the_least_disk_with_us_is_the_least_disk_without_us(
    chunked: bool, pip: str, python: str, armed: Factory, bare: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    ok, cached = least(bare(pip, python), certificates, chunked)
    runs.note_figure(
        f"least disk for {SIZE / MIB:.1f} MiB, {'chunked' if chunked else 'length'}, pip {pip}: "
        f"{ok / MIB:.1f} MiB, {cached / MIB:.1f} MiB to have it cached"
    )
    # Alone; with half of it kept; with half of another file kept.
    for before in ("", "demo", "other"):
        assert small_disk(environment, certificates, ok, chunked, before).ok, before
        assert small_disk(environment, certificates, cached, chunked, before).cached, before


@SOME
def test_where_a_quota_is_not_seen_what_is_kept_is_given_back(
    pip: str,
    python: str,
    armed: Factory,
    bare: Factory,
    certificates: Certificates,
) -> None:
    """As far as anyone can ask, there is room; and then there is not."""
    environment = armed(pip, python)
    ok, _ = least(bare(pip, python), certificates, False)
    code = "import os, shutil\nseen = shutil.disk_usage\n"
    code += "shutil.disk_usage = lambda path: seen(path)._replace(free=1 << 40)\n"
    site = environment.fresh_dir()
    (site / "sitecustomize.py").write_text(code)
    env: dict[str, Argument] = {"PYTHONPATH": site}
    assert small_disk(environment, certificates, ok, False, env=env).ok


# Many at once


@SOME
def test_eight_pips_at_once_keep_the_limit(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    names = [f"package-{number}" for number in range(8)]
    limit = 3 * SIZE + 100_000
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_PARTIALS_SIZE": f"{limit / 1e6} MB"}
    packages = [Package(name, SIZE, chunked=number % 2 == 1) for number, name in enumerate(names)]
    most = kept_at_most = 0
    with Lab(packages, rate=3_000_000) as lab:
        running = [
            environment.start(
                *("-m", "pip", "download", "--no-deps", "--dest", environment.fresh_dir(), name),
                *("--index-url", lab.index_url, "--cache-dir", cache),
                env=env,
            )
            for name in names
        ]
        while any(process.poll() is None for process in running):
            sizes = []
            for path in partials(cache):
                with contextlib.suppress(OSError):
                    sizes.append(path.stat().st_size)
            most, kept_at_most = max(most, sum(sizes)), max(kept_at_most, len(sizes))
            time.sleep(0.01)
        for process in running:
            outcome = programs.finish(process, 60)
            assert outcome.returncode == 0 and not outcome.stderr, outcome.output
    runs.note_figure(f"eight pips {pip}: {most / 1e6:.1f} of {limit / 1e6:.1f} MB kept")
    assert 2 * SIZE < most <= limit
    assert not partials(cache)


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
@SOME
def test_without_locks_nothing_is_kept_and_the_guard_is_as_ever(
    how: str, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache, site = environment.fresh_dir(), environment.fresh_dir()
    (site / "sitecustomize.py").write_text(NO_LOCKS[how])
    env: dict[str, Argument] = {"PYTHONPATH": site}
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2)])]) as lab:
        healed = Download(environment, lab, certificates, cache=cache, env=env)
        healed.assert_right()
        assert healed.run.warnings("at 3.1 of 6.2 MB")
        assert lab.sent("demo") <= len(lab.wheel("demo")) + headers.SIZE
        assert not (cache / "retry-patch").exists()
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as lab:
        failed = Download(environment, lab, certificates, cache=cache, env=env)
        failed.assert_clear_error()
        assert "is kept" not in failed.run.output
        assert not (cache / "retry-patch").exists()
