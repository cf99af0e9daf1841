"""Indexes that cannot be read, or refuse: pip goes on with a word, or ends with one.

Their answers are no help, and time does not change them; each is told as it is.
"""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from tests.support.downloads import NO_MATCH, OK, OURS, TRACEBACK, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import HURRIED, dead_index, download, indexes
from tests.support.lab.faults import Busy, Cut, Drop, Entry, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.odd import odd_index, reply
from tests.support.programs import Argument

UNREAD = "could not be read"
LOST: dict[str, Entry] = {
    "reset": (Drop(), Reset(0)),
    "silence": (Drop(), Stall(0)),
    "busy": Busy(503),
    "403": Busy(403),
    "cut": Cut(50),
}


@pytest.fixture
def public() -> Iterator[Lab]:
    with Lab([Package("demo", requires=["other"]), Package("other")]) as lab:
        yield lab


@pytest.mark.parametrize("why", ["connection refused", "HTTP 504"])
@old_middle_new
def test_pip_goes_on_without_an_index_that_never_answered_and_says_so_once(
    why: str, armed: Environment, bare: Environment, public: Lab
) -> None:
    busy = [Package(name, page_forever=Busy(504)) for name in ("demo", "other")]
    with Lab(busy) as lab:
        dead = lab.index_url if "504" in why else dead_index()
        words: list[Argument] = ["download", "--dest", armed.fresh_dir(), "demo"]
        words += indexes(public.index_url, dead)
        run = armed.run(*words, env=HURRIED)
        assert end_of(run) == OK, run.output
        (line,) = run.warnings(UNREAD)
        assert f"The index {dead} could not be read ({why})" in line
        assert len(run.warnings(". Trying")) == 1, "once for each host and run"
        assert not run.warnings("was found at"), "the first index was read"
        plain = bare.run(*words, env=HURRIED)
        assert end_of(plain) == OK and not plain.warnings(UNREAD)


@pytest.mark.parametrize(
    ("fault", "why"),
    [(None, "connection refused"), (Busy(407), "HTTP 407"), (Busy(503), "HTTP 503")],
    ids=["dead", "407", "503"],
)
@old_middle_new
def test_the_project_of_another_index_is_not_taken_in_silence(
    armed: Environment, bare: Environment, public: Lab, fault: Any, why: str
) -> None:
    """The first one, of this user alone, cannot be read; the second one is everybody's."""
    with Lab([Package("demo", page_forever=fault)]) as lab:
        first = lab.index_url if fault else dead_index()
        words = *indexes(first, public.index_url), "demo"
        run = download(armed, *words, PIP_RETRIES="0")
        assert end_of(run) == OK, run.output
        (unread,) = run.warnings(f"{UNREAD} (")
        assert f"The index {first} {UNREAD} ({why})" in unread
        (found,) = run.warnings("was found at")
        host = public.url.partition("//")[2]
        assert f"demo was found at {host} only. The index {first} {UNREAD}" in found
        plain = download(bare, *words, PIP_RETRIES="0")
        assert end_of(plain) == OK and not plain.warnings(first)


@pytest.mark.parametrize(
    ("status", "requirement"),
    [
        *((0, what) for what in ("missing", "demo==2.0")),
        *((status, "missing") for status in (400, 403, 404)),
        (403, "demo demo-elsewhere"),
    ],
)
@old_middle_new
def test_what_is_not_found_may_be_in_the_index_that_was_not_read(
    armed: Environment, bare: Environment, public: Lab, status: int, requirement: str
) -> None:
    """Not so where it answered 404, which says that it is not there."""
    with Lab([Package(name, page_forever=Busy(status)) for name in ("missing", "demo")]) as lab:
        first = lab.index_url if status else dead_index()
        words = *indexes(first, public.index_url), *requirement.split()
        run, plain = download(armed, *words), download(bare, *words)
        assert end_of(run) == end_of(plain) == NO_MATCH, run.output
        told = said(run).partition("No matching distribution found for")[2]
        why = f"HTTP {status}" if status else "connection refused"
        is_unread = status != 404 and "elsewhere" not in requirement
        assert (f"But the index {first} could not be read ({why})" in told) == is_unread
        assert (UNREAD in told) == is_unread and UNREAD not in plain.output


@old_middle_new
def test_local_wheels_do_without_an_index_as_ever(either: Environment) -> None:
    links = either.fresh_dir()
    package = Package("demo", 1000)
    (links / package.filename).write_bytes(package.wheel())
    options: list[Argument] = [*indexes(dead_index()), "--find-links", links]
    run = download(either, *options, "demo")
    assert end_of(run) == OK, run.output
    assert len(run.warnings(UNREAD)) == either.armed
    missing = download(either, *options, "missing")
    assert end_of(missing) == (OURS if either.armed else NO_MATCH), missing.output
    # So they do where it has answered before, and so does what is installed.
    with Lab([Package("other"), Package("demo", page_forever=Busy(503))]) as lab:
        run = download(either, *indexes(lab.index_url), "--find-links", links, "other", "demo")
    assert end_of(run) == OK, run.output
    for what, end in ("pip", OK), ("pip==99", end_of(missing)):
        run = either.run("install", "--upgrade", what, *indexes(dead_index()), env=HURRIED)
        assert end_of(run) == end, run.output


@pytest.mark.parametrize("fault", ["reset", "silence", "busy", "cut"])
@old_middle_new
def test_an_index_that_answered_before_is_never_gone_without(
    armed: Environment, bare: Environment, public: Lab, fault: str
) -> None:
    """Else a name that the private index has would be taken from the public one."""
    with Lab([Package("first"), Package("demo", page_forever=LOST[fault])]) as lab:
        words = *indexes(lab.index_url, public.index_url), "first", "demo"
        run = download(armed, *words)
        assert end_of(run) == OURS, run.output
        assert not public.requests("demo", "artifact")
        plain = end_of(download(bare, *words))
        if (fault, plain) != ("cut", TRACEBACK):  # as pip 26.3 has it
            assert plain == OK
            assert public.requests("demo", "artifact"), "plain pip takes the public package"


@old_middle_new
def test_a_build_is_of_the_same_run(armed: Environment, bare: Environment, public: Lab) -> None:
    """What it needs is searched by another pip, which knows that the private index answered."""
    sdist = Package("project", 1000, sdist=True, build_requires=["demo"])
    with Lab([sdist, Package("demo", page_forever=LOST["reset"])]) as lab:
        words = "wheel", "--no-deps", *indexes(lab.index_url, public.index_url), "project"
        for each in armed, bare:
            assert not public.requests("demo", "artifact")
            run = each.run(*words, "--wheel-dir", each.fresh_dir(), env=HURRIED)
        assert public.requests("demo", "artifact"), run.output


@old_middle_new
def test_who_leads_to_nobody_has_not_answered(either: Environment, public: Lab) -> None:
    with Lab([Package("demo", page_forever=Busy(504))]) as busy:
        for where in (dead_index(), f"{busy.index_url}demo/"):
            with odd_index(page=[reply(302, Location=where)]) as moved:
                run = download(either, *indexes(public.index_url, moved.index_url), "demo")
            assert end_of(run) == OK and len(run.warnings(UNREAD)) == either.armed, run.output


@pytest.mark.parametrize("fault", ["reset", "403"])
@old_middle_new
def test_with_indexes_all_each_index_must_be_read(
    armed: Environment, bare: Environment, public: Lab, fault: str
) -> None:
    """It may still not have a project; test_odd_answers.py has that."""
    with Lab([Package("demo", page_forever=LOST[fault])]) as lab:
        words = *indexes(lab.index_url, public.index_url), "demo"
        for retries in ("0", "1"):
            run = download(armed, *words, PIP_RETRIES=retries, PIP_RETRY_PATCH_INDEXES="all")
            assert end_of(run) == OURS, run.output
        assert not public.requests("demo", "artifact")
        assert end_of(download(bare, *words)) == OK
