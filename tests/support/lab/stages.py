"""When a fault can act on a response, and how all faults of one response act together.

Each step is a method of `Fault` that does nothing; the faults (`faults.py`) override theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Mapping, Sequence, Tuple, Union

from tests.support.lab import answers
from tests.support.lab.answers import Draft, Reply, Representation

if TYPE_CHECKING:
    from tests.support.lab.connection import Connection


@dataclass(frozen=True)
class Fault:
    """One way to spoil one response. Byte counts start at the first body byte of that response."""

    silent: ClassVar[bool] = False  # nothing is answered, not even a status line
    needs_tls: ClassVar[bool] = False
    changes_file: ClassVar[bool] = False  # the artifact is another one from this request on

    def struck_by(self, asked: Mapping[str, str]) -> Fault | None:
        """The fault that strikes a request with these headers, names in lower case."""
        return self

    def header_pause(self) -> float:
        """Return the seconds before each byte of the header."""
        return 0.0

    def instead(self, what: Representation) -> Reply | None:
        """The answer that takes the place of the content, if there is one."""
        return None

    def prepare(self, draft: Draft) -> None:
        """Change what is decided before the Range header is looked at."""

    def spoil(self, draft: Draft) -> None:
        """Change which bytes are sent, or how they are labelled."""

    def rewrite(self, reply: Reply) -> None:
        """Change the complete answer."""


class Ending(Fault):
    """A fault that strikes in mid-body: when `after` bytes were sent, or all of a shorter body."""

    after: int
    spares_whole: ClassVar[bool] = False  # it does nothing where the announced body is complete

    def strike(self, line: Connection) -> bool:
        raise NotImplementedError


@dataclass(frozen=True)
class Lasting:
    """An entry that strikes for `seconds` from its first request on, not only once."""

    seconds: float
    fault: Fault | tuple[Fault, ...]


# An entry of a schedule. Faults in a tuple strike together; None is a clean response.
Entry = Union[Fault, Tuple[Fault, ...], Lasting, None]


def together(entry: Entry) -> tuple[Fault, ...]:
    """The faults of one entry of a schedule."""
    if entry is None:
        return ()
    if isinstance(entry, Lasting):
        return together(entry.fault)
    return entry if isinstance(entry, tuple) else (entry,)


def answer(what: Representation, asked: Mapping[str, str], faults: Sequence[Fault]) -> Reply:
    """The response to a GET whose headers are `asked`, with names in lower case."""
    for fault in faults:
        reply = fault.instead(what)
        if reply:
            return reply
    if answers.is_unmodified(what, asked):
        return answers.not_modified(what)
    draft = Draft(what, asked)
    for fault in faults:
        fault.prepare(draft)
    try:
        draft.choose()
    except LookupError:
        return answers.unsatisfiable(draft.total)
    for fault in faults:
        fault.spoil(draft)
    reply = draft.reply()
    for fault in faults:
        fault.rewrite(reply)
    return reply
