"""How the unreliable index (`lab`) answers a GET: RFC 9110, and then what the faults make of it."""

from __future__ import annotations

import http.client
import re
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Mapping, TypeVar

from pip_retry_patch.lab.packages import (
    Busy,
    Elsewhere,
    Fault,
    Flip,
    OtherETag,
    OtherTotal,
    Overstate,
    Redirect,
    Short,
    Unframed,
    Unlabelled,
    Unsatisfiable,
    Whole,
)

F = TypeVar("F", bound=Fault)


@dataclass(frozen=True)
class Representation:
    """What a URL stands for at the moment, as the client can take it (RFC 9110, section 3.2)."""

    data: bytes
    headers: Mapping[str, str]
    ranges: bool
    chunked: bool
    etag: str | None
    modified: str | None

    def validators(self) -> dict[str, str]:
        found = {"ETag": self.etag, "Last-Modified": self.modified}
        return {name: value for name, value in found.items() if value}

    def other_validator(self) -> dict[str, str]:
        if self.modified and not self.etag:
            return {"Last-Modified": formatdate(time.time() - 1000 * 3600, usegmt=True)}
        return {"ETag": ("W/" if (self.etag or "").startswith("W/") else "") + '"another"'}


@dataclass
class Reply:
    """One response, before it is spoiled on its way."""

    status: int
    headers: dict[str, str]
    body: memoryview = field(default_factory=lambda: memoryview(b""))
    announced: int | None = 0  # Content-Length; None: chunks, or the end of the connection


def pick(faults: tuple[Fault, ...], kind: type[F]) -> F | None:
    """The fault of that kind, if there is one."""
    return next((fault for fault in faults if isinstance(fault, kind)), None)


def note(status: int, headers: Mapping[str, str] | None = None, text: str = "") -> Reply:
    """A response with a line of text."""
    body = f"{text or http.client.responses.get(status, 'unknown')}\n".encode()
    named = {"Content-Type": "text/plain", **(headers or {})}
    return Reply(status, named, memoryview(body), len(body))


def requested(header: str | None, total: int) -> tuple[int, int] | None:
    """Start and end of the one range asked for; None: none that counts (RFC 9110, section 14.2).

    Raises LookupError where the range cannot be satisfied.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not match or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(total - int(last), 0)
    if start >= total:
        raise LookupError(header)
    return start, min(int(last) + 1, total) if first and last else total


def unmodified(what: Representation, asked: Mapping[str, str]) -> bool:
    """Whether a conditional request is answered by 304 (RFC 9110, section 13.2.2)."""
    if "if-none-match" in asked:
        known = re.findall(r'"[^"]*"', asked["if-none-match"])
        return (what.etag or "").replace("W/", "") in known
    return what.modified is not None and asked.get("if-modified-since") == what.modified


def answer(what: Representation, asked: Mapping[str, str], faults: tuple[Fault, ...]) -> Reply:
    """The response to a GET whose headers are `asked`, with names in lower case."""
    return refusal(len(what.data), faults) or content(what, asked, faults)


def refusal(length: int, faults: tuple[Fault, ...]) -> Reply | None:
    """The response of a fault that withholds the content."""
    busy, redirect = pick(faults, Busy), pick(faults, Redirect)
    unsatisfiable = pick(faults, Unsatisfiable)
    if busy:
        after = {} if busy.retry_after is None else {"Retry-After": str(busy.retry_after)}
        return note(busy.status, after)
    if redirect:
        return note(redirect.status, {"Location": redirect.location})
    if unsatisfiable:
        total = length if unsatisfiable.total is None else unsatisfiable.total
        return note(416, {"Content-Range": f"bytes */{total}"})
    return None


def content(what: Representation, asked: Mapping[str, str], faults: tuple[Fault, ...]) -> Reply:
    """200, 206, 304 or 416."""
    overstate, disguised = pick(faults, Overstate), pick(faults, OtherETag)
    elsewhere, unlabelled = pick(faults, Elsewhere), pick(faults, Unlabelled)
    short, flip, other = pick(faults, Short), pick(faults, Flip), pick(faults, OtherTotal)

    headers = {**what.headers, **what.validators()}
    if what.ranges:
        headers["Accept-Ranges"] = "bytes"
    if unmodified(what, asked):
        return Reply(304, headers, announced=None)
    if disguised:
        headers.update(what.other_validator())

    total = len(what.data) + (overstate.extra if overstate else 0)
    wanted = None
    if what.ranges and not pick(faults, Whole) and (disguised or agrees(what, asked)):
        try:
            wanted = requested(asked.get("range"), total)
        except LookupError:
            return note(416, {"Content-Range": f"bytes */{total}"})
    start, stop = wanted or (0, total)
    if wanted:
        shift = elsewhere.shift if elsewhere else unlabelled.shift if unlabelled else 0
        start = min(max(start - shift, 0), stop - 1)
    if short:
        stop = min(stop, start + short.length)
    if wanted and not unlabelled:
        claimed = total + other.delta if other else total
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{claimed}"

    body = memoryview(what.data)[start:stop]
    if flip and flip.at < len(body):
        spoiled = bytearray(body)
        spoiled[flip.at] ^= 0xFF
        body = memoryview(spoiled)
    framed = not pick(faults, Unframed)
    if framed and what.chunked:
        headers["Transfer-Encoding"] = "chunked"
    announced = stop - start if framed and not what.chunked else None
    return Reply(206 if wanted else 200, headers, body, announced)


def agrees(what: Representation, asked: Mapping[str, str]) -> bool:
    """Whether If-Range lets the range count; a weak ETag never does (RFC 9110, section 13.1.5)."""
    condition = asked.get("if-range")
    return not condition or (condition in (what.etag, what.modified) and condition[:2] != "W/")


def accepts_gzip(header: str) -> bool:
    """Whether Accept-Encoding names gzip, with no weight of zero (RFC 9110, section 12.5.3)."""
    codings = [coding.replace(" ", "").partition(";") for coding in header.lower().split(",")]
    return any(name == "gzip" and weight not in ("q=0", "q=0.0") for name, _, weight in codings)
