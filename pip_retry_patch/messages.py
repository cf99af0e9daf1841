"""Every word a user reads, and the error that is raised when patience ends.

Text is plain ASCII (terminals that are not UTF-8 get it whole), sizes are written as pip writes
them, and whatever came from the network passes through `clean` first.
"""

from __future__ import annotations

from typing import Callable, NamedTuple
from urllib.parse import unquote, urlsplit


def clean(text: str, limit: int = 200) -> str:
    """Return `text` as one printable ASCII line of at most `limit` characters.

    What a server sends may hold control characters, terminal escapes or a hundred kilobytes.
    """
    shown = text[: limit + 1]
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(c if " " <= c <= "~" else "?" for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def format_size(count: int) -> str:
    """Return a number of bytes as pip's progress bar and log lines write it."""
    count = min(count, 10**18)  # a header may announce a number of 400 digits
    if count > 1000 * 1000:
        return f"{count / 1000.0 / 1000:.1f} MB"
    if count > 10 * 1000:
        return f"{count // 1000} kB"
    if count > 1000:
        return f"{count / 1000.0:.1f} kB"
    return f"{count} bytes"


def format_seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 1 else "less than a second"


def host_of(url: str) -> str:
    """Return the host of `url`, with its port but without credentials."""
    return urlsplit(url).netloc.rpartition("@")[2]


def name_of(url: str) -> str:
    """Return what a user would call the thing at `url`: a file's name, or an index page.

    Neither credentials nor the query, which may hold a signature, are ever part of it.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    last = path.rstrip("/").rpartition("/")[2]
    if last and not path.endswith("/") and "." in last:
        return clean(last)
    return clean(f"the page {parts.scheme}://{host_of(url)}{path}")


# What an error of the network means (transport/errors.py says which is which).
NO_ANSWER = "the server closed the connection without an answer"
CLOSED_EARLY = "the connection was closed early"
NO_CONNECTION_IN_TIME = "the connection could not be made in time"
NO_DATA_IN_TIME = "no data arrived in time"
NAME_NOT_RESOLVED = "the host name could not be resolved"


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


Line = Callable[[Place, str], str]


def continuing(name: str, offset: int, total: int) -> str:
    """What an earlier run kept is gone on with."""
    shown, of = format_size(offset), format_size(total)
    if shown.rpartition(" ")[2] == of.rpartition(" ")[2]:
        shown = shown.rpartition(" ")[0]
    return f"Continuing {name} from {shown} of {of}, where an earlier run stopped"


def resumed(place: Place, why: str) -> str:
    return f"{place.name} was interrupted at {place} ({why}). Continuing from there."


def replayed(place: Place, why: str) -> str:
    return (
        f"{place.name} was interrupted at {place} ({why}). The server cannot continue it: "
        "reading it again up to there."
    )


def waiting(place: Place, why: str, trouble: str | None, left: str) -> str:
    so_far = f"; so far, {trouble}" if trouble else ""
    return f"{place.name} was interrupted at {place} ({why}). Trying to continue {left}{so_far}."


def about_seconds(seconds: float) -> str:
    # Not "up to": the last wait may end a little later.
    return f"for about {seconds:.0f} s"


def up_to_attempts(attempts: int) -> str:
    return f"up to {attempts} more times" if attempts != 1 else "once more"


def busy(status: int) -> str:
    return f"the server answers {status}"


def useless(status: int, verdict: str) -> str:
    return f"the server answered {status}, but {verdict}"


class Failure(NamedTuple):
    """Why a download ended, in the four parts of pip's diagnostic errors (pip 22.0)."""

    message: str
    context: str
    note: str
    hint: str
    # The server has another version: what was received is worthless, but a fresh start is not.
    changed: bool = False

    def __str__(self) -> str:
        """All of it as plain text, for a pip without diagnostic errors and for log files."""
        return "\n".join(
            [self.message, f"  {self.context}", f"note: {self.note}", f"hint: {self.hint}"]
        )


def with_kept(failure: Failure) -> Failure:
    """Add that what arrived waits for the next run."""
    return failure._replace(
        note=f"{failure.note} What arrived is kept, and the next run continues from there."
    )


def _stopped(place: Place, why: str, then: str, note: str, hint: str) -> Failure:
    return Failure(
        message=f"Downloading {place.name} stopped at {place}.",
        context=f"The connection to {clean(place.host)} failed: {why}; {then}.",
        note=note,
        hint=hint,
    )


def gave_up(
    place: Place,
    why: str,
    trouble: str | None,
    attempts: int,
    seconds: float,
    *,
    unreachable: bool,
) -> Failure:
    """Patience has ended: `why` is what interrupted the body, `trouble` the last attempt's.

    `unreachable` tells which budget was spent: the seconds, or else the attempts.
    """
    then = f"{_times(attempts)} in {format_seconds(seconds)} brought nothing more"
    if trouble:
        then += f" (last: {trouble})"
    setting = "retry-patch-patience 600" if unreachable else "retry-patch-attempts 50"
    return _stopped(
        place,
        why,
        then if attempts else "the settings allow no further attempt",
        "The network failed. Nothing is wrong with the package itself.",
        "Run the same command again when the connection is better. To make pip try longer: "
        f"pip config set global.{setting}",
    )


def refused(place: Place, why: str, status: int) -> Failure:
    """The server will not send the rest: an expired link, a file that is gone, a login."""
    return _stopped(
        place,
        why,
        f"asked for the rest, the server answered {status}",
        "What had arrived was in order, but the server does not send the rest.",
        "Run the same command again: it asks the index for a new link to the file.",
    )


def certificate(place: Place, why: str, trouble: str) -> Failure:
    """Asked again, the host could not prove who it is. That is never tried until it passes."""
    return _stopped(
        place,
        why,
        f"then {trouble}",
        "Something else answers in the place of that host. A network that wants a login first "
        "(hotel, train, airport) does that.",
        "Open a web page to log in to the network, then run the same command again.",
    )


def web_page(place: Place, why: str, host: str, attempts: int, seconds: float) -> Failure:
    """A login page or a block page came each time; that is not another version of the file."""
    return _stopped(
        place,
        why,
        f"since then {clean(host)} sends a web page in place of the file "
        f"({_times(attempts)} in {format_seconds(seconds)})",
        "A network that wants a login first (hotel, train, airport) does that, or a gateway that "
        "blocks the file. Nothing is wrong with the package itself.",
        "Open a web page to log in to the network, or ask those who run the gateway. Then run the "
        "same command again.",
    )


def cut_page(url: str, size: int) -> Failure:
    """A page came, but not to its end. To fetch it anew may help."""
    return _stopped(
        Place(name_of(url), host_of(url), size, None),
        CLOSED_EARLY,
        "the page that came has no end",
        "The network failed, or the server. Nothing is wrong with the package itself.",
        "Run the same command again when the connection is better.",
    )._replace(changed=True)


def changed(place: Place, why: str) -> Failure:
    """The server has another version now; the parts of two versions are never joined."""
    return _stopped(
        place,
        why,
        "asked for the rest, the server has another version of it",
        "Parts of two versions were not joined. Nothing of them is used.",
        "Run the same command again: it fetches the new version from the start.",
    )._replace(changed=True)


def waiting_for_host(name: str, host: str, why: str, seconds: float) -> str:
    return (
        f"{clean(host)} answered before, but cannot be reached now ({why}). "
        f"Waiting for it, {about_seconds(seconds)}, to get {name}."
    )


def lost_host(name: str, host: str, trouble: str, attempts: int, seconds: float) -> Failure:
    """A host that answered earlier in this run was waited for in vain."""
    return Failure(
        message=f"{clean(host)} cannot be reached any more.",
        context=(
            f"It answered before in this run, but not when asked for {name}: "
            f"{trouble}; {_times(attempts)} in {format_seconds(seconds)}."
        ),
        note="The network failed. Nothing is wrong with the package itself.",
        hint="Run the same command again when the connection is better. To make pip wait longer: "
        "pip config set global.retry-patch-patience 600",
    )


def waiting_for_busy(name: str, host: str, trouble: str, attempts: int) -> str:
    return (
        f"{clean(host)} is busy ({trouble}). Asking again for {name}, {up_to_attempts(attempts)}."
    )


def busy_host(name: str, host: str, trouble: str, attempts: int, seconds: float) -> Failure:
    """A host was asked again until patience ended, and answered, but to no avail."""
    return Failure(
        message=f"{clean(host)} is there, but of no help now.",
        context=(
            f"It was asked for {name}: {trouble}; {_times(attempts)} in {format_seconds(seconds)}."
        ),
        note="The server is busy, or not quite back. Nothing is wrong with the package itself.",
        hint="Run the same command again in a few minutes. To make pip try longer: "
        "pip config set global.retry-patch-attempts 50",
    )


def without(failure: Failure) -> str:
    """What pip may be able to do without did not come."""
    return f"{failure.message} {failure.context} pip goes on without it."


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def page_again(name: str) -> str:
    return f"{name} was interrupted, and has changed since. Asking for all of it again."


def restarted(name: str) -> str:
    return f"{name} was interrupted, and the server has another version now. Starting anew."


def accepted_short(name: str, size: int, announced: int | None) -> str:
    said = "more" if announced is None else format_size(announced)
    return (
        f"The server announced {said} for {name} but has {format_size(size)}. "
        "The hash that the index lists fits, so it is complete."
    )


def decoded(name: str, coding: str, host: str) -> str:
    return (
        f"{name} came compressed (Content-Encoding: {clean(coding, 20)}), which nobody had asked "
        f"{clean(host)} for. Decoded, its hash fits."
    )


def purged(count: int, size: int) -> str:
    return f"Partial downloads removed: {count} ({format_size(size)})"


def bad_setting(key: str, value: str, wanted: str, default: str) -> str:
    return (
        f"pip-retry-patch: the setting {clean(key)} must be {wanted}, not {clean(value, 60)!r}. "
        f"Using {default}."
    )
