"""What a server says to a run that continues what an earlier one kept."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import Any, Mapping, NamedTuple

import pytest

from tests.support.downloads import Download
from tests.support.environments import Environment
from tests.support.lab import faults as f
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import CLOSED_LATE, RATE, SIZE, continuing, kept, stored

HALF = SIZE // 2
# The first run gets half of the file and an error. The next one begins with a plain request.
FAILED_RUN = [f.Cut(HALF), *[f.Busy(404)] * 2]
PLAIN = None
# A hash that the index lists before and after, and that only the later file has.
LATER = hashlib.sha256(Package("demo", SIZE).wheel(1)).hexdigest()


class Case(NamedTuple):
    """What the second run is answered.

    :param ranges: where each of its requests begins; None: it asked for all.
    :param says: what its one warning says, if there is one.
    :param goes_on: what was kept is used.
    """

    faults: list[Any]
    ranges: list[int | None]
    says: str = ""
    goes_on: bool = True
    package: Mapping[str, Any] = MappingProxyType({})


REST, ALL = [None, HALF], [None, HALF, None]
AGAIN = "demo-1.0 fetches 3.0 of 6.0 MB again"
REMOVED = "What an earlier run had kept of demo-1.0 was removed. Fetched anew, its hash fits."
ANEW = "demo-1.0 has changed on the server; starting anew"
CASES = {
    # What is not proven is not joined, and all is asked for, once.
    "whole": Case([PLAIN, f.Whole()], REST, AGAIN, False),
    "from-elsewhere": Case([PLAIN, f.Elsewhere(1000)], ALL, AGAIN, False),
    "another-total": Case([PLAIN, f.OtherTotal(7)], ALL, AGAIN, False),
    "unlabelled-from-elsewhere": Case([PLAIN, f.Unlabelled(1000)], ALL, AGAIN, False),
    "unsatisfiable": Case([PLAIN, f.Unsatisfiable()], ALL, AGAIN, False),
    "unsatisfiable-complete": Case([PLAIN, f.Unsatisfiable(HALF)], ALL, AGAIN, False),
    # A hash covers all.
    "less": Case([PLAIN, f.Short(100_000)], [*REST, HALF + 100_000], "(only a part came)"),
    "unlabelled": Case([PLAIN, f.Unlabelled()], REST),
    "another-validator": Case([PLAIN, f.OtherETag()], REST),
    "weak": Case([], REST, package={"validator": "weak"}),
    "date": Case([], REST, package={"validator": "date"}),
    "none": Case([], REST, package={"validator": "none"}),
    # Only the hash can tell that what is kept is of another file; then it is fetched once more.
    "replaced": Case([f.Changed()], ALL, REMOVED, package={"hashes": LATER}),
    # Its plain answer was still the old one: the part has another total, and is never joined.
    "replaced-late": Case([PLAIN, f.Changed()], ALL, ANEW, False, package={"hashes": LATER}),
}


@pytest.mark.parametrize("name", CASES)
@old_middle_new
def test_the_next_run_takes_what_is_proven(name: str, armed: Environment) -> None:
    case, cache = CASES[name], armed.fresh_dir()
    package = Package("demo", SIZE, [*FAILED_RUN, *case.faults], **case.package)
    with Lab([package], rate=None if case.says else RATE) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        assert kept(cache)
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert bool(continuing(done)) == case.goes_on
        assert len(done.run.warnings()) == bool(case.says), done.run.output
        assert case.says in " ".join(done.run.output.split())
        asked = lab.requests("demo", "artifact")[3:]
        ranges = [None if first is None else f"bytes={first}-" for first in case.ranges]
        if name != "replaced-late":
            assert [request.range for request in asked] == ranges
        # The validators of another run's answer would mean nothing here, and a hash covers all.
        assert not any(request.if_range for request in asked)
        if not case.says:
            assert lab.sent("demo") <= len(lab.wheel("demo")) + CLOSED_LATE
        assert not stored(cache)


@old_middle_new
def test_chunks_are_gone_on_from(armed: Environment) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE, FAILED_RUN, chunked=True)], rate=RATE) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 70_000 + CLOSED_LATE  # a chunk was cut


@old_middle_new
def test_links_that_are_signed_anew_for_each_run(armed: Environment) -> None:
    cache = armed.fresh_dir()
    faults: list[Any] = [f.Redirect("?signature=1"), f.Cut(HALF), f.Redirect("?signature=2")]
    faults += [*[f.Busy(403)] * 2, f.Redirect("?signature=3"), None, f.Redirect("?signature=4")]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        # What is left has the file's bytes and the hash's name, and nothing of the link.
        (file,) = kept(cache)
        assert file.read_bytes() == lab.wheel("demo")[:HALF]
        name = f"sha256-{lab.sha256('demo')[:32]}-"
        assert all(path.name.startswith(name) for path in stored(cache))
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert continuing(done)
        third, _, fourth = lab.requests("demo", "artifact")[-3:]
        assert third.path.endswith("?signature=3") and third.range is None
        assert fourth.path.endswith("?signature=4") and fourth.range == f"bytes={HALF}-"
        assert not stored(cache)


@old_middle_new
def test_nothing_is_kept_that_no_hash_covers_or_is_small(armed: Environment) -> None:
    cache = armed.fresh_dir()
    small = [f.Cut(500_000), *[f.Busy(404)] * 2]
    for package in (
        Package("demo", SIZE, FAILED_RUN, hashes=False),
        Package("demo", 990_000, small),
        Package("demo", 990_000, small, chunked=True),
    ):
        with Lab([package]) as lab:
            failed = Download(armed, lab, cache=cache)
            failed.assert_clear_error()
            assert "is kept" not in " ".join(failed.run.output.split())
            assert not stored(cache)


@old_middle_new
def test_a_continued_file_that_never_fits_its_hash_is_an_error_that_tells_of_it(
    armed: Environment,
) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE, [*FAILED_RUN, PLAIN, f.Flip(5), f.Flip(6)])]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        done = Download(armed, lab, cache=cache)
        assert done.run.returncode == 1
        assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.run.output
        assert "(the first 3.0 MB in an earlier run)" in done.run.output
        assert "Each fetch brought different bytes" in done.run.output
        assert len(lab.requests("demo", "artifact")) == 6
        assert not stored(cache)
