"""RFC 9110 ranges and validators, as pure functions.

What may be joined to bytes that were already handed on is decided here and nowhere else:
`judge` looks at the answer to a request for the missing part and says what it is worth.
Nothing in this module does I/O or knows a library; headers are any mapping whose keys match
without regard to case.
"""

from __future__ import annotations

import enum
import re
from email.utils import parsedate_to_datetime
from typing import Mapping, NamedTuple

_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d+)-(\d+)|\*)/(\d+|\*)", re.ASCII | re.IGNORECASE)

# RFC 9110 section 8.8.2.2 wants a Last-Modified to be older than the answer by enough to make a
# second change within the same clock tick, or two clocks that differ, unlikely.
_SETTLED_SECONDS = 60

# Answers that ask for time, not for another request: RFC 6585 (429), RFC 9110 sections 15.5.9
# (408) and 15.6, RFC 8470 (425). 520 to 527 are what a common CDN says of an origin it lost.
BUSY_STATUSES = frozenset([408, 425, 429, 500, 502, 503, 504, *range(520, 528)])


class ContentRange(NamedTuple):
    """A parsed Content-Range (RFC 9110 section 14.4).

    `first` and `last` are byte positions, both inclusive, and None in the form of a 416
    (`bytes */1234`); `total` is None where the server wrote `*`.
    """

    first: int | None
    last: int | None
    total: int | None


def parse_content_range(value: str | None) -> ContentRange | None:
    """Return what `value` says, or None if it is missing, of another unit or contradicts itself."""
    match = _CONTENT_RANGE.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    first, last, total = (int(g) if g and g != "*" else None for g in match.groups())
    if first is None or last is None:
        return ContentRange(None, None, total) if total is not None else None
    if last < first or (total is not None and last >= total):
        return None
    return ContentRange(first, last, total)


class Validators(NamedTuple):
    """What an answer says to tell one version of a representation from another.

    `etag` is the field as it was sent, with its quotes and its `W/`; `modified` is the
    Last-Modified field; `settled` is true where there is no ETag, and that date may be taken as a
    strong validator (RFC 9110 section 8.8.2.2).
    """

    etag: str | None = None
    modified: str | None = None
    settled: bool = False

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Validators:
        etag = (headers.get("etag") or "").strip() or None
        modified = (headers.get("last-modified") or "").strip() or None
        # An ETag outranks the date; and to read two dates is much of what a small answer costs.
        return cls(etag, modified, etag is None and _is_settled(modified, headers.get("date")))

    @property
    def strong(self) -> str | None:
        """The value for If-Range (RFC 9110 section 13.1.5), None if nothing here is strong."""
        if self.etag is not None:
            return None if _is_weak(self.etag) else self.etag
        return self.modified if self.settled else None

    def contradict(self, later: Validators) -> bool:
        """Whether `later` says that it describes another version. An ETag outranks a date."""
        if self.etag is not None and later.etag is not None:
            return _opaque(self.etag) != _opaque(later.etag)
        if self.modified is not None and later.modified is not None:
            return self.modified != later.modified
        return False

    def prove(self, later: Validators) -> bool:
        """Whether `later` describes, byte for byte, the same version."""
        return self.strong is not None and self.strong == later.strong


def _is_weak(etag: str) -> bool:
    # Anything that is not a quoted string is not an entity-tag, and proves no more than a weak one.
    return not (len(etag) >= 2 and etag[0] == '"' and etag[-1] == '"')


def _opaque(etag: str) -> str:
    return etag[2:] if etag[:2] in ("W/", "w/") else etag


def _is_settled(modified: str | None, date: str | None) -> bool:
    if not modified or not date:
        return False
    try:
        age = parsedate_to_datetime(date) - parsedate_to_datetime(modified)
    except (TypeError, ValueError, IndexError, OverflowError):
        return False
    return age.total_seconds() >= _SETTLED_SECONDS


class Representation(NamedTuple):
    """What is known of the thing that is being downloaded.

    `total` is its size in bytes, None if no answer has told it yet; `coding` is its
    Content-Encoding, whose bytes are the ones that ranges count.
    """

    validators: Validators
    total: int | None
    coding: str = ""


def coding_of(headers: Mapping[str, str]) -> str:
    """Return the Content-Encoding in one spelling; "" means none."""
    coding = (headers.get("content-encoding") or "").strip().lower()
    return "" if coding == "identity" else coding


class Verdict(enum.Enum):
    """What an answer to the request for the missing bytes is worth."""

    CONTINUE = "its first byte is the first one missing"
    REPLAY = "it is the same representation from its beginning"
    COMPARE = "it may be the same representation: compare it with what was handed on"
    COMPLETE = "nothing is missing"
    WHOLE = "it cannot be joined on: ask again, without a range"
    CHANGED = "it is another representation"
    BUSY = "the server asks for time"
    REFUSED = "the server will not send it"


class Answer(NamedTuple):
    """A verdict, and the total size if this answer told it."""

    verdict: Verdict
    total: int | None = None


def judge(
    known: Representation,
    offset: int,
    status: int,
    headers: Mapping[str, str],
    *,
    length: int | None,
    ranged: bool,
    expected: int | None = None,
    unproven: bool = True,
) -> Answer:
    """Judge the answer to a request for the bytes of `known` from `offset` on.

    :param status: its status code.
    :param length: its Content-Length in bytes, None if it has none.
    :param ranged: whether the request carried a Range field; without one only a 200 is of use.
    :param expected: how many bytes are missing, None if that is not known.
    :param unproven: whether a 206 that neither proves nor contradicts itself may be joined on,
        because pip's hash check comes after it. A wrong start, total or validator is never
        joined on.
    """
    if status in BUSY_STATUSES:
        return Answer(Verdict.BUSY)
    validators = Validators.of(headers)
    changed = known.validators.contradict(validators) or coding_of(headers) != known.coding
    if status == 206 and ranged:
        if changed:
            return Answer(Verdict.WHOLE)
        proven = known.validators.prove(validators)
        return _judge_part(known, offset, headers, length, expected, proven, unproven)
    if status == 206:
        return Answer(Verdict.WHOLE)
    if status == 200:
        return _judge_whole(known, headers, length, changed, validators)
    if status == 416 and ranged:
        said = parse_content_range(headers.get("content-range"))
        nothing_is_missing = said is not None and said.total == offset
        if nothing_is_missing and known.total in (None, offset):
            return Answer(Verdict.COMPLETE, offset)
        return Answer(Verdict.WHOLE)
    return Answer(Verdict.REFUSED)


def _judge_part(
    known: Representation,
    offset: int,
    headers: Mapping[str, str],
    length: int | None,
    expected: int | None,
    proven: bool,
    unproven: bool,
) -> Answer:
    value = headers.get("content-range")
    said = parse_content_range(value)
    if said is None:
        # A part without a label is taken only for exactly what is missing, and only on proof.
        fits = not value and length is not None and length == expected
        return Answer(Verdict.CONTINUE if fits and proven else Verdict.WHOLE)
    if said.first != offset or said.last is None:
        return Answer(Verdict.WHOLE)
    if None not in (known.total, said.total) and said.total != known.total:
        return Answer(Verdict.WHOLE)
    if known.total is not None and said.last >= known.total:
        return Answer(Verdict.WHOLE)
    if length is not None and length != said.last - offset + 1:
        return Answer(Verdict.WHOLE)
    if not (proven or unproven):
        return Answer(Verdict.WHOLE)
    return Answer(Verdict.CONTINUE, said.total)


def _judge_whole(
    known: Representation,
    headers: Mapping[str, str],
    length: int | None,
    changed: bool,
    validators: Validators,
) -> Answer:
    if coding_of(headers) != known.coding:
        return Answer(Verdict.CHANGED)
    if None not in (known.total, length) and length != known.total:
        return Answer(Verdict.CHANGED)
    if known.validators.prove(validators):
        return Answer(Verdict.REPLAY, length)
    if known.validators.strong is not None:
        # What a strong validator vouched for was not digested, so there is nothing to compare:
        # another strong validator, or none any more, is another representation.
        return Answer(Verdict.CHANGED)
    # Equal bytes prove the beginning even where a weak validator moved: what follows then
    # completes the newer version, of which all of the beginning was handed on.
    return Answer(Verdict.COMPARE, length)


def range_field(first: int, last: int | None) -> str:
    """Return the Range field for the bytes from `first` to `last`, both inclusive."""
    return f"bytes={first}-" if last is None else f"bytes={first}-{last}"


class Span(NamedTuple):
    """Which bytes of a representation an answer brings.

    `start` is the position of the first one, `stop` that behind the last one, `total` the size of
    the representation; None where it is not known.
    """

    start: int
    stop: int | None
    total: int | None


def span_of(status: int, headers: Mapping[str, str], length: int | None) -> Span | None:
    """Return what an answer with content brings; None if it is not to be continued.

    :param length: its Content-Length in bytes, None if it has none.
    """
    if length == 0:
        return None
    if status == 200:
        return Span(0, length, length)
    if status == 206:
        said = parse_content_range(headers.get("content-range"))
        if said is not None and said.first is not None and said.last is not None:
            return Span(said.first, said.last + 1, said.total)
    return None
