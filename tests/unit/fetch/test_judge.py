"""What an answer to a request for the rest may say, and what it is worth."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest

from pip_retry_patch.fetch import judge
from pip_retry_patch.fetch.judge import LONG_OVERLAP, OVERLAP, Question, Representation, Verdict

# The rest of 1000 bytes is asked for from the offset 400 on.
TOTAL, OFFSET = 1000, 400
FITS = "bytes 400-999/1000"
STRONG, OTHER, WEAK = '"v1"', '"v2"', 'W/"v1"'
# Changed a minute before the answer.
THEN = "Tue, 01 Jul 2025 10:00:00 GMT"
SETTLED = {"last_modified": THEN, "date": "Tue, 01 Jul 2025 10:01:00 GMT"}
PART = {"content_range": "bytes 0-9/100"}
SEVERAL = {"content_type": "multipart/byteranges; boundary=x"}


def header(etag: str | None = None, length: Any = None, **more: str | None) -> Any:
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
) -> judge.Answer:
    """Judge an answer with this header; what is known `before` it are an ETag and a total."""
    known = Representation.of(header(before, content_type=media), total, hashed)
    return judge.judge(known, OFFSET, question, status, header(etag, length, **more))


def verdict(*arguments: Any, **options: Any) -> str:
    return answer(*arguments, **options).verdict


@pytest.mark.parametrize(
    ("read", "fields", "expected"),
    [
        # Only a strong validator is sent back. A date is one from a minute on.
        (judge.strong_validator, {"etag": STRONG}, STRONG),
        (judge.strong_validator, {"etag": STRONG, **SETTLED}, STRONG),
        *(
            (judge.strong_validator, {"etag": etag, **SETTLED}, "")
            for etag in (WEAK, "v1", '"', '"a\rb"')
        ),
        (judge.strong_validator, {}, ""),
        (judge.strong_validator, SETTLED, THEN),
        *(
            (judge.strong_validator, {**SETTLED, "date": date}, "")
            for date in ("Tue, 01 Jul 2025 10:00:59 GMT", "Tue, 01 Jul 2025 09:00:00 GMT", None)
        ),
        (judge.strong_validator, {**SETTLED, "last_modified": "yesterday"}, ""),
        # A coding has one spelling.
        *((judge.coding_of, {"content_encoding": text}, "") for text in (None, "Identity")),
        (judge.coding_of, {"content_encoding": " GZIP "}, "gzip"),
        (judge.coding_of, {"transfer_encoding": "chunked"}, ""),
        (judge.coding_of, {"transfer_encoding": "gzip, chunked"}, "gzip"),
        # The length is what a reader may believe.
        *((judge.length_of, {"length": text}, 5) for text in ("5", "5, 5")),
        *((judge.length_of, {"length": text}, None) for text in ("5, 6", "-5", "+5", None)),
        (judge.length_of, {"length": "1" * 19}, None),
        *(
            (judge.length_of, {"length": "5", "transfer_encoding": coding}, None)
            for coding in ("Chunked", "gzip, chunked")
        ),
        # The bytes of a first answer.
        *((partial(judge.span_of, status), {"length": 10}, (0, 9, 10)) for status in (200, 203)),
        (partial(judge.span_of, 200), {}, (0, None, None)),
        (partial(judge.span_of, 404), {"length": 10}, None),
        (partial(judge.span_of, 206), {"content_range": "bytes 5-9/20", "length": 5}, (5, 9, 20)),
        (partial(judge.span_of, 206), {"content_range": "bytes 5-9/*"}, (5, 9, None)),
        (partial(judge.span_of, 206), {"content_range": "bytes */20"}, None),
        (partial(judge.span_of, 206), {"length": 10}, (0, 9, 10)),  # as if it were 200
        (partial(judge.span_of, 206, ranged=True), {"length": 10}, None),
        # A part that nobody asked for. What may be all of it is taken, as ever.
        *((judge.unasked_part, {**PART, "length": length}, (0, 9, 100)) for length in (10, None)),
        (judge.unasked_part, {"content_range": "bytes 5-9/*", "length": 5}, (5, 9, None)),
        (judge.unasked_part, {**PART, "length": 100}, None),
        *(
            (judge.unasked_part, {"content_range": label, "length": 10}, None)
            for label in ("bytes 0-9/10", "bytes 0-9/*", "bytes */100", "nonsense", None)
        ),
        (judge.unasked_part, {**PART, **SEVERAL}, (None, None, None)),
    ],
)
def test_a_header_is_read_strictly(read: Any, fields: Any, expected: Any) -> None:
    expected = judge.ContentRange(*expected) if isinstance(expected, tuple) else expected
    assert read(header(**fields)) == expected


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
def test_what_is_a_web_page(media: str, first_bytes: bytes, expected: bool) -> None:
    assert judge.is_web_page(media, first_bytes) is expected


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
def test_how_the_rest_is_asked_for(
    hashed: bool, etag: Any, total: Any, offset: int, last: Any, if_range: bool, fields: Any
) -> None:
    known = Representation.of(header(etag), total, hashed)
    question = judge.question_for(known, 0, offset, last, if_range)
    assert question.fields() == dict(zip(("Range", "If-Range"), fields))


SENSELESS = (
    *("bytes 400-", "bytes=400-999/1000", "400-999/1000", "bytes 400-1000/1000"),
    *("bytes 400-999/600", "bytes 400-999/0", "bytes: 400-999/1000", "bytes 400-999"),
)
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
        # A length that contradicts the label counts where nothing else proves it.
        *((FITS, etag, 599, True, etag == STRONG) for etag in (STRONG, OTHER)),
        *((FITS, STRONG, length, False, False) for length in (601, TOTAL)),  # all of it, say
        # Without a label: only exactly what is missing, and proven.
        (None, STRONG, 600, True, True),
        *((None, STRONG, length, False, False) for length in (599, TOTAL, None)),
        *((None, etag, 600, True, False) for etag in (OTHER, WEAK, None)),
        # A label that makes no sense is not a missing one but where a hash will tell,
        *((label, STRONG, 600, True, False) for label in ("items 4/x", "bytes x-999/1000", "-")),
        # but like one where its start is right.
        *((label, STRONG, 600, True, True) for label in SENSELESS),
        *((label, etag, 600, True, False) for label in SENSELESS for etag in (OTHER, None)),
        *((label, STRONG, size, False, False) for label in SENSELESS for size in (None, 599, 601)),
        *((label.replace("400", "401"), STRONG, 600, False, False) for label in SENSELESS),
    ],
)
def test_a_206_is_joined_only_where_it_fits_and_is_proven(
    label: str | None, etag: str | None, length: int | None, with_hash: bool, without: bool
) -> None:
    for hashed, is_joined in ((True, with_hash), (False, without)):
        found = verdict(206, etag, length, hashed=hashed, content_range=label)
        assert found == (Verdict.CONTINUE if is_joined else Verdict.WHOLE)


def test_a_long_overlap_and_the_same_total_stand_for_a_validator() -> None:
    known, unknown, offset = Representation(total=200_000), Representation(), 2 * LONG_OVERLAP
    for overlap, before, expected in (
        (LONG_OVERLAP, known, Verdict.CONTINUE),
        (LONG_OVERLAP, unknown, Verdict.WHOLE),
        (LONG_OVERLAP - 1, known, Verdict.WHOLE),
    ):
        part = header(content_range=f"bytes {offset - overlap}-199999/200000")
        found = judge.judge(before, offset, Question(offset - overlap), 206, part)
        assert found.verdict == expected


def test_a_206_tells_its_end_and_the_total_of_a_body_that_had_none() -> None:
    for total in (TOTAL, None):
        said = answer(206, STRONG, total=total, content_range=FITS)
        assert said == judge.Answer(Verdict.CONTINUE, 1000, TOTAL)
    said = answer(206, STRONG, total=None, content_range="bytes 400-499/*")
    assert said == judge.Answer(Verdict.CONTINUE, 500, None)


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
def test_a_200_is_judged_by_its_size(total: int | None, length: int | None, expected: str) -> None:
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


NOTHING_LEFT: dict[str, Any] = {"content_range": "bytes */400"}
CONDITIONAL: dict[str, Any] = {"question": Question(OFFSET, None, STRONG), "hashed": False}


@pytest.mark.parametrize(
    ("status", "answered", "expected"),
    [
        # A 206 that was not asked for, is coded or of several parts is never joined.
        (206, {"question": Question()}, Verdict.WHOLE),
        (206, {"content_encoding": "gzip"}, Verdict.WHOLE),
        (206, SEVERAL, Verdict.WHOLE),
        *(
            (206, {"content_range": label, "length": 600, "total": None}, Verdict.WHOLE)
            for label in (None, *SENSELESS)
        ),
        # A validator that is weak, or none, proves nothing.
        *(
            (206, {"hashed": False, "before": etag, "etag": etag}, Verdict.WHOLE)
            for etag in (WEAK, None)
        ),
        # A 200 in another coding is another file, and a web page is none.
        (200, {"content_encoding": "gzip", "hashed": False}, Verdict.CHANGED),
        (200, {"content_encoding": "gzip"}, Verdict.WHOLE),
        (200, {"content_encoding": "Identity"}, Verdict.REPLAY),
        (200, {"content_type": "Text/HTML; charset=utf-8"}, Verdict.PAGE),
        (200, {"content_type": "Text/HTML", "length": 1800}, Verdict.PAGE),
        (200, {"content_type": "application/problem+json", "length": 20}, Verdict.PAGE),
        (200, {"content_type": "Text/HTML", "media": "text/html"}, Verdict.REPLAY),
        (200, {"content_type": "text/plain", "length": TOTAL}, Verdict.REPLAY),
        # A 200 to a condition that holds is asked again without it.
        (200, CONDITIONAL, Verdict.UNCONDITIONAL),
        *((200, {**CONDITIONAL, "etag": etag}, Verdict.REPLAY) for etag in (OTHER, None)),
        # A 416 means complete where a hash covers that,
        (416, {**NOTHING_LEFT, "total": None}, Verdict.COMPLETE),
        (416, {**NOTHING_LEFT, "total": OFFSET}, Verdict.COMPLETE),
        (416, {**NOTHING_LEFT}, Verdict.WITHHELD),
        (416, {"content_range": "bytes */1000", "total": None}, Verdict.WITHHELD),
        (416, {"content_range": "bytes */1000"}, Verdict.WITHHELD),
        (416, {"content_range": None, "total": None}, Verdict.WITHHELD),
        # or without one at a known total that was asked for.
        (416, {**NOTHING_LEFT, "hashed": False, "total": OFFSET}, Verdict.COMPLETE),
        (
            416,
            {**NOTHING_LEFT, "hashed": False, "total": OFFSET, "question": Question(OFFSET - 1)},
            Verdict.WITHHELD,
        ),
        (416, {**NOTHING_LEFT, "hashed": False, "total": None}, Verdict.WITHHELD),
    ],
)
def test_an_answer_has_one_verdict(status: int, answered: Any, expected: str) -> None:
    label = FITS if status == 206 else None
    assert verdict(status, **{"etag": STRONG, "content_range": label, **answered}) == expected


def test_some_statuses_ask_for_time_and_others_may_be_for_our_range() -> None:
    busy = {408, 421, 425, 429, *range(500, 600)} - {501, 505, 511}
    assert busy == judge.BUSY_STATUSES
    assert verdict(511) == verdict(511, question=Question()) == Verdict.PAGE
    for status in {*range(100, 600)} - {200, 203, 206, 511}:
        of_range = Verdict.BUSY if status in busy - {500} else Verdict.WITHHELD
        assert verdict(status) == of_range
        without = Verdict.BUSY if status in busy else Verdict.REFUSED
        assert verdict(status, question=Question()) == without
