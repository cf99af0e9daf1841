"""Every line that a user reads, but for the errors: those are in failures.py.

Text is plain ASCII (terminals that are not UTF-8 get it whole), sizes are written as pip writes
them, and whatever came from the network passes through `clean` first.
"""

from __future__ import annotations

from typing import Callable
from urllib.parse import unquote, urlsplit

from pip_retry_patch.records import NamedTuple


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


def without_credentials(url: str) -> str:
    """Return `url` without credentials and without its query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{host_of(url)}{parts.path}"


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
NOT_HTTP = "what answered does not speak HTTP"
CLOSED_EARLY = "the connection was closed early"
NO_CONNECTION_IN_TIME = "the connection could not be made in time"
NO_DATA_IN_TIME = "no data arrived in time"
NAME_NOT_RESOLVED = "the host name could not be resolved"
TLS_CLOSED_EARLY = "the encrypted connection was closed early"
HEADER_TOO_SLOW = "the answer's header did not arrive in time"


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


def busy(status: int, wanted: float | None = None) -> str:
    """`wanted`: for how many seconds it asks (Retry-After)."""
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
    so_far = "answered before, but cannot" if answered else "cannot"
    return (
        f"{peer} {so_far} be reached now ({why}). "
        f"Waiting for it, {about_seconds(seconds)}, to get {name}."
    )


def trying_again(peer: Peer, why: str, seconds: float) -> str:
    """A single wait is long: pip's own, or what a server asked for."""
    return f"{peer}: {why}. Trying again in {seconds:.0f} s."


def waiting_for_busy(name: str, peer: Peer, trouble: str, attempts: int) -> str:
    return f"{peer} is busy ({trouble}). Asking again for {name}, {up_to_attempts(attempts)}."


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


def bad_mirror(key: str, value: str) -> str:
    return (
        f"pip-retry-patch: the setting {clean(key)} must be http or https URLs, not "
        f"{clean(redacted(value), 60)!r}. That one is left out."
    )


def redacted(text: str) -> str:
    """Return what may be a URL without its credentials and its query."""
    before, mark, rest = text.partition("://")
    if not mark:
        return text.rpartition("@")[2]
    place, slash, path = rest.partition("/")
    return f"{before}://{place.rpartition('@')[2]}{slash}{path.partition('?')[0]}"


def bad_setting(key: str, value: str, wanted: str, default: str) -> str:
    return (
        f"pip-retry-patch: the setting {clean(key)} must be {wanted}, not {clean(value, 60)!r}. "
        f"Using {default}."
    )
