"""With mirrors, pip's files, caches and records are those of the original."""

from __future__ import annotations

import json

import pytest

from tests.pips.mirrors.test_files import HALF, RATE, SIZE, SLACK, mirrors
from tests.support.certificates import certificates
from tests.support.environments import Environment
from tests.support.hosts import OK, end_of
from tests.support.lab.faults import Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new, pairs


def dying(**options: bool) -> Package:
    return Package("demo", SIZE, [Cut(HALF)], forever=Busy(503), **options)  # type: ignore[arg-type]


@pairs(("24.0", "3.12"), (NEWEST, "3.13"))
def test_what_pip_writes_down_names_the_original(armed: Environment) -> None:
    report = armed.fresh_dir() / "report.json"
    target = armed.fresh_dir()
    with Lab([dying()]) as lab, Lab([Package("demo", SIZE)]) as mirror:
        run = armed.run(
            *("install", "--target", target, "--report", report, "-i", lab.index_url, "demo"),
            env=mirrors(mirror),
        )
        assert end_of(run) == OK, run.output
        (installed,) = json.loads(report.read_text())["install"]
        assert installed["download_info"]["url"].startswith(lab.url)
        assert mirror.url not in report.read_text()


@old_middle_new
def test_the_cache_has_it_under_its_first_url_and_nothing_of_the_mirror(armed: Environment) -> None:
    cache = armed.fresh_dir() / "cache"
    package, whole = Package("demo", SIZE, forever=Busy(503)), Package("demo", SIZE)
    tls = certificates().server
    with Lab([package], tls=tls) as lab, Lab([whole], tls=tls) as mirror:
        options = "--cert", certificates().ca_pem, "--cache-dir", cache, "-i", lab.index_url
        for _ in range(2):
            folder = armed.fresh_dir()
            run = armed.run(
                *("download", "--no-deps", "--dest", folder, *options, "demo"), env=mirrors(mirror)
            )
            assert end_of(run) == OK, run.output
            assert (folder / lab.filename("demo")).read_bytes() == lab.wheel("demo")
        assert "if-none-match" not in lab.requests("demo", "artifact")[-1].headers
    kept = b"".join(path.read_bytes() for path in cache.rglob("*") if path.is_file())
    assert mirror.url.encode() not in kept


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"))
@pytest.mark.parametrize("dies", [False, True])
def test_a_lazy_wheel_is_fetched_whole_where_its_host_fails(dies: bool, armed: Environment) -> None:
    package = Package("demo", SIZE, forever=Busy(503)) if dies else Package("demo", SIZE)
    with Lab([package]) as lab, Lab([Package("demo", SIZE)]) as mirror:
        run = armed.run(
            *("download", "--use-feature=fast-deps", "--dest", armed.fresh_dir()),
            *("-i", lab.index_url, "demo"),
            env=mirrors(mirror),
        )
        assert end_of(run) == OK, run.output
        assert bool(mirror.log) == dies


@old_middle_new
def test_what_an_earlier_run_kept_goes_on_from_a_mirror(armed: Environment) -> None:
    """A person would switch to another index at this point."""
    cache, folder = armed.fresh_dir() / "cache", armed.fresh_dir()
    with Lab([dying()]) as lab, Lab([Package("demo", SIZE)], rate=RATE) as mirror:
        options = "--cache-dir", cache, "--dest", folder, "--no-deps", "-i", lab.index_url
        hurried = {"PIP_RETRY_PATCH_ATTEMPTS": "1"}
        assert end_of(armed.run("download", *options, "demo", env=hurried)) != OK
        run = armed.run("download", *options, "demo", env=mirrors(mirror))
        assert end_of(run) == OK, run.output
        assert mirror.sent("demo") <= len(mirror.wheel("demo")) - HALF + SLACK
        assert (folder / lab.filename("demo")).read_bytes() == lab.wheel("demo")
