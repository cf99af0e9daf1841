"""Answers that are no help and that time does not change, with real pips: each is told as it is."""

from __future__ import annotations

import pytest

from tests.support.environments import Environment
from tests.support.hosts import NO_MATCH, OK, OTHER, OURS, TRACEBACK, download, end_of, said
from tests.support.lab.faults import Busy, Redirect
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new

UNREAD = "could not be read"


@pytest.mark.parametrize("status", [407, 501, 505, 511])
@old_middle_new
def test_an_index_that_answers_with_an_error_of_its_own_is_no_missing_project(
    armed: Environment, bare: Environment, status: int
) -> None:
    with Lab([Package("demo", page_forever=Busy(status))]) as lab:
        run = download(armed, "--index-url", lab.index_url, "demo")
        assert end_of(run) == OURS, run.output
        assert f"The index {lab.index_url} could not be read." in said(run)
        assert f"The server answers {status}." in said(run)
        asked = len(lab.requests("demo", "page"))
        plain = download(bare, "--index-url", lab.index_url, "demo")
        assert end_of(plain) == NO_MATCH
        assert asked == len(lab.requests("demo", "page")) - asked, "as often as plain pip"


@pytest.mark.parametrize("status", [407, 500, 501, 502, 503, 504, 521, 522, 524, 526])
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
        strict = download(armed, *indexes, "demo", PIP_RETRIES="0", PIP_RETRY_PATCH_INDEXES="all")
        assert end_of(strict) == OURS, strict.output
        plain = download(bare, *indexes, "demo", PIP_RETRIES="0")
        assert end_of(plain) == OK and not plain.warnings(private.index_url)


@pytest.mark.parametrize("status", [400, 403, 451])
@old_middle_new
def test_what_is_not_found_may_be_behind_a_refusal(
    armed: Environment, bare: Environment, status: int
) -> None:
    """Not so for 404, which says that it is not there."""
    with Lab([Package("demo", page_forever=Busy(status))]) as lab:
        indexes = "--index-url", lab.index_url
        run = download(armed, *indexes, "demo")
        assert end_of(run) == NO_MATCH, run.output
        told = f"But the index {lab.index_url} could not be read (the server answers {status})"
        assert told in said(run)
        plain = download(bare, *indexes, "demo")
        assert end_of(plain) == NO_MATCH and UNREAD not in said(plain)
        missing = download(armed, *indexes, "missing")
        assert end_of(missing) == NO_MATCH and UNREAD not in said(missing)


@pytest.mark.parametrize("location", ["http://[bad/", "http://a..example/", "gopher://a.example/"])
@pytest.mark.parametrize("what", ["page", "file"])
@old_middle_new
def test_a_redirect_to_nowhere_is_no_traceback(
    armed: Environment, bare: Environment, location: str, what: str
) -> None:
    spoilt = Redirect(location)
    package = Package("demo", page_forever=spoilt) if what == "page" else None
    with Lab([package or Package("demo", forever=spoilt)]) as lab:
        run = download(armed, "--index-url", lab.index_url, "demo")
        assert end_of(run) == OURS, run.output
        assert "The answer leads to an address that makes no sense" in said(run)
        plain = download(bare, "--index-url", lab.index_url, "demo")
        assert end_of(plain) in (TRACEBACK, OTHER, NO_MATCH), plain.output
