"""With mirrors, pip's files, caches and records are those of the original."""

from __future__ import annotations

import json

import pytest

from tests.pips.mirrors.test_files import HALF, RATE, SIZE, SLACK, mirrors
from tests.support.certificates import Certificates
from tests.support.environments import Factory
from tests.support.hosts import OK, OLD_MIDDLE_NEW, end_of
from tests.support.lab.faults import Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, pairs


def dying(**options: bool) -> Package:
    return Package("demo", SIZE, [Cut(HALF)], forever=Busy(503), **options)  # type: ignore[arg-type]


@pairs(("24.0", "3.12"), (NEWEST, "3.13"))
def test_what_pip_writes_down_names_the_original(pip: str, python: str, armed: Factory) -> None:
    environment = armed(pip, python)
    report = environment.fresh_dir() / "report.json"
    target = environment.fresh_dir()
    with Lab([dying()]) as lab, Lab([Package("demo", SIZE)]) as mirror:
        run = environment.run(
            *("install", "--target", target, "--report", report, "-i", lab.index_url, "demo"),
            env=mirrors(mirror),
        )
        assert end_of(run) == OK, run.output
        (installed,) = json.loads(report.read_text())["install"]
        assert installed["download_info"]["url"].startswith(lab.url)
        assert mirror.url not in report.read_text()


@OLD_MIDDLE_NEW
def test_the_cache_has_it_under_its_first_url_and_nothing_of_the_mirror(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir() / "cache"
    package, whole = Package("demo", SIZE, forever=Busy(503)), Package("demo", SIZE)
    tls = certificates.server
    with Lab([package], tls=tls) as lab, Lab([whole], tls=tls) as mirror:
        options = "--cert", certificates.ca_pem, "--cache-dir", cache, "-i", lab.index_url
        for _ in range(2):
            folder = environment.fresh_dir()
            run = environment.run(
                *("download", "--no-deps", "--dest", folder, *options, "demo"),
                env=mirrors(mirror),
            )
            assert end_of(run) == OK, run.output
            assert (folder / lab.filename("demo")).read_bytes() == lab.wheel("demo")
        assert "if-none-match" not in lab.requests("demo", "artifact")[-1].headers
    kept = b"".join(path.read_bytes() for path in cache.rglob("*") if path.is_file())
    assert mirror.url.encode() not in kept


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"))
@pytest.mark.parametrize("dies", [False, True])
def test_a_lazy_wheel_is_fetched_whole_where_its_host_fails(
    dies: bool, pip: str, python: str, armed: Factory
) -> None:
    environment = armed(pip, python)
    package = Package("demo", SIZE, forever=Busy(503)) if dies else Package("demo", SIZE)
    with Lab([package]) as lab, Lab([Package("demo", SIZE)]) as mirror:
        run = environment.run(
            *("download", "--use-feature=fast-deps", "--dest", environment.fresh_dir()),
            *("-i", lab.index_url, "demo"),
            env=mirrors(mirror),
        )
        assert end_of(run) == OK, run.output
        assert bool(mirror.log) == dies


@OLD_MIDDLE_NEW
def test_what_an_earlier_run_kept_goes_on_from_a_mirror(
    pip: str, python: str, armed: Factory
) -> None:
    """A person would switch to another index at this point."""
    environment = armed(pip, python)
    cache, folder = environment.fresh_dir() / "cache", environment.fresh_dir()
    with Lab([dying()]) as lab, Lab([Package("demo", SIZE)], rate=RATE) as mirror:
        options = "--cache-dir", cache, "--dest", folder, "--no-deps", "-i", lab.index_url
        hurried = {"PIP_RETRY_PATCH_ATTEMPTS": "1"}
        assert end_of(environment.run("download", *options, "demo", env=hurried)) != OK
        run = environment.run("download", *options, "demo", env=mirrors(mirror))
        assert end_of(run) == OK, run.output
        assert mirror.sent("demo") <= len(mirror.wheel("demo")) - HALF + SLACK
        assert (folder / lab.filename("demo")).read_bytes() == lab.wheel("demo")
