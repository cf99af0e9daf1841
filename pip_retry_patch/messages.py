"""Every line that a user reads, but for the errors: those are in failures.py.

Text is plain ASCII (terminals that are not UTF-8 get it whole), sizes are written as pip writes
them, and whatever came from the network passes through `clean` first.
"""

from __future__ import annotations

import re
from typing import Callable
from urllib.parse import unquote, urlsplit

from pip_retry_patch.records import NamedTuple


def clean(text: str, limit: int = 200) -> str:
    """Return `text` as one printable ASCII line of at most `limit` characters.

    What a server sends may hold control characters, terminal escapes or a hundred kilobytes, and
    the text of another library's error may hold the whole of a signed URL.
    """
    shown = without_secrets(text[: limit + 2000])[: limit + 1]
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(c if " " <= c <= "~" else "?" for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def without_secrets(text: str) -> str:
    """Return `text` without the query and the userinfo of the URLs and paths in it."""
    if ("?" in text or "@" in text) and "/" in text:
        text = re.sub(r"[^\s'\"]+", lambda found: _without_secrets(found[0]), text)
    return text


def _without_secrets(word: str) -> str:
    before, slash, _ = word.partition("/")
    path, mark, query = word.partition("?")
    if mark and slash and len(before) < len(path):
        word = path + query[len(query.rstrip(".,;:)")) :]
    before, slashes, rest = word.partition("//")
    place, slash, path = rest.partition("/")
    return f"{before}{slashes}{place.rpartition('@')[2]}{slash}{path}" if slashes else word


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


# Of sdists, as pip knows them.
_ENDINGS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")


def short(name: str) -> str:
    """Return what `name_of` returns in the form that fits a line: `scipy-1.14.1`.

    pip itself has shown the whole name of a file by then. Of a page it is host and path.
    """
    if name.startswith("the page "):
        return name.partition("://")[2]
    if name.endswith((".whl", ".whl.metadata")):
        what = " (metadata)" if name.endswith(".metadata") else ""
        return "-".join(name.split("-")[:2]) + what if name.count("-") >= 4 else name
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), "")
    return name[: len(name) - len(ending)]


# What an error of the network means (transport/errors.py says which is which).
NO_ANSWER = "the server closed the connection without an answer"
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


# The same in a line, where there is little room.
_BRIEFLY = {
    CLOSED_EARLY: "closed early",
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
    shown, of = format_size(offset), format_size(total)
    if shown.rpartition(" ")[2] == of.rpartition(" ")[2]:
        shown = shown.rpartition(" ")[0]
    return f"Continuing {short(name)} from {shown} of {of}, where an earlier run stopped"


def _at(place: Place) -> str:
    if place.total is None:
        return format_size(place.offset)
    offset, total = format_size(place.offset), format_size(place.total)
    if offset.rpartition(" ")[2] == total.rpartition(" ")[2]:
        offset = offset.rpartition(" ")[0]
    return f"{offset} of {total}"


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
    return f"{short(place.name)} reread to {_at(place)} ({_brief(why)})"


def waiting(place: Place, why: str, left: str) -> str:
    return _with(f"{short(place.name)} waits at {_at(place)} ({_brief(why)})", f", {left}")


def interrupted_often(name: str, count: int, waited: float, again: int) -> str:
    """The end of a file that was interrupted often.

    :param waited: seconds. `again`: bytes that were fetched twice.
    """
    pause = f", waited {waited:.0f} s" if waited >= 1 else ""
    twice = format_size(again) if again else "nothing"
    return f"{short(name)}: cut {count} times{pause}, {twice} refetched"


def about_seconds(seconds: float) -> str:
    # Not "up to": the last wait may end a little later.
    return f"for about {seconds:.0f} s"


def up_to_attempts(attempts: int) -> str:
    return f"up to {attempts} more times" if attempts != 1 else "once more"


def busy(status: int, wanted: float | None = None) -> str:
    """`wanted`: for how many seconds it asks (Retry-After)."""
    return f"the server answers {status}" + (f" and asks for {wanted:.0f} s" if wanted else "")


# Of a host that delivered nothing a moment ago.
RESTS = "it delivered nothing a moment ago"


def answers(status: int) -> str:
    return f"it answers {status}"


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
    so_far = "is away" if answered else "unreachable"
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


def stale(index: str, why: str, age: float) -> str:
    """Pages of an index that cannot be read come from pip's cache."""
    return (
        f"The index {index} cannot be read ({why}). Taking its pages from pip's cache, up to "
        f"{format_age(age)} old: newer versions are not seen."
    )


def format_age(seconds: float) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "a minute"


def mirror_serves(index: str, why: str, mirror: str) -> str:
    """An index delivers nothing now; from here on its pages come from a mirror."""
    return f"{index} cannot be read now ({why}). Reading the mirror {mirror} in its place."


def mirror_serves_file(name: str, host: str, why: str, mirror: str, offset: int) -> str:
    """A file comes from a mirror, from `offset` on."""
    so_far = f" after {format_size(offset)}" if offset else ""
    return f"{clean(host)} does not deliver {name}{so_far} ({why}). Going on with {clean(mirror)}."


def all_sources_failed(name: str, why: str, left: str) -> str:
    return f"Neither the index nor a mirror delivers {name} now ({why}). Trying again {left}."


def mirror_dropped(name: str, mirrors: str) -> str:
    return (
        f"{clean(mirrors)} sent other bytes of {name} than its hash is of. It is not asked again "
        "in this run."
    )


def mirrors_of_another_index(mirrors_of: str, index: str) -> str:
    return (
        f"pip-retry-patch: retry-patch-mirrors is set for the index {mirrors_of}. It is not used "
        f"for {index}."
    )


def page_again(name: str) -> str:
    return f"{short(name)} was cut and has changed; asking for all of it"


def restarted(name: str) -> str:
    return f"{short(name)} has changed on the server; starting anew"


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


def unusable_directory(path: str, why: str) -> str:
    return f"pip-retry-patch keeps nothing: retry-patch-partials-dir = {clean(path)}: {why}"


def unusable_log(path: str, why: str) -> str:
    return f"pip-retry-patch cannot write to retry-patch-log = {clean(path)}: {clean(why)}"


def unknown_setting(key: str, nearest: str) -> str:
    meant = f" Did you mean {nearest}?" if nearest else ""
    return f"pip-retry-patch: there is no setting {clean(key, 60)}.{meant}"


def bad_setting(key: str, value: str, wanted: str, default: str) -> str:
    return (
        f"pip-retry-patch: the setting {clean(key)} must be {wanted}, not {clean(value, 60)!r}. "
        f"Using {default}."
    )
