"""What a server says to a run that continues what an earlier one kept."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

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
from tests.support.certificates import Certificates
from tests.support.downloads import Download
from tests.support.environments import Factory
from tests.support.partials import HEADER, SIZE, SOME, continuing, kept

ANSWERS: list[tuple[str, Any]] = [
    ("whole", Whole()),
    ("from-elsewhere", Elsewhere(1000)),
    ("another-total", OtherTotal(7)),
    ("unlabelled-from-elsewhere", Unlabelled(1000)),
    ("unsatisfiable", Unsatisfiable()),
    ("unsatisfiable-complete", Unsatisfiable(SIZE // 2)),
]


@pytest.mark.parametrize("answer", [a for _, a in ANSWERS], ids=[n for n, _ in ANSWERS])
@SOME
def test_what_is_not_proven_is_dropped_and_pip_gets_the_plain_answer(
    answer: Any,
    pip: str,
    python: str,
    armed: Factory,
    certificates: Certificates,
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    package = Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2, answer])
    with Lab([package]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert not continuing(done)
        assert not done.run.warnings()
        asked = lab.requests("demo", "artifact")[3:]
        assert [bool(request.range) for request in asked] == [True, False][: len(asked)]
        assert len(asked) == (1 if isinstance(answer, Whole) else 2)
        assert not kept(cache)


@SOME
def test_less_than_was_asked_for_is_gone_on_from(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    package = Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2, Short(100_000)])
    with Lab([package]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 100


@SOME
def test_a_206_that_only_its_length_and_its_validator_prove_is_gone_on_from(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(SIZE // 2), *[Busy(404)] * 2, Unlabelled()]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert not done.run.warnings()
        assert len(lab.requests("demo", "artifact")) == 4


@SOME
def test_a_file_that_was_replaced_between_two_runs(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(SIZE // 2), *[Busy(404)] * 2, Changed()]
    # A hash that the index lists before and after, and that only the later file has.
    later = hashlib.sha256(Package("demo", SIZE).wheel(1)).hexdigest()
    with Lab([Package("demo", SIZE, faults, hashes=later)]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        assert kept(cache)
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert not continuing(done)
        assert not kept(cache)


@SOME
def test_another_validator_is_gone_on_from_because_a_hash_covers_all(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(SIZE // 2), *[Busy(404)] * 2, OtherETag()]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 100
        assert not kept(cache)


@SOME
def test_links_that_are_signed_anew_for_each_run(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Redirect("?signature=1"), Cut(SIZE // 2), Redirect("?signature=2")]
    faults += [*[Busy(403)] * 2, Redirect("?signature=3")]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        (partial,) = kept(cache)
        assert b"signature" not in partial.read_bytes()[:HEADER]
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert continuing(done)
        last = lab.requests("demo", "artifact")[-1]
        assert last.path.endswith("?signature=3")
        assert last.range == f"bytes={SIZE // 2}-"
        assert not kept(cache)


@pytest.mark.parametrize("how", ["chunked", "weak", "date", "none"])
@SOME
def test_other_ways_to_serve_a_file_whose_hash_is_known(
    how: Any, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(SIZE // 2), *[Busy(404)] * 2]
    package = Package("demo", SIZE, faults, chunked=True)
    if how != "chunked":
        package = Package("demo", SIZE, faults, validator=how)
    with Lab([package]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert lab.sent("demo") <= len(lab.wheel("demo")) + 70_000  # a chunk was cut
        assert not kept(cache)


@SOME
def test_nothing_is_kept_that_no_hash_covers_or_is_small(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    faults = [Cut(SIZE // 2), *[Busy(404)] * 2]
    small = [Cut(500_000), *[Busy(404)] * 2]
    for package in (
        Package("demo", SIZE, faults, hashes=False),
        Package("demo", SIZE, faults, hashes=False, validator="none"),
        Package("demo", 990_000, small),
        Package("demo", 990_000, small, chunked=True),
    ):
        with Lab([package]) as lab:
            failed = Download(environment, lab, certificates, cache=cache)
            failed.assert_clear_error()
            assert "is kept" not in " ".join(failed.run.output.split())
            assert not kept(cache)


@SOME
def test_a_continued_file_that_never_fits_its_hash_is_an_error_that_tells_of_it(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    package = Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2, Flip(5), Flip(6)])
    with Lab([package]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        done = Download(environment, lab, certificates, cache=cache)
        assert done.run.returncode == 1
        assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.run.output
        assert "(the first 3.0 MB in an earlier run)" in done.run.output
        assert "What an earlier run had kept of the file was removed." in done.run.output
        assert len(lab.requests("demo", "artifact")) == 5
        assert not kept(cache)
