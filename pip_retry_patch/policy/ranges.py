"""RFC 9110 ranges, as pure functions: what was asked, what came, and what that is worth.

What may be joined to bytes that were already handed on is decided here and nowhere else:
`judge` looks at the answer to a request for the missing part and says what it is worth.
Nothing in this module does I/O or knows a library; headers are any mapping whose keys match
without regard to case.
"""

from __future__ import annotations

import re
from typing import Mapping

from pip_retry_patch.policy.representation import (
    Representation,
    Validators,
    coding_of,
    is_web_page,
    media_of,
)
from pip_retry_patch.records import Enum, NamedTuple

# No file has a size of more than 18 digits, and Python refuses to read numbers of thousands.
# Compiled at first use: a clean download has none.
_CONTENT_RANGE = r"bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)"

# What servers write as well: "bytes=400-999/1000", "400-999/1000", "bytes 400-1000/1000" of a
# thousand bytes, "bytes 400-999/600".
_CLAIMED_START = r"\D*(\d{1,18})-"

# Answers that ask for time, not for another request: RFC 6585 (429), RFC 9110 sections 15.5.9
# (408) and 15.6, RFC 8470 (425). 520 to 530 are what common CDNs say of an origin they lost.
BUSY_STATUSES = frozenset([408, 425, 429, 500, 502, 503, 504, *range(520, 531)])


def is_of_no_help(status: int) -> bool:
    """Whether another source may deliver what this status does not: 429 and all of 5xx."""
    return status == 429 or status >= 500


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
    match = re.fullmatch(_CONTENT_RANGE, value.strip(), re.ASCII | re.IGNORECASE) if value else None
    if match is None:
        return None
    first, last, total = (int(g) if g and g != "*" else None for g in match.groups())
    if first is None or last is None:
        return ContentRange(None, None, total) if total is not None else None
    if last < first or (total is not None and last >= total):
        return None
    return ContentRange(first, last, total)


class Question(NamedTuple):
    """What was asked for: the bytes from `first` on, or all of them if that is None.

    `conditional`: only if the validator is still the same (If-Range, RFC 9110 section 13.1.5).
    """

    first: int | None
    conditional: bool = False

    def fields(self, last: int | None, known: Representation) -> dict[str, str]:
        """Return what a request has in its header that asks this; `last` is the last byte."""
        fields = {}
        if self.first is not None:
            fields["Range"] = range_field(self.first, last)
        if self.conditional:
            fields["If-Range"] = known.validators.strong or ""
        return fields


class Verdict(Enum):
    """What an answer to the request for the missing bytes is worth."""

    CONTINUE = "it continues from where it was asked to"
    REPLAY = "it is the representation from its beginning"
    COMPLETE = "nothing is missing"
    UNCONDITIONAL = "it ignores the range because of its condition"
    WHOLE = "its part cannot be joined on"
    WITHHELD = "the server refuses to send a part"
    CHANGED = "it is another representation"
    PAGE = "it is a web page in place of the file"
    BUSY = "the server asks for time"
    ELSEWHERE = "the link leads elsewhere"
    REFUSED = "the server will not send it"


class Answer(NamedTuple):
    """A verdict, and what the answer says of itself.

    `total` is the size of the representation, None if it was not told. `size` is how many bytes
    the part has by its label: more of them are not to be believed.
    """

    verdict: Verdict
    total: int | None = None
    size: int | None = None


def judge(
    known: Representation,
    offset: int,
    question: Question,
    status: int,
    headers: Mapping[str, str],
    *,
    length: int | None,
    hashed: bool,
    last: int | None = None,
) -> Answer:
    """Judge the answer to a request for the bytes of `known` from `offset` on.

    :param status: its status code.
    :param length: its Content-Length in bytes, None if it has none.
    :param hashed: whether a hash will be checked that covers every byte. Then a part with the
        right start and total is joined on, whatever the validators say: nodes behind a load
        balancer disagree on them. Without a hash the validator must be strong and the same, and
        the caller compares what it can.
    :param last: position of the last byte that is wanted, None for that of the representation.
    """
    ranged = question.first is not None
    if status in BUSY_STATUSES and not (ranged and status == 500):
        return Answer(Verdict.BUSY)
    if status == 206:
        if not ranged:
            return Answer(Verdict.WHOLE)
        return _judge_part(known, question, headers, length, hashed, last)
    if status == 200:
        return _judge_whole(known, offset, question, headers, length)
    if status in (301, 302, 303, 307, 308):
        return Answer(Verdict.ELSEWHERE)
    if status == 416 and ranged:
        said = parse_content_range(headers.get("content-range"))
        if said is not None and said.total == offset and known.total in (None, offset):
            return Answer(Verdict.COMPLETE, offset)
    # Whatever our own fields bring down is asked again without them before it counts.
    return Answer(Verdict.WITHHELD if ranged else Verdict.REFUSED)


def _judge_part(
    known: Representation,
    question: Question,
    headers: Mapping[str, str],
    length: int | None,
    hashed: bool,
    last: int | None,
) -> Answer:
    first = question.first
    assert first is not None
    other = Answer(Verdict.WHOLE)
    if coding_of(headers) != known.coding or media_of(headers) == "multipart/byteranges":
        return other
    proven = known.validators.prove(Validators.of(headers))
    value = headers.get("content-range")
    said = parse_content_range(value)
    if said is None:
        # A part without a label is taken only for exactly what is missing, and only on proof. So is
        # one whose label makes no sense but for its start, which a hash may cover as well.
        wanted = last if last is not None else None if known.total is None else known.total - 1
        fits = wanted is not None and length == wanted - first + 1
        if value:
            claimed = re.match(_CLAIMED_START, value, re.ASCII)
            fits = fits and claimed is not None and int(claimed[1]) == first
            proven = proven or hashed
        return Answer(Verdict.CONTINUE, size=length) if fits and proven else other
    if said.first != first or said.last is None:
        return other
    if None not in (known.total, said.total) and said.total != known.total:
        return other
    if known.total is not None and said.last >= known.total:
        return other
    size = said.last - first + 1
    if length is not None and length != size:
        return other
    if not (hashed or proven):
        return other
    return Answer(Verdict.CONTINUE, said.total, size)


def _judge_whole(
    known: Representation,
    offset: int,
    question: Question,
    headers: Mapping[str, str],
    length: int | None,
) -> Answer:
    media = media_of(headers)
    if is_web_page(media) and not is_web_page(known.media):
        return Answer(Verdict.PAGE)
    if coding_of(headers) != known.coding:
        return Answer(Verdict.CHANGED)
    if length is not None and (length < offset or known.total not in (None, length)):
        return Answer(Verdict.CHANGED)
    if question.conditional and known.validators.prove(Validators.of(headers)):
        return Answer(Verdict.UNCONDITIONAL)
    # Whether it is the same one is not for the validators to say: the bytes are compared, or a
    # hash covers them. Equal bytes prove the beginning even where a validator moved.
    return Answer(Verdict.REPLAY, length)


def range_field(first: int, last: int | None) -> str:
    """Return the Range field for the bytes from `first` to `last`, both inclusive."""
    return f"bytes={first}-" if last is None else f"bytes={first}-{last}"


def unasked_part(headers: Mapping[str, str], length: int | None) -> ContentRange | None:
    """Return what a 206 brings that answers a request without Range; None if it may be all.

    No server should send one (RFC 9110 section 15.3.7). Of several parts no position is told.

    :param length: its Content-Length in bytes, None if it has none.
    """
    if media_of(headers) == "multipart/byteranges":
        return ContentRange(None, None, None)
    said = parse_content_range(headers.get("content-range"))
    if said is None or said.first is None or said.last is None:
        return None
    size = said.last - said.first + 1
    if length not in (None, size) or (said.first == 0 and said.total in (None, size)):
        return None
    return said


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
