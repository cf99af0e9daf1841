"""What can go wrong: each fault is a class that says what it does at which step of a response.

To add a fault, add a class that overrides the step of `Fault`, or of `Ending`, at which it acts.
Only a fault that needs something new of the connection needs a second file, `connection.py`.
"""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, ClassVar, Mapping, Sequence, Tuple, Union

from tests.support.lab import answers
from tests.support.lab.answers import Draft, Reply, Representation, note

if TYPE_CHECKING:
    from tests.support.lab.connection import Connection


@dataclass(frozen=True)
class Fault:
    """One way to spoil one response. Byte counts start at the first body byte of that response."""

    silent: ClassVar[bool] = False  # nothing is answered, not even a status line
    changes_file: ClassVar[bool] = False  # the artifact is another one from this request on

    def struck_by(self, asked: Mapping[str, str]) -> Fault | None:
        """The fault that strikes a request with these headers, names in lower case."""
        return self

    def instead(self, what: Representation) -> Reply | None:
        """The answer that takes the place of the content, if there is one."""
        return None

    def prepare(self, draft: Draft) -> None:
        """Change what is decided before the Range header is looked at."""

    def spoil(self, draft: Draft) -> None:
        """Change which bytes are sent, or how they are labelled."""

    def rewrite(self, reply: Reply) -> None:
        """Change the complete answer, before it is sent."""


@dataclass(frozen=True)
class Ending(Fault):
    """A fault that strikes in mid-body: when `after` bytes were sent, or all of a shorter body."""

    after: int
    spares_whole: ClassVar[bool] = False  # it does nothing where the announced body is complete

    def strike(self, line: Connection) -> bool:
        raise NotImplementedError


# An entry of a schedule. Faults in a tuple strike together; None is a clean response.
Entry = Union[Fault, Tuple[Fault, ...], None]


def answer(what: Representation, asked: Mapping[str, str], faults: Sequence[Fault]) -> Reply:
    """The response to a GET whose headers are `asked`, with names in lower case."""
    for fault in faults:
        reply = fault.instead(what)
        if reply:
            return reply
    if answers.is_unmodified(what, asked):
        return Reply(304, answers.full_headers(what), announced=None)
    draft = Draft(what, asked)
    for fault in faults:
        fault.prepare(draft)
    try:
        draft.choose()
    except LookupError:
        return note(416, {"Content-Range": f"bytes */{draft.total}"})
    for fault in faults:
        fault.spoil(draft)
    reply = draft.reply()
    for fault in faults:
        fault.rewrite(reply)
    return reply


# --- faults that end or hold the connection -------------------------------------------------


@dataclass(frozen=True)
class Cut(Ending):
    """FIN after `after` bytes, though all are promised; TLS: close_notify only with `notify`."""

    notify: bool = False

    def strike(self, line: Connection) -> bool:
        return line.finish() if self.notify else line.cut()


class Reset(Ending):
    """RST after `after` bytes, once they have reached the peer."""

    def strike(self, line: Connection) -> bool:
        return line.reset()


@dataclass(frozen=True)
class Stall(Ending):
    """`after` bytes, then silence until the client goes away; after `seconds` the rest follows."""

    seconds: float = 60.0
    spares_whole: ClassVar[bool] = True

    def strike(self, line: Connection) -> bool:
        return line.pause(self.seconds)


@dataclass(frozen=True)
class Slow(Ending):
    """`after` bytes, then only `rate` bytes a second, for `seconds`; then the rest, fast."""

    rate: float
    seconds: float = 600.0
    spares_whole: ClassVar[bool] = True

    def strike(self, line: Connection) -> bool:
        return line.slow_down(self.rate, self.seconds)


class Garble(Ending):
    """TLS only: after `after` bytes a record that does not decrypt, then FIN."""

    def strike(self, line: Connection) -> bool:
        return line.garble() and line.cut()


@dataclass(frozen=True)
class Away(Ending):
    """FIN after `after` bytes; every connection ends and new ones are refused for `seconds`."""

    seconds: float = 60.0

    def strike(self, line: Connection) -> bool:
        line.host.leave(self.seconds)
        return line.cut()


class Drop(Fault):
    """FIN in place of an answer, without a status line.

    Together with `Reset(0)` it is a RST, with `Stall(0)` silence, with `Away` a server that left.
    """

    silent: ClassVar[bool] = True


# --- faults that answer something else ------------------------------------------------------


@dataclass(frozen=True)
class ToRange(Fault):
    """`fault`, but only to a request that has a Range: a server or a gateway that refuses those."""

    fault: Fault

    def struck_by(self, asked: Mapping[str, str]) -> Fault | None:
        return self.fault if "range" in asked else None


@dataclass(frozen=True)
class Busy(Fault):
    """`status` with a body of one line; `retry_after` in seconds, or a date as text."""

    status: int = 503
    retry_after: int | str | None = None

    def instead(self, what: Representation) -> Reply:
        after = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return note(self.status, after)


@dataclass(frozen=True)
class Redirect(Fault):
    """302 to `location`; a relative one, `?signature=1`, leads to the same file again."""

    location: str

    def instead(self, what: Representation) -> Reply:
        return note(302, {"Location": self.location})


@dataclass(frozen=True)
class WebPage(Fault):
    """A login page or a block page: 200 in place of the file; `labelled` as a web page or not."""

    labelled: bool = True

    def instead(self, what: Representation) -> Reply:
        page = "<!DOCTYPE html>\n<html><body>Please log in".ljust(1800, ".")
        media = "text/html; charset=utf-8" if self.labelled else "application/octet-stream"
        return note(200, {"Content-Type": media, "ETag": '"page"'}, page)


@dataclass(frozen=True)
class Unsatisfiable(Fault):
    """416, with the true total or with `total`."""

    total: int | None = None

    def instead(self, what: Representation) -> Reply:
        total = len(what.data) if self.total is None else self.total
        return note(416, {"Content-Range": f"bytes */{total}"})


# --- faults of the content and of its labels --------------------------------------------------


class Changed(Fault):
    """From this request on, the artifact is another one: other bytes, size, hash and validator."""

    changes_file: ClassVar[bool] = True


class Replaced(Fault):
    """The artifact is another one, of the same size and with the same validators."""

    def prepare(self, draft: Draft) -> None:
        draft.what = replace(draft.what, data=replaced(draft.what.data))


def replaced(data: bytes) -> bytes:
    """Another file of the same size: a large wheel with zeros in place of the payload."""
    return data[:200] + bytes(len(data) - 4200) + data[-4000:]


class Unconditional(Fault):
    """200 with everything to If-Range, even with the right validator; 206 to Range alone."""

    def prepare(self, draft: Draft) -> None:
        draft.ranges = draft.ranges and "if-range" not in draft.asked


class Whole(Fault):
    """200 with everything, whatever range was asked for."""

    def prepare(self, draft: Draft) -> None:
        draft.ranges = False


class OtherETag(Fault):
    """The true bytes with another validator, as from a second mirror; ignores If-Range."""

    def prepare(self, draft: Draft) -> None:
        if draft.what.modified and not draft.what.etag:
            draft.headers["Last-Modified"] = formatdate(time.time() - 1000 * 3600, usegmt=True)
        else:
            weak = "W/" if (draft.what.etag or "").startswith("W/") else ""
            draft.headers["ETag"] = f'{weak}"another"'
        draft.ranges = draft.what.ranges


class OtherMedia(Fault):
    """The true bytes as text/plain, as from a node with another table of types."""

    def prepare(self, draft: Draft) -> None:
        draft.headers["Content-Type"] = "text/plain"


@dataclass(frozen=True)
class Overstate(Fault):
    """Content-Length (and a 206's total) announce `extra` bytes too many; FIN at the true end."""

    extra: int

    def prepare(self, draft: Draft) -> None:
        draft.total += self.extra


@dataclass(frozen=True)
class Elsewhere(Fault):
    """A 206 that starts `shift` bytes before the start that was asked for, and says so."""

    shift: int

    def spoil(self, draft: Draft) -> None:
        if draft.partial:
            draft.start = min(max(draft.start - self.shift, 0), draft.stop - 1)


@dataclass(frozen=True)
class Unlabelled(Elsewhere):
    """The same without Content-Range."""

    shift: int = 0

    def rewrite(self, reply: Reply) -> None:
        reply.headers.pop("Content-Range", None)


@dataclass(frozen=True)
class OtherTotal(Fault):
    """A 206 whose Content-Range gives another total, or none: `*`."""

    total: int | str = "*"

    def rewrite(self, reply: Reply) -> None:
        if "Content-Range" in reply.headers:
            label = reply.headers["Content-Range"].partition("/")[0]
            reply.headers["Content-Range"] = f"{label}/{self.total}"


@dataclass(frozen=True)
class Excess(Fault):
    """A 206 in chunks that goes on behind the end that its label names, with other bytes."""

    extra: int

    def rewrite(self, reply: Reply) -> None:
        if "Content-Range" in reply.headers:
            reply.headers["Transfer-Encoding"] = "chunked"
            reply.announced = None
            reply.body = memoryview(bytes(reply.body) + b"x" * self.extra)


@dataclass(frozen=True)
class Compressed(Fault):
    """Content-Encoding: gzip that nobody asked for; `honest`: the body really is compressed."""

    honest: bool = True

    def rewrite(self, reply: Reply) -> None:
        reply.headers["Content-Encoding"] = "gzip"
        if self.honest:
            reply.body = memoryview(gzip.compress(reply.body, 1, mtime=0))
            if reply.announced is not None:
                reply.announced = len(reply.body)


@dataclass(frozen=True)
class Short(Fault):
    """At most `length` bytes, with framing that agrees: a truncated file, a part of a range.

    If it is negative, so many are missing at the end.
    """

    length: int

    def spoil(self, draft: Draft) -> None:
        draft.stop = draft.start + len(range(draft.start, draft.stop)[: self.length])


@dataclass(frozen=True)
class Flip(Fault):
    """All bits of the body byte `at` are inverted."""

    at: int

    def rewrite(self, reply: Reply) -> None:
        if self.at < len(reply.body):
            spoiled = bytearray(reply.body)
            spoiled[self.at] ^= 0xFF
            reply.body = memoryview(spoiled)


class Unframed(Fault):
    """Neither Content-Length nor chunks: the body ends where the connection does."""

    def rewrite(self, reply: Reply) -> None:
        reply.headers.pop("Transfer-Encoding", None)
        reply.announced = None


@dataclass(frozen=True)
class Overruled(Fault):
    """Chunks, and a Content-Length beside them that is wrong and does not count."""

    length: int

    def rewrite(self, reply: Reply) -> None:
        reply.headers.update({"Transfer-Encoding": "chunked", "Content-Length": str(self.length)})
        reply.announced = None


class Doubled(Fault):
    """The right Content-Length twice, as gateways in a row may write it."""

    def rewrite(self, reply: Reply) -> None:
        reply.headers["Content-length"] = str(len(reply.body))
