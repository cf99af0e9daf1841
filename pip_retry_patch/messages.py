"""Every line that a user reads, but for the errors: those are in failures.py.

Text is plain ASCII (terminals that are not UTF-8 get it whole), and whatever came from the network
passes through `names.clean` first.
"""

from __future__ import annotations

from typing import Callable

from pip_retry_patch.names import clean, format_size, format_sum, redacted, short
from pip_retry_patch.records import NamedTuple

# What an error of the network means (transport/errors.py says which is which).
NO_ANSWER = "the server closed the connection without an answer"
NOT_HTTP = "what answered does not speak HTTP"
CLOSED_EARLY = "the connection was closed early"
NO_CONNECTION_IN_TIME = "the connection could not be made in time"
NO_DATA_IN_TIME = "no data arrived in time"
NAME_NOT_RESOLVED = "the host name could not be resolved"
TLS_CLOSED_EARLY = "the encrypted connection was closed early"
HEADER_TOO_SLOW = "the answer's header did not arrive in time"


OTHER_PART = "the server answers 206, with another part than was asked for"
ONLY_A_PART = "the server sent a part only, though all of it was asked for"


def tunnel_refused(answer: str) -> str:
    """`answer`: the status that a proxy answers a CONNECT with, and its reason."""
    return clean(f"the proxy answers {answer} to CONNECT")


def no_progress(rate: float) -> str:
    return f"no progress: {format_size(round(rate))} a second"


WEB_PAGE = "a web page came in place of the file"


def certificate_refused(why: str) -> str:
    return clean(f"the certificate was refused: {why}")


def stream_damaged(why: str) -> str:
    return clean(f"the encrypted stream was damaged: {why}")


class Place(NamedTuple):
    """Where a download was interrupted: how many bytes of how many, from which host."""

    name: str
    host: str
    offset: int
    total: int | None

    def __str__(self) -> str:
        if self.total is None:
            return format_size(self.offset)
        return f"{format_size(self.offset)} of {format_size(self.total)}"


# The same in a line, where there is little room.
_BRIEFLY = {
    CLOSED_EARLY: "closed early",
    ONLY_A_PART: "only a part came",
    NO_ANSWER: "closed without an answer",
    NO_CONNECTION_IN_TIME: "connecting timed out",
    NO_DATA_IN_TIME: "timed out",
    NAME_NOT_RESOLVED: "name not resolved",
    TLS_CLOSED_EARLY: "closed early",
    "connection reset by peer": "reset by peer",
    "connection refused": "refused",
}

# A terminal of 80 columns, less what pip writes before a line of a download.
_ROOM = 79 - len("  WARNING: ")


def _brief(why: str) -> str:
    for long, brief in (
        ("no progress: ", ""),
        (" bytes a second", " B/s"),
        (" a second", "/s"),
        ("the server answers ", "HTTP "),
        (" and asks for ", ", wants "),
    ):
        why = why.replace(long, brief)
    return _BRIEFLY.get(why, why)


def _with(line: str, more: str) -> str:
    """Add what is worth less, where there is room."""
    return line + more if len(line) + len(more) <= _ROOM else line


Line = Callable[[Place, str], str]


def continuing(name: str, offset: int, total: int) -> str:
    """What an earlier run kept is gone on with."""
    return f"Continuing {short(name)} from {_of(offset, total)}, where an earlier run stopped"


def _at(place: Place) -> str:
    return format_size(place.offset) if place.total is None else _of(place.offset, place.total)


def _of(offset: int, total: int) -> str:
    """Return "22.8 of 40.0 MB": a unit that both have is written once."""
    part, _, unit = format_size(offset).rpartition(" ")
    whole = format_size(total)
    return f"{part} of {whole}" if whole.endswith(f" {unit}") else f"{part} {unit} of {whole}"


def resumed(place: Place, why: str) -> str:
    return f"{short(place.name)} resumed at {_at(place)} ({_brief(why)})"


def resumed_again(place: Place, count: int) -> str:
    """One line for several interruptions."""
    return f"{short(place.name)} resumed at {_at(place)}, {count} times so far"


def goes_on(place: Place) -> str:
    """A wait that was announced is over."""
    return f"{short(place.name)} goes on at {_at(place)}"


def replayed(place: Place, why: str) -> str:
    """The server cannot send a part."""
    return f"{short(place.name)} fetches {_at(place)} again ({_brief(why)})"


def waiting(place: Place, why: str, left: str) -> str:
    waits = f"{short(place.name)} waits at {_at(place)} ({_brief(why)})"
    return _with(waits, f", trying {left}")


def interrupted_often(name: str, count: int, waited: float, again: int) -> str:
    """The end of a file that was interrupted often.

    :param waited: seconds. `again`: bytes that were fetched twice.
    """
    pause = f", waited {waited:.0f} s" if waited >= 1 else ""
    twice = format_size(again) if again else "nothing"
    return f"{short(name)}: cut {count} times{pause}, {twice} refetched"


def for_seconds(seconds: float) -> str:
    # Not "up to": the last wait may end a little later.
    return f"for {seconds:.0f} s"


def up_to_attempts(attempts: int) -> str:
    return f"up to {attempts} more times" if attempts != 1 else "once more"


def busy(status: int, wanted: float | None = None) -> str:
    """`wanted`: for how many seconds it asks (Retry-After)."""
    if status == 206:
        return OTHER_PART
    return f"the server answers {status}" + (f" and asks for {wanted:.0f} s" if wanted else "")


def useless(status: int, verdict: str) -> str:
    return f"the server answered {status}, but {verdict}"


class Peer(NamedTuple):
    """Whom a request goes to.

    :param host: as `host_of` returns it. `proxy`: the same of the proxy before it, if there is one.
    :param is_proxy: the proxy is what failed, and nothing is known of the host.
    """

    host: str
    proxy: str | None = None
    is_proxy: bool = False

    def __str__(self) -> str:
        if self.proxy is None:
            return clean(self.host)
        if self.is_proxy:
            return f"The proxy {clean(self.proxy)}"
        return f"{clean(self.host)} (through the proxy {clean(self.proxy)})"


def waiting_for_host(name: str, peer: Peer, why: str, seconds: float, answered: bool) -> str:
    so_far = "is away" if answered else "is unreachable"
    line = f"{peer} {so_far} ({_brief(why)}), waiting {seconds:.0f} s"
    return _with(line, f" for {short(name)}")


def trying_again(peer: Peer, why: str, seconds: float) -> str:
    """A single wait is long: pip's own, or what a server asked for."""
    return f"{peer}: {_brief(why)}. Trying again in {seconds:.0f} s."


def waiting_for_busy(name: str, peer: Peer, trouble: str, attempts: int) -> str:
    line = _with(f"{peer} is busy ({_brief(trouble)}), asking again", f" for {short(name)}")
    return _with(line, f", {up_to_attempts(attempts)}")


def times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def index_unread(index: str, why: str) -> str:
    """One of several indexes could not be read, and pip goes on."""
    return (
        f"The index {index} could not be read ({why}). pip goes on without it: "
        "what only this index has is not seen."
    )


def found_elsewhere(project: str, places: str, index: str) -> str:
    """The first index could not be read, and another one has a project of that name."""
    return (
        f"{clean(project)} was found at {places} only. The first index, {index}, could not be "
        "read and may have another one of that name."
    )


def may_be_unread(index: str, why: str) -> str:
    """Goes below pip's "No matching distribution found"."""
    return f"But the index {index} could not be read ({why}), and may have it."


def page_again(name: str) -> str:
    return f"{short(name)} was cut and has changed; asking for all of it"


def restarted(name: str) -> str:
    return f"{short(name)} has changed on the server; starting anew"


def accepted_short(name: str, size: int, announced: int | None) -> str:
    said = "more" if announced is None else format_size(announced)
    return (
        f"The server announced {said} for {short(name)} but has {format_size(size)}. "
        "The hash that the index lists fits, so it is complete."
    )


def decoded(name: str, coding: str, host: str) -> str:
    return (
        f"{short(name)} came compressed (Content-Encoding: {clean(coding, 20)}), which nobody had "
        f"asked {clean(host)} for. Decoded, its hash fits."
    )


def purged(count: int, size: int) -> str:
    return f"Partial downloads removed: {count} ({format_sum(size)})"


def bad_mirror(key: str, value: str) -> str:
    return (
        f"pip-retry-patch: the setting {clean(key)} must be http or https URLs, not "
        f"{clean(redacted(value), 60)!r}. That one is left out."
    )


def unusable_directory(path: str, why: str) -> str:
    return f"pip-retry-patch keeps nothing: retry-patch-partials = {clean(path)}: {why}"


def unusable_log(path: str, why: str) -> str:
    why = clean(why[:1].lower() + why[1:])
    return f"pip-retry-patch cannot write to retry-patch-log = {clean(path)}: {why}"


def unknown_setting(key: str, nearest: str) -> str:
    meant = f" Did you mean {nearest}?" if nearest else ""
    return f"pip-retry-patch: there is no setting {clean(key, 60)}.{meant}"


def bad_setting(key: str, value: str, wanted: str, default: str) -> str:
    return (
        f"pip-retry-patch: the setting {clean(key)} must be {wanted}, not {clean(value, 60)!r}. "
        f"Using {default}."
    )
