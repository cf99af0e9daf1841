"""Downloads that continue in the next run, with real pips that are killed, interrupted, or fail."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pty
import random
import select
import shutil
import signal
import stat
import subprocess
import termios
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from pip_retry_patch.lab.faults import (
    Away,
    Busy,
    Changed,
    Cut,
    Elsewhere,
    Flip,
    OtherETag,
    OtherTotal,
    Redirect,
    Short,
    Unlabelled,
    Unsatisfiable,
    Whole,
)
from pip_retry_patch.lab.packages import Package
from pip_retry_patch.lab.server import Lab
from pip_retry_patch.policy.ranges import Representation, Validators
from pip_retry_patch.store.header import Header
from tests import environments
from tests.conftest import Certificates, Factory
from tests.environments import NEWEST, Argument, Environment, each_pair, pairs
from tests.test_faults import Download

SIZE = 6_000_000
RATE = 4_000_000  # bytes per second, so that hardly anything is under way when a kill strikes
SLACK = 1_500_000  # what a kill may cost: the piece that pip reads, and what is under way
HEADER = 4096

SOME = pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))


def start(
    pip: Environment, lab: Lab, ca_pem: Path, cache: Path, *options: Argument, **env: Argument
) -> subprocess.Popen[str]:
    """Start what `Download` runs, with a cache."""
    tls: list[Argument] = ["--cert", ca_pem] if lab.tls else ["--trusted-host", "127.0.0.1"]
    command: list[Argument] = ["-m", "pip", "download", "--no-deps", "--dest", pip.fresh_dir()]
    command += ["--index-url", lab.index_url, "--cache-dir", cache, *tls, *options]
    return pip.start(*command, "demo", env=env)


def wait_for_bytes(process: subprocess.Popen[str], lab: Lab, count: int, name: str = "demo") -> int:
    """Wait until so many body bytes more were sent; return how many were sent in all."""
    goal = lab.sent(name) + count
    until(lambda: lab.sent(name) >= goal, process)
    return lab.sent(name)


def until(condition: Callable[[], bool], *running: subprocess.Popen[str]) -> None:
    """Wait for something that happens while these pips run."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        for process in running:
            assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def stop(process: subprocess.Popen[str], how: int = signal.SIGKILL) -> str:
    """End a pip, and return what it printed."""
    os.kill(process.pid, how)
    outcome = environments.finish(process, 20)
    assert outcome.returncode != 0
    return outcome.output


def kept(cache: Path) -> list[Path]:
    return sorted((cache / "retry-patch").glob("*"))


def interrupted(
    pip: Environment, lab: Lab, certificates: Certificates, cache: Path, count: int = SIZE // 2
) -> Path:
    """Let a pip be killed in mid-download; return the one partial that it leaves."""
    process = start(pip, lab, certificates.ca_pem, cache)
    wait_for_bytes(process, lab, count)
    stop(process)
    (partial,) = kept(cache)
    return partial


def continuing(download: Download) -> list[str]:
    """The lines that tell of an earlier run."""
    lines = map(str.strip, download.run.output.splitlines())
    return [line for line in lines if line.startswith("Continuing demo-1.0")]


# Kills


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
@each_pair
def test_a_killed_download_goes_on_in_the_next_run(
    pip: str, python: str, tls: bool, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    package = Package("demo", SIZE, max_age=3600)
    with Lab([package], rate=RATE, tls=certificates.server if tls else None) as lab:
        for _ in range(2):
            interrupted(environment, lab, certificates, cache, 2_000_000)
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        (line,) = continuing(done)
        assert " of 6.0 MB" in line
        assert not done.run.warnings()
        assert not kept(cache)
        first, second, third = lab.requests("demo", "artifact")
        assert first.range is None
        assert second.if_range == third.if_range is not None
        assert [first.status, second.status, third.status] == [200, 206, 206]
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 2 * SLACK
        if tls or pip != "20.3.4":
            # pip's own cache has the whole file.
            again = Download(environment, lab, certificates, cache=cache)
            again.assert_right()
            assert "Using cached" in again.run.stdout
            assert len(lab.requests("demo", "artifact")) == 3


@pairs((NEWEST, "3.13"), ("24.0", "3.12"))
def test_many_kills_at_random_moments_of_a_run_of_files(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    """A clean-up that is killed, a file that is whole but not cached yet: all of it is met here.

    The link is slow, as links are on which this happens: what is sent while pip reads back what was
    kept is lost when a kill strikes then.
    """
    environment = armed(pip, python)
    cache, target = environment.fresh_dir(), environment.fresh_dir()
    names = [f"package-{n}" for n in range(12)]
    chance = random.Random(20)
    kills = 0
    packages = [Package(name, 5_000_000, max_age=3600) for name in names]
    with Lab(packages, rate=4_000_000, tls=certificates.server) as lab:
        options: list[Argument] = ["download", "--no-deps", "--dest", target, "--cache-dir", cache]
        options += ["--cert", certificates.ca_pem, "--index-url", lab.index_url, *names]
        total = sum(len(lab.wheel(name)) for name in names)

        def sent() -> int:
            return sum(map(lab.sent, names))

        while kills < 26:
            process = environment.start("-m", "pip", *options)
            goal = min(sent() + chance.randrange(3_400_000), total)
            while sent() < goal and process.poll() is None:
                time.sleep(0.002)
            if sent() >= total:
                time.sleep(chance.uniform(0.0, 0.3))
            kills += process.poll() is None
            environments.kill(process)
            process.communicate()
        outcome = environment.run(*options)
        assert outcome.returncode == 0, outcome.output
        for name in names:
            assert (target / lab.filename(name)).read_bytes() == lab.wheel(name)
        wire = sent() / total
        environments.note_figure(f"{kills} kills, pip {pip}: {wire:.3f} x the size on the wire")
        assert wire <= 1.1
        assert not kept(cache)


@SOME
def test_ctrl_c_in_a_terminal_and_sigterm_lose_nothing(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    with Lab([Package("demo", SIZE)], rate=RATE) as lab:
        leader, follower = pty.openpty()
        command = ["-m", "pip", "download", "--no-deps", "--dest", str(environment.fresh_dir())]
        command += ["--cache-dir", str(cache), "--index-url", lab.index_url, "demo"]
        # (The bar of older pips has a handler for Ctrl-C that may fail in the middle of a line.)
        command += ["--progress-bar", "off"] if pip == "20.3.4" else []
        process = subprocess.Popen(
            [str(environment.python), *command],
            env={"PATH": os.defpath, "HOME": str(cache), "PIP_CONFIG_FILE": os.devnull},
            cwd=cache,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=_take_terminal,
            text=True,
        )
        os.close(follower)
        with _drained(leader) as printed:
            sent = wait_for_bytes(process, lab, 2_000_000)
            os.write(leader, b"\x03")
            code = process.wait(20)
        assert code == 1, b"".join(printed).decode()
        assert kept(cache)[0].stat().st_size >= sent - SLACK
        process = start(environment, lab, certificates.ca_pem, cache)
        wait_for_bytes(process, lab, 2_000_000)
        stop(process, signal.SIGTERM)
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 2 * SLACK


def _take_terminal() -> None:
    """Make standard input the terminal that Ctrl-C comes from."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def _drained(terminal: int) -> Iterator[list[bytes]]:
    """Read what is written to a terminal, so that its writer never waits."""
    printed: list[bytes] = []

    def drain() -> None:
        with contextlib.suppress(OSError):
            while select.select([terminal], [], [], 30)[0]:
                printed.append(os.read(terminal, 65536))

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    try:
        yield printed
    finally:
        thread.join(30)
        os.close(terminal)


@SOME
def test_after_an_error_the_next_run_goes_on(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(2_000_000), Busy(404), None]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        failed = Download(environment, lab, certificates, cache=cache)
        failed.assert_clear_error()
        words = " ".join(failed.run.output.split())
        assert "What arrived is kept, and the next run continues from there." in words
        assert kept(cache)[0].stat().st_size == 2_000_000 + HEADER
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        (line,) = continuing(done)
        assert line.startswith("Continuing demo-1.0-py3-none-any.whl from 2.0 of 6.0 MB")
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 100
        assert not kept(cache)


@SOME
def test_a_continued_download_is_interrupted_and_heals(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(2_000_000), Busy(404), Busy(503), Cut(1_000_000), Away(1.0, after=1_000_000)]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(environment, lab, certificates, cache=cache)
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert len(continuing(done)) == 1
        assert [len(done.run.warnings(f"at {n}.0 MB of 6.0 MB")) for n in (3, 4)] == [1, 1]
        ranges = [request.range for request in lab.requests("demo", "artifact")]
        assert ranges == [None, "bytes=2000000-", *["bytes=2000000-"] * 2, *RESUMED]
        assert not kept(cache)


RESUMED = ["bytes=3000000-", "bytes=4000000-"]


@SOME
def test_two_at_once_keep_their_own_and_the_longest_is_continued(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    with Lab([Package("demo", SIZE)], rate=1_500_000) as lab:
        first = start(environment, lab, certificates.ca_pem, cache)
        wait_for_bytes(first, lab, 1_500_000)
        second = start(environment, lab, certificates.ca_pem, cache)
        both = first, second
        until(lambda: len(lab.requests("demo", "artifact")) == 2, *both)
        assert lab.requests("demo", "artifact")[1].range is None
        until(lambda: lab.requests("demo", "artifact")[1].sent >= 500_000, *both)
        for process in both:
            stop(process)
        sizes = sorted(path.stat().st_size for path in kept(cache))
        assert len(sizes) == 2
        lab.rate = RATE
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert lab.requests("demo", "artifact")[2].range == f"bytes={sizes[1] - HEADER}-"
        assert not kept(cache)

        pair = [start(environment, lab, certificates.ca_pem, cache) for _ in range(2)]
        outcomes = [environments.finish(process, 60) for process in pair]
        assert [outcome.returncode for outcome in outcomes] == [0, 0]
        assert not kept(cache)


# What became of the partial meanwhile


def _truncate(path: Path) -> None:
    os.truncate(path, HEADER + 1_500_000)


def _behead(path: Path) -> None:
    os.truncate(path, 100)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _extend(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(700_000))


def _overextend(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(SIZE))


def _alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[HEADER + 1000] ^= 0xFF
    path.write_bytes(data)


def _zero(path: Path) -> None:
    """As a power cut leaves it: the size is there, the last bytes are not."""
    size = path.stat().st_size
    os.truncate(path, size - 300_000)
    os.truncate(path, size)


def _garble_header(path: Path) -> None:
    path.write_bytes(os.urandom(HEADER) + path.read_bytes()[HEADER:])


def _replace_by_link(path: Path) -> None:
    moved = path.with_name("moved")
    path.rename(moved)
    path.symlink_to(moved)


def _second_name(path: Path) -> None:
    os.link(path, path.with_name("second"))


def _give_away(path: Path) -> None:
    os.chown(path, 12345, 12345)


def _make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory_in_the_way(path: Path) -> None:
    path.unlink()
    path.mkdir()


# What is done to the partial, and what then comes: it goes on, it goes on and has to be fetched
# again because the hash does not fit, or it is not used.
GOES_ON, AGAIN, NOT_USED = "goes on", "again", "not used"
SPOILED: list[tuple[Callable[[Path], None], str]] = [
    (_truncate, GOES_ON),
    (_behead, NOT_USED),
    (_empty, NOT_USED),
    (_extend, AGAIN),
    (_overextend, NOT_USED),
    (_alter, AGAIN),
    (_zero, AGAIN),
    (_garble_header, NOT_USED),
    (_replace_by_link, NOT_USED),
    (_second_name, NOT_USED),
    (_give_away, NOT_USED),
    (_make_pipe, NOT_USED),
    (_directory_in_the_way, NOT_USED),
]


@pytest.mark.parametrize(("spoil", "end"), SPOILED, ids=[s.__name__[1:] for s, _ in SPOILED])
@SOME
def test_a_spoiled_partial_never_makes_a_wrong_file(
    spoil: Callable[[Path], None],
    end: str,
    pip: str,
    python: str,
    armed: Factory,
    certificates: Certificates,
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), Busy(404)])]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        (partial,) = kept(cache)
        spoil(partial)
        done = Download(environment, lab, certificates, cache=cache)
        assert done.run.returncode == 0, done.run.output
        assert done.file.read_bytes() == lab.wheel("demo")
        assert bool(continuing(done)) == (end is not NOT_USED)
        assert len(done.run.warnings()) == (end is AGAIN), done.run.output
        if end is AGAIN:
            assert done.run.warnings("what an earlier run had kept of it was damaged")
            assert lab.requests("demo", "artifact")[-1].range is None
        left = [path.name for path in kept(cache) if path.suffix == ".partial"]
        stays = spoil in (_directory_in_the_way, _give_away)
        assert left == ([partial.name] if stays else [])
        if spoil is _replace_by_link:
            assert partial.with_name("moved").stat().st_size == SIZE // 2 + HEADER


# What the server says meanwhile

ANSWERS: list[tuple[str, Any]] = [
    ("whole", Whole()),
    ("from-elsewhere", Elsewhere(1000)),
    ("another-total", OtherTotal(7)),
    ("another-validator", OtherETag()),
    ("unlabelled-from-elsewhere", Unlabelled(1000)),
    ("unsatisfiable", Unsatisfiable()),
    ("unsatisfiable-complete", Unsatisfiable(SIZE // 2)),
]


@pytest.mark.parametrize("answer", [a for _, a in ANSWERS], ids=[n for n, _ in ANSWERS])
@SOME
def test_what_is_not_proven_is_dropped_and_pip_gets_the_plain_answer(
    answer: Any,
    pip: str,
    python: str,
    armed: Factory,
    certificates: Certificates,
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    package = Package("demo", SIZE, [Cut(SIZE // 2), Busy(404), answer])
    with Lab([package]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert not continuing(done)
        assert not done.run.warnings()
        asked = lab.requests("demo", "artifact")[2:]
        assert [bool(request.range) for request in asked] == [True, False][: len(asked)]
        assert len(asked) == (1 if isinstance(answer, Whole) else 2)
        assert not kept(cache)


@SOME
def test_less_than_was_asked_for_is_gone_on_from(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    package = Package("demo", SIZE, [Cut(SIZE // 2), Busy(404), Short(100_000)])
    with Lab([package]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 100


@SOME
def test_a_206_that_only_its_length_and_its_validator_prove_is_gone_on_from(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(SIZE // 2), Busy(404), Unlabelled()]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert not done.run.warnings()
        assert len(lab.requests("demo", "artifact")) == 3


@SOME
def test_a_file_that_was_replaced_between_two_runs(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(SIZE // 2), Busy(404), Changed()]
    # A hash that the index lists before and after, and that only the later file has.
    later = hashlib.sha256(Package("demo", SIZE).wheel(1)).hexdigest()
    with Lab([Package("demo", SIZE, faults, hashes=later)]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        assert kept(cache)
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert not continuing(done)
        assert not kept(cache)


@SOME
def test_links_that_are_signed_anew_for_each_run(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Redirect("?signature=1"), Cut(SIZE // 2), Redirect("?signature=2"), Busy(403)]
    faults += [Redirect("?signature=3")]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        (partial,) = kept(cache)
        assert b"signature" not in partial.read_bytes()[:HEADER]
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert continuing(done)
        last = lab.requests("demo", "artifact")[-1]
        assert last.path.endswith("?signature=3")
        assert last.range == f"bytes={SIZE // 2}-"
        assert not kept(cache)


@pytest.mark.parametrize("how", ["chunked", "weak", "date", "none"])
@SOME
def test_other_ways_to_serve_a_file_whose_hash_is_known(
    how: Any, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(SIZE // 2), Busy(404)]
    package = Package("demo", SIZE, faults, chunked=True)
    if how != "chunked":
        package = Package("demo", SIZE, faults, validator=how)
    with Lab([package]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 70_000  # a chunk was cut
        assert not kept(cache)


@SOME
def test_nothing_is_kept_that_no_hash_covers_or_is_small(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(SIZE // 2), Busy(404)]
    small = [Cut(500_000), Busy(404)]
    for package in (
        Package("demo", SIZE, faults, hashes=False),
        Package("demo", SIZE, faults, hashes=False, validator="none"),
        Package("demo", 990_000, small),
        Package("demo", 990_000, small, chunked=True),
    ):
        with Lab([package]) as lab:
            failed = Download(environment, lab, certificates, cache=cache)
            failed.assert_clear_error()
            assert "is kept" not in " ".join(failed.run.output.split())
            assert not kept(cache)


@SOME
def test_a_continued_file_that_never_fits_its_hash_is_an_error_that_tells_of_it(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    package = Package("demo", SIZE, [Cut(SIZE // 2), Busy(404), Flip(5), Flip(6)])
    with Lab([package]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        assert done.run.returncode == 1
        assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.run.output
        assert "(the first 3.0 MB in an earlier run)" in done.run.output
        assert "What an earlier run had kept of the file was removed." in done.run.output
        assert len(lab.requests("demo", "artifact")) == 4
        assert not kept(cache)


# Settings, limits, and directories that cannot be used


def _kept_under(
    environment: Environment,
    certificates: Certificates,
    cache: Path,
    *options: Argument,
    **env: Argument,
) -> Download:
    """Let a download fail half-way, and then another one succeed; return the latter."""
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), Busy(404)])]) as lab:
        Download(environment, lab, certificates, *options, cache=cache, env=env)
        done = Download(environment, lab, certificates, *options, cache=cache, env=env)
        done.assert_right()
        return done


@SOME
def test_what_switches_it_off(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    for options, env in (
        (["--no-cache-dir"], {}),
        ([], {"PIP_RETRY_PATCH_PARTIALS": "off"}),
        ([], {"PIP_RETRY_PATCH_PARTIALS_SIZE": "5 MB"}),
        ([], {"PIP_RETRY_PATCH_PARTIALS_DAYS": "0"}),
        (["--no-cache-dir"], {"PIP_RETRY_PATCH_PARTIALS_DIR": "not/absolute"}),
    ):
        cache = environment.fresh_dir()
        arguments: list[Argument] = [*options]
        variables: dict[str, Argument] = {**env}
        done = _kept_under(environment, certificates, cache, *arguments, **variables)
        assert not continuing(done), (options, env)
        assert not [path for path in kept(cache) if path.suffix == ".partial"]


@SOME
def test_a_directory_of_its_own_for_images_without_a_cache(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache, mount = environment.fresh_dir(), environment.fresh_dir() / "mount"
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), Busy(404)])]) as lab:
        env: dict[str, Argument] = {
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRY_PATCH_PARTIALS_DIR": mount,
        }
        Download(environment, lab, certificates, env=env).assert_clear_error()
        (partial,) = mount.iterdir()
        assert stat.S_IMODE(mount.stat().st_mode) == 0o700
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600
        # Root never uses what belongs to another user, as with pip's own cache.
        os.chown(mount, 12345, 12345)
        with Lab([Package("demo", SIZE, [Cut(SIZE // 2), Busy(404)])]) as other:
            Download(environment, other, certificates, env=env).assert_clear_error()
            assert list(mount.iterdir()) == [partial]
        os.chown(mount, 0, 0)
        done = Download(environment, lab, certificates, env=env)
        done.assert_right()
        assert continuing(done)
        assert not list(mount.iterdir())
        assert not list(cache.iterdir())


@SOME
def test_pips_rule_about_cache_directories_of_others(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    os.chown(cache, 12345, 12345)
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), Busy(404)])]) as lab:
        done = Download(environment, lab, certificates, cache=cache)
        assert "owned" in done.run.output and "The cache has been disabled" in done.run.output
        assert not list(cache.iterdir())


@SOME
def test_the_store_is_bounded_and_purged_with_pips_cache(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    store = cache / "retry-patch"
    store.mkdir()
    day = 24 * 3600
    known = Representation(Validators(), None)
    for name, size, days in (("01d", 10, 8), ("a", 3_000_000, 3), ("b", 3_000_000, 2)):
        path = store / f"{name:0>32}-x.partial"
        header = Header(f"{name:0>32}", "demo", known).to_bytes()
        path.write_bytes(header.ljust(size, b"x"))
        os.utime(path, (time.time() - days * day,) * 2)
    foreign = [store / "notes", store / "report.partial"]
    for path in foreign:
        path.write_text("not ours")
        os.utime(path, (time.time() - 8 * day,) * 2)
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_PARTIALS_SIZE": "10 MB"}
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), Busy(404)])]) as lab:
        Download(environment, lab, certificates, cache=cache, env=env).assert_clear_error()
    names = [path.name for path in kept(cache)]
    assert {f"{'b':0>32}-x.partial", "notes", "report.partial"} <= set(names) and len(names) == 4
    purged = environment.run("cache", "purge", "--cache-dir", cache)
    # (To pip 20.3, to have nothing else to purge is an error.)
    assert purged.returncode == (pip == "20.3.4"), purged.output
    assert "Partial downloads removed: 2 (6.0 MB)" in purged.output
    assert sorted(kept(cache)) == foreign
    again = environment.run("cache", "purge", "--cache-dir", cache)
    assert "Partial downloads" not in again.output


@contextlib.contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    """A file system of its own, in memory."""
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@SOME
def test_a_disk_that_is_full_or_fills_up_stops_no_download(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    with mounted(environment.fresh_dir() / "disk", "size=30m") as disk:
        with Lab([Package("demo", SIZE)], rate=RATE) as lab:
            process = start(environment, lab, certificates.ca_pem, disk / "cache")
            wait_for_bytes(process, lab, 2_000_000)
            (partial,) = (disk / "cache" / "retry-patch").iterdir()
            with contextlib.suppress(OSError), (disk / "ballast").open("wb", 0) as ballast:
                while True:
                    ballast.write(bytes(4096))
            outcome = environments.finish(process, 60)
            assert outcome.returncode == 0 and not outcome.stderr, outcome.output
            assert not partial.exists()
        # Full from the start: it is not even begun.
        with Lab([Package("demo", SIZE, [Cut(SIZE // 2), Busy(404)])]) as lab:
            cache = disk / "cache"
            Download(environment, lab, certificates, cache=cache).assert_clear_error()
            assert not kept(cache)


@SOME
def test_directories_that_cannot_be_used_stop_no_download(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)

    def is_not_kept(cache: Path) -> None:
        done = _kept_under(environment, certificates, cache)
        assert not continuing(done)
        assert not done.run.stderr

    cache = environment.fresh_dir()
    (cache / "retry-patch").write_text("a file in the way")
    is_not_kept(cache)

    cache, elsewhere = environment.fresh_dir(), environment.fresh_dir()
    (cache / "retry-patch").symlink_to(elsewhere)
    is_not_kept(cache)
    assert not list(elsewhere.iterdir())

    with mounted(environment.fresh_dir() / "disk", "size=30m,ro") as disk:
        is_not_kept(disk)


@SOME
def test_a_directory_that_vanishes_stops_no_download(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    with Lab([Package("demo", SIZE)], rate=RATE) as lab:
        process = start(environment, lab, certificates.ca_pem, cache)
        wait_for_bytes(process, lab, 2_000_000)
        shutil.rmtree(cache / "retry-patch")
        outcome = environments.finish(process, 60)
        assert outcome.returncode == 0 and not outcome.stderr, outcome.output


@SOME
def test_quiet_hides_the_line(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    done = _kept_under(environment, certificates, environment.fresh_dir(), "-q")
    assert done.run.output == ""
