"""Pages that the index does not deliver come from a mirror, and only what belongs to the index."""

from __future__ import annotations

import json
from typing import Iterable

import pytest

from tests.pips.mirrors.test_files import mirrors
from tests.support.downloads import NO_MATCH, OK, OURS, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import dead_index, download
from tests.support.lab.faults import Busy, Cut, Drop, Entry, Redirect, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new

FAILURES: dict[str, Entry] = {
    "reset": (Drop(), Reset(0)),
    "closed": Drop(),
    "silence": (Drop(), Stall(0)),
    "busy": Busy(503, retry_after=3600),
    "429": Busy(429),
    "500": Busy(500),
    "501": Busy(501),
    "520": Busy(520),
    "cut": Cut(100),
}


@pytest.mark.parametrize("failure", FAILURES)
@old_middle_new
def test_a_page_comes_from_the_mirror(failure: str, armed: Environment, bare: Environment) -> None:
    package = Package("demo", page_forever=FAILURES[failure])
    with Lab([package]) as lab, Lab([Package("demo")]) as mirror:
        index = "--index-url", lab.index_url
        run = download(armed, *index, "demo", **mirrors(mirror))
        assert end_of(run) == OK, run.output
        assert len(lab.requests("demo", "page")) <= 2, "the first, and one retry"
        assert len(run.warnings("Going on with")) == 1, run.output
        if failure != "busy":  # plain pip sleeps for the hour that it was told to
            assert end_of(download(bare, *index, "demo")) != OK


@old_middle_new
def test_a_dead_index_is_asked_once_and_all_of_a_run_comes_from_the_mirror(
    armed: Environment, bare: Environment
) -> None:
    """Metadata and requirements too."""
    packages = [Package("demo", metadata=True, requires=["other"]), Package("other")]
    broken = [Package(name, page_forever=Busy(503)) for name in ("demo", "other")]
    with Lab(broken) as lab, Lab(packages) as mirror:
        arguments = "download", "--dest", armed.fresh_dir(), "-i", lab.index_url, "demo"
        run = armed.run(*arguments, env=mirrors(mirror))
        assert end_of(run) == OK, run.output
        assert len(lab.log) == 2, "after that its host rests"
        assert len(run.warnings()) == 1
        assert end_of(bare.run(*arguments)) != OK


@old_middle_new
def test_what_a_build_requires_comes_from_the_mirror(armed: Environment) -> None:
    with Lab([Package("demo", sdist=True)]) as mirror:
        target = armed.fresh_dir()
        run = armed.run(
            *("install", "--target", target, "--index-url", dead_index(), "demo"),
            env=mirrors(mirror),
        )
        assert end_of(run) == OK, run.output
        assert (target / "demo").is_dir()


@old_middle_new
def test_an_answer_of_the_index_stands(armed: Environment) -> None:
    for status in (404, 410, 403):
        package = Package("demo", page_forever=Busy(status))
        with Lab([package]) as lab, Lab([Package("demo")]) as mirror:
            run = download(armed, "--index-url", lab.index_url, "demo", **mirrors(mirror))
            assert end_of(run) == NO_MATCH, run.output
            assert not mirror.log


@old_middle_new
def test_where_no_mirror_has_it_the_index_is_the_error(armed: Environment) -> None:
    dead = dead_index()
    with Lab([]) as empty:
        run = download(armed, "--index-url", dead, "demo", **mirrors(empty))
        assert end_of(run) == OURS, run.output
        assert "(connection refused). Trying" in said(run)
        assert len(run.warnings("Neither the index nor a mirror")) == 1
        assert empty.log


@old_middle_new
def test_no_other_index_and_no_other_page_is_asked_of_a_mirror(armed: Environment) -> None:
    dead = dead_index()
    with Lab([Package("other")]) as lab, Lab([Package("demo")]) as mirror:
        for arguments in (
            ("--index-url", lab.index_url, "--extra-index-url", dead, "demo"),
            ("--no-index", "--find-links", f"{dead}demo/", "demo"),
            (f"{dead}demo-1.0-py3-none-any.whl",),
        ):
            run = download(armed, *arguments, **mirrors(mirror))
            assert end_of(run) != OK, run.output
            assert not mirror.log, arguments


@old_middle_new
def test_without_retries_there_are_no_mirrors(armed: Environment) -> None:
    with Lab([Package("demo")]) as mirror:
        run = download(
            armed, *("--retries", "0", "--index-url", dead_index(), "demo"), **mirrors(mirror)
        )
        assert end_of(run) == OURS, run.output
        assert not mirror.log


@old_middle_new
def test_a_files_mirrors_are_for_the_index_of_the_files(armed: Environment) -> None:
    """`-i private` must not ask the public mirror for the private names."""
    with Lab([Package("demo")]) as mirror:
        config = armed.fresh_dir() / "pip.conf"
        dead, private = dead_index(), dead_index()
        config.write_text(
            f"[global]\nindex-url = {dead}\nretry-patch-mirrors =\n    {mirror.index_url}\n"
        )
        run = download(armed, "demo", PIP_CONFIG_FILE=config)
        assert end_of(run) == OK, run.output
        before = len(mirror.log)
        run = download(armed, "--index-url", private, "demo", PIP_CONFIG_FILE=config)
        assert end_of(run) == OURS, run.output
        assert len(mirror.log) == before
        assert len(run.warnings(f"It is not used for {private}")) == 1, run.output


@old_middle_new
def test_nothing_of_the_index_reaches_a_mirror(armed: Environment) -> None:
    package = Package("demo", 3_000_000, [Cut(1_000_000)], forever=Busy(503))
    with Lab([package]) as lab, Lab([Package("demo", 3_000_000)]) as mirror:
        index = lab.index_url.replace("//", "//user:secret@")
        given = mirror.index_url.replace("//", "//me:private@")
        run = download(armed, "--index-url", index, "demo", PIP_RETRY_PATCH_MIRRORS=given)
        assert end_of(run) == OK, run.output
        assert "secret" not in run.output and "private" not in run.output
        for request in mirror.log:
            told = json.dumps(dict(request.headers))
            assert "dXNlcjpzZWNyZXQ" not in told, "user:secret"
            assert "cookie" not in request.headers
            assert not {"if-range", "if-none-match"} & set(request.headers)
        for request in lab.log:
            assert "bWU6cHJpdmF0ZQ" not in json.dumps(dict(request.headers)), "me:private"


def hostile(location: str) -> Iterable[Package]:
    return [Package("demo", page_forever=Redirect(location))]


@old_middle_new
def test_a_mirror_that_misbehaves_is_passed_over(armed: Environment) -> None:
    package = Package("demo", page_forever=Busy(503))
    with Lab([package]) as lab, Lab([Package("demo")]) as mirror:
        for location in (
            "file:///etc/hostname",
            "/simple/demo/?again",
            f"{lab.index_url}demo/",
            "http://127.0.0.1:1/",
        ):
            with Lab(hostile(location)) as bad:
                run = download(armed, "-i", lab.index_url, "demo", **mirrors(bad, mirror))
                assert end_of(run) == OK, run.output
                assert len(run.warnings(f"Going on with {mirror.index_url}")) == 1
        for fault in (Cut(50), Busy(401), (Drop(), Stall(0))):
            with Lab([Package("demo", page_forever=fault)]) as bad:
                run = download(armed, "-i", lab.index_url, "demo", **mirrors(bad, mirror))
                assert end_of(run) == OK, run.output
