"""Fields of a header, whatever a server writes into them."""

from __future__ import annotations

import math
import re
from typing import Any, Sequence

from hypothesis import given
from hypothesis import strategies as st

from pip_retry_patch.fetch import judge
from pip_retry_patch.fetch.judge import Question, Representation, Verdict
from pip_retry_patch.fetch.patience import retry_after

TOKENS = (
    *("", " ", "\t", "-", "/", "*", ",", ";", "=", ":", '"', "\\", "\0", "\r\n", "\x85", "\u0663"),
    *("0", "1", "9" * 18, "9" * 19, "9" * 5000, "-1", "1e9", "+0000", "-0000", "GMT", "nan", "inf"),
    *("bytes", "BYTES", "W/", "Mon", "Feb", "29", "1969", "9999", "99999999", "\ud800"),
)
DATES = (
    *("Tue, 01 Jul 2025 10:00:30 GMT", "Tue, 01 Jul 2025 10:00:00 GMT", "1 Jan 0001 00:00:00 GMT"),
    *("Fri, 31 Dec 9999 23:59:59 GMT", "Tue, 01 Jul 2025 10:00:00 -0000", "Tue, 01 Jul 2025 10:00"),
    *("Tue, 01 Jul 2025 24:00:00 GMT", "Tue, 01 Jul 2025 10:00:60 GMT", "Jul", "1", ""),
    *("Tue, 01 Jul 2025 10:00:00 +9999", "Tue, 01 Jul 99999999 10:00:00 GMT", "Tue, 31 Jun 2025"),
    *("Sun Nov  6 08:49:37 1994", "Sunday, 06-Nov-94 08:49:37 GMT", "Tue, 01 Jul -5 10:00:00 GMT"),
)
# What was found, or is likely to be found, by the fuzzing below: small, and each of its own kind.
CORPUS = {
    "content-range": (
        *("bytes 0-9/10", "bytes */10", "bytes 5-9/*", "bytes */*", "bytes 9-0/10", "bytes -9/10"),
        *("bytes 0-9/10\r\n", "bytes\t0-9/10", "bytes 00-09/010", "bytes=0-9/10", "bytes 0-10/10"),
        *(f"bytes 0-{'9' * 18}/*", f"bytes 0-{'9' * 19}/*", "bytes \u0660-\u0669/10"),
    ),
    "etag": ('"v1"', '"\x85v1"', 'W/"v1"', 'w/"v1"', '"', '""', "v1", 'W/"', '"a" "b"', ""),
    "last-modified": DATES,
    "date": DATES,
    "retry-after": ("7", "0", "007", "9" * 9, "9" * 10, "-7", "+7", "7.5", "\u0667", "7 s", *DATES),
    "content-type": ("text/html", "Text/HTML ; x", "multipart/byteranges; boundary=b", ";", ""),
    "content-encoding": ("gzip", "identity", " GZIP ", "gzip, deflate", "br", ""),
}


@st.composite
def mutated(draw: Any, corpus: Sequence[str]) -> str:
    """Draw one of a corpus, and spoil it: what parsers meet is nearly right."""
    text = str(draw(st.sampled_from(corpus)))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(text)))
        stop = draw(st.integers(start, min(len(text), start + 8)))
        how = draw(st.integers(0, 2))
        new = draw(st.sampled_from(TOKENS)) if how == 1 else text[start:stop] * how
        text = f"{text[:start]}{new}{text[stop:]}"
    return text


fields = {name: mutated(texts) for name, texts in CORPUS.items()}
headers = st.fixed_dictionaries({}, optional=fields)


@given(fields["content-range"] | st.text())
def test_a_content_range_is_read_as_it_is_written_or_not_at_all(value: str) -> None:
    """It is what RFC 9110 section 14.4 allows, and consistent."""
    said = judge.parse_content_range(value)
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


@given(headers)
def test_no_wait_and_no_validator_is_made_up(found: dict[str, str]) -> None:
    wanted = retry_after(found)
    if wanted is not None:
        assert wanted >= 0 and math.isfinite(wanted)
        value = found["retry-after"].strip()
        assert re.search(r"[a-zA-Z]", value) or wanted == int(value) < 10**9
    strong = judge.strong_validator(found)
    if strong:
        assert strong in (found.get("etag", "").strip(), found.get("last-modified", "").strip())
        # What an ETag may hold beside ASCII is not for a terminal (RFC 9110, section 8.8.3).
        assert strong.isprintable() or re.fullmatch(r'"[!#-~\x80-\xff]*"', strong)
        assert not strong.startswith("W/")
    judge.is_web_page(judge.media_of(found), found.get("etag", "").encode("utf-8", "replace"))


statuses = st.integers(100, 599) | st.sampled_from([200, 206, 206, 206, 304, 403, 416, 429, 503])
sizes = st.none() | st.sampled_from([0, 1, 10, 10**18]) | st.integers(0, 20)
kinds = st.sampled_from(["whole", "part", "part on a condition"])
asked = st.tuples(kinds, sizes, st.integers(0, 12), st.none() | st.integers(0, 20), st.booleans())


@given(headers, headers, statuses, sizes, asked)
def test_nothing_is_joined_on_that_is_not_what_was_asked_for(
    before: Any, found: Any, status: int, length: int | None, asked: Any
) -> None:
    kind, total, offset, last, hashed = asked
    known = Representation.of(before, total, hashed)
    if_range = known.validator if kind == "part on a condition" else ""
    question = Question(None if kind == "whole" else offset, last, if_range)
    found = found if length is None else {**found, "content-length": str(length)}
    length = judge.length_of(found)
    said = judge.judge(known, offset, question, status, found)
    if said.verdict == Verdict.CONTINUE:
        proven = known.validator != "" and known.validator == judge.strong_validator(found)
        # A gateway may make a 200 of a part, and with proof its label is believed, not its length.
        assert status in (200, 203, 206) and kind != "whole" and (proven or offset == 0 or hashed)
        assert judge.coding_of(found) == known.coding
        assert judge.media_of(found) != "multipart/byteranges"
        label = judge.parse_content_range(found.get("content-range"))
        if label is None:
            assert proven or hashed
        else:
            assert label.first == offset and said.stop == (label.last or 0) + 1
            assert total is None or label.total in (None, total)
        assert said.stop is not None and said.stop >= min(offset, total or 0, last or 0)
        assert proven or hashed or length in (None, said.stop - offset)
        assert total is None or said.stop <= max(total, (last or 0) + 1)
    elif said.verdict == Verdict.REPLAY:
        assert status in (200, 203) or (kind == "whole" and status == 206)
        assert judge.coding_of(found) == known.coding
        assert None in (total, length) or length == total
    elif said.verdict == Verdict.COMPLETE:
        assert (
            status == 416 and kind != "whole" and said.total == offset and total in (None, offset)
        )
    span, part = judge.span_of(206, found, ranged=True), judge.unasked_part(found)
    if span is not None:
        assert span.first is not None and span.last is not None and span.first <= span.last
        assert span.total is None or span.last < span.total
    assert part is None or part.first is None or part.last is not None
