"""What can go wrong: each fault is a class that says what it does at which step of a response.

To add a fault, add a class here. It overrides the step at which it acts (see `stages.py`):

* `instead`: the answer is another one altogether (503, a redirect);
* `prepare`: before the Range header is looked at;
* `spoil`: when it is known which bytes will be sent;
* `rewrite`: when the answer is complete, before it is sent;
* `strike` (an `Ending`): while it is sent, after so many bytes of the body.

The faults of the content and of its labels are in `contents.py`. Only a fault that needs something
new of the connection needs a second file, `connection.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Mapping

from tests.support.lab.answers import Reply, Representation, note, unsatisfiable
from tests.support.lab.stages import Ending, Fault, Line

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
    """`status` to `location`; a relative one, `?signature=1`, leads to the same file again."""

    location: str
    status: int = 302

    def instead(self, what: Representation) -> Reply:
        return note(self.status, {"Location": self.location})


@dataclass(frozen=True)
class WebPage(Fault):
    """A login page or a block page: 200 in place of the file; `labelled` as a web page or not."""

    size: int = 1800
    labelled: bool = True

    def instead(self, what: Representation) -> Reply:
        page = "<!DOCTYPE html>\n<html><body>Please log in".ljust(self.size, ".")
        media = "text/html; charset=utf-8" if self.labelled else "application/octet-stream"
        return note(200, {"Content-Type": media, "ETag": '"page"'}, page)


@dataclass(frozen=True)
class Unsatisfiable(Fault):
    """416, with the true total or with `total`."""

    total: int | None = None

    def instead(self, what: Representation) -> Reply:
        return unsatisfiable(len(what.data) if self.total is None else self.total)
