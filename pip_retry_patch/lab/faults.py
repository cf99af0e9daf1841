"""What can go wrong: each fault is a class that says what it does at which step of a response.

To add a fault, add a class here. It overrides the step at which it acts (see `stages.py`):

* `instead`: the answer is another one altogether (503, a redirect);
* `prepare`: before the Range header is looked at;
* `spoil`: when it is known which bytes will be sent;
* `rewrite`: when the answer is complete, before it is sent;
* `strike` (an `Ending`): while it is sent, after so many bytes of the body.

Only a fault that needs something new of the connection needs a second file, `connection.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pip_retry_patch.lab.answers import Draft, Reply, Representation, note, unsatisfiable
from pip_retry_patch.lab.stages import Ending, Fault, Line

# --- faults that end or hold the connection -------------------------------------------------


@dataclass(frozen=True)
class Cut(Ending):
    """FIN after `after` bytes, though all are promised; TLS: close_notify only with `notify`."""

    after: int
    notify: bool = False

    def strike(self, line: Line) -> bool:
        return line.finish() if self.notify else line.cut()


@dataclass(frozen=True)
class Reset(Ending):
    """RST after `after` bytes, once they have reached the peer."""

    after: int

    def strike(self, line: Line) -> bool:
        return line.reset()


@dataclass(frozen=True)
class Stall(Ending):
    """`after` bytes, then silence until the client goes away; after `seconds` the rest follows."""

    after: int
    seconds: float = 60.0
    spares_whole: ClassVar[bool] = True

    def strike(self, line: Line) -> bool:
        return line.pause(self.seconds)


@dataclass(frozen=True)
class Slow(Ending):
    """`after` bytes, then only `rate` bytes a second, for `seconds`; then the rest, fast."""

    after: int
    rate: float
    seconds: float = 600.0
    spares_whole: ClassVar[bool] = True

    def strike(self, line: Line) -> bool:
        return line.slow_down(self.rate, self.seconds)


@dataclass(frozen=True)
class Garble(Ending):
    """TLS only: after `after` bytes a record that does not decrypt, then FIN."""

    after: int
    needs_tls: ClassVar[bool] = True

    def strike(self, line: Line) -> bool:
        return line.garble() and line.cut()


@dataclass(frozen=True)
class Away(Ending):
    """FIN after `after` bytes; every connection ends and new ones are refused for `seconds`."""

    seconds: float
    after: int = 0

    def strike(self, line: Line) -> bool:
        return line.leave(self.seconds) and line.cut()


@dataclass(frozen=True)
class Drop(Fault):
    """FIN in place of an answer, without a status line.

    Together with `Reset(0)` it is a RST, with `Stall(0)` silence, with `Away` a server that left.
    """

    silent: ClassVar[bool] = True


@dataclass(frozen=True)
class Trickle(Fault):
    """The header comes byte by byte, one each `seconds`."""

    seconds: float

    def header_pause(self) -> float:
        return self.seconds


# --- faults that answer something else ------------------------------------------------------


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
    """`status` to `location`; a relative one, `?signature=1`, leads to the same file again."""

    location: str
    status: int = 302

    def instead(self, what: Representation) -> Reply:
        return note(self.status, {"Location": self.location})


@dataclass(frozen=True)
class Unsatisfiable(Fault):
    """416, with the true total or with `total`."""

    total: int | None = None

    def instead(self, what: Representation) -> Reply:
        return unsatisfiable(len(what.data) if self.total is None else self.total)


# --- faults of the content and its labels ---------------------------------------------------


@dataclass(frozen=True)
class Changed(Fault):
    """From this request on, the artifact is another one: other bytes, size, hash and validator."""

    changes_file: ClassVar[bool] = True


@dataclass(frozen=True)
class Whole(Fault):
    """200 with everything, whatever range was asked for."""

    def prepare(self, draft: Draft) -> None:
        draft.ranges = False


@dataclass(frozen=True)
class OtherETag(Fault):
    """The true bytes with another validator, as from a second mirror; ignores If-Range."""

    def prepare(self, draft: Draft) -> None:
        draft.headers.update(draft.what.other_validator())
        draft.ranges = draft.what.ranges


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
        draft.move(draft.start - self.shift)


@dataclass(frozen=True)
class Unlabelled(Fault):
    """A 206 without Content-Range that starts `shift` bytes before the start asked for."""

    shift: int = 0

    def spoil(self, draft: Draft) -> None:
        draft.move(draft.start - self.shift)

    def rewrite(self, reply: Reply) -> None:
        reply.headers.pop("Content-Range", None)


@dataclass(frozen=True)
class OtherTotal(Fault):
    """A 206 whose Content-Range gives a total that is `delta` larger than the truth."""

    delta: int

    def spoil(self, draft: Draft) -> None:
        draft.claimed_total += self.delta


@dataclass(frozen=True)
class Short(Fault):
    """At most `length` bytes, with framing that agrees: a truncated file, a part of a range."""

    length: int

    def spoil(self, draft: Draft) -> None:
        draft.stop = min(draft.stop, draft.start + self.length)


@dataclass(frozen=True)
class Flip(Fault):
    """All bits of the body byte `at` are inverted."""

    at: int

    def rewrite(self, reply: Reply) -> None:
        if self.at < len(reply.body):
            spoiled = bytearray(reply.body)
            spoiled[self.at] ^= 0xFF
            reply.body = memoryview(spoiled)


@dataclass(frozen=True)
class Unframed(Fault):
    """Neither Content-Length nor chunks: the body ends where the connection does."""

    def rewrite(self, reply: Reply) -> None:
        reply.headers.pop("Transfer-Encoding", None)
        reply.announced = None
