"""Fields of a header, whatever a server writes into them."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any, Mapping

from hypothesis import given
from hypothesis import strategies as st

from pip_retry_patch.fetch.judge import (
    ContentRange,
    Question,
    Representation,
    Verdict,
    coding_of,
    is_web_page,
    judge,
    length_of,
    media_of,
    parse_content_range,
    span_of,
    strong_validator,
    unasked_part,
)
from pip_retry_patch.fetch.patience import retry_after
from tests.support.fuzzing import mutated

TOKENS = (
    *("", " ", "\t", "-", "/", "*", ",", ";", "=", ":", '"', "\\", "\0", "\r\n", "\x85", "\u0663"),
    *("0", "1", "9" * 18, "9" * 19, "9" * 5000, "-1", "1e9", "+0000", "-0000", "GMT", "nan", "inf"),
    *("bytes", "BYTES", "W/", "Mon", "Feb", "29", "1969", "9999", "99999999", "\ud800"),
)

# What was found, or is likely to be found, by the fuzzing below: small, and each of its own kind.
CONTENT_RANGES = (
    *("bytes 0-9/10", "bytes */10", "bytes 5-9/*", "bytes */*", "bytes 9-0/10", "bytes 0-10/10"),
    *("bytes 0-9/10\r\n", "bytes\t0-9/10", "bytes 00-09/010", "bytes=0-9/10", "bytes 0-9/10/10"),
    *(f"bytes 0-{'9' * 18}/*", f"bytes 0-{'9' * 19}/*", "bytes \u0660-\u0669/10", "bytes -9/10"),
)
DATES = (
    *("Tue, 01 Jul 2025 10:00:30 GMT", "Tue, 01 Jul 2025 10:00:00 GMT", "1 Jan 0001 00:00:00 GMT"),
    *("Fri, 31 Dec 9999 23:59:59 GMT", "Tue, 01 Jul 2025 10:00:00 -0000", "Tue, 01 Jul 2025 10:00"),
    *("Tue, 01 Jul 2025 24:00:00 GMT", "Tue, 01 Jul 2025 10:00:60 GMT", "Jul", "1", ""),
    *("Tue, 01 Jul 2025 10:00:00 +9999", "Tue, 01 Jul 99999999 10:00:00 GMT", "Tue, 31 Jun 2025"),
    *("Sun Nov  6 08:49:37 1994", "Sunday, 06-Nov-94 08:49:37 GMT", "Tue, 01 Jul -5 10:00:00 GMT"),
)
WAITS = (
    *("7", "0", "007", "9" * 9, "9" * 10, "-7", "+7", "7.5", "1e3", "\u0667", "7 s", " 7 "),
    *DATES,
)
ETAGS = ('"v1"', '"\x85v1"', 'W/"v1"', 'w/"v1"', '"', '""', "v1", 'W/"', '"a" "b"', "")
MEDIA = ("text/html", "Text/HTML ; x", "multipart/byteranges; boundary=b", "a/b", ";", "")
CODINGS = ("gzip", "identity", " GZIP ", "gzip, deflate", "br", "")

ranges = mutated(CONTENT_RANGES, TOKENS) | st.text()
dates = mutated(DATES, TOKENS)
etags = mutated(ETAGS, TOKENS)
headers = st.fixed_dictionaries(
    {},
    optional={
        "content-range": ranges,
        "etag": etags,
        "last-modified": dates,
        "date": dates,
        "retry-after": mutated(WAITS, TOKENS),
        "content-type": mutated(MEDIA, TOKENS),
        "content-encoding": mutated(CODINGS, TOKENS),
    },
)


def check_content_range(value: str) -> None:
    """It is what RFC 9110 section 14.4 allows, and consistent; or nothing."""
    said = parse_content_range(value)
    if said is None:
        return
    if said.first is None or said.last is None:
        assert said.first is said.last is None and said.total is not None
        written = f"*/{said.total}"
    else:
        assert 0 <= said.first <= said.last
        assert said.total is None or said.last < said.total
        written = f"{said.first}-{said.last}/{'*' if said.total is None else said.total}"
    unit, rest = value.strip().split(maxsplit=1)
    assert unit.lower() == "bytes"
    assert re.sub(r"(?<![0-9])0+(?=[0-9])", "", rest) == written


def check_retry_after(found: Mapping[str, str]) -> None:
    wanted = retry_after(found)
    if wanted is not None:
        assert wanted >= 0 and math.isfinite(wanted)
        value = found["retry-after"].strip()
        if not re.search(r"[a-zA-Z]", value):
            assert re.fullmatch(r"[0-9]{1,9}", value) and wanted == int(value)


def test_each_of_the_corpus_is_read_so() -> None:
    for value in CONTENT_RANGES:
        check_content_range(value)
    for value, date in itertools.product(WAITS, (None, *DATES)):
        check_retry_after({"retry-after": value, **({"date": date} if date else {})})
    for modified, date in itertools.product(DATES, DATES):
        found = strong_validator({"last-modified": modified, "date": date})
        assert found in ("", modified.strip())


@given(ranges)
def test_a_content_range_is_read_as_it_is_written_or_not_at_all(value: str) -> None:
    check_content_range(value)


@given(st.integers(0, 10**18 - 2), st.integers(0, 10**18 - 2), st.none() | st.integers(1, 10**18))
def test_what_is_written_is_read_back(one: int, other: int, more: int | None) -> None:
    first, last = sorted((one, other))
    total = None if more is None else min(last + more, 10**18 - 1)
    said = parse_content_range(f"bytes {first}-{last}/{'*' if total is None else total}")
    assert said == ContentRange(first, last, total)


@given(headers)
def test_a_wait_is_a_number_of_seconds_or_none(found: dict[str, str]) -> None:
    check_retry_after(found)


@given(headers)
def test_no_validator_is_made_up(found: dict[str, str]) -> None:
    strong = strong_validator(found)
    if strong:
        assert strong in (found.get("etag", "").strip(), found.get("last-modified", "").strip())
        assert not strong.startswith("W/")
        # What an ETag may hold beside ASCII is not for a terminal (RFC 9110, section 8.8.3).
        assert strong.isprintable() or re.fullmatch(r'"[!#-~\x80-\xff]*"', strong)
    coding_of(found)
    media_of(found)
    is_web_page(media_of(found), found.get("etag", "").encode("utf-8", "replace"))


statuses = st.integers(100, 599) | st.sampled_from(
    [200, 206, 206, 206, 302, 304, 403, 416, 429, 500, 503]
)
sizes = st.none() | st.sampled_from([0, 1, 10, 10**18]) | st.integers(0, 20)
questions = st.fixed_dictionaries(
    {
        "total": sizes,
        "hashed": st.booleans(),
        "offset": st.integers(0, 12),
        "last": st.none() | st.integers(0, 20),
        "ranged": st.booleans(),
        "conditional": st.booleans(),
    }
)


@given(headers, questions, statuses, headers, sizes)
def test_nothing_is_joined_on_that_is_not_what_was_asked_for(
    before: dict[str, str], asked: Any, status: int, found: dict[str, str], length: int | None
) -> None:
    total, offset, last = asked["total"], asked["offset"], asked["last"]
    hashed, ranged = asked["hashed"], asked["ranged"]
    known = Representation.of(before, total, hashed)
    if_range = known.validator if asked["conditional"] else ""
    question = Question(offset if ranged else None, last, if_range)
    found = found if length is None else {**found, "content-length": str(length)}
    length = length_of(found)
    said = judge(known, offset, question, status, found)
    proven = known.validator != "" and known.validator == strong_validator(found)
    if said.verdict == Verdict.CONTINUE:
        compared = offset == 0 or hashed  # so short a file has no long overlap
        assert status == 206 and ranged and (proven or compared)
        assert coding_of(found) == known.coding and media_of(found) != "multipart/byteranges"
        label = parse_content_range(found.get("content-range"))
        if label is None:
            assert proven or (hashed and found.get("content-range"))
        else:
            assert label.first == offset and label.last is not None
            assert said.stop == label.last + 1
            assert total is None or label.total in (None, total)
        assert said.stop is not None and said.stop >= min(offset, total or 0, last or 0)
        assert length in (None, said.stop - offset)
        assert total is None or said.stop <= max(total, (last or 0) + 1)
    elif said.verdict == Verdict.REPLAY:
        assert status == 200 and coding_of(found) == known.coding
        assert None in (total, length) or length == total
    elif said.verdict == Verdict.COMPLETE:
        assert status == 416 and ranged and said.total == offset and total in (None, offset)
    span = span_of(status, found)
    if span is not None and status == 206:
        assert span.first is not None and span.last is not None and span.first <= span.last
        assert span.total is None or span.last < span.total
    part = unasked_part(found)
    assert part is None or part.first is None or part.last is not None
