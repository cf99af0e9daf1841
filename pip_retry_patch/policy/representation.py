"""What is known of the thing that is downloaded: its validators, its size, its type (RFC 9110).

Pure functions of header fields. Headers are any mapping whose keys match without regard to case.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Mapping

from pip_retry_patch.records import NamedTuple

# RFC 9110 section 8.8.2.2 wants a Last-Modified to be older than the answer by enough to make a
# second change within the same clock tick, or two clocks that differ, unlikely.
_SETTLED_SECONDS = 60


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

    def prove(self, later: Validators) -> bool:
        """Whether `later` describes, byte for byte, the same version."""
        return self.strong is not None and self.strong == later.strong


def _is_weak(etag: str) -> bool:
    # Anything that is not a quoted string is not an entity-tag, and proves no more than a weak one.
    return not (len(etag) >= 2 and etag[0] == '"' and etag[-1] == '"')


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

    `total` is its size in bytes, None if no answer has told it yet. `coding` is its
    Content-Encoding, whose bytes are the ones that ranges count. `media` is its media type, "" if
    that is not known.
    """

    validators: Validators
    total: int | None
    coding: str = ""
    media: str = ""

    @classmethod
    def of(cls, headers: Mapping[str, str], total: int | None) -> Representation:
        return cls(Validators.of(headers), total, coding_of(headers), media_of(headers))


def coding_of(headers: Mapping[str, str]) -> str:
    """Return the Content-Encoding in one spelling; "" means none.

    Neither urllib3 nor pip decodes another transfer coding than chunked (RFC 9112 section 7), which
    nobody asked for: to them it is like a Content-Encoding.
    """
    coding = (headers.get("content-encoding") or "").strip().lower()
    if coding in ("", "identity"):
        codings = transfer_codings(headers.get("transfer-encoding") or "")
        coding = ", ".join(c for c in codings if c not in ("", "chunked", "identity"))
    return coding


def transfer_codings(value: str) -> list[str]:
    """Return the names in a Transfer-Encoding in lower case, as urllib3 reads them."""
    return [coding.strip() for coding in value.lower().split(",")] if value else []


def media_of(headers: Mapping[str, str]) -> str:
    """Return the media type of Content-Type in one spelling, without its parameters."""
    return (headers.get("content-type") or "").partition(";")[0].strip().lower()


# What a login page or a block page is sent as.
_WEB_PAGES = frozenset(["text/html", "application/xhtml+xml"])


def is_web_page(media: str, first_bytes: bytes = b"") -> bool:
    """Whether a media type, or the first bytes of a body, are those of a web page."""
    start = first_bytes[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return media in _WEB_PAGES or start.startswith((b"<!doctype html", b"<html"))


def is_endless(headers: Mapping[str, str]) -> bool:
    """Whether a body is no file with an end that could be asked for again, but a stream."""
    is_file = any(name in headers for name in ("content-length", "etag", "last-modified"))
    return media_of(headers) == "text/event-stream" or not is_file
