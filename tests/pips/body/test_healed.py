"""What else is healed than one file of an index: metadata, ranges of pip's own, sdists, batches.

And what pip has of it afterwards: its cache, its errors, its installations.
"""

from __future__ import annotations

import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import HASH, OK, SIZE, THIRD, Download, end_of, said, stopped_at
from tests.support.environments import Environment
from tests.support.lab.faults import Changed, Compressed, Cut, Flip, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, each_pair, old_middle_new, pairs
from tests.support.programs import Argument

TRUSTED = "--trusted-host", "127.0.0.1"


@old_middle_new
def test_fifty_cuts_with_progress_are_no_reason_to_stop(
    armed: Environment, bare: Environment
) -> None:
    with Lab([Package("demo", 5_000_000, [Cut(70_000)] * 50)]) as lab:
        done = Download(armed, lab, env={"PIP_RETRY_PATCH_ATTEMPTS": "1"})
        done.assert_right()
        assert len(done.warnings) <= 11 and len(done.run.warnings()) <= 12, done.run.output
        assert "demo-1.0: cut 50 times, nothing refetched" in done.run.warnings()[-1]
        assert len(done.run.warnings("refetched")) == 1
        assert max(map(len, done.run.warnings())) <= 79
        assert lab.sent("demo") == len(lab.wheel("demo"))
    with Lab([Package("demo", 5_000_000, [Cut(70_000)] * 50)]) as lab:
        assert end_of(Download(bare, lab, env={"PIP_RESUME_RETRIES": "1"}).run) != OK


# pip's cache


@pytest.mark.parametrize(("faults", "asked"), [([Cut(THIRD), Reset(THIRD)], 3), ([Flip(7)], 2)])
@old_middle_new
def test_a_healed_download_is_in_the_cache_of_pip(
    faults: Any, asked: int, armed: Environment
) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE, faults, max_age=3600)], tls=certificates().server) as lab:
        for _ in range(2):
            done = Download(armed, lab, cache=cache)
            done.assert_right()
            assert len(lab.requests("demo", "artifact")) == asked
        assert "Using cached" in done.run.stdout


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
def test_a_cache_entry_that_is_spoilt_or_stale_is_removed_and_the_file_fetched(
    armed: Environment, bare: Environment
) -> None:
    cache, told = armed.fresh_dir(), "in pip's cache was not what the index lists"
    packages = [
        Package("demo", SIZE, [None, None, Changed()], max_age=3600),
        Package("other", 5000, max_age=3600),
    ]
    with Lab(packages, tls=certificates().server) as lab:

        def get(pip: Environment = armed, name: str = "demo") -> Download:
            return Download(pip, lab, cache=cache, name=name)

        for name in ("demo", "other"):
            get(name=name).assert_right()
        assert spoil(cache, lab.wheel("demo")) == 1
        assert end_of(get(bare).run) == HASH
        for lines in (1, 0):
            done = get()
            done.assert_right()
            assert "Using cached" in done.run.stdout
            assert len(done.run.warnings(told)) == lines
            assert len(lab.requests("demo", "artifact")) == 2
        assert "Using cached" in get(name="other").run.stdout, "only the spoilt entry was removed"
        # The index replaces the file.
        trust = ssl.create_default_context(cafile=str(certificates().ca_pem))
        url = f"{lab.url}/files/demo/{lab.filename('demo')}"
        with urllib.request.urlopen(url, context=trust, timeout=10) as replaced:
            assert replaced.read() == lab.wheel("demo") == packages[0].wheel(1)
        stale = get()
        stale.assert_right()
        assert stale.run.warnings(told)


# Ranges and metadata


@pairs(("22.3.1", "3.10"), ("24.0", "3.12"), ("25.3", "3.9"), (NEWEST, "3.13"))
def test_the_ranges_of_a_lazy_wheel_are_healed(armed: Environment) -> None:
    """With fast-deps pip reads a wheel's metadata by requests that are ranges themselves."""
    with Lab([Package("demo", SIZE, [Cut(100), Reset(200)])]) as lab:
        done = Download(armed, lab, "--use-feature=fast-deps")
        done.assert_right()
        assert len(done.warnings) in (1, 2)  # the reset may come before all that was sent
        first, second, third = lab.requests("demo", "artifact")[1:4]
        assert first.range is not None and second.range is not None and third.range is not None
        start = int(first.range[len("bytes=") :].partition("-")[0])
        # No hash covers them, so what was handed on is compared.
        assert second.range == third.range and second.range.startswith(f"bytes={start}-")
        assert first.headers.get("if-range") is None and second.if_range is not None


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
    with Lab([Package("demo", metadata=True, metadata_faults=faults)]) as lab:
        done = Download(armed, lab)
        done.assert_right()
        told = {*done.warnings, *done.run.warnings("fits."), *done.run.warnings("compressed")}
        if not lab.requests("demo", "metadata"):
            assert pip == "23.0.1" and not told, "it asks for none"
            return
        assert len(told) == lines, done.run.output
    with Lab([Package("demo", metadata=True, metadata_faults=faults)]) as lab:
        plain = end_of(Download(bare, lab).run)
        assert plain != OK or (what == "cut" and pip == NEWEST)


# Other commands


@each_pair
def test_an_install_goes_through(armed: Environment) -> None:
    target = armed.fresh_dir()
    packages = [
        Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)], requires=["other"]),
        Package("other", SIZE, [Cut(THIRD)], page_faults=[Cut(20)]),
    ]
    with Lab(packages) as lab:
        options = "--target", target, "--index-url", lab.index_url, *TRUSTED
        run = armed.run("install", *options, "demo")
        assert run.returncode == 0, run.output
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
        run = armed.run("install", *options, "--use-feature=fast-deps", "demo")
        assert run.returncode == 0, run.output
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
        run = armed.run("list", "--outdated", "--index-url", lab.index_url)
        assert run.returncode == 0, run.output
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
        assert bool(run.warnings("damaged on its way")) == right
        assert ("looked into it" in run.output) != right
        assert (target / "demo" / "payload.bin").exists() == right
        assert end_of(bare.run(*command, *index, "-r", requirements)) == HASH


@pytest.mark.parametrize("command", ["download", "wheel", "install"])
@old_middle_new
def test_sdists_are_healed_as_wheels_are(command: str, armed: Environment) -> None:
    target = armed.fresh_dir()
    where = {"download": "--dest", "wheel": "--wheel-dir", "install": "--target"}[command]
    with Lab([Package("demo", SIZE, [Cut(THIRD), Reset(THIRD), Flip(7)], sdist=True)]) as lab:
        index = "--index-url", lab.index_url
        run = armed.run(command, "--no-deps", where, target, *index, "demo", timeout=200)
        assert run.returncode == 0, run.output
        assert len(run.interruptions) == 2
        assert list(target.glob("demo*"))
        whole = [r for r in lab.requests("demo", "artifact") if r.range is None]
        damaged = run.warnings("damaged on its way")
        assert (len(whole), len(damaged)) == (2, 1), run.output


@old_middle_new
def test_an_sdist_whose_own_gz_was_labelled_as_a_coding_is_right_as_it_is(
    armed: Environment, bare: Environment
) -> None:
    package = Package("demo", SIZE, sdist=True, forever=Compressed(honest=False))
    with Lab([package]) as lab:
        for environment in (armed, bare):
            done = Download(environment, lab, "--no-build-isolation")
            assert done.is_right and not done.run.warnings("compressed"), done.run.output


@pytest.mark.parametrize("hashes", [True, "0" * 64], ids=["network", "hash"])
@old_middle_new
def test_errors_survive_a_terminal_that_is_not_utf_8_and_name_no_credentials(
    hashes: Any, armed: Environment
) -> None:
    faults = stopped_at(THIRD) if hashes is True else ()
    env: dict[str, Argument] = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "NO_COLOR": "1"}
    with Lab([Package("demo", SIZE, faults, hashes=hashes)]) as lab:
        secret = lab.index_url.replace("http://", "http://user:S3CRET@")
        run = Download(armed, lab, "--no-input", "--index-url", secret, env=env).run
        assert run.returncode == 1
        assert "Traceback" not in run.output and "S3CRET" not in run.output
        assert ("the server answered 404" if faults else "DO NOT MATCH") in said(run)
