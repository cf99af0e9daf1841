"""The evidence of a mismatch as a user reads it: line by line."""

from __future__ import annotations

import itertools

import pytest

from pip_retry_patch.hooks.evidence import Fetch, evidence, healed

NAME = "demo-1.0-py3-none-any.whl"
RIGHT = Fetch(NAME, False, "files.example", 3_000_000, 3_000_000, "d1", start=b"PK\x03\x04")
OTHER = RIGHT._replace(digest="d2")
PAGE = RIGHT._replace(size=1800, announced=1800, media="text/html", start=b"<html>")
NOT_OF_ITS_KIND = RIGHT._replace(media="text/plain", start=b"hello")
CODED = RIGHT._replace(coding="gzip")
CACHED = RIGHT._replace(cached=True)
CONTINUED = RIGHT._replace(continued=1_200_000)
SHORT = RIGHT._replace(size=2_000_000)
UNANNOUNCED = RIGHT._replace(announced=None)
KINDS = [RIGHT, OTHER, PAGE, NOT_OF_ITS_KIND, CODED, CACHED, CONTINUED, SHORT, UNANNOUNCED]

WHOLE_CASES = [(first, second) for first, second in itertools.product(KINDS, [*KINDS, None])]


@pytest.mark.parametrize(
    "fetch, line",
    [
        (RIGHT, "3.0 MB of 3.0 MB from files.example, complete"),
        (SHORT, "2.0 MB of 3.0 MB from files.example, NOT complete"),
        (UNANNOUNCED, "3.0 MB from files.example"),
        (CACHED, "3.0 MB of 3.0 MB from pip's cache, complete"),
        (PAGE, "1.8 kB of text/html from files.example"),
        (PAGE._replace(media=""), "1.8 kB of 1.8 kB from files.example, complete"),
        (CODED, "3.0 MB of 3.0 MB from files.example, complete, compressed (gzip)"),
        (
            CONTINUED,
            "3.0 MB of 3.0 MB from files.example (the first 1.2 MB in an earlier run), complete",
        ),
    ],
)
def test_a_fetch_is_told_in_one_line(fetch: Fetch, line: str) -> None:
    assert str(fetch) == line
    assert evidence(fetch, OTHER).splitlines()[1] == f"  first fetch:  {line}"
    assert evidence(OTHER, fetch).splitlines()[2] == f"  second fetch: {line}"


def test_every_line_stands_alone_and_fits_a_terminal() -> None:
    """As pip shows it: a heading, what each fetch brought, and the one remedy, indented."""
    for first, second in WHOLE_CASES:
        heading, one, other, *remedy = evidence(first, second, "timed out").split("\n")
        assert heading == "pip-retry-patch looked into it:"
        assert one.startswith("  first fetch:  ") and other.startswith("  second fetch: ")
        assert 2 <= len(remedy) <= 6
        for line in remedy:
            assert line.startswith("  ") and line[2] != " " and line == line.rstrip()
            assert len(line) <= 88
        assert remedy[-1].endswith(".") or remedy[-1].endswith(").")


def remedy_of(first: Fetch, second: Fetch | None) -> str:
    return " ".join(" ".join(evidence(first, second, "timed out").split("\n")[3:]).split())


@pytest.mark.parametrize(
    "first, second, words",
    [
        (RIGHT, None, "it is not known whether the file was damaged on its way"),
        (PAGE, None, "sent a web page in place of the file"),
        (RIGHT, PAGE, "sent a web page in place of the file"),
        (RIGHT, CODED, "compresses the file, though nobody asked for that"),
        (RIGHT, NOT_OF_ITS_KIND, "is no file of that kind"),
        (RIGHT, RIGHT, "the file may have been replaced"),
        (CACHED, OTHER, "The file in pip's cache was another one, and was removed."),
        (CONTINUED, OTHER, "What an earlier run had kept of the file was removed."),
        (PAGE, OTHER, "First a web page came in place of the file"),
        (RIGHT, OTHER, "Each fetch brought different bytes"),
    ],
)
def test_each_case_has_the_one_remedy_that_fits_it(
    first: Fetch, second: Fetch | None, words: str
) -> None:
    assert words in remedy_of(first, second)
    others = {
        "damaged on its way",
        "web page",
        "compresses",
        "no file of that kind",
        "may have been replaced",
        "another one, and was removed",
        "an earlier run had kept",
        "Each fetch brought different bytes",
    }
    said = {other for other in others if other in remedy_of(first, second)}
    assert len(said) == 1, said


@pytest.mark.parametrize(
    "first, words",
    [
        (RIGHT, "was damaged on its way"),
        (CACHED, "in pip's cache was not what the index lists"),
        (CONTINUED, "what an earlier run had kept of it was damaged or out of date"),
        (PAGE, "A web page came in place of"),
    ],
)
def test_a_file_that_fits_in_the_end_is_told_in_one_line(first: Fetch, words: str) -> None:
    line = healed(NAME, first)
    assert "demo-1.0" in line and NAME not in line and words in line
    assert line.rstrip().endswith("fits.")
    assert "\n" not in line


@pytest.mark.parametrize(
    "name, start",
    [
        ("a.whl", b"PK"),
        ("a.zip", b"PK"),
        ("a.egg", b"PK"),
        ("a.tar.gz", b"\x1f\x8b"),
        ("a.tgz", b"\x1f\x8b"),
        ("a.tar.bz2", b"BZh"),
        ("a.tar.xz", b"\xfd7zXZ"),
        ("a.whl.metadata", b"Metadata-Version:"),
    ],
)
def test_a_file_is_known_by_how_it_begins(name: str, start: bytes) -> None:
    assert RIGHT._replace(name=name, start=start).is_of_its_kind
    assert not RIGHT._replace(name=name, start=b"x" + start).is_of_its_kind
    assert not RIGHT._replace(name=name, start=b"").is_of_its_kind


def test_a_file_of_no_known_kind_is_anything_but_a_web_page() -> None:
    assert RIGHT._replace(name="a.bin", start=b"anything").is_of_its_kind
    assert not PAGE._replace(name="a.bin").is_of_its_kind
