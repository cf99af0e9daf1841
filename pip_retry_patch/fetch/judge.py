"""RFC 9110 as pure functions: what was asked, what came, and what that is worth.

What may be joined to bytes that pip has is decided here and nowhere else. Nothing here does I/O or
knows a library; headers are any mapping whose keys match without regard to case.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Mapping

from pip_retry_patch.records import record

Headers = Mapping[str, str]

# No file has a size of more than 18 digits. (Compiled at first use: a clean download has no range.)
_CONTENT_RANGE = r"bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)"
# Some servers write "bytes=400-999/1000", "400-999/1000" or "bytes 400-1000/1000".
_CLAIMED_START = r"\D*(\d{1,18})-"
# An ETag that may be sent back: one quoted string, without control characters (section 8.8.3).
_STRONG_TAG = r'"[\x21\x23-\x7e\x80-\xff]*"'

# Answers that ask for time: RFC 6585 (429), RFC 9110 sections 15.5.9 (408), 15.5.20 (421) and
# 15.6, RFC 8470 (425). An unknown one is like 500 (section 15): CDNs and gateways have their own.
# To wait changes nothing of those that are left out.
BUSY_STATUSES = frozenset([408, 421, 425, 429, *range(500, 600)]) - {501, 505, 511}
# 203 is a 200 that a proxy has changed something of (section 15.3.4).
WHOLE_STATUSES = (200, 203)
# What answers a link that has expired, or leads to nothing.
GONE = (400, 403, 404, 410)
GONE_FOR_GOOD = 410  # RFC 9110 section 15.5.11
# What no host answers, but a proxy that wants to know who asks (RFC 9110 section 15.5.8).
PROXY_REFUSES = 407
REDIRECTS = (301, 302, 303, 307, 308)


def is_busy(status: int, headers: Headers) -> bool:
    """Whether an answer asks for time; 413 does with Retry-After (section 15.5.14)."""
    return status in BUSY_STATUSES or (status == 413 and "retry-after" in headers)


# Where no hash covers a body, a part is asked for from so many bytes before the offset, and they
# are compared with those that pip has: two files of one second may share a validator. Without a
# strong validator more of them must be the same.
OVERLAP, LONG_OVERLAP = 4 * 1024, 64 * 1024

# A Last-Modified is a strong validator if it is so many seconds older than the answer
# (RFC 9110 section 8.8.2.2).
_SETTLED_SECONDS = 60


@record
class Representation:
    """What is known of the thing that is downloaded.

    :param validator: a strong validator, as If-Range takes it (section 13.1.5); "" if none is
        strong, or needed.
    :param total: its size in bytes, None if no answer has told it.
    :param coding: its Content-Encoding, "" for none. Ranges count the encoded bytes.
    :param media: its media type, "" if it is not known.
    :param hashed: a hash will be checked that covers every byte. Then a part with the right start
        and total is joined on, whatever the validators say: nodes behind a load balancer disagree
        on them. Without a hash the overlap is compared, and the end is proven by the answer that
        brings it, never by what an earlier one announced.
    """

    validator: str = ""
    total: int | None = None
    coding: str = ""
    media: str = ""
    hashed: bool = False

    @classmethod
    def of(cls, headers: Headers, total: int | None, hashed: bool) -> Representation:
        validator = "" if hashed else strong_validator(headers)
        return cls(validator, total, coding_of(headers), media_of(headers), hashed)


def strong_validator(headers: Headers) -> str:
    """Return the ETag if it is a strong one; without an ETag a Last-Modified that has settled."""
    tag = (headers.get("etag") or "").strip()
    if tag:
        return tag if re.fullmatch(_STRONG_TAG, tag) else ""
    modified = headers.get("last-modified") or ""
    age = seconds_between(modified, headers.get("date") or "")
    settled = age is not None and age >= _SETTLED_SECONDS and modified.isprintable()
    return modified.strip() if settled else ""


def seconds_between(earlier: str, later: str) -> float | None:
    """Return the seconds from one HTTP date to another, None where one is no date."""
    try:
        between = parsedate_to_datetime(later) - parsedate_to_datetime(earlier)
        return between.total_seconds()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def coding_of(headers: Headers) -> str:
    """Return the Content-Encoding in one spelling; "" means none.

    A transfer coding other than chunked, which pip's libraries do not decode, is like one.
    """
    none = ("", "chunked", "identity")
    coding = (headers.get("content-encoding") or "").strip().lower()
    transfer = headers.get("transfer-encoding") or ""
    if coding in none and transfer:
        named = (each.strip() for each in transfer.lower().split(","))
        coding = ", ".join(each for each in named if each not in none)
    return "" if coding in none else coding


def length_of(headers: Headers) -> int | None:
    """Return the Content-Length in bytes, None without a valid one.

    Chunks overrule it (RFC 9112 section 6.3). The same length twice is one (RFC 9110 section 8.6).
    """
    if "chunked" in (headers.get("transfer-encoding") or "").lower():
        return None
    texts = {text.strip() for text in (headers.get("content-length") or "").split(",")}
    text = texts.pop() if len(texts) == 1 else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def media_of(headers: Headers) -> str:
    """Return the media type of Content-Type in one spelling, without its parameters."""
    return (headers.get("content-type") or "").partition(";")[0].strip().lower()


def is_web_page(media: str, first_bytes: bytes = b"") -> bool:
    """Whether a media type, or the first bytes of a body, are those of a web page."""
    start = first_bytes[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    web = ("text/html", "application/xhtml+xml")
    return media in web or start.startswith((b"<!doctype html", b"<html"))


def is_text(media: str) -> bool:
    """Whether a media type is of what somebody is to read, a web page or the words of a gateway."""
    return is_web_page(media) or media.startswith("text/") or media.endswith(("json", "xml"))


@record
class ContentRange:
    """A parsed Content-Range (section 14.4).

    `first` and `last` are positions, both inclusive, and None in the form of a 416; `total` is None
    where the server wrote `*`.
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


@record
class Question:
    """What is asked for: the bytes from `first` on, or all of them if that is None.

    :param last: the last byte that is wanted, where that is not the last of the representation.
    :param if_range: a validator: only if it is still the same (section 13.1.5).
    """

    first: int | None = None
    last: int | None = None
    if_range: str = ""

    def fields(self) -> dict[str, str]:
        """Return what a request has in its header that asks this."""
        if self.first is None:
            return {}
        fields = {"Range": f"bytes={self.first}-{'' if self.last is None else self.last}"}
        if self.if_range:
            fields["If-Range"] = self.if_range
        return fields


class Verdict:
    """What an answer is worth, in words."""

    CONTINUE = "it continues from where it was asked to"
    REPLAY = "it is the representation from its beginning"
    COMPLETE = "nothing is missing"
    UNCONDITIONAL = "it ignores the range because of its condition"
    WHOLE = "its part cannot be joined on"
    WITHHELD = "the server refuses to send a part"
    CHANGED = "it is another representation"
    PAGE = "it is text in place of the file"
    BUSY = "the server asks for time"
    REFUSED = "the server will not send it"
    # Of any request, and of the first answer; `judge` below does not return them.
    USE = "it is pip's"
    DOUBTED = "it may be another one when asked for once more"
    CUT = "its content broke"
    LOST = "no answer came"
    LASTING = "no answer came that time will change"


@record
class Answer:
    """A verdict, and what the answer says of itself.

    :param stop: the position behind its last byte in the representation; None if it is not told.
        More bytes than that are not to be believed.
    :param total: the size of the representation, None if it was not told.
    """

    verdict: str
    stop: int | None = None
    total: int | None = None


def judge(
    known: Representation, offset: int, question: Question, status: int, headers: Headers
) -> Answer:
    """Judge the answer to a request for the bytes of `known` from `offset` on.

    Where no hash covers them, the caller compares the overlap.
    """
    ranged = question.first is not None
    if is_busy(status, headers) and not (ranged and status == 500):
        return Answer(Verdict.BUSY)
    # Some servers send nothing else, with a label or without.
    if status == 206 and not ranged and unasked_part(headers) is None:
        return _judge_whole(known, offset, question, headers)
    # A gateway may make a 200 of a part.
    if status == 206 or (ranged and status in WHOLE_STATUSES and "content-range" in headers):
        return _judge_part(known, offset, question, headers)
    if status in WHOLE_STATUSES:
        return _judge_whole(known, offset, question, headers)
    if status == 511:  # of a network that wants a login (RFC 6585)
        return Answer(Verdict.PAGE)
    if status == 416 and ranged:
        said = parse_content_range(headers.get("content-range"))
        is_proven = known.total in (None, offset) if known.hashed else question.first == known.total
        if said is not None and said.total == offset and is_proven:
            return Answer(Verdict.COMPLETE, offset, offset)
    # Whatever our own fields bring down is asked again without them before it counts.
    return Answer(Verdict.WITHHELD if ranged else Verdict.REFUSED)


def _judge_part(known: Representation, offset: int, question: Question, headers: Headers) -> Answer:
    first, other, length = question.first, Answer(Verdict.WHOLE), length_of(headers)
    is_of_several = media_of(headers) == "multipart/byteranges"
    if first is None or is_of_several or coding_of(headers) != known.coding:
        return other
    proven = known.hashed or known.validator == strong_validator(headers) != ""
    value = headers.get("content-range")
    said = parse_content_range(value)
    if said is None:
        # A part without a label is taken only for exactly what is missing, and only on proof. So is
        # one whose label makes no sense but for its start; with a hash that may be missing, too.
        stop = known.total if question.last is None else question.last + 1
        fits = stop is not None and length == stop - first
        if value:
            claimed = re.match(_CLAIMED_START, value, re.ASCII)
            fits = fits and (int(claimed[1]) == first if claimed else known.hashed)
        return Answer(Verdict.CONTINUE, stop) if fits and proven else other
    if said.first != first or said.last is None:
        return other
    if None not in (known.total, said.total) and said.total != known.total:
        return other
    if known.total is not None and said.last >= known.total:
        return other
    # Less than its label says may have been cut; more may begin elsewhere, too.
    size = said.last - first + 1
    if length is not None and (length > size or (length < size and not proven)):
        return other
    same_size = known.total is not None and said.total == known.total
    compared = same_size and (offset - first >= LONG_OVERLAP or first == 0)
    if not (proven or compared):
        return other
    return Answer(Verdict.CONTINUE, said.last + 1, said.total)


def _judge_whole(
    known: Representation, offset: int, question: Question, headers: Headers
) -> Answer:
    media, length = media_of(headers), length_of(headers)
    # Nodes of one host may disagree on a file's type, but no page has exactly its size.
    if is_text(media) and not is_text(known.media) and (length is None or length != known.total):
        return Answer(Verdict.PAGE)
    is_other = length is not None and (length < offset or known.total not in (None, length))
    if is_other or coding_of(headers) != known.coding:
        return another(known, question)
    if question.if_range and known.validator == strong_validator(headers):
        return Answer(Verdict.UNCONDITIONAL)
    # Whether it is the same one is not for the validators to say: the bytes are compared, or a
    # hash covers them. Equal bytes prove the beginning even where a validator moved.
    return Answer(Verdict.REPLAY, length, length)


def another(known: Representation, question: Question) -> Answer:
    """Return what it is worth that something else than `known` came.

    A file that has a hash has no versions: it may be what a gateway makes of our Range.
    """
    is_ours = known.hashed and question.first is not None
    return Answer(Verdict.WHOLE if is_ours else Verdict.CHANGED)


def question_for(
    known: Representation, start: int, offset: int, last: int | None, if_range: bool
) -> Question:
    """Return how to ask for the bytes from `offset` on; a Question for all if that is no use.

    :param start: the first byte that was ever asked for: there is nothing to compare before it.
    :param if_range: a server takes If-Range.
    """
    if known.hashed:
        return Question(offset, last)
    if known.validator:
        first = max(offset - OVERLAP, start)
        return Question(first, last, known.validator if if_range else "")
    if known.total is not None:
        return Question(max(offset - LONG_OVERLAP, start), last)
    return Question()


def unasked_part(headers: Headers) -> ContentRange | None:
    """Return what a 206 brings that answers a request without Range; None if it may be all.

    No server should send one (section 15.3.7). Of several parts no position is told.
    """
    if media_of(headers) == "multipart/byteranges":
        return ContentRange(None, None, None)
    said = parse_content_range(headers.get("content-range"))
    if said is None or said.first is None or said.last is None:
        return None
    size = said.last - said.first + 1
    if length_of(headers) not in (None, size) or (said.first == 0 and said.total in (None, size)):
        return None
    return said


def span_of(status: int, headers: Headers, ranged: bool = False) -> ContentRange | None:
    """Return which bytes of a representation a first answer brings; None if that is not known.

    :param ranged: pip itself asked for a range.
    """
    is_whole = status == 206 and not ranged and "content-range" not in headers
    if status in WHOLE_STATUSES or is_whole:
        length = length_of(headers)
        return ContentRange(0, None if length is None else length - 1, length)
    said = parse_content_range(headers.get("content-range"))
    return said if status == 206 and said is not None and said.first is not None else None
