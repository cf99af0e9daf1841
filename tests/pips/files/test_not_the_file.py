"""What comes is not the file: a login page, a block page, or the file in a coding of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.downloads import HASH, HASTY, OK, SIZE, THIRD, Download, outcome_of
from tests.support.environments import Environment
from tests.support.lab.contents import Compressed
from tests.support.lab.faults import Busy, Cut, WebPage
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new, pairs
from tests.support.partials import CLOSED_LATE, RATE, continuing, kept, plain_then_rest, stored
from tests.support.partials import SIZE as KEPT_SIZE

labelled_or_not = pytest.mark.parametrize("labelled", [True, False], ids=["html", "no-label"])


def words(download: Download) -> str:
    return " ".join(download.run.output.split())


@labelled_or_not
@old_middle_new
def test_a_login_page_in_mid_download_is_waited_for(
    labelled: bool, armed: Environment, bare: Environment
) -> None:
    page = WebPage(labelled=labelled)
    package = Package("demo", SIZE, [Cut(THIRD), page, page])
    with Lab([package]) as lab:
        done = Download(armed, lab)
        done.assert_right()
        (line,) = done.warnings
        assert "a web page came in place of the file" in line
    with Lab([package]) as lab:
        plain = Download(bare, lab)
        assert outcome_of(plain.run) != OK


@labelled_or_not
@old_middle_new
def test_a_login_page_that_stays_is_told_as_one_and_what_was_kept_stays(
    labelled: bool, armed: Environment
) -> None:
    cache = armed.fresh_dir()
    pages = [WebPage(labelled=labelled)] * 2
    faults = [Cut(KEPT_SIZE // 2), *pages]
    with Lab([Package("demo", KEPT_SIZE, faults)], rate=RATE) as lab:
        stopped = Download(armed, lab, cache=cache, env=HASTY)
        stopped.assert_clear_error()
        assert "sends a web page in place of the file" in words(stopped)
        assert "log in to the network" in words(stopped)
        assert kept(cache)
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert continuing(done)
        assert lab.sent("demo") - 2 * 1801 <= len(lab.wheel("demo")) + CLOSED_LATE
        plain_then_rest(lab.requests("demo", "artifact")[3:], KEPT_SIZE // 2)


def assert_half_is_continued(environment: Environment, lab: Lab, cache: Path) -> None:
    (file,) = kept(cache)
    assert file.read_bytes() == lab.wheel("demo")[: KEPT_SIZE // 2]
    done = Download(environment, lab, cache=cache)
    done.assert_right()
    assert continuing(done)
    assert not stored(cache)


@labelled_or_not
@old_middle_new
def test_a_login_page_at_the_start_of_the_next_run_leaves_what_was_kept(
    labelled: bool, armed: Environment
) -> None:
    cache = armed.fresh_dir()
    pages = [WebPage(labelled=labelled)] * 4
    with Lab([Package("demo", KEPT_SIZE, [Cut(KEPT_SIZE // 2), *pages])]) as lab:
        for _ in range(2):
            Download(armed, lab, cache=cache, env=HASTY)
        assert_half_is_continued(armed, lab, cache)


@labelled_or_not
@old_middle_new
def test_a_login_page_in_place_of_the_rest_leaves_what_was_kept(
    labelled: bool, armed: Environment
) -> None:
    """The plain request was answered with the file; then somebody wants a login."""
    cache = armed.fresh_dir()
    faults = [Cut(KEPT_SIZE // 2), *[Busy(404)] * 2, None, *[WebPage(labelled=labelled)] * 3]
    with Lab([Package("demo", KEPT_SIZE, faults)]) as lab:
        Download(armed, lab, cache=cache)
        stopped = Download(armed, lab, cache=cache, env=HASTY)
        stopped.assert_clear_error()
        assert "sends a web page in place of the file" in words(stopped)
        assert_half_is_continued(armed, lab, cache)


@labelled_or_not
@old_middle_new
def test_a_block_page_from_the_start_is_a_mismatch_whose_evidence_names_it(
    labelled: bool, armed: Environment, bare: Environment
) -> None:
    package = Package("demo", SIZE, forever=WebPage(labelled=labelled))
    with Lab([package]) as lab:
        blocked = Download(armed, lab)
        assert outcome_of(blocked.run) == HASH
        assert "sent a web page in place of the file" in words(blocked)
        assert "may have been replaced" not in words(blocked).partition("looked into it")[2]
        assert "1.8 kB of " in words(blocked)
        plain = Download(bare, lab)
        assert outcome_of(plain.run) == HASH


@old_middle_new
def test_a_web_page_that_came_once_is_no_damage(armed: Environment, bare: Environment) -> None:
    with Lab([Package("demo", SIZE, [WebPage()])]) as lab:
        done = Download(armed, lab)
        assert done.is_right, done.run.output
        assert done.run.warnings("A web page came in place of demo")
    with Lab([Package("demo", SIZE, [WebPage()])]) as lab:
        assert outcome_of(Download(bare, lab).run) == HASH


@old_middle_new
def test_a_file_that_a_proxy_compressed_is_decoded(armed: Environment, bare: Environment) -> None:
    with Lab([Package("demo", SIZE, forever=Compressed())]) as lab:
        done = Download(armed, lab)
        assert done.is_right, done.run.output
        (line,) = done.run.warnings("came compressed (Content-Encoding: gzip)")
        assert "its hash fits" in line
        assert outcome_of(Download(bare, lab).run) == HASH


@old_middle_new
def test_a_compressed_file_that_was_cut_is_decoded(armed: Environment) -> None:
    faults: list[Any] = [(Compressed(), Cut(THIRD))]
    with Lab([Package("demo", SIZE, faults, forever=Compressed())]) as lab:
        done = Download(armed, lab)
        assert done.is_right, done.run.output


@pairs(("23.0.1", "3.11"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_metadata_that_a_proxy_compressed_is_decoded(armed: Environment, bare: Environment) -> None:
    package = Package("demo", SIZE, metadata=True, metadata_faults=[Compressed()] * 4)
    with Lab([package]) as lab:
        done = Download(armed, lab)
        assert done.is_right, done.run.output
        asked = lab.requests("demo", "metadata")
        assert bool(asked) == bool(done.run.warnings("came compressed"))
    with Lab([package]) as lab:
        plain = Download(bare, lab)
        assert not lab.requests("demo", "metadata") or outcome_of(plain.run) != OK


@old_middle_new
def test_an_sdist_whose_own_gz_was_labelled_as_a_coding_is_right_as_it_is(
    armed: Environment, bare: Environment
) -> None:
    package = Package("demo", SIZE, sdist=True, forever=Compressed(honest=False))
    with Lab([package]) as lab:
        for factory in (armed, bare):
            done = Download(factory, lab, "--no-build-isolation")
            assert done.is_right, done.run.output
            assert not done.run.warnings("compressed")


@old_middle_new
def test_what_decodes_to_another_file_is_told(armed: Environment) -> None:
    package = Package("demo", SIZE, forever=Compressed(), hashes="0" * 64)
    with Lab([package]) as lab:
        stopped = Download(armed, lab)
        assert outcome_of(stopped.run) == HASH
        assert "compresses the file" in words(stopped)
