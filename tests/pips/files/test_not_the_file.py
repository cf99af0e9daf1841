"""What comes is not the file: a login page, a block page, or the file in a coding of its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.downloads import HASH, HASTY, OK, SIZE, THIRD, Download, end_of, said
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Compressed, Cut, WebPage
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new, pairs
from tests.support.partials import SIZE as KEPT_SIZE
from tests.support.partials import continuing, kept, stored

HALF = KEPT_SIZE // 2
PAGE = WebPage()
labelled_or_not = pytest.mark.parametrize(
    "page", [WebPage(), WebPage(labelled=False)], ids=["html", "no-label"]
)


@labelled_or_not
@old_middle_new
def test_a_login_page_in_mid_download_is_waited_for(
    page: Any, armed: Environment, bare: Environment
) -> None:
    package = Package("demo", SIZE, [Cut(THIRD), page, page])
    with Lab([package]) as lab:
        done = Download(armed, lab)
        done.assert_right()
        (line,) = done.run.warnings("waits at")
        assert "a web page came in place of the file" in line
    with Lab([package]) as lab:
        assert end_of(Download(bare, lab).run) != OK


# What the run that ends with a login page, and the one before it, are answered, and what it says.
REST = [Cut(HALF), *[Busy(404)] * 2, None, *[PAGE] * 3]
LOGINS: dict[str, tuple[list[Any], int]] = {
    "in-mid-download": ([Cut(HALF), PAGE, PAGE], 1),
    "in-place-of-the-rest": (REST, 2),  # the plain request was answered with the file
    "at-the-start": ([Cut(HALF), *[PAGE] * 4], 2),
}


@labelled_or_not
@pytest.mark.parametrize("when", LOGINS)
@old_middle_new
def test_a_login_page_that_stays_is_told_as_one_and_what_was_kept_stays(
    when: str, page: Any, armed: Environment
) -> None:
    faults, runs = LOGINS[when]
    faults = [page if fault is PAGE else fault for fault in faults]
    cache = armed.fresh_dir()
    with Lab([Package("demo", KEPT_SIZE, faults)]) as lab:
        for _ in range(runs):
            stopped = Download(armed, lab, cache=cache, env=HASTY)
        if when != "at-the-start":
            stopped.assert_clear_error()
            assert "a web page came in place of the file" in said(stopped.run)
            assert "log in to the network" in said(stopped.run)
        (file,) = kept(cache)
        assert file.read_bytes() == lab.wheel("demo")[:HALF]
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert continuing(done) and not stored(cache)
        assert [r.range for r in lab.requests("demo", "artifact")[-2:]] == [None, f"bytes={HALF}-"]


@labelled_or_not
@old_middle_new
def test_a_block_page_from_the_start_is_a_mismatch_whose_evidence_names_it(
    page: Any, armed: Environment, bare: Environment
) -> None:
    with Lab([Package("demo", SIZE, forever=page)]) as lab:
        run = Download(armed, lab).run
        assert end_of(run) == HASH
        assert "sent a web page in place of the file" in said(run) and "1.8 kB of " in said(run)
        assert "may have been replaced" not in said(run).partition("looked into it")[2]
        assert end_of(Download(bare, lab).run) == HASH


DECODED = "demo-1.0 came compressed (Content-Encoding: gzip), which nobody had asked "
# Answers that are mended: what the one warning says, if there is one.
MENDED: dict[str, tuple[dict[str, Any], str]] = {
    "a-page-once": ({"faults": [PAGE]}, "A web page came in place of demo"),
    "compressed": ({"forever": Compressed()}, DECODED),
    "compressed-and-cut": (
        {"faults": [(Compressed(), Cut(THIRD))], "forever": Compressed()},
        DECODED,
    ),
}


@pytest.mark.parametrize("how", MENDED)
@old_middle_new
def test_what_came_once_or_compressed_is_no_damage(
    how: str, armed: Environment, bare: Environment
) -> None:
    options, line = MENDED[how]
    with Lab([Package("demo", SIZE, **options)]) as lab:
        done = Download(armed, lab)
        assert done.is_right and line in said(done.run), done.run.output
    with Lab([Package("demo", SIZE, **options)]) as lab:
        assert end_of(Download(bare, lab).run) != OK


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
        assert not lab.requests("demo", "metadata") or end_of(plain.run) != OK


@old_middle_new
def test_an_sdist_whose_own_gz_was_labelled_as_a_coding_is_right_as_it_is(
    armed: Environment, bare: Environment
) -> None:
    package = Package("demo", SIZE, sdist=True, forever=Compressed(honest=False))
    with Lab([package]) as lab:
        for environment in (armed, bare):
            done = Download(environment, lab, "--no-build-isolation")
            assert done.is_right and not done.run.warnings("compressed"), done.run.output


@old_middle_new
def test_what_decodes_to_another_file_is_told(armed: Environment) -> None:
    with Lab([Package("demo", SIZE, forever=Compressed(), hashes="0" * 64)]) as lab:
        run = Download(armed, lab).run
        assert end_of(run) == HASH and "compresses the file" in said(run)
