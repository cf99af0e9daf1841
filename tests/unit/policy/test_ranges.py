"""Every row of what an answer to a resume request may say, and what it is worth."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pip_retry_patch.policy.ranges import (
    Answer,
    ContentRange,
    Question,
    Verdict,
    judge,
    parse_content_range,
    range_field,
    unasked_part,
)
from pip_retry_patch.policy.representation import Representation, Validators, coding_of, is_web_page

TOTAL, OFFSET = 1000, 400
STRONG, OTHER, WEAK = '"v1"', '"v2"', 'W/"v1"'
THEN, LATER = "Tue, 01 Jul 2025 10:00:00 GMT", "Tue, 01 Jul 2025 11:00:00 GMT"


def known(etag: str | None = STRONG, total: int | None = TOTAL) -> Representation:
    return Representation(Validators.of({"etag": etag} if etag else {}), total)


def answer(
    representation: Representation,
    status: int,
    headers: dict[str, str] | None = None,
    *,
    length: int | None = None,
    ranged: bool = True,
    conditional: bool = False,
    hashed: bool = True,
) -> Answer:
    return judge(
        representation,
        OFFSET,
        Question(OFFSET if ranged else None, conditional),
        status,
        headers or {},
        length=length,
        hashed=hashed,
    )


def verdict(*arguments: Any, **options: Any) -> Verdict:
    return answer(*arguments, **options).verdict


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 0-9/10", ContentRange(0, 9, 10)),
        ("bytes 5-9/*", ContentRange(5, 9, None)),
        ("Bytes  5-9/10", ContentRange(5, 9, 10)),
        (" bytes 5-9/10 ", ContentRange(5, 9, 10)),
        ("bytes */10", ContentRange(None, None, 10)),
        ("bytes */*", None),
        ("bytes 9-5/10", None),
        ("bytes 5-10/10", None),
        ("bytes 5-9/0", None),
        ("bytes -5/10", None),
        ("bytes 5-/10", None),
        ("bytes 5-9", None),
        ("items 5-9/10", None),
        ("bytes=5-9/10", None),
        ("bytes 0-4/10, bytes 5-9/10", None),
        ("bytes \u0665-9/10", None),
        ("", None),
        (None, None),
    ],
)
def test_content_range_is_read_as_rfc_9110_writes_it(
    value: str | None, expected: ContentRange | None
) -> None:
    assert parse_content_range(value) == expected


@given(st.text())
def test_no_content_range_is_a_crash_or_a_nonsense_range(value: str) -> None:
    said = parse_content_range(value)
    if said is not None and said.first is not None and said.last is not None:
        assert 0 <= said.first <= said.last
        assert said.total is None or said.last < said.total


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_labelled_range_is_read_back(first: int, more: int, rest: int) -> None:
    last = first + more
    read = parse_content_range(f"bytes {first}-{last}/{last + rest}")
    assert read == ContentRange(first, last, last + rest)


@pytest.mark.parametrize(
    ("headers", "strong"),
    [
        ({"etag": STRONG}, STRONG),
        ({"etag": WEAK}, None),
        ({"etag": "v1"}, None),
        ({"etag": '"'}, None),
        ({"etag": ""}, None),
        ({}, None),
        ({"last-modified": THEN, "date": LATER}, THEN),
        ({"last-modified": THEN}, None),
        ({"last-modified": THEN, "date": THEN}, None),
        ({"last-modified": LATER, "date": THEN}, None),
        ({"last-modified": "yesterday", "date": LATER}, None),
        ({"last-modified": THEN, "date": "Tue, 99 Jul 2025 11:00:00"}, None),
        ({"etag": WEAK, "last-modified": THEN, "date": LATER}, None),
        ({"etag": STRONG, "last-modified": THEN, "date": LATER}, STRONG),
    ],
)
def test_if_range_takes_only_a_strong_validator(
    headers: dict[str, str], strong: str | None
) -> None:
    assert Validators.of(headers).strong == strong


# 206


@pytest.mark.parametrize("hashed", [True, False])
def test_a_206_that_fits_and_is_proven_goes_on(hashed: bool) -> None:
    part = {"content-range": "bytes 400-999/1000", "etag": STRONG}
    assert verdict(known(), 206, part, length=600, hashed=hashed) is Verdict.CONTINUE
    assert verdict(known(), 206, part, length=None, hashed=hashed) is Verdict.CONTINUE


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
    before = known(etag) if etag or "etag" not in part else known(WEAK)
    part = dict({"etag": etag} if etag else {}, **part)
    assert verdict(before, 206, part) is Verdict.WHOLE


def test_a_206_whose_length_contradicts_its_label_is_never_joined_on() -> None:
    part = {"content-range": "bytes 400-999/1000", "etag": STRONG}
    assert verdict(known(), 206, part, length=599) is Verdict.WHOLE


def test_a_206_may_bring_less_than_was_asked_for() -> None:
    part = {"content-range": "bytes 400-499/1000", "etag": STRONG}
    assert verdict(known(), 206, part, length=100) is Verdict.CONTINUE


@pytest.mark.parametrize("etag", [OTHER, WEAK, None])
def test_nodes_that_disagree_on_validators_are_joined_only_where_a_hash_covers_all(
    etag: str | None,
) -> None:
    part = {"content-range": "bytes 400-999/1000", **({"etag": etag} if etag else {})}
    assert verdict(known(), 206, part) is Verdict.CONTINUE
    assert verdict(known(), 206, part, hashed=False) is Verdict.WHOLE


@pytest.mark.parametrize("etag", [STRONG, WEAK, None])
def test_a_206_without_a_validator_is_joined_only_where_a_hash_check_follows(
    etag: str | None,
) -> None:
    part = {"content-range": "bytes 400-999/1000"}
    assert verdict(known(etag), 206, part) is Verdict.CONTINUE
    assert verdict(known(etag), 206, part, hashed=False) is Verdict.WHOLE


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
    length: int | None, etag: str | None, expected: Verdict
) -> None:
    assert verdict(known(), 206, {"etag": etag} if etag else {}, length=length) is expected


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
        assert verdict(known(), 206, part, length=600, hashed=hashed) is then
        for length in (None, 599, 601):
            assert verdict(known(), 206, part, length=length, hashed=hashed) is Verdict.WHOLE
        part["content-range"] = label.replace("400", "401")
        assert verdict(known(), 206, part, length=600, hashed=hashed) is Verdict.WHOLE
        assert verdict(known(total=None), 206, part, length=600) is Verdict.WHOLE


@pytest.mark.parametrize("label", ["items 4/x", "bytes */1000", "bytes x-999/1000", "-"])
def test_a_label_without_a_start_is_not_a_missing_one(label: str) -> None:
    part = {"content-range": label, "etag": STRONG}
    assert verdict(known(), 206, part, length=600, hashed=True) is Verdict.WHOLE


def test_a_206_tells_the_total_of_a_body_that_had_none() -> None:
    part = {"content-range": "bytes 400-999/1000", "etag": STRONG}
    said = answer(known(total=None), 206, part, length=600)
    assert said == Answer(Verdict.CONTINUE, TOTAL, 600)


def test_a_206_without_a_total_tells_the_end_of_its_part_alone() -> None:
    part = {"content-range": "bytes 400-499/*", "etag": STRONG}
    for length in (100, None):
        said = answer(known(total=None), 206, part, length=length)
        assert said == Answer(Verdict.CONTINUE, None, 100)
    assert answer(known(), 206, part).size == 100


def test_a_206_that_nobody_asked_for_is_useless() -> None:
    part = {"content-range": "bytes 400-999/1000", "etag": STRONG}
    assert verdict(known(), 206, part, ranged=False) is Verdict.WHOLE


# 200


@pytest.mark.parametrize("ranged", [True, False])
@pytest.mark.parametrize("before", [STRONG, WEAK, None])
@pytest.mark.parametrize("etag", [STRONG, OTHER, WEAK, None])
@pytest.mark.parametrize(
    ("length", "expected"),
    [(1000, Verdict.REPLAY), (None, Verdict.REPLAY), (1001, Verdict.CHANGED)],
)
def test_a_200_is_judged_by_its_size_and_then_by_its_bytes(
    before: str | None, etag: str | None, length: int | None, expected: Verdict, ranged: bool
) -> None:
    headers = {"etag": etag} if etag else {}
    assert verdict(known(before), 200, headers, length=length, ranged=ranged) is expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [(OFFSET - 1, Verdict.CHANGED), (OFFSET, Verdict.REPLAY), (OFFSET + 1, Verdict.REPLAY)],
)
def test_a_200_that_is_shorter_than_what_was_handed_on_is_another(
    length: int, expected: Verdict
) -> None:
    """Also where nobody has told the size: the answers before came in chunks."""
    assert verdict(known(total=None), 200, {}, length=length) is expected


def test_a_200_in_another_coding_is_another_representation() -> None:
    assert verdict(known(), 200, {"etag": STRONG, "content-encoding": "gzip"}) is Verdict.CHANGED
    assert verdict(known(), 200, {"etag": STRONG, "content-encoding": "Identity"}) is Verdict.REPLAY
    assert coding_of({"content-encoding": " GZIP "}) == "gzip"


@pytest.mark.parametrize(
    ("etag", "conditional", "expected"),
    [
        (STRONG, True, Verdict.UNCONDITIONAL),
        (STRONG, False, Verdict.REPLAY),
        (OTHER, True, Verdict.REPLAY),
        (None, True, Verdict.REPLAY),
    ],
)
def test_a_200_to_a_condition_that_holds_is_asked_again_without_it(
    etag: str | None, conditional: bool, expected: Verdict
) -> None:
    headers = {"etag": etag} if etag else {}
    said = verdict(known(), 200, headers, length=TOTAL, conditional=conditional)
    assert said is expected


@pytest.mark.parametrize("length", [None, 1800, TOTAL])
def test_a_web_page_in_place_of_a_file_is_not_another_version_of_it(length: int | None) -> None:
    page = {"content-type": "Text/HTML; charset=utf-8"}
    assert verdict(known(), 200, page, length=length) is Verdict.PAGE
    index = known()._replace(media="text/html")
    assert verdict(index, 200, page, length=TOTAL) is Verdict.REPLAY


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
    total: int | None, content_range: str | None, expected: Verdict
) -> None:
    headers = {"content-range": content_range} if content_range else {}
    assert verdict(known(total=total), 416, headers) is expected


@pytest.mark.parametrize("ranged", [True, False])
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_waited_for(status: int, ranged: bool) -> None:
    assert verdict(known(), status, ranged=ranged) is Verdict.BUSY


def test_a_500_asks_for_time_unless_our_own_range_may_be_its_cause() -> None:
    assert verdict(known(), 500) is Verdict.WITHHELD
    assert verdict(known(), 500, ranged=False) is Verdict.BUSY


@pytest.mark.parametrize("status", [204, 304, 400, 401, 403, 404, 405, 410, 416, 501, 505])
def test_what_a_range_may_bring_down_is_asked_again_without_it(status: int) -> None:
    assert verdict(known(), status) is Verdict.WITHHELD
    assert verdict(known(), status, ranged=False) is Verdict.REFUSED


@pytest.mark.parametrize("ranged", [True, False])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status: int, ranged: bool) -> None:
    assert verdict(known(), status, ranged=ranged) is Verdict.ELSEWHERE


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
        if said is Verdict.CONTINUE:
            assert label is None
            assert before == etag and before in (STRONG, OTHER)
            assert length == 600 and total == TOTAL


def test_every_status_gives_a_verdict() -> None:
    for status in range(100, 600):
        for ranged in (True, False):
            assert isinstance(verdict(known(), status, ranged=ranged), Verdict)


names = st.sampled_from(
    ["content-range", "content-type", "content-encoding", "etag", "last-modified", "date"]
)
numbers = st.integers(0, 1200).map(str) | st.sampled_from(["9" * 19, "9" * 400, "9" * 5000])
labels = st.builds("bytes {}-{}/{}".format, numbers, numbers, numbers | st.just("*"))
values = st.text(max_size=60) | labels | st.sampled_from([STRONG, WEAK, "multipart/byteranges"])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.dictionaries(names, values),
    st.sampled_from([200, 206, 302, 403, 416, 503]),
    st.none() | st.integers(0, 1200) | st.integers(10**300, 10**400),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 1200),
)
def test_no_header_is_a_crash_and_none_joins_what_starts_elsewhere(
    headers: dict[str, str],
    status: int,
    length: int | None,
    ranged: bool,
    hashed: bool,
    total: int | None,
) -> None:
    before = Representation.of(headers, total)
    said = answer(before, status, headers, length=length, ranged=ranged, hashed=hashed)
    if said.verdict is Verdict.CONTINUE:
        label = parse_content_range(headers.get("content-range"))
        assert status == 206 and ranged
        assert label is None or label.first == OFFSET
        assert said.size is not None and (total is None or OFFSET + said.size <= total)


@pytest.mark.parametrize(
    ("headers", "length", "part"),
    [
        ({"content-range": "bytes 0-9/100"}, 10, (0, 9, 100)),
        ({"content-range": "bytes 0-9/100"}, None, (0, 9, 100)),
        ({"content-range": "bytes 5-9/100"}, 5, (5, 9, 100)),
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
    assert unasked_part(headers, length) == part


def test_range_field_is_inclusive() -> None:
    assert range_field(5, None) == "bytes=5-"
    assert range_field(5, 9) == "bytes=5-9"
