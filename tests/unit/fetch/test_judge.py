"""Every row of what an answer to a request for the rest may say, and what it is worth."""

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
    parse_content_range,
    question_for,
    span_of,
    strong_validator,
    unasked_part,
)
from pip_retry_patch.records import replace

TOTAL, OFFSET = 1000, 400
STRONG, OTHER, WEAK = '"v1"', '"v2"', 'W/"v1"'
THEN, LATER = "Tue, 01 Jul 2025 10:00:00 GMT", "Tue, 01 Jul 2025 11:00:00 GMT"
VERDICTS = {text for name, text in vars(Verdict).items() if name.isupper()}


def known(
    etag: str | None = STRONG, total: int | None = TOTAL, hashed: bool = True
) -> Representation:
    return Representation.of({"etag": etag} if etag else {}, total, hashed)


def sized(headers: dict[str, str], length: int | None) -> dict[str, str]:
    return headers if length is None else {**headers, "content-length": str(length)}


def answer(
    representation: Representation,
    status: int,
    headers: dict[str, str] | None = None,
    *,
    length: int | None = None,
    question: Question = Question(OFFSET),  # noqa: B008  (never changed)
    hashed: bool = True,
) -> Answer:
    representation = replace(representation, hashed=hashed)
    return judge(representation, OFFSET, question, status, sized(headers or {}, length))


def verdict(*arguments: Any, **options: Any) -> str:
    return answer(*arguments, **options).verdict


# What is read from headers.


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 0-9/10", ContentRange(0, 9, 10)),
        ("bytes 5-9/*", ContentRange(5, 9, None)),
        ("Bytes  5-9/10", ContentRange(5, 9, 10)),
        (" bytes 5-9/10 ", ContentRange(5, 9, 10)),
        ("bytes */10", ContentRange(None, None, 10)),
        *((text, None) for text in ("bytes */*", "bytes 9-5/10", "bytes 5-10/10", "bytes 5-9/0")),
        *((text, None) for text in ("bytes -5/10", "bytes 5-/10", "bytes 5-9", "items 5-9/10")),
        *((text, None) for text in ("bytes=5-9/10", "bytes 0-4/10, bytes 5-9/10", "", None)),
        ("bytes \u0665-9/10", None),
    ],
)
def test_content_range_is_read_as_rfc_9110_writes_it(
    value: str | None, expected: ContentRange | None
) -> None:
    assert parse_content_range(value) == expected


@pytest.mark.parametrize(
    ("headers", "strong"),
    [
        ({"etag": STRONG}, STRONG),
        ({"etag": WEAK}, ""),
        ({"etag": "v1"}, ""),
        ({"etag": '"'}, ""),
        ({"etag": '"a\rb"'}, ""),
        ({}, ""),
        ({"last-modified": THEN, "date": LATER}, THEN),
        ({"last-modified": THEN}, ""),
        ({"last-modified": THEN, "date": THEN}, ""),
        ({"last-modified": LATER, "date": THEN}, ""),
        ({"last-modified": "yesterday", "date": LATER}, ""),
        ({"etag": WEAK, "last-modified": THEN, "date": LATER}, ""),
        ({"etag": STRONG, "last-modified": THEN, "date": LATER}, STRONG),
    ],
)
def test_if_range_takes_only_a_strong_validator(headers: dict[str, str], strong: str) -> None:
    assert strong_validator(headers) == strong


@pytest.mark.parametrize(("seconds", "strong"), [(59, False), (60, True), (61, True)])
def test_a_date_is_a_strong_validator_from_a_minute_on(seconds: int, strong: bool) -> None:
    date = f"Tue, 01 Jul 2025 10:0{seconds // 60}:{seconds % 60:02} GMT"
    found = strong_validator({"last-modified": THEN, "date": date})
    assert found == (THEN if strong else "")


@pytest.mark.parametrize(
    ("headers", "coding"),
    [
        ({}, ""),
        ({"content-encoding": " GZIP "}, "gzip"),
        ({"content-encoding": "Identity"}, ""),
        ({"transfer-encoding": "chunked"}, ""),
        ({"transfer-encoding": "gzip, chunked"}, "gzip"),
    ],
)
def test_a_coding_has_one_spelling(headers: dict[str, str], coding: str) -> None:
    assert coding_of(headers) == coding


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
    ("status", "headers", "length", "expected"),
    [
        (200, {}, 10, (0, 9, 10)),
        (200, {}, None, (0, None, None)),
        (206, {"content-range": "bytes 5-9/20"}, 5, (5, 9, 20)),
        (206, {"content-range": "bytes 5-9/*"}, None, (5, 9, None)),
        (206, {"content-range": "bytes */20"}, None, None),
        (206, {}, 5, None),
        (404, {}, 10, None),
        (203, {}, 10, None),
    ],
)
def test_which_bytes_a_first_answer_brings(
    status: int, headers: dict[str, str], length: int | None, expected: Any
) -> None:
    found = span_of(status, sized(headers, length))
    assert found == (expected and ContentRange(*expected))


@pytest.mark.parametrize(
    ("headers", "length", "part"),
    [
        ({"content-range": "bytes 0-9/100"}, 10, (0, 9, 100)),
        ({"content-range": "bytes 0-9/100"}, None, (0, 9, 100)),
        ({"content-range": "bytes 5-9/*"}, 5, (5, 9, None)),
        ({"content-type": "multipart/byteranges; boundary=x"}, 50, (None, None, None)),
        # What may be all of it is taken, as ever.
        ({"content-range": "bytes 0-9/10"}, 10, None),
        ({"content-range": "bytes 0-9/*"}, 10, None),
        ({"content-range": "bytes 0-9/100"}, 100, None),
        ({"content-range": "bytes */100"}, 100, None),
        ({"content-range": "nonsense"}, 100, None),
        ({}, 100, None),
    ],
)
def test_a_part_that_nobody_asked_for_is_told_from_all(
    headers: dict[str, str], length: int | None, part: Any
) -> None:
    assert unasked_part(sized(headers, length)) == (part and ContentRange(*part))


# What is asked.


def test_with_a_hash_the_rest_is_asked_for_from_the_offset_without_a_condition() -> None:
    for etag in (STRONG, WEAK, None):
        question = question_for(known(etag), 0, OFFSET, None, True)
        assert question.fields() == {"Range": "bytes=400-"}
    assert question_for(known(), 0, OFFSET, 499, True).fields() == {"Range": "bytes=400-499"}


def test_without_a_hash_an_overlap_is_asked_for_with_a_condition() -> None:
    offset = 10 * LONG_OVERLAP
    first = f"bytes={offset - OVERLAP}-"
    file = known(hashed=False)
    conditional = question_for(file, 0, offset, None, True).fields()
    assert conditional == {"Range": first, "If-Range": STRONG}
    assert question_for(file, 0, offset, None, False).fields() == {"Range": first}
    assert question_for(file, 0, 10, None, False).fields() == {"Range": "bytes=0-"}


def test_without_a_strong_validator_the_overlap_is_longer_and_the_total_must_be_known() -> None:
    offset = 10 * LONG_OVERLAP
    for etag in (WEAK, None):
        question = question_for(known(etag, hashed=False), 0, offset, None, True)
        assert question.fields() == {"Range": f"bytes={offset - LONG_OVERLAP}-"}
        assert question_for(known(etag, None, False), 0, offset, None, True).fields() == {}


# 206


@pytest.mark.parametrize("hashed", [True, False])
def test_a_206_that_fits_and_is_proven_goes_on(hashed: bool) -> None:
    part = {"content-range": "bytes 400-999/1000", "etag": STRONG}
    for length in (600, None):
        said = answer(known(), 206, part, length=length, hashed=hashed)
        assert said == Answer(Verdict.CONTINUE, 1000, TOTAL)


@pytest.mark.parametrize(
    "part",
    [
        {"content-range": "bytes 399-999/1000"},
        {"content-range": "bytes 401-999/1000"},
        {"content-range": "bytes 0-999/1000"},
        {"content-range": "bytes 400-1000/1001"},
        {"content-range": "bytes 400-998/999"},
        {"content-range": "bytes 400-1000/*"},
        {"content-range": "bytes */1000"},
        {"content-range": "bytes 400-999/1000", "content-encoding": "gzip"},
        {"content-range": "bytes 400-999/1000", "content-type": "multipart/byteranges; boundary=x"},
        {"content-type": 'multipart/byteranges; boundary="x"'},
    ],
)
@pytest.mark.parametrize("etag", [STRONG, None])
def test_a_206_that_does_not_fit_is_never_joined_on(etag: str | None, part: dict[str, str]) -> None:
    part = dict({"etag": etag} if etag else {}, **part)
    assert verdict(known(etag), 206, part) == Verdict.WHOLE


def test_a_206_whose_length_contradicts_its_label_is_never_joined_on() -> None:
    part = {"content-range": "bytes 400-999/1000", "etag": STRONG}
    assert verdict(known(), 206, part, length=599) == Verdict.WHOLE


def test_a_206_may_bring_less_than_was_asked_for() -> None:
    part = {"content-range": "bytes 400-499/1000", "etag": STRONG}
    assert answer(known(), 206, part, length=100) == Answer(Verdict.CONTINUE, 500, TOTAL)


@pytest.mark.parametrize("before", [STRONG, WEAK, None])
@pytest.mark.parametrize("etag", [OTHER, WEAK, None])
def test_a_206_without_the_same_strong_validator_is_joined_only_where_a_hash_covers_all(
    before: str | None, etag: str | None
) -> None:
    part = {"content-range": "bytes 400-999/1000", **({"etag": etag} if etag else {})}
    assert verdict(known(before), 206, part) == Verdict.CONTINUE
    assert verdict(known(before), 206, part, hashed=False) == Verdict.WHOLE
    short_overlap = Question(OFFSET - 1)
    part["content-range"] = "bytes 399-999/1000"
    found = verdict(known(before), 206, part, hashed=False, question=short_overlap)
    assert found == Verdict.WHOLE


@pytest.mark.parametrize(
    ("total", "expected"), [(200_000, Verdict.CONTINUE), (None, Verdict.WHOLE)]
)
def test_a_long_overlap_and_the_same_total_stand_for_a_validator(
    total: int | None, expected: str
) -> None:
    offset = 2 * LONG_OVERLAP
    part = {"content-range": f"bytes {LONG_OVERLAP}-199999/200000"}
    said = judge(known(None, total, False), offset, Question(LONG_OVERLAP), 206, part)
    assert said.verdict == expected


@pytest.mark.parametrize(
    ("length", "etag", "expected"),
    [
        (600, STRONG, Verdict.CONTINUE),
        (599, STRONG, Verdict.WHOLE),
        (1000, STRONG, Verdict.WHOLE),
        (None, STRONG, Verdict.WHOLE),
        (600, None, Verdict.WHOLE),
        (600, WEAK, Verdict.WHOLE),
        (600, OTHER, Verdict.WHOLE),
    ],
)
def test_an_unlabelled_206_needs_the_exact_length_and_a_strong_validator(
    length: int | None, etag: str | None, expected: str
) -> None:
    assert verdict(known(), 206, {"etag": etag} if etag else {}, length=length) == expected


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
    expected = Verdict.CONTINUE if hashed else Verdict.WHOLE
    for etag, then in ((STRONG, Verdict.CONTINUE), (OTHER, expected), (None, expected)):
        part = {"content-range": label, **({"etag": etag} if etag else {})}
        assert verdict(known(), 206, part, length=600, hashed=hashed) == then
        for length in (None, 599, 601):
            assert verdict(known(), 206, part, length=length, hashed=hashed) == Verdict.WHOLE
        part["content-range"] = label.replace("400", "401")
        assert verdict(known(), 206, part, length=600, hashed=hashed) == Verdict.WHOLE
        assert verdict(known(total=None), 206, part, length=600) == Verdict.WHOLE


@pytest.mark.parametrize("label", ["items 4/x", "bytes */1000", "bytes x-999/1000", "-"])
def test_a_label_without_a_start_is_not_a_missing_one(label: str) -> None:
    part = {"content-range": label, "etag": STRONG}
    assert verdict(known(), 206, part, length=600) == Verdict.WHOLE


def test_a_206_tells_the_total_of_a_body_that_had_none() -> None:
    part = {"content-range": "bytes 400-999/1000", "etag": STRONG}
    assert answer(known(total=None), 206, part) == Answer(Verdict.CONTINUE, 1000, TOTAL)
    part["content-range"] = "bytes 400-499/*"
    assert answer(known(total=None), 206, part) == Answer(Verdict.CONTINUE, 500, None)


def test_a_206_that_nobody_asked_for_is_useless() -> None:
    part = {"content-range": "bytes 400-999/1000", "etag": STRONG}
    assert verdict(known(), 206, part, question=Question()) == Verdict.WHOLE


# 200


@pytest.mark.parametrize("question", [Question(OFFSET), Question()])
@pytest.mark.parametrize("before", [STRONG, WEAK, None])
@pytest.mark.parametrize("etag", [STRONG, OTHER, WEAK, None])
@pytest.mark.parametrize(
    ("length", "expected"),
    [(1000, Verdict.REPLAY), (None, Verdict.REPLAY), (1001, Verdict.CHANGED)],
)
def test_a_200_is_judged_by_its_size_and_then_by_its_bytes(
    before: str | None, etag: str | None, length: int | None, expected: str, question: Question
) -> None:
    headers = {"etag": etag} if etag else {}
    found = verdict(known(before), 200, headers, length=length, question=question)
    assert found == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [(OFFSET - 1, Verdict.CHANGED), (OFFSET, Verdict.REPLAY), (OFFSET + 1, Verdict.REPLAY)],
)
def test_a_200_that_is_shorter_than_what_was_handed_on_is_another(
    length: int, expected: str
) -> None:
    """Also where nobody has told the size: the answers before came in chunks."""
    assert verdict(known(total=None), 200, {}, length=length) == expected


def test_a_200_tells_its_own_end_and_never_that_of_an_earlier_answer() -> None:
    assert answer(known(), 200, {}, length=TOTAL) == Answer(Verdict.REPLAY, TOTAL, TOTAL)
    assert answer(known(), 200, {}, length=None) == Answer(Verdict.REPLAY, None, None)


def test_a_200_in_another_coding_is_another_representation() -> None:
    assert verdict(known(), 200, {"etag": STRONG, "content-encoding": "gzip"}) == Verdict.CHANGED
    assert verdict(known(), 200, {"etag": STRONG, "content-encoding": "Identity"}) == Verdict.REPLAY


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
    headers, question = {"etag": etag} if etag else {}, Question(OFFSET, None, if_range)
    assert verdict(known(), 200, headers, length=TOTAL, question=question) == expected


@pytest.mark.parametrize("length", [None, 1800, TOTAL])
def test_a_web_page_in_place_of_a_file_is_not_another_version_of_it(length: int | None) -> None:
    page = {"content-type": "Text/HTML; charset=utf-8"}
    assert verdict(known(), 200, page, length=length) == Verdict.PAGE
    index = replace(known(), media="text/html")
    assert verdict(index, 200, page, length=TOTAL) == Verdict.REPLAY


# 416 and the rest


@pytest.mark.parametrize(
    ("total", "content_range", "expected"),
    [
        (None, "bytes */400", Verdict.COMPLETE),
        (400, "bytes */400", Verdict.COMPLETE),
        (1000, "bytes */400", Verdict.WITHHELD),
        (None, "bytes */1000", Verdict.WITHHELD),
        (1000, "bytes */1000", Verdict.WITHHELD),
        (None, None, Verdict.WITHHELD),
    ],
)
def test_a_416_means_complete_only_if_the_total_is_what_arrived(
    total: int | None, content_range: str | None, expected: str
) -> None:
    headers = {"content-range": content_range} if content_range else {}
    assert verdict(known(total=total), 416, headers) == expected


def test_without_a_hash_a_416_proves_the_end_only_at_a_known_total_that_was_asked_for() -> None:
    headers = {"content-range": f"bytes */{OFFSET}"}
    for total, first, expected in (
        (OFFSET, OFFSET, Verdict.COMPLETE),
        (OFFSET, OFFSET - 1, Verdict.WITHHELD),
        (None, OFFSET, Verdict.WITHHELD),
    ):
        before, question = known(total=total), Question(first)
        assert verdict(before, 416, headers, hashed=False, question=question) == expected


def test_these_statuses_ask_for_time_and_no_others() -> None:
    busy = {408, 421, 425, 429, 500, 502, 503, 504, *range(520, 531)}
    assert busy == BUSY_STATUSES
    whole = Question()
    for status in range(100, 600):
        found = verdict(known(), status, question=whole)
        assert found in VERDICTS and (found == Verdict.BUSY) == (status in busy)
        # Our own Range may be what a server breaks down at.
        assert (verdict(known(), status) == Verdict.BUSY) == (status in busy - {500})


@pytest.mark.parametrize("status", [204, 304, 400, 401, 403, 404, 405, 410, 416, 500, 501, 505])
def test_what_a_range_may_bring_down_is_asked_again_without_it(status: int) -> None:
    assert verdict(known(), status) == Verdict.WITHHELD
    if status != 500:
        assert verdict(known(), status, question=Question()) == Verdict.REFUSED


def test_nothing_is_joined_on_that_starts_elsewhere_whatever_else_it_says() -> None:
    """The one rule above all others, over the whole product of what an answer can say."""
    etags = [None, STRONG, OTHER, WEAK]
    labels = [None, "bytes 0-999/1000", "bytes 399-999/1000", "bytes 401-999/1000", "bytes */1000"]
    lengths = [None, 599, 600, 601, 1000]
    for before, etag, label, length, hashed, total in itertools.product(
        etags, etags, labels, lengths, [True, False], [None, TOTAL]
    ):
        headers = {"etag": etag} if etag else {}
        if label:
            headers["content-range"] = label
        said = verdict(known(before, total), 206, headers, length=length, hashed=hashed)
        if said == Verdict.CONTINUE:
            assert label is None
            assert before == etag and before in (STRONG, OTHER)
            assert length == 600 and total == TOTAL


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-length": "5"}, 5),
        ({"content-length": "5, 5"}, 5),
        ({"content-length": "5, 6"}, None),
        ({"content-length": "-5"}, None),
        ({"content-length": "+5"}, None),
        ({"content-length": "1" * 19}, None),
        ({"content-length": "5", "transfer-encoding": "Chunked"}, None),
        ({"content-length": "5", "transfer-encoding": "gzip, chunked"}, None),
        ({}, None),
    ],
)
def test_the_length_is_what_a_reader_may_believe(
    headers: dict[str, str], expected: int | None
) -> None:
    assert length_of(headers) == expected
