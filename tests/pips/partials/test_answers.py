"""What a server says to a run that continues what an earlier one kept."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Mapping, NamedTuple

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import HASH, HASTY, Download, downloaded, end_of, said, stopped_at
from tests.support.environments import Environment
from tests.support.lab import faults as f
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import (
    CLOSED_LATE,
    HALF,
    RATE,
    SIZE,
    continuing,
    interrupted,
    kept,
    stored,
)

# A hash that the index lists before and after, and that only the later file has.
LATER = Package("demo", SIZE, generation=1).sha256
PLAIN = None


class Case(NamedTuple):
    """What the second run is answered, after one that got half of the file and an error.

    :param ranges: where each of its requests begins; None: it asked for all.
    :param says: what its warnings say.
    :param goes_on: what was kept is used.
    """

    faults: list[Any]
    ranges: list[int | None]
    says: tuple[str, ...] = ()
    goes_on: bool = True
    package: Mapping[str, Any] = MappingProxyType({})


REST = [None, HALF]
AGAIN = "demo-1.0 fetches 3.0 of 6.0 MB again"
REMOVED = "(the first 3.0 MB in an earlier run), complete{}). Fetched anew, its hash fits."
CASES = {
    "as-it-was": Case([], REST),
    "in-chunks-without-a-validator": Case([], REST, package={"chunked": True, "validator": "none"}),
    # What is not proven is not joined: then pip's first answer, which has waited, is read.
    "whole": Case([PLAIN, f.Whole()], REST, (AGAIN,), False),
    "from-elsewhere": Case([PLAIN, f.Elsewhere(1000)], REST, (AGAIN,), False),
    "refused": Case([PLAIN, f.ToRange(f.Busy(403))], REST, (AGAIN,), False),
    "unsatisfiable-complete": Case([PLAIN, f.Unsatisfiable(HALF)], REST, (AGAIN,), False),
    # A hash covers all.
    "less": Case([PLAIN, f.Short(100_000)], [*REST, HALF + 100_000], ("(only a part came)",)),
    # Only the hash can tell that what is kept is of another file; then it is fetched once more.
    "replaced": Case(
        [f.Changed()],
        [*REST, None],
        (REMOVED.format(", joined of parts"),),
        package={"hashes": LATER},
    ),
    # Its plain answer was still the old one: the part has another total, and is never joined.
    "replaced-late": Case(
        [PLAIN, f.Changed()],
        [*REST, None],
        (AGAIN, REMOVED.format("")),
        False,
        package={"hashes": LATER},
    ),
}


@pytest.mark.parametrize("name", CASES)
@old_middle_new
def test_the_next_run_takes_what_is_proven(name: str, armed: Environment) -> None:
    case, cache = CASES[name], armed.fresh_dir()
    package = Package("demo", SIZE, [*stopped_at(HALF), *case.faults], **case.package)
    with Lab([package], rate=None if case.says else RATE) as lab:
        failed = Download(armed, lab, cache=cache).assert_clear_error()
        assert "What arrived is kept, and the next run continues from there." in said(failed.run)
        (file,) = kept(cache)
        assert lab.wheel("demo").startswith(file.read_bytes())
        done = Download(armed, lab, cache=cache).assert_right()
        assert bool(continuing(done)) == case.goes_on
        assert len(done.run.warnings()) == len(case.says), done.run.output
        assert all(each in said(done.run) for each in case.says)
        asked = lab.requests("demo", "artifact")[5:]
        if not case.package:
            expected = [None if first is None else f"bytes={first}-" for first in case.ranges]
            assert [request.range for request in asked] == expected
        # The validators of another run's answer would mean nothing here, and a hash covers all.
        assert not any("if-range" in request.headers for request in asked)
        if not case.says:
            # (A chunk that was cut comes again.)
            assert lab.sent("demo") <= len(lab.wheel("demo")) + 70_000 + CLOSED_LATE
        assert not stored(cache)


@old_middle_new
def test_the_same_file_from_another_index_goes_on_where_the_first_one_stopped(
    either: Environment,
) -> None:
    """A person who sees a slow index stop at half of a file switches to another one."""
    package, tls = Package("demo", SIZE, max_age=3600), certificates().server
    cache = either.fresh_dir()
    with Lab([package], rate=RATE) as slow, Lab([package], rate=RATE, tls=tls) as other:
        interrupted(either, slow, cache)
        done = Download(either, other, cache=cache).assert_right()
        wire = (slow.sent("demo") + other.sent("demo")) / len(other.wheel("demo"))
        requests = other.requests("demo", "artifact")
        if either.armed:
            assert continuing(done) and wire <= 1.15
            assert [request.status for request in requests] == [200, 206]
            assert not stored(cache)
        else:
            assert [request.status for request in requests] == [200] and wire >= 1.4


PAGE = f.WebPage()
# The faults of two runs, of which the second ends with a login page.
LOGINS: dict[str, list[Any]] = {
    "in-place-of-the-rest": [*stopped_at(HALF), f.Cut(1000), *[PAGE] * 2],
    "at-the-start": [f.Cut(HALF), *[PAGE] * 4],
}


@pytest.mark.parametrize("when", LOGINS)
@old_middle_new
def test_a_login_page_that_stays_is_told_as_one_and_what_was_kept_stays(
    when: str, armed: Environment
) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE, LOGINS[when])]) as lab:
        first, second = (Download(armed, lab, cache=cache, env=HASTY) for _ in range(2))
        stopped = first if when == "at-the-start" else second
        stopped.assert_clear_error()
        assert "a web page came in place of the file" in said(stopped.run) or stopped is first
        (file,) = kept(cache)
        assert file.read_bytes() == lab.wheel("demo")[:HALF]
        done = Download(armed, lab, cache=cache).assert_right()
        assert continuing(done) and not stored(cache)


@old_middle_new
def test_nothing_is_kept_that_no_hash_covers_or_is_small(armed: Environment) -> None:
    odd: Any = ((SIZE, {"hashes": False}), (900_000, {}), (900_000, {"chunked": True}))
    for size, how in odd:
        cache = armed.fresh_dir()
        package = Package("demo", size, stopped_at(500_000), **how)
        failed = downloaded(armed, package, cache=cache).assert_clear_error()
        assert "is kept" not in said(failed.run) and not stored(cache)
        advice = "cannot be continued safely: add #sha256=... to the URL." in said(failed.run)
        assert advice == (package.hashes is False)


@old_middle_new
def test_a_continued_file_that_never_fits_its_hash_is_an_error_that_tells_of_it(
    armed: Environment,
) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE, [*stopped_at(HALF), PLAIN, f.Flip(5), f.Flip(6)])]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        run = Download(armed, lab, cache=cache).run
        assert end_of(run) == HASH and len(lab.requests("demo", "artifact")) == 8
        assert "(the first 3.0 MB in an earlier run)" in run.output
        assert not stored(cache)
