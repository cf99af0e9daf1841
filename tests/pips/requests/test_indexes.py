"""Several indexes, one of which cannot be read: pip goes on with a word, or ends with one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.environments import Environment
from tests.support.hosts import NO_MATCH, OK, OURS, closed_port, download, end_of, said
from tests.support.lab.faults import Busy, Drop, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.lab.stages import Entry
from tests.support.matrix import old_middle_new

UNREAD = "could not be read"
LOST: dict[str, Entry] = {
    "reset": (Drop(), Reset(0)),
    "silence": (Drop(), Stall(0)),
    "busy": Busy(503),
}


def dead_index() -> str:
    return f"http://127.0.0.1:{closed_port()}/simple/"


@old_middle_new
def test_pip_goes_on_without_an_index_that_never_answered_and_says_so_once(
    armed: Environment, bare: Environment
) -> None:
    dead = dead_index()
    packages = [Package("demo", requires=["other"]), Package("other")]
    with Lab(packages) as lab:
        indexes = "--index-url", lab.index_url, "--extra-index-url", dead
        run = armed.run(
            *("download", "--dest", armed.fresh_dir(), *indexes, "demo"),
            env={"PIP_RETRY_PATCH_FIRST_CONTACT": "1", "PIP_RETRIES": "1"},
        )
        assert end_of(run) == OK, run.output
        (line,) = run.warnings(UNREAD)
        assert f"The index {dead} could not be read (connection refused)" in line
        assert len(run.warnings(", waiting")) == 1, "once for each host and run"
        assert not run.warnings("was found at"), "the first index was read"
        plain = download(bare, *indexes, "demo")
        assert end_of(plain) == OK and not plain.warnings(dead)


@old_middle_new
def test_a_project_that_is_found_elsewhere_only_is_warned_of_where_the_first_index_failed(
    armed: Environment, bare: Environment
) -> None:
    dead = dead_index()
    with Lab([Package("demo")]) as lab:
        indexes = "--index-url", dead, "--extra-index-url", lab.index_url
        run = download(armed, *indexes, "demo")
        assert end_of(run) == OK, run.output
        (line,) = run.warnings("was found at")
        host = lab.url.partition("//")[2]
        assert f"demo was found at {host} only. The first index, {dead}, could not be read" in line
        plain = download(bare, *indexes, "demo")
        assert end_of(plain) == OK and not plain.warnings(UNREAD)


@pytest.mark.parametrize("requirement", ["missing", "demo==2.0"])
@old_middle_new
def test_what_is_not_found_may_be_in_the_index_that_was_not_read(
    armed: Environment, bare: Environment, requirement: str
) -> None:
    dead = dead_index()
    with Lab([Package("demo")]) as lab:
        indexes = "--index-url", dead, "--extra-index-url", lab.index_url
        run = download(armed, *indexes, requirement)
        assert run.returncode == 1
        told = said(run).partition("No matching distribution found for")[2]
        assert f"But the index {dead} could not be read (connection refused)" in told
        plain = download(bare, *indexes, requirement)
        assert end_of(plain) == NO_MATCH and UNREAD not in plain.output


@old_middle_new
def test_where_no_index_could_be_read_the_error_is_the_networks(
    armed: Environment, bare: Environment
) -> None:
    indexes = "--index-url", dead_index(), "--extra-index-url", dead_index()
    run = download(armed, *indexes, "demo")
    assert end_of(run) == OURS, run.output
    assert "No matching distribution" not in run.output
    assert end_of(download(bare, *indexes, "demo")) == NO_MATCH


@old_middle_new
def test_local_wheels_do_without_an_index_as_ever(armed: Environment, bare: Environment) -> None:
    for environment in (armed, bare):
        links = environment.fresh_dir()
        package = Package("demo", 1000)
        (links / package.filename).write_bytes(package.wheel())
        options: Any = ("--index-url", dead_index(), "--find-links", links)
        run = download(environment, *options, "demo")
        assert end_of(run) == OK, run.output
        assert len(run.warnings(UNREAD)) == environment.armed
        missing = download(environment, *options, "missing")
        assert end_of(missing) == (OURS if environment.armed else NO_MATCH), missing.output


@pytest.mark.parametrize("fault", LOST)
@old_middle_new
def test_an_index_that_answered_before_is_never_gone_without(
    armed: Environment, bare: Environment, fault: str
) -> None:
    """Else a name that the private index has would be taken from the public one."""
    private = [Package("first"), Package("demo", page_forever=LOST[fault])]
    requirements = "first", "demo"
    with Lab(private) as lab, Lab([Package("demo")]) as public:
        indexes = "--index-url", lab.index_url, "--extra-index-url", public.index_url
        run = download(armed, *indexes, *requirements)
        assert end_of(run) == OURS, run.output
        assert not public.requests("demo", "artifact")
        plain = download(bare, *indexes, *requirements)
        assert end_of(plain) == OK
        assert public.requests("demo", "artifact"), "plain pip takes the public package"


@pytest.mark.parametrize("fault", ["reset", "busy", "403"])
@old_middle_new
def test_with_indexes_all_each_index_must_be_read(
    armed: Environment, bare: Environment, fault: str
) -> None:
    page = Busy(403) if fault == "403" else LOST[fault]
    with Lab([Package("demo", page_forever=page)]) as lab, Lab([Package("demo")]) as public:
        indexes = "--index-url", lab.index_url, "--extra-index-url", public.index_url
        run = download(armed, *indexes, "demo", PIP_RETRY_PATCH_INDEXES="all")
        assert end_of(run) == OURS, run.output
        assert not public.requests("demo", "artifact")
        assert end_of(download(bare, *indexes, "demo")) == OK


@old_middle_new
def test_with_indexes_all_an_index_may_still_not_have_a_project(armed: Environment) -> None:
    with Lab([Package("private")]) as lab, Lab([Package("demo")]) as public:
        indexes = "--index-url", lab.index_url, "--extra-index-url", public.index_url
        run = download(armed, *indexes, "demo", PIP_RETRY_PATCH_INDEXES="all")
        assert end_of(run) == OK and not run.warnings(), run.output
