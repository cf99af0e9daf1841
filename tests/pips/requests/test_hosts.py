"""Hosts that go away or are busy: waited for, and named in the end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.downloads import HASTY, SIZE, Download
from tests.support.environments import Environment
from tests.support.lab.faults import Away, Busy, Drop, Redirect
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.programs import Argument


@old_middle_new
def test_a_host_that_answered_is_waited_for_at_the_start_of_a_request(armed: Environment) -> None:
    """The page is had, then the wifi restarts: the file is asked for of nobody, for a while."""
    package = Package("demo", SIZE, [(Drop(), Away(3.0))])
    with Lab([package]) as lab:
        done = Download(armed, lab, "--retries", "1")
        done.assert_right()
        (line,) = done.run.warnings(" is away (")
        assert "(refused), waiting " in line


@old_middle_new
def test_a_host_that_stays_away_is_named(armed: Environment) -> None:
    package = Package("demo", SIZE, [(Drop(), Away(60.0))])
    with Lab([package]) as lab:
        done = Download(armed, lab, "--retries", "1", env=HASTY)
        output = " ".join(done.run.output.split())
        assert done.run.returncode == 1
        assert f"127.0.0.1:{lab.url.rpartition(':')[2]} cannot be reached any more" in output
        assert "Traceback" not in output


def away_then(*faults: Any) -> Package:
    """A page whose host answers, is away for a second, and then is back with these faults."""
    return Package("demo", page_faults=[Redirect("?again=1"), (Drop(), Away(1.0)), *faults])


@old_middle_new
def test_a_host_that_is_back_but_busy_is_asked_again_with_patience(armed: Environment) -> None:
    """It has but one of pip's own retries, and that was used up while the host was away."""
    with Lab([away_then(Busy(503, retry_after=2), Busy(504))]) as lab:
        done = Download(armed, lab, "--retries", "1")
        done.assert_right()
        (line,) = done.run.warnings(" is away (")
        assert "(refused), waiting " in line
        pages = lab.requests("demo", "page")
        assert [page.status for page in pages] == [302, 0, 503, 504, 200]
        assert pages[3].time - pages[2].time >= 2


@old_middle_new
def test_a_host_that_is_back_but_breaks_the_connection_is_asked_again(armed: Environment) -> None:
    with Lab([away_then(Drop(), Busy(503))]) as lab:
        done = Download(armed, lab, "--retries", "1")
        done.assert_right()
        assert [page.status for page in lab.requests("demo", "page")] == [302, 0, 0, 503, 200]


@old_middle_new
def test_a_host_that_is_back_but_stays_busy_is_named_after_the_attempts(armed: Environment) -> None:
    with Lab([away_then(*[Busy(503)] * 20)]) as lab:
        env: dict[str, Argument] = {"PIP_RETRY_PATCH_ATTEMPTS": "3"}
        done = Download(armed, lab, "--retries", "1", env=env)
        output = " ".join(done.run.output.split())
        assert done.run.returncode == 1
        assert f"127.0.0.1:{lab.url.rpartition(':')[2]} is there, but of no help now" in output
        assert ": the server answers 503; " in output and "PIP_RETRY_PATCH_ATTEMPTS=50" in output
        assert "No matching distribution" not in output and "Traceback" not in output
        # The redirect, the host that is away, and three retries after the first busy answer.
        assert len(lab.requests("demo", "page")) == 6


@pytest.mark.parametrize("busy", [Busy(429), Busy(503, retry_after=1), Busy(504)])
@old_middle_new
def test_a_page_of_a_busy_host_is_no_page_that_is_not_there(busy: Busy, armed: Environment) -> None:
    """pip asks for it again when the answer is 503, never after a bare 429 or a 504."""
    with Lab([Package("demo", page_faults=[busy] * 2)]) as lab:
        done = Download(armed, lab, "--retries", "1")
        done.assert_right()
        (line,) = done.run.warnings(" is busy ")
        assert f"is busy (HTTP {busy.status}" in line and "asking again" in line
        assert len(lab.requests("demo", "page")) == 3


@old_middle_new
def test_a_host_that_gets_busy_and_stays_so_is_an_error(armed: Environment) -> None:
    with Lab([Package("demo", page_faults=[Redirect("?again=1"), *[Busy(503)] * 20])]) as lab:
        done = Download(armed, lab, "--retries", "2", env=HASTY)
        output = " ".join(done.run.output.split())
        assert done.run.returncode == 1
        assert f"127.0.0.1:{lab.url.rpartition(':')[2]} is there, but of no help now" in output
        assert f"the page {lab.index_url}demo/" in output
        assert "No matching distribution" not in output and "Traceback" not in output
        # The redirect, what it leads to, and two retries.
        assert len(lab.requests("demo", "page")) == 4


@old_middle_new
def test_an_index_that_is_never_but_busy_is_gone_without_and_asked_again_once(
    armed: Environment,
) -> None:
    """One of several may be dead for good, and pip always did without it, if in silence."""
    names = ("demo", "other")
    dead = [Package(name, page_faults=[Busy(504)] * 20) for name in names]
    with Lab(dead) as first, Lab([Package(name, 3000) for name in names]) as second:
        target = armed.fresh_dir()
        run = armed.run(
            *("download", "--no-deps", "--dest", target, "--index-url", second.index_url),
            *("--extra-index-url", first.index_url, *names),
            env={"PIP_RETRY_PATCH_ATTEMPTS": "3"},
        )
        assert run.returncode == 0, run.output
        assert len(list(target.iterdir())) == 2
        (line,) = run.warnings("could not be read")
        assert "the server answers 504" in line and "pip goes on without it" in line
        asked = [len(first.requests(name, "page")) for name in names]
        assert asked == [4, 1]


@pytest.mark.parametrize("status", [429, 503])
@old_middle_new
def test_a_file_of_a_busy_host_is_waited_for(status: int, armed: Environment) -> None:
    with Lab([Package("demo", SIZE, [Busy(status)] * 3)]) as lab:
        done = Download(armed, lab, "--retries", "1")
        done.assert_right()
        (line,) = done.run.warnings(" is busy ")
        assert f"is busy (HTTP {status}), asking again for demo-1.0" in line


@old_middle_new
def test_a_file_of_a_host_that_stays_busy_is_an_error_and_no_traceback(armed: Environment) -> None:
    with Lab([Package("demo", SIZE, forever=Busy(503))]) as lab:
        done = Download(armed, lab, "--retries", "1", env=HASTY)
        assert done.run.returncode == 1
        assert "of no help now" in done.run.output and "Traceback" not in done.run.output


@old_middle_new
def test_without_retries_a_busy_host_is_asked_once(armed: Environment) -> None:
    with Lab([Package("demo", page_faults=[Busy(429)] * 9)]) as lab:
        done = Download(armed, lab, "--retries", "0")
        assert done.run.returncode == 1 and not done.run.warnings(" is busy ")
        assert len(lab.requests("demo", "page")) == 1


@old_middle_new
def test_a_host_that_never_answers_is_told_as_one(armed: Environment, bare: Environment) -> None:
    with Lab([]) as lab:
        url = lab.index_url
    command = ("download", "--retries", "1", "--index-url", url, "demo")
    plain = bare.run(*command)
    assert plain.returncode == 1 and "No matching distribution" in plain.output
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_FIRST_CONTACT": "0"}
    ours = armed.run(*command, env=env)
    assert ours.returncode == 1
    assert "cannot be reached" in ours.output
    assert "No matching distribution" not in ours.output and "Traceback" not in ours.output
