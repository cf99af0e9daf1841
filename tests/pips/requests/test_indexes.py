"""Indexes that cannot be read, or refuse: pip goes on with a word, or ends with one.

Their answers are no help, and time does not change them; each is told as it is.
"""

from __future__ import annotations

import pytest

from tests.support.downloads import NO_MATCH, OK, OURS, TRACEBACK, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import dead_index, download
from tests.support.lab.faults import Busy, Cut, Drop, Entry, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new

UNREAD = "could not be read"
LOST: dict[str, Entry] = {
    "reset": (Drop(), Reset(0)),
    "silence": (Drop(), Stall(0)),
    "busy": Busy(503),
    "403": Busy(403),
    "cut": Cut(50),
}


@old_middle_new
def test_pip_goes_on_without_an_index_that_never_answered_and_says_so_once(
    armed: Environment, bare: Environment
) -> None:
    dead = dead_index()
    with Lab([Package("demo", requires=["other"]), Package("other")]) as lab:
        options = "--index-url", lab.index_url, "--extra-index-url", dead, "demo"
        run = armed.run(
            *("download", "--dest", armed.fresh_dir(), *options),
            env={"PIP_RETRY_PATCH_FIRST_CONTACT": "1", "PIP_RETRIES": "1"},
        )
        assert end_of(run) == OK, run.output
        (line,) = run.warnings(UNREAD)
        assert f"The index {dead} could not be read (connection refused)" in line
        assert len(run.warnings(". Trying")) == 1, "once for each host and run"
        assert not run.warnings("was found at"), "the first index was read"
        plain = download(bare, *options)
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


@pytest.mark.parametrize("status", [400, 403])
@old_middle_new
def test_what_is_not_found_may_be_behind_a_refusal(
    armed: Environment, bare: Environment, status: int
) -> None:
    """Not so for 404, which says that it is not there."""
    with Lab([Package("demo", page_forever=Busy(status))]) as lab:
        indexes = "--index-url", lab.index_url
        run = download(armed, *indexes, "demo")
        assert end_of(run) == NO_MATCH, run.output
        told = f"But the index {lab.index_url} could not be read (HTTP {status})"
        assert told in said(run)
        plain = download(bare, *indexes, "demo")
        assert end_of(plain) == NO_MATCH and UNREAD not in said(plain)
        missing = download(armed, *indexes, "missing")
        assert end_of(missing) == NO_MATCH and UNREAD not in said(missing)


@old_middle_new
def test_local_wheels_do_without_an_index_as_ever(armed: Environment, bare: Environment) -> None:
    for environment in (armed, bare):
        links = environment.fresh_dir()
        package = Package("demo", 1000)
        (links / package.filename).write_bytes(package.wheel())
        options = "--index-url", dead_index(), "--find-links", links
        run = download(environment, *options, "demo")
        assert end_of(run) == OK, run.output
        assert len(run.warnings(UNREAD)) == environment.armed
        missing = download(environment, *options, "missing")
        assert end_of(missing) == (OURS if environment.armed else NO_MATCH), missing.output


@pytest.mark.parametrize("status", [407, 503])
@old_middle_new
def test_the_project_of_another_index_is_not_taken_in_silence(
    armed: Environment, bare: Environment, status: int
) -> None:
    """The first one, of this user alone, cannot be read; the second one is everybody's."""
    broken = Package("demo", page_forever=Busy(status))
    with Lab([broken]) as private, Lab([Package("demo")]) as public:
        indexes = "--index-url", private.index_url, "--extra-index-url", public.index_url
        run = download(armed, *indexes, "demo", PIP_RETRIES="0")
        assert end_of(run) == OK, run.output
        (line,) = run.warnings(UNREAD + " (")
        assert private.index_url in line and str(status) in line
        assert len(run.warnings("was found at")) == 1
        plain = download(bare, *indexes, "demo", PIP_RETRIES="0")
        assert end_of(plain) == OK and not plain.warnings(private.index_url)


@pytest.mark.parametrize("fault", ["reset", "silence", "busy", "cut"])
@old_middle_new
def test_an_index_that_answered_before_is_never_gone_without(
    armed: Environment, bare: Environment, fault: str
) -> None:
    """Else a name that the private index has would be taken from the public one."""
    private = [Package("first"), Package("demo", page_forever=LOST[fault])]
    with Lab(private) as lab, Lab([Package("demo")]) as public:
        indexes = "--index-url", lab.index_url, "--extra-index-url", public.index_url
        run = download(armed, *indexes, "first", "demo")
        assert end_of(run) == OURS, run.output
        assert not public.requests("demo", "artifact")
        plain = end_of(download(bare, *indexes, "first", "demo"))
        if (fault, plain) != ("cut", TRACEBACK):  # as pip 26.3 has it
            assert plain == OK
            assert public.requests("demo", "artifact"), "plain pip takes the public package"


@pytest.mark.parametrize("fault", ["reset", "403"])
@old_middle_new
def test_with_indexes_all_each_index_must_be_read(
    armed: Environment, bare: Environment, fault: str
) -> None:
    private = [Package("demo", page_forever=LOST[fault])]
    with Lab(private) as lab, Lab([Package("demo")]) as public:
        indexes = "--index-url", lab.index_url, "--extra-index-url", public.index_url
        for retries in ("0", "1"):
            env = {"PIP_RETRIES": retries, "PIP_RETRY_PATCH_INDEXES": "all"}
            run = download(armed, *indexes, "demo", **env)
            assert end_of(run) == OURS, run.output
        assert not public.requests("demo", "artifact")
        assert end_of(download(bare, *indexes, "demo")) == OK
    with Lab([Package("private")]) as lab, Lab([Package("demo")]) as public:
        indexes = "--index-url", lab.index_url, "--extra-index-url", public.index_url
        run = download(armed, *indexes, "demo", PIP_RETRY_PATCH_INDEXES="all")
        assert end_of(run) == OK and not run.warnings(), "it may still not have a project"
