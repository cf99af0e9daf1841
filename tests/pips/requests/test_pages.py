"""Index pages that are cut, with a length that tells it or without: healed, never passed over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.downloads import HASTY, OK, Download, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import download
from tests.support.lab.faults import Cut, Overstate, Reset, Stall, Truncated, Unframed
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new

UNTOLD: dict[str, tuple[Any, dict[str, Any]]] = {
    "gzip-without-its-end": (Truncated(100), {"gzip": True}),
    "gzip-without-its-trailer": (Truncated(8), {"gzip": True}),
    "html-that-ends-with-its-connection": ((Unframed(), Cut(100)), {}),
    "json-that-ends-with-its-connection": ((Unframed(), Cut(100)), {"page_format": "json"}),
}
VARYING: dict[str, Any] = {
    "gzip": True,
    "gzip_varies": True,
    "page_faults": [Cut(50), Reset(60), None],
}
# What is asked for until it is whole, and never put together.
HEALED: dict[str, Package] = {
    **{name: Package("demo", page_faults=[fault], **how) for name, (fault, how) in UNTOLD.items()},
    "html-that-differs-each-time": Package("demo", **VARYING),
    "json-that-differs-each-time": Package("demo", page_format="json", **VARYING),
    "json": Package("demo", page_format="json", page_faults=[Cut(50), Reset(100)]),
    "no-length-and-no-validator": Package(
        "demo", chunked=True, validator="none", page_faults=[Cut(50), Reset(60), Stall(70)]
    ),
}


@pytest.mark.parametrize("how", HEALED)
@old_middle_new
def test_a_page_that_is_cut_is_asked_for_until_it_is_whole(
    how: str, armed: Environment, bare: Environment
) -> None:
    with Lab([HEALED[how]]) as lab:
        Download(armed, lab, "--timeout", "1").assert_right()
        asked = lab.requests("demo", "page")
        faults = [fault for fault in HEALED[how].page_faults if fault]
        assert [request.range for request in asked] == [None] * (len(faults) + 1)
    with Lab([HEALED[how]]) as lab:
        plain = Download(bare, lab, "--timeout", "1")
        assert end_of(plain.run) != OK or how == "gzip-without-its-trailer"


@pytest.mark.parametrize("how", UNTOLD)
@old_middle_new
def test_a_page_that_comes_twice_without_its_end_is_taken_as_plain_pip_takes_it(
    how: str, armed: Environment, bare: Environment
) -> None:
    """That its end is missing is a guess: it costs one more request."""
    fault, options = UNTOLD[how]
    with Lab([Package("demo", page_faults=[fault] * 20, **options)]) as lab:
        plain = Download(bare, lab)
        asked = len(lab.requests("demo", "page"))
        done = Download(armed, lab, env=HASTY)
        assert len(lab.requests("demo", "page")) - asked == asked + 1
        assert (done.run.returncode == 0) == (plain.run.returncode == 0)
        assert "Traceback" not in done.run.output


@old_middle_new
def test_a_whole_page_that_ends_with_its_connection_is_taken(armed: Environment) -> None:
    for page_format in ("html", "json"):
        package = Package("demo", page_format=page_format, page_faults=[Unframed()])
        with Lab([package]) as lab:
            done = Download(armed, lab)
            done.assert_right()
            assert len(lab.requests("demo", "page")) == 1 and not done.run.warnings()


@pytest.mark.parametrize("media", ["html", "json"])
@old_middle_new
def test_a_page_that_never_reaches_its_length_but_shows_its_end_is_taken_where_pip_takes_it(
    media: Any, armed: Environment, bare: Environment
) -> None:
    """urllib3 1.26 does not compare the two; that of pip 26.1 and later raises."""
    package = Package("demo", page_format=media, page_forever=Overstate(5))
    with Lab([package]) as lab:
        plain = Download(bare, lab)
        done = Download(armed, lab, env=HASTY)
        assert (done.run.returncode == 0) == (plain.run.returncode == 0), done.run.output
        assert "Traceback" not in done.run.output


@old_middle_new
def test_a_page_that_stays_cut_is_an_error_and_passed_over_for_no_other_index(
    armed: Environment,
) -> None:
    """To go on with the other one alone would choose from half of the candidates."""
    private = Package("demo", page_faults=[Cut(50)] * 20, validator="weak", ranges=False)
    with Lab([private]) as first, Lab([Package("demo", 3000)]) as second:
        indexes = "--index-url", second.index_url, "--extra-index-url", first.index_url
        for options in (("--index-url", first.index_url), indexes):
            run = download(armed, *options, "demo", **HASTY)
            told = said(run).replace("Downloading ", "")
            assert run.returncode == 1 and f"the page {first.index_url}demo/ stopped at" in told
            assert "No matching distribution" not in told and "Traceback" not in told
        assert not second.requests("demo", "artifact")


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
