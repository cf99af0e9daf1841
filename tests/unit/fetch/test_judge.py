"""What an answer to a request for the rest may say, and what it is worth."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pip_retry_patch.fetch.judge import (
    BUSY_STATUSES,
    LONG_OVERLAP,
    OVERLAP,
    Answer,
    ContentRange,
    Question,
    Representation,
    Verdict,
    coding_of,
    is_web_page,
    judge,
    length_of,
    question_for,
    span_of,
    strong_validator,
    unasked_part,
)

# The rest of 1000 bytes is asked for from the offset 400 on.
TOTAL, OFFSET = 1000, 400
FITS = "bytes 400-999/1000"
STRONG, OTHER, WEAK = '"v1"', '"v2"', 'W/"v1"'
THEN, LATER = "Tue, 01 Jul 2025 10:00:00 GMT", "Tue, 01 Jul 2025 11:00:00 GMT"


def header(etag: str | None = None, length: int | None = None, **more: str | None) -> Any:
    fields: dict[str, Any] = {"etag": etag, "content-length": length, **more}
    return {name.replace("_", "-"): str(text) for name, text in fields.items() if text is not None}


def answer(
    status: int,
    etag: str | None = None,
    length: int | None = None,
    *,
    before: str | None = STRONG,
    total: int | None = TOTAL,
    hashed: bool = True,
    media: str = "",
    question: Question = Question(OFFSET),  # noqa: B008  (never changed)
    **more: str | None,
) -> Answer:
    """Judge an answer with this header; what is known `before` it are an ETag and a total."""
    known = Representation.of(header(before, content_type=media), total, hashed)
    return judge(known, OFFSET, question, status, header(etag, length, **more))


def verdict(*arguments: Any, **options: Any) -> str:
    return answer(*arguments, **options).verdict


# What is read from headers.


@pytest.mark.parametrize(
    ("etag", "modified", "date", "strong"),
    [
        (STRONG, None, None, STRONG),
        (STRONG, THEN, LATER, STRONG),
        *((etag, THEN, LATER, "") for etag in (WEAK, "v1", '"', '"a\rb"')),
        (None, None, None, ""),
        # A date is strong from a minute on.
        (None, THEN, "Tue, 01 Jul 2025 10:01:00 GMT", THEN),
        (None, THEN, "Tue, 01 Jul 2025 10:00:59 GMT", ""),
        (None, THEN, None, ""),
        (None, LATER, THEN, ""),
        (None, "yesterday", LATER, ""),
    ],
)
def test_only_a_strong_validator_is_sent_back(
    etag: str | None, modified: str | None, date: str | None, strong: str
) -> None:
    assert strong_validator(header(etag, last_modified=modified, date=date)) == strong


def test_a_coding_has_one_spelling() -> None:
    for text, coding in ((None, ""), (" GZIP ", "gzip"), ("Identity", "")):
        assert coding_of(header(content_encoding=text)) == coding
    for text, coding in (("chunked", ""), ("gzip, chunked", "gzip")):
        assert coding_of(header(transfer_encoding=text)) == coding


@pytest.mark.parametrize(
    ("length", "transfer", "expected"),
    [
        ("5", None, 5),
        ("5, 5", None, 5),
        *((text, None, None) for text in ("5, 6", "-5", "+5", "1" * 19, None)),
        *(("5", coding, None) for coding in ("Chunked", "gzip, chunked")),
    ],
)
def test_the_length_is_what_a_reader_may_believe(
    length: Any, transfer: str | None, expected: int | None
) -> None:
    assert length_of(header(None, length, transfer_encoding=transfer)) == expected


@pytest.mark.parametrize(
    ("media", "first_bytes", "expected"),
    [
        ("text/html", b"", True),
        ("application/xhtml+xml", b"", True),
        ("application/octet-stream", b"\xef\xbb\xbf\r\n <!DOCTYPE HTML>", True),
        ("", b"<HTML lang=en>", True),
        ("application/octet-stream", b"PK\x03\x04<html>", False),
        ("", b"", False),
    ],
)
def test_a_web_page_is_known_by_its_type_or_its_first_bytes(
    media: str, first_bytes: bytes, expected: bool
) -> None:
    assert is_web_page(media, first_bytes) is expected


@pytest.mark.parametrize(
    ("status", "label", "length", "expected"),
    [
        (200, None, 10, (0, 9, 10)),
        (200, None, None, (0, None, None)),
        (206, "bytes 5-9/20", 5, (5, 9, 20)),
        (206, "bytes 5-9/*", None, (5, 9, None)),
        (206, "bytes */20", None, None),
        (206, None, 5, None),
        (404, None, 10, None),
        (203, None, 10, (0, 9, 10)),
    ],
)
def test_which_bytes_a_first_answer_brings(
    status: int, label: str | None, length: int | None, expected: Any
) -> None:
    found = span_of(status, header(None, length, content_range=label))
    assert found == (expected and ContentRange(*expected))


@pytest.mark.parametrize(
    ("label", "length", "part"),
    [
        ("bytes 0-9/100", 10, (0, 9, 100)),
        ("bytes 0-9/100", None, (0, 9, 100)),
        ("bytes 5-9/*", 5, (5, 9, None)),
        # What may be all of it is taken, as ever.
        ("bytes 0-9/10", 10, None),
        ("bytes 0-9/*", 10, None),
        *((label, 100, None) for label in ("bytes 0-9/100", "bytes */100", "nonsense", None)),
    ],
)
def test_a_part_that_nobody_asked_for_is_told_from_all(
    label: str | None, length: int | None, part: Any
) -> None:
    found = unasked_part(header(None, length, content_range=label))
    assert found == (part and ContentRange(*part))
    several = header(content_range=label, content_type="multipart/byteranges; boundary=x")
    assert unasked_part(several) == ContentRange(None, None, None)


# What is asked: with a hash from the offset on, without one an overlap, on a condition.

FAR = 10 * LONG_OVERLAP
SHORT, LONG = f"bytes={FAR - OVERLAP}-", f"bytes={FAR - LONG_OVERLAP}-"


@pytest.mark.parametrize(
    ("hashed", "etag", "total", "offset", "last", "if_range", "fields"),
    [
        *((True, etag, None, FAR, None, True, [f"bytes={FAR}-"]) for etag in (STRONG, WEAK, None)),
        (True, STRONG, TOTAL, 400, 499, True, ["bytes=400-499"]),
        (False, STRONG, TOTAL, FAR, None, True, [SHORT, STRONG]),
        (False, STRONG, TOTAL, FAR, None, False, [SHORT]),
        (False, STRONG, TOTAL, 10, None, False, ["bytes=0-"]),
        # Without a strong validator the total must be known.
        *((False, etag, TOTAL, FAR, None, True, [LONG]) for etag in (WEAK, None)),
        *((False, etag, None, FAR, None, True, []) for etag in (WEAK, None)),
    ],
)
def test_the_question_for_the_rest(
    hashed: bool, etag: Any, total: Any, offset: int, last: Any, if_range: bool, fields: Any
) -> None:
    known = Representation.of(header(etag), total, hashed)
    question = question_for(known, 0, offset, last, if_range)
    assert question.fields() == dict(zip(("Range", "If-Range"), fields))


# 206


# Another start, another total, an end beyond it, or no start.
UNFIT = (
    *("399-999/1000", "401-999/*", "0-999/1000", "400-1000/1001", "400-998/999", "400-1000/*"),
    "*/1000",
)


@pytest.mark.parametrize(
    ("label", "etag", "length", "with_hash", "without"),
    [
        (FITS, STRONG, 600, True, True),
        (FITS, STRONG, None, True, True),
        ("bytes 400-499/1000", STRONG, 100, True, True),  # less than was asked for
        # The validator has changed, or is none.
        *((FITS, etag, 600, True, False) for etag in (OTHER, WEAK, None)),
        *((f"bytes {span}", STRONG, None, False, False) for span in UNFIT),
        (FITS, STRONG, 599, False, False),  # which contradicts the label
        # Without a label: only exactly what is missing, and proven.
        (None, STRONG, 600, True, True),
        *((None, STRONG, length, False, False) for length in (599, TOTAL, None)),
        *((None, etag, 600, True, False) for etag in (OTHER, WEAK, None)),
        # A label that makes no sense is not a missing one.
        *((label, STRONG, 600, False, False) for label in ("items 4/x", "bytes x-999/1000", "-")),
    ],
)
def test_a_206_is_joined_only_where_it_fits_and_is_proven(
    label: str | None, etag: str | None, length: int | None, with_hash: bool, without: bool
) -> None:
    for hashed, is_joined in ((True, with_hash), (False, without)):
        found = verdict(206, etag, length, hashed=hashed, content_range=label)
        assert found == (Verdict.CONTINUE if is_joined else Verdict.WHOLE)


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize(
    "label",
    [
        *("bytes 400-", "bytes=400-999/1000", "400-999/1000", "bytes 400-1000/1000"),
        *("bytes 400-999/600", "bytes 400-999/0", "bytes: 400-999/1000", "bytes 400-999"),
    ],
)
def test_of_a_label_that_makes_no_sense_the_start_must_be_right(label: str, hashed: bool) -> None:
    """As without a label, the length must be exactly that of what is missing."""
    for etag in (STRONG, OTHER, None):
        part: Any = {"hashed": hashed, "content_range": label}
        is_joined = verdict(206, etag, 600, **part) == Verdict.CONTINUE
        assert is_joined == (hashed or etag == STRONG)
        for length in (None, 599, 601):
            assert verdict(206, etag, length, **part) == Verdict.WHOLE
        assert verdict(206, etag, 600, **part, total=None) == Verdict.WHOLE
        part["content_range"] = label.replace("400", "401")
        assert verdict(206, etag, 600, **part) == Verdict.WHOLE


@pytest.mark.parametrize("before", [STRONG, WEAK, None])
@pytest.mark.parametrize("etag", [OTHER, WEAK, None])
def test_without_a_hash_equal_weak_validators_and_a_short_overlap_prove_nothing(
    before: str | None, etag: str | None
) -> None:
    for first in (OFFSET, OFFSET - 1):
        part: Any = {"before": before, "question": Question(first)}
        part["content_range"] = f"bytes {first}-999/1000"
        assert verdict(206, etag, **part) == Verdict.CONTINUE
        assert verdict(206, etag, hashed=False, **part) == Verdict.WHOLE


def test_a_long_overlap_and_the_same_total_stand_for_a_validator() -> None:
    part = header(content_range=f"bytes {LONG_OVERLAP}-199999/200000")
    for total, expected in ((200_000, Verdict.CONTINUE), (None, Verdict.WHOLE)):
        known, question = Representation(total=total), Question(LONG_OVERLAP)
        assert judge(known, 2 * LONG_OVERLAP, question, 206, part).verdict == expected


@pytest.mark.parametrize(
    ("question", "fields"),
    [
        (Question(), {}),
        (Question(OFFSET), {"content_encoding": "gzip"}),
        (Question(OFFSET), {"content_type": "multipart/byteranges; boundary=x"}),
    ],
)
def test_a_206_that_is_coded_or_of_several_parts_or_not_asked_for_is_never_joined(
    question: Question, fields: dict[str, str]
) -> None:
    found = verdict(206, STRONG, 600, question=question, content_range=FITS, **fields)
    assert found == Verdict.WHOLE


def test_a_206_tells_its_end_and_the_total_of_a_body_that_had_none() -> None:
    for total in (TOTAL, None):
        said = answer(206, STRONG, total=total, content_range=FITS)
        assert said == Answer(Verdict.CONTINUE, 1000, TOTAL)
    said = answer(206, STRONG, total=None, content_range="bytes 400-499/*")
    assert said == Answer(Verdict.CONTINUE, 500, None)


# 200


@pytest.mark.parametrize(
    ("total", "length", "expected"),
    [
        *((TOTAL, length, Verdict.REPLAY) for length in (TOTAL, None)),
        *((TOTAL, length, Verdict.CHANGED) for length in (TOTAL + 1, TOTAL - 1)),
        # Nobody has told the size, but more than that was handed on.
        *((None, length, Verdict.REPLAY) for length in (OFFSET, OFFSET + 1, None)),
        (None, OFFSET - 1, Verdict.CHANGED),
    ],
)
def test_a_200_is_judged_by_its_size_and_not_by_validators(
    total: int | None, length: int | None, expected: str
) -> None:
    for before, etag, question in itertools.product(
        (STRONG, WEAK, None), (STRONG, OTHER, WEAK, None), (Question(OFFSET), Question())
    ):
        for status, hashed in itertools.product((200, 203), (True, False)):
            asked: Any = {"before": before, "hashed": hashed, "total": total, "question": question}
            said = answer(status, etag, length, **asked)
            if expected == Verdict.CHANGED:
                # It may be what a gateway says to our Range: a file with a hash does not change.
                is_ours = hashed and question.first is not None
                assert said.verdict == (Verdict.WHOLE if is_ours else expected)
                continue
            # It tells its own end, and never that of an earlier answer.
            assert (said.verdict, said.stop, said.total) == (expected, length, length)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content_encoding": "gzip", "hashed": False}, Verdict.CHANGED),
        ({"content_encoding": "gzip"}, Verdict.WHOLE),
        ({"content_encoding": "Identity"}, Verdict.REPLAY),
        ({"content_type": "Text/HTML; charset=utf-8"}, Verdict.PAGE),
        ({"content_type": "Text/HTML", "length": 1800}, Verdict.PAGE),
        ({"content_type": "Text/HTML", "media": "text/html"}, Verdict.REPLAY),
    ],
)
def test_a_200_in_another_coding_is_another_file_and_a_web_page_is_none(
    fields: Any, expected: str
) -> None:
    assert verdict(200, STRONG, **fields) == expected


@pytest.mark.parametrize(
    ("etag", "if_range", "expected"),
    [
        (STRONG, STRONG, Verdict.UNCONDITIONAL),
        (STRONG, "", Verdict.REPLAY),
        (OTHER, STRONG, Verdict.REPLAY),
        (None, STRONG, Verdict.REPLAY),
    ],
)
def test_a_200_to_a_condition_that_holds_is_asked_again_without_it(
    etag: str | None, if_range: str, expected: str
) -> None:
    assert verdict(200, etag, TOTAL, question=Question(OFFSET, None, if_range)) == expected


# 416 and the rest


@pytest.mark.parametrize(
    ("hashed", "total", "first", "label", "expected"),
    [
        (True, None, OFFSET, "bytes */400", Verdict.COMPLETE),
        (True, OFFSET, OFFSET, "bytes */400", Verdict.COMPLETE),
        (True, TOTAL, OFFSET, "bytes */400", Verdict.WITHHELD),
        (True, None, OFFSET, "bytes */1000", Verdict.WITHHELD),
        (True, TOTAL, OFFSET, "bytes */1000", Verdict.WITHHELD),
        (True, None, OFFSET, None, Verdict.WITHHELD),
        # Without a hash only at a known total that was asked for.
        (False, OFFSET, OFFSET, "bytes */400", Verdict.COMPLETE),
        (False, OFFSET, OFFSET - 1, "bytes */400", Verdict.WITHHELD),
        (False, None, OFFSET, "bytes */400", Verdict.WITHHELD),
    ],
)
def test_a_416_means_complete_only_where_that_is_proven(
    hashed: bool, total: int | None, first: int, label: str | None, expected: str
) -> None:
    asked: Any = {"hashed": hashed, "total": total, "question": Question(first)}
    assert verdict(416, content_range=label, **asked) == expected


def test_some_statuses_ask_for_time_and_others_may_be_for_our_range() -> None:
    busy = {408, 421, 425, 429, *range(500, 600)} - {501, 505, 511}
    assert busy == BUSY_STATUSES
    assert verdict(511) == verdict(511, question=Question()) == Verdict.PAGE
    for status in {*range(100, 600)} - {200, 203, 206, 511}:
        of_range = Verdict.BUSY if status in busy - {500} else Verdict.WITHHELD
        assert verdict(status) == of_range
        without = Verdict.BUSY if status in busy else Verdict.REFUSED
        assert verdict(status, question=Question()) == without
