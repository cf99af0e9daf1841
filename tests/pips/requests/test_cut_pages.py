"""Index pages that are cut so that no length tells it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.downloads import HASTY, OK, Download, outcome_of
from tests.support.environments import Environment
from tests.support.lab.contents import Overstate, Truncated, Unframed
from tests.support.lab.faults import Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new

CUTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "gzip-without-its-end": (Truncated(100), {"gzip": True}),
    "gzip-without-its-trailer": (Truncated(8), {"gzip": True}),
    "html-that-ends-with-its-connection": ((Unframed(), Cut(100)), {}),
    "json-that-ends-with-its-connection": ((Unframed(), Cut(100)), {"page_format": "json"}),
}
each_cut = pytest.mark.parametrize("cut", CUTS)


def package_of(cut: str, times: int = 1) -> Package:
    fault, options = CUTS[cut]
    return Package("demo", page_faults=[fault] * times, **options)


@each_cut
@old_middle_new
def test_a_page_without_its_end_is_asked_for_again(
    cut: str, armed: Environment, bare: Environment
) -> None:
    package = package_of(cut)
    with Lab([package]) as lab:
        done = Download(armed, lab)
        done.assert_right()
    with Lab([package]) as lab:
        plain = Download(bare, lab)
        assert outcome_of(plain.run) != OK or cut == "gzip-without-its-trailer"


@each_cut
@old_middle_new
def test_a_page_that_comes_twice_without_its_end_is_taken_as_plain_pip_takes_it(
    cut: str, armed: Environment, bare: Environment
) -> None:
    """That its end is missing is a guess: it costs one more request."""
    with Lab([package_of(cut, 20)]) as lab:
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
            assert len(lab.requests("demo", "page")) == 1
            assert not done.run.warnings()


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
