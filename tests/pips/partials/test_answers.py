"""What a server says to a run that continues what an earlier one kept."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.support.downloads import Download
from tests.support.environments import Environment
from tests.support.lab.contents import (
    Changed,
    Elsewhere,
    Flip,
    OtherETag,
    OtherTotal,
    Short,
    Unlabelled,
    Whole,
)
from tests.support.lab.faults import Busy, Cut, Redirect, Unsatisfiable
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import (
    CLOSED_LATE,
    RATE,
    SIZE,
    continuing,
    kept,
    plain_then_rest,
    stored,
)

# The first run gets half of the file and an error. The next one begins with a plain request.
FAILED_RUN = [Cut(SIZE // 2), *[Busy(404)] * 2]
PLAIN = None

ANSWERS: list[tuple[str, Any]] = [
    ("whole", Whole()),
    ("from-elsewhere", Elsewhere(1000)),
    ("another-total", OtherTotal(7)),
    ("unlabelled-from-elsewhere", Unlabelled(1000)),
    ("unsatisfiable", Unsatisfiable()),
    ("unsatisfiable-complete", Unsatisfiable(SIZE // 2)),
]


@pytest.mark.parametrize("answer", [a for _, a in ANSWERS], ids=[n for n, _ in ANSWERS])
@old_middle_new
def test_what_is_not_proven_is_not_joined_and_all_is_asked_for_once(
    answer: Any, armed: Environment
) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE, [*FAILED_RUN, PLAIN, answer])]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert not continuing(done)
        (line,) = done.run.warnings()
        assert "demo-1.0 fetches 3.0 of 6.0 MB again" in line
        asked = lab.requests("demo", "artifact")[3:]
        # An answer that is whole is read; behind the others all is asked for, once.
        expected = [False, True] if isinstance(answer, Whole) else [False, True, False]
        assert [bool(request.range) for request in asked] == expected
        assert asked[1].range == f"bytes={SIZE // 2}-"
        assert not stored(cache)


@old_middle_new
def test_less_than_was_asked_for_is_gone_on_from(armed: Environment) -> None:
    cache = armed.fresh_dir()
    faults = [*FAILED_RUN, PLAIN, Short(100_000)]
    with Lab([Package("demo", SIZE, faults)], rate=RATE) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert continuing(done)
        asked = lab.requests("demo", "artifact")[3:]
        plain_then_rest(asked, SIZE // 2, SIZE // 2 + 100_000)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + CLOSED_LATE


@old_middle_new
def test_a_206_that_only_its_length_and_its_validator_prove_is_gone_on_from(
    armed: Environment,
) -> None:
    cache = armed.fresh_dir()
    faults = [*FAILED_RUN, PLAIN, Unlabelled()]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert not done.run.warnings()
        plain_then_rest(lab.requests("demo", "artifact")[3:], SIZE // 2)


@old_middle_new
def test_a_file_that_was_replaced_between_two_runs(armed: Environment) -> None:
    """Only the hash can tell that what is kept is of another file; then it is fetched once more."""
    cache = armed.fresh_dir()
    # A hash that the index lists before and after, and that only the later file has.
    later = hashlib.sha256(Package("demo", SIZE).wheel(1)).hexdigest()
    package = Package("demo", SIZE, [*FAILED_RUN, Changed()], hashes=later)
    with Lab([package]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        assert kept(cache)
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        (line,) = done.run.warnings()
        assert "What an earlier run had kept of demo-1.0 was removed." in line
        assert "Fetched anew, its hash fits." in line
        plain, rest, whole = lab.requests("demo", "artifact")[3:]
        plain_then_rest([plain, rest], SIZE // 2)
        assert whole.range is None
        assert not stored(cache)


@old_middle_new
def test_a_file_that_is_replaced_while_its_rest_is_asked_for(armed: Environment) -> None:
    """Its plain answer was still the old one: the part has another total, and is never joined."""
    cache = armed.fresh_dir()
    later = hashlib.sha256(Package("demo", SIZE).wheel(1)).hexdigest()
    package = Package("demo", SIZE, [*FAILED_RUN, PLAIN, Changed()], hashes=later)
    with Lab([package]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert not continuing(done)
        (line,) = done.run.warnings()
        assert "demo-1.0 has changed on the server; starting anew" in line
        assert not stored(cache)


@old_middle_new
def test_another_validator_is_gone_on_from_because_a_hash_covers_all(armed: Environment) -> None:
    cache = armed.fresh_dir()
    faults = [*FAILED_RUN, PLAIN, OtherETag()]
    with Lab([Package("demo", SIZE, faults)], rate=RATE) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert continuing(done)
        plain_then_rest(lab.requests("demo", "artifact")[3:], SIZE // 2)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + CLOSED_LATE
        assert not stored(cache)


@old_middle_new
def test_links_that_are_signed_anew_for_each_run(armed: Environment) -> None:
    cache = armed.fresh_dir()
    faults: list[Any] = [Redirect("?signature=1"), Cut(SIZE // 2), Redirect("?signature=2")]
    faults += [*[Busy(403)] * 2, Redirect("?signature=3"), None, Redirect("?signature=4")]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        # What is left has the file's bytes and the hash's name, and nothing of the link.
        (file,) = kept(cache)
        assert file.read_bytes() == lab.wheel("demo")[: SIZE // 2]
        name = f"sha256-{lab.sha256('demo')}-"
        assert all(path.name.startswith(name) for path in stored(cache))
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert continuing(done)
        third, _, fourth = lab.requests("demo", "artifact")[-3:]
        assert third.path.endswith("?signature=3") and third.range is None
        assert fourth.path.endswith("?signature=4")
        assert fourth.range == f"bytes={SIZE // 2}-"
        assert not stored(cache)


@pytest.mark.parametrize("how", ["chunked", "weak", "date", "none"])
@old_middle_new
def test_other_ways_to_serve_a_file_whose_hash_is_known(how: Any, armed: Environment) -> None:
    cache = armed.fresh_dir()
    package = Package("demo", SIZE, FAILED_RUN, chunked=True)
    if how != "chunked":
        package = Package("demo", SIZE, FAILED_RUN, validator=how)
    with Lab([package], rate=RATE) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 70_000 + CLOSED_LATE  # a chunk was cut
        assert not stored(cache)


@old_middle_new
def test_nothing_is_kept_that_no_hash_covers_or_is_small(armed: Environment) -> None:
    cache = armed.fresh_dir()
    small = [Cut(500_000), *[Busy(404)] * 2]
    for package in (
        Package("demo", SIZE, FAILED_RUN, hashes=False),
        Package("demo", SIZE, FAILED_RUN, hashes=False, validator="none"),
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
    package = Package("demo", SIZE, [*FAILED_RUN, PLAIN, Flip(5), Flip(6)])
    with Lab([package]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        done = Download(armed, lab, cache=cache)
        assert done.run.returncode == 1
        assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.run.output
        assert "(the first 3.0 MB in an earlier run)" in done.run.output
        assert "What an earlier run had kept of the file was removed." in done.run.output
        assert len(lab.requests("demo", "artifact")) == 6
        assert not stored(cache)
