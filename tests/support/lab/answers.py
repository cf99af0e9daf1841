"""How the index answers a GET (RFC 9110) while nothing goes wrong. It knows no fault.

`Draft` is an answer in the making: a fault may change it before it becomes a `Reply`.
"""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field
from typing import Mapping


@dataclass(frozen=True)
class Representation:
    """What a URL stands for at the moment, as the client can take it (RFC 9110, section 3.2)."""

    data: bytes
    headers: Mapping[str, str]
    ranges: bool
    chunked: bool
    etag: str | None
    modified: str | None


@dataclass
class Reply:
    """One response, before it is sent."""

    status: int
    headers: dict[str, str]
    body: memoryview = field(default_factory=lambda: memoryview(b""))
    announced: int | None = 0  # Content-Length; None: chunks, or the end of the connection


def note(status: int, headers: Mapping[str, str] | None = None, text: str = "") -> Reply:
    body = f"{text or http.client.responses.get(status, 'unknown')}\n".encode()
    named = {"Content-Type": "text/plain", **(headers or {})}
    return Reply(status, named, memoryview(body), len(body))


class Draft:
    """A 200 or a 206 in the making."""

    def __init__(self, what: Representation, asked: Mapping[str, str]) -> None:
        self.what, self.asked = what, asked
        self.headers = full_headers(what)
        self.ranges = what.ranges and agrees(what, asked)  # whether the Range header counts
        self.total = len(what.data)

    def choose(self) -> None:
        """Look at the Range header. Raises LookupError where it cannot be satisfied."""
        wanted = requested(self.asked.get("range"), self.total) if self.ranges else None
        self.partial = wanted is not None
        self.start, self.stop = wanted or (0, self.total)

    def reply(self) -> Reply:
        headers = dict(self.headers)
        if self.partial:
            headers["Content-Range"] = f"bytes {self.start}-{self.stop - 1}/{self.total}"
        if self.what.chunked:
            headers["Transfer-Encoding"] = "chunked"
        body = memoryview(self.what.data)[self.start : self.stop]
        announced = None if self.what.chunked else self.stop - self.start
        return Reply(206 if self.partial else 200, headers, body, announced)


def full_headers(what: Representation) -> dict[str, str]:
    """The headers of a 200, a 206 and a 304, but for those that frame the body."""
    validators = {"ETag": what.etag, "Last-Modified": what.modified}
    found = {**validators, "Accept-Ranges": "bytes" if what.ranges else None}
    return {**what.headers, **{name: value for name, value in found.items() if value}}


def requested(header: str | None, total: int) -> tuple[int, int] | None:
    """Start and end of the one range asked for; None: none that counts (RFC 9110, section 14.2).

    Raises LookupError where the range cannot be satisfied.
    """
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", header or "")  # no client here asks for a suffix
    if not match:
        return None
    start = int(match[1])
    if start >= total:
        raise LookupError(header)
    return start, min(int(match[2] or total) + 1, total)


def is_unmodified(what: Representation, asked: Mapping[str, str]) -> bool:
    """Whether a conditional request is answered by 304 (RFC 9110, section 13.2.2)."""
    if "if-none-match" in asked:
        known = re.findall(r'"[^"]*"', asked["if-none-match"])
        return (what.etag or "").replace("W/", "") in known
    return what.modified is not None and asked.get("if-modified-since") == what.modified


def agrees(what: Representation, asked: Mapping[str, str]) -> bool:
    """Whether If-Range lets the range count; a weak ETag never does (RFC 9110, section 13.1.5)."""
    condition = asked.get("if-range")
    return not condition or (condition in (what.etag, what.modified) and condition[:2] != "W/")
