"""The request ring and the file ring, with real pips: pages, hosts, links, hashes, caches."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import urllib.request
from pathlib import Path
from typing import Any, Iterator

import pytest

from pip_retry_patch.lab.faults import (
    Away,
    Busy,
    Changed,
    Cut,
    Drop,
    Flip,
    Overstate,
    Redirect,
    Reset,
    Stall,
)
from pip_retry_patch.lab.packages import Package
from pip_retry_patch.lab.server import Lab
from tests.conftest import Certificates, Factory
from tests.environments import NEWEST, Argument, each_pair, pairs
from tests.test_faults import ONE_PYTHON_EACH, SIZE, THIRD, Download

# The oldest, a middle and the newest of each generation.
GENERATIONS = pairs(*ONE_PYTHON_EACH)
HASTY: dict[str, Argument] = {"PIP_RETRY_PATCH_ATTEMPTS": "2", "PIP_RETRY_PATCH_PATIENCE": "2"}


# Pages


@each_pair
def test_a_page_that_stays_cut_is_an_error_and_never_no_matching_distribution(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package("demo", page_faults=[Cut(50)] * 20, validator="weak", ranges=False)
    with Lab([package]) as lab:
        done = Download(armed(pip, python), lab, certificates, env=HASTY)
        assert done.run.returncode == 1
        output = " ".join(done.run.output.split())
        assert f"the page {lab.index_url}demo/ stopped at" in output.replace("Downloading ", "")
        assert "No matching distribution" not in output
        assert "Traceback" not in output
        assert not done.file.exists()


@each_pair
def test_of_two_indexes_the_one_that_is_cut_is_not_passed_over(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    """To go on with the other one alone would choose from half of the candidates."""
    environment = armed(pip, python)
    private = Package("demo", page_faults=[Cut(50)] * 20)
    public = Package("demo", 3000)
    with Lab([private]) as first, Lab([public]) as second:
        target = environment.fresh_dir()
        run = environment.run(
            "download",
            *("--no-deps", "--dest", target, "--trusted-host", "127.0.0.1"),
            *("--index-url", second.index_url, "--extra-index-url", first.index_url, "demo"),
            env=HASTY,
        )
        assert run.returncode == 1
        assert "stopped at" in run.output and "Traceback" not in run.output
        assert not list(target.iterdir())
        assert not second.requests("demo", "artifact")


@pytest.mark.parametrize("page_format", ["html", "json"])
@GENERATIONS
def test_a_compressed_page_that_differs_each_time_is_asked_for_again_whole(
    page_format: str, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package(
        "demo",
        gzip=True,
        gzip_varies=True,
        page_format=page_format,  # type: ignore[arg-type]
        page_faults=[Cut(50), Reset(60), None],
    )
    with Lab([package]) as lab:
        done = Download(armed(pip, python), lab, certificates)
        done.assert_right()
        assert "Asking for all of it again" in done.run.output


@GENERATIONS
def test_a_page_without_length_or_validator_that_is_cut_or_stalls_is_healed(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package(
        "demo", chunked=True, validator="none", page_faults=[Cut(50), Reset(60), Stall(70)]
    )
    with Lab([package]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--timeout", "1")
        done.assert_right()
        assert len(lab.requests("demo", "page")) == 4


@GENERATIONS
def test_pages_that_are_cut_in_several_threads_do_not_mix(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    """pip up to 21.0 asks for the pages of `pip list --outdated` in threads of one session."""
    names = ["pip", "wrapt", "pip-retry-patch"]
    packages = [Package(name, page_faults=[Cut(30), Reset(40)], validator="none") for name in names]
    with Lab(packages) as lab:
        run = armed(pip, python).run("list", "--outdated", "--index-url", lab.index_url)
        assert run.returncode == 0, run.output
        assert len(run.warnings("was interrupted at")) == 6
        for name in names:
            assert len(lab.requests(name, "page")) == 3
            assert len(run.warnings(f"/simple/{name}/")) == 2


# Hosts that go away


@GENERATIONS
def test_a_host_that_answered_is_waited_for_at_the_start_of_a_request(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    """The page is had, then the wifi restarts: the file is asked for of nobody, for a while."""
    package = Package("demo", SIZE, [(Drop(), Away(3.0))])
    with Lab([package]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--retries", "1")
        done.assert_right()
        (line,) = done.run.warnings("answered before, but cannot be reached now")
        assert "connection refused" in line and "demo-1.0-py3-none-any.whl" in line


@GENERATIONS
def test_a_host_that_stays_away_is_named(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package("demo", SIZE, [(Drop(), Away(60.0))])
    with Lab([package]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--retries", "1", env=HASTY)
        output = " ".join(done.run.output.split())
        assert done.run.returncode == 1
        assert f"127.0.0.1:{lab.url.rpartition(':')[2]} cannot be reached any more" in output
        assert "Traceback" not in output


def away_then(*faults: Any) -> Package:
    """A page whose host answers, is away for a second, and then is back with these faults."""
    return Package("demo", page_faults=[Redirect("?again=1"), (Drop(), Away(1.0)), *faults])


@GENERATIONS
def test_a_host_that_is_back_but_busy_is_asked_again_with_patience(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    """It has but one of pip's own retries, and that was used up while the host was away."""
    with Lab([away_then(Busy(503, retry_after=2), Busy(504))]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--retries", "1")
        done.assert_right()
        (line,) = done.run.warnings("answered before, but cannot be reached now")
        assert "connection refused" in line and f"the page {lab.index_url}demo/" in line
        pages = lab.requests("demo", "page")
        assert [page.status for page in pages] == [302, 0, 503, 504, 200]
        assert pages[3].time - pages[2].time >= 2


@GENERATIONS
def test_a_host_that_is_back_but_breaks_the_connection_is_asked_again(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([away_then(Drop(), Busy(503))]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--retries", "1")
        done.assert_right()
        assert [page.status for page in lab.requests("demo", "page")] == [302, 0, 0, 503, 200]


@GENERATIONS
def test_a_host_that_is_back_but_stays_busy_is_named_after_the_attempts(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([away_then(*[Busy(503)] * 20)]) as lab:
        env: dict[str, Argument] = {"PIP_RETRY_PATCH_ATTEMPTS": "3"}
        done = Download(armed(pip, python), lab, certificates, "--retries", "1", env=env)
        output = " ".join(done.run.output.split())
        assert done.run.returncode == 1
        assert f"127.0.0.1:{lab.url.rpartition(':')[2]} is there, but of no help now" in output
        assert ": the server answers 503; " in output and "retry-patch-attempts 50" in output
        assert "No matching distribution" not in output and "Traceback" not in output
        assert len(lab.requests("demo", "page")) == 5


# Hosts that are busy


@pytest.mark.parametrize("busy", [Busy(429), Busy(503, retry_after=1), Busy(504)])
@GENERATIONS
def test_a_page_of_a_busy_host_is_no_page_that_is_not_there(
    busy: Busy, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    """pip asks for it again when the answer is 503, never after a bare 429 or a 504."""
    with Lab([Package("demo", page_faults=[busy] * 2)]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--retries", "1")
        done.assert_right()
        (line,) = done.run.warnings(" is busy ")
        assert f"the server answers {busy.status}" in line
        assert f"for the page {lab.index_url}demo/, up to 7 more times" in line
        assert len(lab.requests("demo", "page")) == 3


@GENERATIONS
def test_a_host_that_gets_busy_and_stays_so_is_an_error(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", page_faults=[Redirect("?again=1"), *[Busy(503)] * 20])]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--retries", "2", env=HASTY)
        output = " ".join(done.run.output.split())
        assert done.run.returncode == 1
        assert f"127.0.0.1:{lab.url.rpartition(':')[2]} is there, but of no help now" in output
        assert f"the page {lab.index_url}demo/" in output
        assert "No matching distribution" not in output and "Traceback" not in output
        # The redirect; three by pip; and one, as the third was the first of the two attempts.
        assert len(lab.requests("demo", "page")) == 5


@GENERATIONS
def test_an_index_that_is_never_but_busy_is_gone_without_and_asked_again_once(
    pip: str, python: str, armed: Factory
) -> None:
    """One of several may be dead for good, and pip always did without it, if in silence."""
    environment = armed(pip, python)
    names = ("demo", "other")
    dead = [Package(name, page_faults=[Busy(504)] * 20) for name in names]
    with Lab(dead) as first, Lab([Package(name, 3000) for name in names]) as second:
        target = environment.fresh_dir()
        run = environment.run(
            *("download", "--no-deps", "--dest", target, "--index-url", second.index_url),
            *("--extra-index-url", first.index_url, *names),
            env={"PIP_RETRY_PATCH_ATTEMPTS": "3"},
        )
        assert run.returncode == 0, run.output
        assert len(list(target.iterdir())) == 2
        (line,) = run.warnings("of no help now")
        assert "the server answers 504; 3 attempts in" in line
        assert line.endswith("pip goes on without it.")
        asked = [len(first.requests(name, "page")) for name in names]
        assert asked == [3, 1]


@pytest.mark.parametrize("status", [429, 503])
@GENERATIONS
def test_a_file_of_a_busy_host_is_waited_for(
    status: int, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", SIZE, [Busy(status)] * 3)]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--retries", "1")
        done.assert_right()
        (line,) = done.run.warnings(" is busy ")
        assert "for demo-1.0-py3-none-any.whl" in line


@GENERATIONS
def test_a_file_of_a_host_that_stays_busy_is_an_error_and_no_traceback(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", SIZE, forever=Busy(503))]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--retries", "1", env=HASTY)
        assert done.run.returncode == 1
        assert "of no help now" in done.run.output and "Traceback" not in done.run.output


@GENERATIONS
def test_without_retries_a_busy_host_is_asked_once(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", page_faults=[Busy(429)] * 9)]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--retries", "0")
        assert done.run.returncode == 1 and not done.run.warnings(" is busy ")
        assert len(lab.requests("demo", "page")) == 1


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_a_host_that_never_answered_gets_pips_own_behaviour(
    pip: str, python: str, armed: Factory, bare: Factory, certificates: Certificates
) -> None:
    with Lab([]) as lab:
        url = lab.index_url
    outputs = []
    for factory in (armed, bare):
        run = factory(pip, python).run("download", "--retries", "1", "--index-url", url, "demo")
        # Objects are shown with their addresses.
        outputs.append([line.partition(" at 0x")[0] for line in run.output.splitlines()])
        assert run.returncode == 1
    assert outputs[0] == outputs[1]


# Links that expire


@contextlib.contextmanager
def redirecting(store: Package, host: str = "127.0.0.1") -> Iterator[tuple[Lab, Lab]]:
    """An index whose links lead, with another signature each time, to a store of files."""
    with Lab([store], host=host) as files:
        path = f"{files.url}/files/demo/{files.filename('demo')}"
        links = [Redirect(f"{path}?signature={n}") for n in range(4)]
        with Lab([Package("demo", SIZE, links)]) as lab:
            yield lab, files


@pytest.mark.parametrize("status", [401, 403, 404, 410])
@GENERATIONS
def test_an_expired_link_is_made_anew_from_the_original_url(
    status: int, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    store = Package("demo", SIZE, [Cut(THIRD), Busy(status), None])
    with redirecting(store) as (lab, files):
        done = Download(armed(pip, python), lab, certificates)
        done.assert_right()
        assert len(done.warnings) == 1
        asked = [(r.path.partition("?")[2], r.range) for r in files.requests("demo")]
        assert asked == [
            ("signature=0", None),
            ("signature=0", f"bytes={THIRD}-"),
            ("signature=1", f"bytes={THIRD}-"),
        ]
        assert len(lab.requests("demo", "artifact")) == 2
        assert files.sent("demo") <= 1.05 * len(files.wheel("demo"))


@GENERATIONS
def test_an_expired_link_without_ranges_is_replayed_and_a_later_cut_uses_the_new_link(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    store = Package("demo", SIZE, [Cut(THIRD), Busy(403), Cut(2 * THIRD), None], ranges=False)
    with redirecting(store) as (lab, files):
        done = Download(armed(pip, python), lab, certificates)
        done.assert_right()
        asked = [r.path.partition("?")[2] for r in files.requests("demo")]
        assert asked == ["signature=0", "signature=0", "signature=1", "signature=1"]


@GENERATIONS
def test_credentials_of_the_index_never_reach_the_host_it_redirects_to(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    store = Package("demo", SIZE, [Cut(THIRD), Busy(403), Reset(THIRD), Busy(401), None])
    with redirecting(store, host="localhost") as (lab, files):
        secret = lab.index_url.replace("http://", "http://user:S3CRET@")
        done = Download(armed(pip, python), lab, certificates, "--index-url", secret, "--no-input")
        done.assert_right()
        assert "S3CRET" not in done.run.output
        for request in files.requests("demo"):
            assert "authorization" not in request.headers
        again = lab.requests("demo", "artifact")
        assert len(again) == 3
        assert {request.headers.get("authorization") for request in again} != {None}


# Hashes


@each_pair
def test_a_file_that_was_damaged_on_its_way_is_fetched_once_more(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", SIZE, [Flip(THIRD)], max_age=3600)], tls=certificates.server) as lab:
        environment = armed(pip, python)
        cache = environment.fresh_dir()
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert len(done.run.warnings("damaged on its way")) == 1
        assert len(lab.requests("demo", "artifact")) == 2
        again = Download(environment, lab, certificates, cache=cache)
        again.assert_right()
        assert len(lab.requests("demo", "artifact")) == 2, "the right file is in the cache"


def assert_mismatch(done: Download) -> str:
    output = " ".join(done.run.output.split())
    assert done.run.returncode == 1
    assert "DO NOT MATCH THE HASHES" in output
    assert "Traceback" not in output
    assert not done.file.exists()
    for hint in ("--no-verify", "--no-require-hashes", "--trusted-host", "disable", "skip"):
        assert hint not in output.partition("looked into it")[2]
    return output


@each_pair
def test_a_genuine_mismatch_stays_one_with_the_evidence(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", SIZE, hashes="0" * 64)]) as lab:
        output = assert_mismatch(Download(armed(pip, python), lab, certificates))
        assert len(lab.requests("demo", "artifact")) == 2
        assert output.count("3.0 MB of 3.0 MB from 127.0.0.1") == 2 and "complete" in output
        assert "Both brought the same bytes" in output
        assert "pip hash" in output


@GENERATIONS
def test_different_bytes_each_time_point_at_the_way(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", SIZE, [Flip(5000), Flip(THIRD), Flip(7)])]) as lab:
        output = assert_mismatch(Download(armed(pip, python), lab, certificates))
        assert len(lab.requests("demo", "artifact")) == 2
        assert "different bytes" in output and "proxy" in output


@GENERATIONS
def test_a_mismatch_stands_where_the_fresh_fetch_fails(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", SIZE, [Flip(7), Cut(THIRD)], forever=Cut(0))]) as lab:
        done = Download(armed(pip, python), lab, certificates, env=HASTY)
        output = assert_mismatch(done)
        assert "second fetch: failed: Downloading demo-1.0-py3-none-any.whl stopped at" in output
        assert "it is not known whether the file was damaged on its way" in output


@GENERATIONS
def test_hashes_of_a_requirements_file_are_treated_the_same(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    for faults, right in (([Flip(THIRD)], True), ([], False)):
        package = Package("demo", SIZE, faults, hashes=False)
        environment = armed(pip, python)
        with Lab([package]) as lab:
            listed = lab.sha256("demo") if right else "f" * 64
            requirements = environment.fresh_dir() / "requirements.txt"
            requirements.write_text(f"demo==1.0 --hash=sha256:{listed}\n")
            target = environment.fresh_dir()
            run = environment.run(
                "install",
                *("--no-deps", "--require-hashes", "--target", target, "--no-cache-dir"),
                *("--index-url", lab.index_url, "-r", requirements),
            )
            assert len(lab.requests("demo", "artifact")) == 2, run.output
            if right:
                assert run.returncode == 0, run.output
                assert run.warnings("damaged on its way")
                assert (target / "demo" / "payload.bin").stat().st_size == SIZE
            else:
                assert run.returncode == 1
                assert "DO NOT MATCH THE HASHES" in run.output
                assert "looked into it" in run.output


@GENERATIONS
def test_a_batch_of_files_is_healed_file_by_file(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    """With fast-deps pip reads two ranges of each, and downloads what it chose all at once."""
    environment = armed(pip, python)
    packages = [
        Package("demo", SIZE, [None, None, Flip(THIRD)], requires=["other"]),
        Package("other", SIZE, [None, None, Flip(7)]),
    ]
    with Lab(packages) as lab:
        target = environment.fresh_dir()
        run = environment.run(
            "install",
            *("--target", target, "--index-url", lab.index_url, "--use-feature=fast-deps"),
            *("--trusted-host", "127.0.0.1", "demo"),
        )
        assert run.returncode == 0, run.output
        for name in ("demo", "other"):
            assert (target / name / "payload.bin").stat().st_size == SIZE
            # pip 21.3 to 23.0 ask for each file twice, and check it when it comes from the cache.
            (line,) = run.warnings(f"{name}-1.0-py3-none-any.whl")
            assert line.endswith("fits.")


@GENERATIONS
def test_metadata_that_was_damaged_on_its_way_is_fetched_once_more(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package("demo", SIZE, [Flip(9)], metadata=True, metadata_faults=[Flip(9)])
    with Lab([package]) as lab:
        done = Download(armed(pip, python), lab, certificates)
        done.assert_right()
        asked = len(lab.requests("demo", "metadata"))
        # (pip 22.3 and 23.0 ask for the file twice, and check it when it comes from the cache.)
        assert len(done.run.warnings("fits.")) == (2 if asked else 1)
        assert asked in (0, 2)


@pytest.mark.parametrize("command", ["download", "wheel", "install"])
@GENERATIONS
def test_sdists_are_healed_as_wheels_are(
    command: str, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    target = environment.fresh_dir()
    where = {"download": "--dest", "wheel": "--wheel-dir", "install": "--target"}[command]
    with Lab([Package("demo", SIZE, [Cut(THIRD), Reset(THIRD), Flip(7)], sdist=True)]) as lab:
        run = environment.run(
            command, "--no-deps", where, target, "--index-url", lab.index_url, "demo", timeout=200
        )
        assert run.returncode == 0, run.output
        assert len(run.warnings("was interrupted at")) == 2
        assert list(target.glob("demo*"))
        whole = [r for r in lab.requests("demo", "artifact") if r.range is None]
        damaged = run.warnings("damaged on its way")
        assert (len(whole), len(damaged)) == (2, 1), run.output


# What is said, wherever it is said


@pytest.mark.parametrize("faults", ["network", "hash"])
@GENERATIONS
def test_errors_survive_a_terminal_that_is_not_utf_8_and_name_no_credentials(
    faults: str, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package("demo", SIZE, [Cut(THIRD), Busy(404)])
    if faults == "hash":
        package = Package("demo", SIZE, hashes="0" * 64)
    env: dict[str, Argument] = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "NO_COLOR": "1"}
    with Lab([package]) as lab:
        secret = lab.index_url.replace("http://", "http://user:S3CRET@")
        environment = armed(pip, python)
        run = environment.run(
            *("download", "--no-deps", "--no-input", "--dest", environment.fresh_dir()),
            *("--index-url", secret, "demo"),
            env=env,
        )
        assert run.returncode == 1
        assert "Traceback" not in run.output and "S3CRET" not in run.output
        expected = "DO NOT MATCH" if faults == "hash" else "the server answered 404"
        assert expected in " ".join(run.output.split())


# Caches


def spoil(cache: Path, original: bytes) -> int:
    """Alter what pip's HTTP cache holds of a file; return how many entries held it."""
    middle = original[THIRD : THIRD + 64]
    spoilt = 0
    for path in cache.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            if middle in held:
                path.write_bytes(held.replace(middle, bytes(64)))
                spoilt += 1
    return spoilt


@GENERATIONS
def test_a_spoilt_cache_entry_is_removed_and_the_file_fetched(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    packages = [Package("demo", SIZE, max_age=3600), Package("other", 5000, max_age=3600)]
    with Lab(packages, tls=certificates.server) as lab:
        for name in ("demo", "other"):
            run = environment.run(
                "download",
                *("--no-deps", "--dest", environment.fresh_dir(), "--cache-dir", cache),
                *("--index-url", lab.index_url, "--cert", certificates.ca_pem, name),
            )
            assert run.returncode == 0, run.output
        assert spoil(cache, lab.wheel("demo")) == 1
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert "Using cached" in done.run.stdout
        assert done.run.warnings("in pip's cache was not what the index lists")
        assert len(lab.requests("demo", "artifact")) == 2
        third = Download(environment, lab, certificates, cache=cache)
        third.assert_right()
        assert len(lab.requests("demo", "artifact")) == 2
        assert not third.run.warnings("in pip's cache")
        other = environment.run(
            "download",
            *("--no-deps", "--dest", environment.fresh_dir(), "--cache-dir", cache),
            *("--index-url", lab.index_url, "--cert", certificates.ca_pem, "other"),
        )
        assert "Using cached" in other.stdout, "only the spoilt entry was removed"


@GENERATIONS
def test_a_stale_cache_entry_heals_after_the_index_replaced_the_file(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    package = Package("demo", SIZE, [None, Changed()], max_age=3600)
    with Lab([package], tls=certificates.server) as lab:
        Download(environment, lab, certificates, cache=cache).assert_right()
        trust = ssl.create_default_context(cafile=str(certificates.ca_pem))
        url = f"{lab.url}/files/demo/{lab.filename('demo')}"
        with urllib.request.urlopen(url, context=trust, timeout=10) as replaced:
            assert replaced.read() == lab.wheel("demo") == package.wheel(1)
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert done.run.warnings("in pip's cache was not what the index lists")


# Representations that change, lengths that lie


@GENERATIONS
def test_a_file_that_changes_during_the_download_is_begun_anew(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    faults: list[Any] = [Cut(THIRD), (Changed(), Cut(THIRD)), None]
    package = Package("demo", SIZE, faults)
    later = hashlib.sha256(package.wheel(1)).hexdigest()
    with Lab([Package("demo", SIZE, faults, hashes=later)]) as lab:
        done = Download(armed(pip, python), lab, certificates)
        assert done.run.returncode == 0, done.run.output
        assert done.file.read_bytes() == package.wheel(1)
        assert len(done.run.warnings("Starting anew")) == 1


@GENERATIONS
def test_a_file_that_keeps_changing_is_an_error_that_says_so(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package("demo", SIZE, [Cut(THIRD), *[(Changed(), Cut(THIRD))] * 9])
    with Lab([package]) as lab:
        done = Download(armed(pip, python), lab, certificates)
        done.assert_clear_error()
        assert "another version" in " ".join(done.run.output.split())
        assert len(done.run.warnings("Starting anew")) == 2


@GENERATIONS
def test_a_length_that_is_never_reached_is_forgiven_where_the_hash_fits(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", SIZE, forever=Overstate(10))]) as lab:
        done = Download(armed(pip, python), lab, certificates, env=HASTY)
        assert done.run.returncode == 0, done.run.output
        assert done.file.read_bytes() == lab.wheel("demo")
        assert len(done.run.warnings("The hash that the index lists fits")) == 1


@GENERATIONS
def test_a_length_that_is_never_reached_is_an_error_where_no_hash_is_known(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", SIZE, forever=Overstate(10), hashes=False)]) as lab:
        Download(armed(pip, python), lab, certificates, env=HASTY).assert_clear_error()
