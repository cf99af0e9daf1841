"""Every row of what an answer to a resume request may say, and what it is worth."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pip_retry_patch.policy.ranges import (
    BUSY_STATUSES,
    Answer,
    ContentRange,
    Representation,
    Validators,
    Verdict,
    coding_of,
    judge,
    parse_content_range,
    range_field,
)

TOTAL, OFFSET = 1000, 400
STRONG, OTHER, WEAK = '"v1"', '"v2"', 'W/"v1"'
THEN, LATER = "Tue, 01 Jul 2025 10:00:00 GMT", "Tue, 01 Jul 2025 11:00:00 GMT"


def known(etag: str | None = STRONG, total: int | None = TOTAL) -> Representation:
    return Representation(Validators.of({"etag": etag} if etag else {}), total)


def verdict(
    representation: Representation,
    status: int,
    headers: dict[str, str] | None = None,
    *,
    length: int | None = None,
    ranged: bool = True,
    unproven: bool = True,
) -> Verdict:
    total = representation.total
    return judge(
        representation,
        OFFSET,
        status,
        headers or {},
        length=length,
        ranged=ranged,
        expected=None if total is None else total - OFFSET,
        unproven=unproven,
    ).verdict


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


def test_a_changed_etag_outranks_an_unchanged_date() -> None:
    first = Validators.of({"etag": STRONG, "last-modified": THEN})
    assert first.contradict(Validators.of({"etag": OTHER, "last-modified": THEN}))
    assert not first.contradict(Validators.of({"etag": STRONG, "last-modified": LATER}))
    assert first.contradict(Validators.of({"last-modified": LATER}))
    assert not first.contradict(Validators.of({}))
    assert not first.contradict(Validators.of({"etag": WEAK}))


# 206


@pytest.mark.parametrize("unproven", [True, False])
def test_a_206_that_fits_and_is_proven_goes_on(unproven: bool) -> None:
    part = {"content-range": "bytes 400-999/1000", "etag": STRONG}
    assert verdict(known(), 206, part, length=600, unproven=unproven) is Verdict.CONTINUE
    assert verdict(known(), 206, part, length=None, unproven=unproven) is Verdict.CONTINUE


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
        {"content-range": "bytes 400-999/1000", "etag": OTHER},
        {"content-range": "bytes 400-999/1000", "content-encoding": "gzip"},
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


@pytest.mark.parametrize("etag", [STRONG, WEAK, None])
def test_a_206_without_proof_is_joined_on_only_where_a_hash_check_follows(etag: str | None) -> None:
    part = {"content-range": "bytes 400-999/1000"}
    assert verdict(known(etag), 206, part) is Verdict.CONTINUE
    assert verdict(known(etag), 206, part, unproven=False) is Verdict.WHOLE


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


def test_an_unreadable_label_is_not_a_missing_one() -> None:
    part = {"content-range": "bytes 400-", "etag": STRONG}
    assert verdict(known(), 206, part, length=600) is Verdict.WHOLE


def test_a_206_tells_the_total_of_a_body_that_had_none() -> None:
    answer = judge(
        known(total=None),
        OFFSET,
        206,
        {"content-range": "bytes 400-999/1000", "etag": STRONG},
        length=600,
        ranged=True,
    )
    assert answer == Answer(Verdict.CONTINUE, TOTAL)


def test_a_206_that_nobody_asked_for_is_useless() -> None:
    part = {"content-range": "bytes 400-999/1000", "etag": STRONG}
    assert verdict(known(), 206, part, ranged=False) is Verdict.WHOLE


# 200


@pytest.mark.parametrize("ranged", [True, False])
@pytest.mark.parametrize(
    ("before", "etag", "length", "expected"),
    [
        (STRONG, STRONG, 1000, Verdict.REPLAY),
        (STRONG, STRONG, None, Verdict.REPLAY),
        (STRONG, STRONG, 1001, Verdict.CHANGED),
        (STRONG, OTHER, 1000, Verdict.CHANGED),
        (STRONG, WEAK, 1000, Verdict.CHANGED),
        (STRONG, None, 1000, Verdict.CHANGED),
        (WEAK, WEAK, 1000, Verdict.COMPARE),
        (WEAK, 'W/"v2"', 1000, Verdict.COMPARE),
        (None, None, 1000, Verdict.COMPARE),
        (None, STRONG, 1000, Verdict.COMPARE),
        (None, None, None, Verdict.COMPARE),
        (None, None, 999, Verdict.CHANGED),
    ],
)
def test_a_200_is_proven_by_a_strong_validator_or_by_its_bytes(
    before: str | None, etag: str | None, length: int | None, expected: Verdict, ranged: bool
) -> None:
    headers = {"etag": etag} if etag else {}
    assert verdict(known(before), 200, headers, length=length, ranged=ranged) is expected


def test_a_200_in_another_coding_is_another_representation() -> None:
    assert verdict(known(), 200, {"etag": STRONG, "content-encoding": "gzip"}) is Verdict.CHANGED
    assert verdict(known(), 200, {"etag": STRONG, "content-encoding": "Identity"}) is Verdict.REPLAY
    assert coding_of({"content-encoding": " GZIP "}) == "gzip"


def test_a_settled_date_proves_a_200_where_there_is_no_etag() -> None:
    headers = {"last-modified": THEN, "date": LATER}
    before = Representation(Validators.of(headers), TOTAL)
    assert verdict(before, 200, headers) is Verdict.REPLAY
    assert verdict(before, 200, dict(headers, **{"last-modified": LATER})) is Verdict.CHANGED


# 416 and the rest


@pytest.mark.parametrize(
    ("total", "content_range", "expected"),
    [
        (None, "bytes */400", Verdict.COMPLETE),
        (400, "bytes */400", Verdict.COMPLETE),
        (1000, "bytes */400", Verdict.WHOLE),
        (None, "bytes */1000", Verdict.WHOLE),
        (1000, "bytes */1000", Verdict.WHOLE),
        (None, None, Verdict.WHOLE),
    ],
)
def test_a_416_means_complete_only_if_the_total_is_what_arrived(
    total: int | None, content_range: str | None, expected: Verdict
) -> None:
    headers = {"content-range": content_range} if content_range else {}
    assert verdict(known(total=total), 416, headers) is expected


@pytest.mark.parametrize("ranged", [True, False])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_waited_for(status: int, ranged: bool) -> None:
    assert verdict(known(), status, ranged=ranged) is Verdict.BUSY


@pytest.mark.parametrize("status", [204, 301, 302, 304, 307, 400, 401, 403, 404, 410, 501, 505])
def test_any_other_status_is_a_refusal(status: int) -> None:
    assert verdict(known(), status) is Verdict.REFUSED


def test_a_416_to_a_request_without_range_is_a_refusal() -> None:
    assert verdict(known(), 416, ranged=False) is Verdict.REFUSED


def test_nothing_is_joined_on_that_starts_elsewhere_whatever_else_it_says() -> None:
    """The one rule above all others, over the whole product of what an answer can say."""
    etags = [None, STRONG, OTHER, WEAK]
    labels = [None, "bytes 0-999/1000", "bytes 399-999/1000", "bytes 401-999/1000", "bytes */1000"]
    lengths = [None, 599, 600, 601, 1000]
    for before, etag, label, length, unproven, total in itertools.product(
        etags, etags, labels, lengths, [True, False], [None, TOTAL]
    ):
        headers = {"etag": etag} if etag else {}
        if label:
            headers["content-range"] = label
        said = verdict(known(before, total), 206, headers, length=length, unproven=unproven)
        if said is Verdict.CONTINUE:
            assert label is None
            assert before == etag and before in (STRONG, OTHER)
            assert length == 600


def test_every_status_gives_a_verdict() -> None:
    for status in range(100, 600):
        assert isinstance(verdict(known(), status), Verdict)
        assert (verdict(known(), status) is Verdict.BUSY) == (status in BUSY_STATUSES)


def test_range_field_is_inclusive() -> None:
    assert range_field(5, None) == "bytes=5-"
    assert range_field(5, 9) == "bytes=5-9"
