"""Downloads that continue in the next run, with real pips that are killed, interrupted, or fail."""

from __future__ import annotations

import random
import signal
import time

import pyte
import pytest

from tests.support import programs, runs, screens
from tests.support.certificates import certificates
from tests.support.downloads import Download
from tests.support.environments import Environment
from tests.support.lab.faults import Away, Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import newest, old_middle_new
from tests.support.partials import (
    CLOSED_LATE,
    KILL,
    RATE,
    SIZE,
    continuing,
    folders,
    interrupted,
    kept,
    plain_then_rest,
    start,
    stop,
    stored,
    until,
    wait_for_bytes,
)
from tests.support.programs import Argument

LARGE = 9_000_000


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
@old_middle_new
def test_a_killed_download_goes_on_in_the_next_run(pip: str, tls: bool, armed: Environment) -> None:
    cache = armed.fresh_dir()
    package = Package("demo", LARGE, max_age=3600)
    with Lab([package], rate=RATE, tls=certificates().server if tls else None) as lab:
        first, second = (
            interrupted(armed, lab, cache, LARGE // 3).stat().st_size for _ in range(2)
        )
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        (line,) = continuing(done)
        assert " of 9.0 MB" in line
        assert not done.run.warnings()
        assert not stored(cache)
        plain_then_rest(lab.requests("demo", "artifact")[:1])
        plain_then_rest(lab.requests("demo", "artifact")[1:3], first)
        plain_then_rest(lab.requests("demo", "artifact")[3:], second)
        wire = lab.sent("demo") / len(lab.wheel("demo"))
        runs.note_figure(f"2 kills, pip {pip}, {'tls' if tls else 'http'}: {wire:.3f} on the wire")
        assert wire <= 1 + 2 * 0.05  # on a quiet machine, 0.03 for each
        if tls or pip != "20.3.4":
            # pip's own cache has the whole file.
            again = Download(armed, lab, cache=cache)
            again.assert_right()
            assert "Using cached" in again.run.stdout
            assert len(lab.requests("demo", "artifact")) == 5


@newest
def test_many_kills_at_random_moments_of_a_run_of_files(pip: str, armed: Environment) -> None:
    """A clean-up that is killed, a file that is whole but not cached yet: all of it is met here.

    The link is slow, as links are on which this happens: what is sent while pip reads back what was
    kept is lost when a kill strikes then.
    """
    cache, target = armed.fresh_dir(), armed.fresh_dir()
    names = [f"package-{n}" for n in range(12)]
    chance = random.Random(20)
    kills = 0
    packages = [Package(name, 5_000_000, max_age=3600) for name in names]
    with Lab(packages, rate=4_000_000, tls=certificates().server) as lab:
        options: list[Argument] = ["download", "--no-deps", "--dest", target, "--cache-dir", cache]
        options += ["--cert", certificates().ca_pem, "--index-url", lab.index_url, *names]
        total = sum(len(lab.wheel(name)) for name in names)

        def sent() -> int:
            return sum(map(lab.sent, names))

        while kills < 26:
            process = armed.start("-m", "pip", *options)
            goal = min(sent() + chance.randrange(3_400_000), total)
            while sent() < goal and process.poll() is None:
                time.sleep(0.002)
            if sent() >= total:
                time.sleep(chance.uniform(0.0, 0.3))
            kills += process.poll() is None
            programs.kill(process)
            process.communicate()
        outcome = armed.run(*options)
        assert outcome.returncode == 0, outcome.output
        for name in names:
            assert (target / lab.filename(name)).read_bytes() == lab.wheel(name)
        wire = sent() / total
        runs.note_figure(f"{kills} kills, pip {pip}: {wire:.3f} x the size on the wire")
        assert sent() <= total + kills * KILL
        # A kill may leave a lock whose folder is gone. It goes when it is a minute old.
        assert not folders(cache)


@old_middle_new
def test_ctrl_c_in_a_terminal_and_sigterm_lose_nothing(pip: str, armed: Environment) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE)], rate=RATE) as lab:
        sent: list[int] = []

        def interrupt(_: pyte.Screen) -> bytes:
            if sent or lab.sent("demo") < 2_000_000:
                return b""
            sent.append(lab.sent("demo"))
            return b"\x03"

        # The bar of older pips has a handler for Ctrl-C that may fail in the middle of a line.
        bar = ["--progress-bar", "off"] if pip == "20.3.4" else []
        shown = screens.shown(
            armed,
            *("download", "--no-deps", "--dest", armed.fresh_dir(), "--cache-dir", cache),
            *("--index-url", lab.index_url, "demo", *bar),
            during=interrupt,
        )
        assert shown.returncode == 1, shown.lines
        assert kept(cache)[0].stat().st_size >= sent[0] - KILL
        process = start(armed, lab, cache)
        wait_for_bytes(process, lab, 2_000_000)
        stop(process, signal.SIGTERM)
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 2 * KILL


@old_middle_new
def test_after_an_error_the_next_run_goes_on(armed: Environment) -> None:
    cache = armed.fresh_dir()
    faults = [Cut(2_000_000), *[Busy(404)] * 2, None]
    with Lab([Package("demo", SIZE, faults)], rate=RATE) as lab:
        failed = Download(armed, lab, cache=cache)
        failed.assert_clear_error()
        words = " ".join(failed.run.output.split())
        assert "What arrived is kept, and the next run continues from there." in words
        (file,) = kept(cache)
        assert file.read_bytes() == lab.wheel("demo")[:2_000_000]
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        (line,) = continuing(done)
        assert line.startswith("Continuing demo-1.0 from 2.0 of 6.0 MB")
        plain_then_rest(lab.requests("demo", "artifact")[3:], 2_000_000)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + CLOSED_LATE
        assert not stored(cache)


@old_middle_new
def test_a_whole_file_of_a_run_that_was_killed_before_its_check_is_not_fetched_again(
    armed: Environment,
) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE, max_age=3600)], rate=RATE, tls=certificates().server) as lab:
        file = interrupted(armed, lab, cache)
        file.write_bytes(lab.wheel("demo"))
        sent = lab.sent("demo")
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert not done.run.warnings()
        assert lab.sent("demo") <= sent + CLOSED_LATE
        plain_then_rest(lab.requests("demo", "artifact")[1:])
        assert not stored(cache)
        # pip's own cache has it, as after any download.
        Download(armed, lab, cache=cache).assert_right()
        assert len(lab.requests("demo", "artifact")) == 2


@old_middle_new
def test_a_continued_download_is_interrupted_and_heals(armed: Environment) -> None:
    cache = armed.fresh_dir()
    faults = [
        Cut(2_000_000),
        *[Busy(404)] * 2,
        None,
        Busy(503),
        Cut(1_000_000),
        Away(1.0, after=1_000_000),
    ]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(armed, lab, cache=cache)
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert len(continuing(done)) == 1
        at_three, at_four = done.warnings
        assert " at 3.0 of 6.0 MB" in at_three and " at 4.0 of 6.0 MB" in at_four
        ranges = [request.range for request in lab.requests("demo", "artifact")]
        assert ranges == [None, "bytes=2000000-", None, None, *["bytes=2000000-"] * 2, *RESUMED]
        assert not stored(cache)


RESUMED = ["bytes=3000000-", "bytes=4000000-"]


@old_middle_new
def test_two_at_once_keep_their_own_and_the_longest_is_continued(armed: Environment) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE)], rate=1_500_000) as lab:
        first = start(armed, lab, cache)
        wait_for_bytes(first, lab, 1_500_000)
        second = start(armed, lab, cache)
        both = first, second
        until(lambda: len(lab.requests("demo", "artifact")) == 2, *both)
        assert lab.requests("demo", "artifact")[1].range is None
        until(lambda: lab.requests("demo", "artifact")[1].sent >= 500_000, *both)
        for process in both:
            stop(process)
        sizes = sorted(path.stat().st_size for path in kept(cache))
        assert len(sizes) == 2
        lab.rate = RATE
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        plain_then_rest(lab.requests("demo", "artifact")[2:], sizes[1])
        assert not stored(cache)

        pair = [start(armed, lab, cache) for _ in range(2)]
        outcomes = [programs.finish(process, 60) for process in pair]
        assert [outcome.returncode for outcome in outcomes] == [0, 0]
        assert not stored(cache)
