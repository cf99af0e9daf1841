"""What else is healed than one file of an index: metadata, ranges of pip's own, sdists, batches.

And what pip has of it afterwards: its cache, its errors, its installations.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import programs
from tests.support.certificates import certificates
from tests.support.downloads import HASH, OK, SIZE, THIRD, Download, command, downloaded, end_of
from tests.support.environments import Environment, copy_of
from tests.support.lab.faults import Away, Compressed, Cut, Flip, Replaced, Reset, Slow, replaced
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, each_pair, old_middle_new, pairs
from tests.support.proxies import CuttingConnectProxy

TRUSTED = "--trusted-host", "127.0.0.1"


def spoil(cache: Path, original: bytes) -> int:
    """Alter what pip's HTTP cache holds of a file; return how many entries held it."""
    middle, spoilt = original[THIRD : THIRD + 64], 0
    for path in cache.rglob("*"):
        held = path.read_bytes() if path.is_file() else b""
        if middle in held:
            path.write_bytes(held.replace(middle, bytes(64)))
            spoilt += 1
    return spoilt


@old_middle_new
def test_a_cache_entry_that_is_spoilt_is_removed_and_the_file_fetched(
    armed: Environment, bare: Environment
) -> None:
    cache, told = armed.fresh_dir(), "from pip's cache, complete). Fetched anew, its hash fits."
    package = Package("demo", SIZE, max_age=3600)
    with Lab([package], tls=certificates().server) as lab:
        Download(armed, lab, cache=cache).assert_right()
        assert spoil(cache, lab.wheel("demo")) == 1
        assert end_of(Download(bare, lab, cache=cache).run) == HASH
        for lines in (1, 0):
            done = Download(armed, lab, cache=cache).assert_right()
            assert "Using cached" in done.run.stdout
            assert len(done.run.warnings(told)) == lines
            assert len(lab.requests("demo", "artifact")) == 2


@pytest.mark.parametrize("validator", ["strong", "date", "weak", "none"])
@old_middle_new
def test_a_file_replaced_under_the_same_validator_is_never_mixed_nor_cached(
    validator: Any, pip: str, armed: Environment, bare: Environment
) -> None:
    """Of the same size, too, and with no hash that anyone will check."""
    how: Any = {"hashes": False, "validator": validator}
    package = Package("demo", SIZE, [Cut(THIRD)], forever=Replaced(), **how)
    cache, later = armed.fresh_dir(), replaced(package.wheel())
    with Lab([package], tls=certificates().server) as lab:
        done, again = (Download(armed, lab, cache=cache) for _ in range(2))
    assert done.run.returncode == 0, done.run.output
    assert done.file.read_bytes() == later
    assert not again.file.exists() or again.file.read_bytes() in (package.wheel(), later)
    plain = downloaded(bare, package)
    right = plain.file.exists() and plain.file.read_bytes() == later
    assert not right or (pip, validator) == (NEWEST, "weak")


@pairs(("22.3.1", "3.10"), ("24.0", "3.12"), ("25.3", "3.9"), (NEWEST, "3.13"))
def test_the_ranges_of_a_lazy_wheel_are_healed(armed: Environment) -> None:
    """With fast-deps pip reads a wheel's metadata by requests that are ranges themselves."""
    with Lab([Package("demo", SIZE, [Cut(100), Reset(200)])]) as lab:
        done = Download(armed, lab, "--use-feature=fast-deps").assert_right()
        assert len(done.warnings) in (1, 2)  # the reset may come before all that was sent
        first, second, third = lab.requests("demo", "artifact")[1:4]
        assert first.range is not None and second.range is not None and third.range is not None
        start = int(first.range[len("bytes=") :].partition("-")[0])
        # No hash covers them, so what was handed on is compared.
        assert second.range == third.range and second.range.startswith(f"bytes={start}-")
        assert "if-range" not in first.headers and "if-range" in second.headers


# What strikes the metadata, and how many lines tell of it.
METADATA: dict[str, tuple[Any, int]] = {
    "cut": ([Cut(10), Reset(3)], 2),
    "damaged": ([Flip(9)], 1),
    "compressed": ([Compressed()] * 4, 1),
}


@pytest.mark.parametrize("what", METADATA)
@pairs(("23.0.1", "3.11"), ("24.0", "3.12"), ("25.3", "3.9"), ("26.1.2", "3.12"), (NEWEST, "3.13"))
def test_metadata_is_healed(what: str, pip: str, armed: Environment, bare: Environment) -> None:
    faults, lines = METADATA[what]
    package = Package("demo", metadata=True, metadata_faults=faults)
    done = downloaded(armed, package).assert_right()
    told = {*done.warnings, *done.run.warnings("fits."), *done.run.warnings("compressed")}
    if not done.lab.requests("demo", "metadata"):
        assert pip == "23.0.1" and not told, "it asks for none"
        return
    assert len(told) == lines, done.run.output
    plain = end_of(downloaded(bare, package).run)
    assert plain != OK or (what == "cut" and pip == NEWEST)


@each_pair
def test_an_install_goes_through(armed: Environment) -> None:
    target = armed.fresh_dir()
    packages = [
        Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)], requires=["other"]),
        Package("other", SIZE, [Cut(THIRD)], page_faults=[Cut(20)]),
    ]
    with Lab(packages) as lab:
        options = "--target", target, "--index-url", lab.index_url, *TRUSTED
        run = armed.run("install", *options, "demo").assert_success()
        assert len(run.interruptions) == 4, run.output
        for name in ("demo", "other"):
            assert (target / name / "payload.bin").stat().st_size == SIZE
            assert lab.sent(name) <= 1.05 * len(lab.wheel(name))


@old_middle_new
def test_a_batch_of_files_is_healed_file_by_file(armed: Environment) -> None:
    """With fast-deps pip reads two ranges of each, and downloads what it chose all at once."""
    packages = [
        Package("demo", SIZE, [None, None, Flip(THIRD)], requires=["other"]),
        Package("other", SIZE, [None, None, Flip(7)]),
    ]
    with Lab(packages) as lab:
        target = armed.fresh_dir()
        options = "--target", target, "--index-url", lab.index_url, *TRUSTED
        run = armed.run("install", *options, "--use-feature=fast-deps", "demo").assert_success()
        for name in ("demo", "other"):
            assert (target / name / "payload.bin").stat().st_size == SIZE
            # pip 21.3 to 23.0 ask for each file twice, and check it when it comes from the cache.
            (line,) = run.warnings(f"{name}-1.0 ")
            assert line.endswith("fits.")


@old_middle_new
def test_pages_that_are_cut_in_several_threads_do_not_mix(armed: Environment) -> None:
    """pip up to 21.0 asks for the pages of `pip list --outdated` in threads of one session."""
    names = ["pip", "wrapt", "pip-retry-patch"]
    packages = [Package(name, page_faults=[Cut(30), Reset(40)], validator="none") for name in names]
    with Lab(packages) as lab:
        run = armed.run("list", "--outdated", "--index-url", lab.index_url).assert_success()
        assert len(run.interruptions) == 3
        for name in names:
            assert len(lab.requests(name, "page")) == 3
            assert len([line for line in run.interruptions if f"/simple/{name}/" in line]) == 1


@pytest.mark.parametrize("right", [True, False])
@old_middle_new
def test_hashes_of_a_requirements_file_are_treated_the_same(
    right: bool, armed: Environment, bare: Environment
) -> None:
    with Lab([Package("demo", SIZE, [Flip(THIRD), None, Flip(7)], hashes=False)]) as lab:
        listed = lab.sha256("demo") if right else "f" * 64
        requirements, target = armed.fresh_dir() / "requirements.txt", armed.fresh_dir()
        requirements.write_text(f"demo==1.0 --hash=sha256:{listed}\n")
        command = "install", "--no-deps", "--require-hashes", "--target", target, "--no-cache-dir"
        index = "--index-url", lab.index_url
        run = armed.run(*command, *index, "-r", requirements)
        assert len(lab.requests("demo", "artifact")) == 2, run.output
        assert end_of(run) == (OK if right else HASH), run.output
        assert bool(run.warnings("Fetched anew, its hash fits.")) == right
        assert ("looked into it" in run.output) != right
        assert (target / "demo" / "payload.bin").exists() == right
        assert end_of(bare.run(*command, *index, "-r", requirements)) == HASH


@pytest.mark.parametrize("command", ["download", "wheel", "install"])
@old_middle_new
def test_sdists_are_healed_as_wheels_are(command: str, armed: Environment) -> None:
    target = armed.fresh_dir()
    where = {"download": "--dest", "wheel": "--wheel-dir", "install": "--target"}[command]
    with Lab([Package("demo", SIZE, [Cut(THIRD), Reset(THIRD), Flip(7)], sdist=True)]) as lab:
        words = command, "--no-deps", where, target, "--index-url", lab.index_url, "demo"
        run = armed.run(*words, timeout=200).assert_success()
        assert len(run.interruptions) == 2
        assert list(target.glob("demo*"))
        whole = [r for r in lab.requests("demo", "artifact") if r.range is None]
        damaged = run.warnings("Fetched anew, its hash fits.")
        assert (len(whole), len(damaged)) == (2, 1), run.output


@old_middle_new
def test_an_sdist_whose_gz_was_labelled_as_a_coding_is_right_as_it_is(either: Environment) -> None:
    package = Package("demo", SIZE, sdist=True, forever=Compressed(honest=False))
    done = downloaded(either, package, "--no-build-isolation")
    assert done.is_right and not done.run.warnings("compressed"), done.run.output


@old_middle_new
def test_ctrl_c_ends_a_wait_at_once(armed: Environment) -> None:
    with Lab([Package("demo", SIZE, [Away(THIRD)])]) as lab:
        words = *command(lab, armed.fresh_dir()), "demo"
        process = armed.start("-m", "pip", *words, env={"PYTHONUNBUFFERED": "1"})
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "demo-1.0 waits at 1000 kB of 3.0 MB (connection refused), trying for 120 s" in line
        # Most of the later waits are long ones; where in one this strikes does not matter.
        time.sleep(3)
        os.kill(process.pid, signal.SIGINT)
        outcome = programs.finish(process, timeout=20)
    assert outcome.seconds < 5, "its cleaning up takes a moment, and no wait is shorter"
    assert outcome.returncode == 1 and "Operation cancelled by user" in outcome.output
    assert "Traceback" not in outcome.output


# Connections. The numbers of the policy are turned down. The times of the lab are far apart from
# them, so that a slow machine changes nothing.

TURNED_DOWN = "FLOOR, MOVED, SLOW = 100, 2.0, 8.0"  # the second is 60 seconds


@old_middle_new
def test_a_connection_that_has_stopped_moving_is_left_for_another(
    armed: Environment, bare: Environment, pip: str
) -> None:
    """From megabytes a second to fifty bytes: at that rate the rest would take hours."""
    hasty = copy_of(armed)
    module = hasty.site_packages / "pip_retry_patch" / "fetch" / "patience.py"
    text, count = re.subn("^FLOOR, .*$", TURNED_DOWN, module.read_text(), flags=re.M)
    module.write_text(text)
    faults, tls = [Slow(THIRD, 50, 3600)], certificates().server
    done = downloaded(hasty, Package("demo", SIZE, faults), tls=tls, rate=2 * THIRD).assert_right()
    assert count == len(done.warnings) == 1 and "B/s)" in done.warnings[0]
    assert done.lab.sent("demo") <= len(done.lab.wheel("demo")) + 10_000
    if pip == NEWEST:
        plain = downloaded(bare, Package("demo", SIZE, [Slow(THIRD, 50, 12.0)]), rate=2 * THIRD)
        assert plain.run.seconds > 12, "plain pip waits"


@pytest.mark.timeout(400)
@pairs(("24.0", "3.12"), (NEWEST, "3.11"))
def test_a_real_wheel_arrives_through_a_proxy_that_cuts_every_tunnel(
    pip: str, armed: Environment, bare: Environment
) -> None:
    """From the configured default index: 18 MB, cut each 4 MB; one also forgets who may use it."""
    target, after = armed.fresh_dir(), 4_000_000
    options = "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--dest", target
    for environment in (bare, armed) if pip == "24.0" else (armed,):
        with CuttingConnectProxy(after, refuses=pip == NEWEST) as proxy:
            words = *options, "--proxy", proxy.url, "numpy==1.26.4"
            run = environment.run("download", *words, machine=True, timeout=300)
        assert end_of(run) == (OK if environment.armed else HASH), run.output
    (file,) = target.iterdir()
    cuts = sum(proxy.struck.values())
    assert cuts == run.times_interrupted == file.stat().st_size // after, run.output
    # The tunnels that carried the file had by far the most bytes.
    assert max(proxy.downstream.values()) <= 1.05 * file.stat().st_size
