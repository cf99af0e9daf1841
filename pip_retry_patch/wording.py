"""Every word that a user reads while pip runs: lines, and the errors at the end.

Text is plain ASCII (terminals that are not UTF-8 get it whole), and whatever came from the network
passes through `names.clean` first.
"""

from __future__ import annotations

from typing import Callable

from pip_retry_patch.names import clean, format_seconds, format_size, format_sum, host_of, name_of, redacted, short
from pip_retry_patch.records import record, replace


# --- messages
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


NOT_DECODABLE = "what came is labelled as compressed, and cannot be decompressed"
EARLIER_RUN = "an earlier run stopped there"
READ_TOO_OFTEN = "what had arrived had to be read again too often"
WEB_PAGE = "a web page came in place of the file"


def certificate_refused(why: str) -> str:
    return clean(f"the certificate was refused: {why}")


def stream_damaged(why: str) -> str:
    return clean(f"the encrypted stream was damaged: {why}")


@record
class Place:
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


def continuing(place: Place) -> str:
    """What an earlier run kept is continued."""
    return f"Continuing {short(place.name)} from {_at(place)}, where an earlier run stopped"


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


@record
class Peer:
    """Whom a request goes to.

    :param host: as `host_of` returns it. `proxy`: the same of the proxy before it, if there is one.
    :param is_proxy: the proxy is what failed, and nothing is known of the host.
    """

    host: str
    proxy: str | None = None
    is_proxy: bool = False

    @property
    def key(self) -> str:
        """The host that failed, or answers."""
        return self.proxy if self.is_proxy and self.proxy else self.host

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

# --- failures
_PACKAGE_IS_FINE = "The network failed. Nothing is wrong with the package itself."
_AGAIN = "Run the same command again when the connection is better."
NO_NETWORK = "This machine has no network."
SERVER_IS_AT_FAULT = "The server is at fault, or what stands before it, not the package itself."
_BUSY = "The server is busy, or not quite back. Nothing is wrong with the package itself."
_NO_RETRIES = "pip was told not to retry (--retries 0). Without that, it waits and tries again."


@record
class Failure:
    """Why a download ended, in the four parts of pip's diagnostic errors (pip 22.0).

    :param changed: the server has another version. What was received is worthless, but a fresh
        start is not.
    :param setting: the setting that makes pip try longer, and a value for it; see
        `hooks.reporting.advised`.
    :param why: what the network did, in a few words.
    :param first_contact: of the host nothing was heard in this run. pip may go on without it, if it
        is one of several indexes.
    """

    message: str
    context: str
    note: str
    hint: str
    changed: bool = False
    setting: tuple[str, str] | None = None
    why: str = ""
    first_contact: bool = False

    @property
    def briefly(self) -> str:
        """What the network did, for a line that says more by itself."""
        return self.why or self.message

    def __str__(self) -> str:
        """All of it as plain text, for a pip without diagnostic errors and for log files."""
        return "\n".join(
            [self.message, f"  {self.context}", f"note: {self.note}", f"hint: {self.hint}"]
        )


def with_kept(failure: Failure) -> Failure:
    """Add that what arrived waits for the next run."""
    note = f"{failure.note} What arrived is kept, and the next run continues from there."
    return replace(failure, note=note)


# A body that was interrupted.


def _ended(place: Place, context: str, note: str, hint: str = _AGAIN) -> Failure:
    return Failure(f"Downloading {place.name} stopped at {place}.", context, note, hint)


def _stopped(place: Place, why: str, then: str, note: str, hint: str = _AGAIN) -> Failure:
    context = f"The connection to {clean(place.host)} failed: {why}; {then}."
    return _ended(place, context, note, hint)


def gave_up(
    place: Place,
    why: str,
    trouble: str | None,
    attempts: int,
    seconds: float,
    *,
    unreachable: bool,
    retries: bool = True,
) -> Failure:
    """Patience has ended: `why` is what interrupted the body, `trouble` the last attempt's.

    `unreachable` tells which budget was spent: the seconds, or else the attempts. `retries`: pip
    was not told to do without any.
    """
    then = f"{times(attempts)} in {format_seconds(seconds)} brought nothing more"
    if trouble:
        then += f" (last: {trouble})"
    if not retries:
        return _stopped(place, why, "it was not tried again", _PACKAGE_IS_FINE, _NO_RETRIES)
    then = then if attempts else "the settings allow no further attempt"
    stopped = _stopped(place, why, then, _PACKAGE_IS_FINE)
    longer = ("retry-patch-patience", "600") if unreachable else ("retry-patch-attempts", "50")
    return replace(stopped, setting=longer)


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
        f"({times(attempts)} in {format_seconds(seconds)})",
        "A network that wants a login first (hotel, train, airport) does that, or a gateway that "
        "blocks the file. Nothing is wrong with the package itself.",
        "Open a web page to log in to the network, or ask those who run the gateway. Then run the "
        "same command again.",
    )


def cut_page(place: Place, why: str, tried: Tried) -> Failure:
    """A page came, but not to its end."""
    host = clean(place.host)
    context = f"{host} is there, but the page that came has no end: {why}; {tried}."
    return _ended(place, context, _PACKAGE_IS_FINE, tried.hint(_AGAIN))


def changed(place: Place, why: str) -> Failure:
    """The server has another version now; the parts of two versions are never joined."""
    stopped = _stopped(
        place,
        why,
        "asked for the rest, the server has another version of it",
        "Parts of two versions were not joined. Nothing of them is used.",
        "Run the same command again: it fetches the new version from the start.",
    )
    return replace(stopped, changed=True)


# A request that was not answered.


@record
class Tried:
    """What was done about a request that failed.

    :param attempts: how often it was sent in `seconds`, pip's own retries and the first among them.
    :param retries: pip was not told to do without any.
    """

    attempts: int = 1
    seconds: float = 0.0
    retries: bool = True

    def __str__(self) -> str:
        return f"{times(self.attempts)} in {format_seconds(self.seconds)}"

    def hint(self, otherwise: str) -> str:
        return otherwise if self.retries else _NO_RETRIES


def _asked(name: str, peer: Peer, why: str, tried: Tried) -> str:
    for_what = f"It was asked for {name}"
    if peer.is_proxy:
        for_what = f"It stands before {clean(peer.host)}, which was to be asked for {name}"
    return f"{for_what}: {why}; {tried}."


def unreachable_host(
    name: str, peer: Peer, why: str, tried: Tried, *, answered: bool, offline: bool
) -> Failure:
    """No answer came from a host.

    :param answered: it did answer earlier in this run.
    :param offline: this machine has no network.
    """
    hint = "Check the host's name and the network, then run the same command again."
    if peer.is_proxy:
        hint = "Check the proxy's address: --proxy, HTTP_PROXY, HTTPS_PROXY, pip's configuration."
    elif answered or offline:
        hint = _AGAIN
    longer = ("retry-patch-patience" if answered else "retry-patch-first-contact", "600")
    return Failure(
        message=f"{peer} cannot be reached{' any more' if answered else ''}.",
        context=_asked(name, peer, why, tried),
        note=NO_NETWORK if offline else _PACKAGE_IS_FINE,
        hint=tried.hint(hint),
        setting=longer if tried.retries else None,
        why=why,
        first_contact=not answered,
    )


def refused_tunnel(name: str, peer: Peer, why: str, tried: Tried, *, answered: bool) -> Failure:
    """A proxy does not connect to a host, and will not do so later."""
    proxy = replace(peer, is_proxy=True)
    return Failure(
        message=f"{proxy} refuses the connection to {clean(peer.host)}.",
        context=_asked(name, proxy, why, tried),
        note="The proxy answered, not the host. Nothing is wrong with the package itself.",
        hint="Check its address and credentials: --proxy, HTTP_PROXY, HTTPS_PROXY, pip's settings.",
        why=why,
        first_contact=not answered,
    )


def refused_certificate(name: str, peer: Peer, why: str, *, answered: bool) -> Failure:
    """A host could not prove who it is."""
    return Failure(
        message=f"{peer} did not prove that it is that host.",
        context=f"It was asked for {name}: {why}. Such a host is not asked again.",
        note="Something else may answer in its place: a network that wants a login first (hotel, "
        "train, airport), or a company's proxy that pip does not know the certificate of.",
        hint="Open a web page to log in to the network, or name the certificates to trust: --cert.",
        why=why,
        first_contact=not answered,
    )


def busy_host(name: str, peer: Peer, trouble: str, tried: Tried, *, helped: bool) -> Failure:
    """A host answered, but to no avail.

    :param helped: it did answer something else earlier in this run.
    """
    return Failure(
        message=f"{peer} is there, but of no help now.",
        context=_asked(name, peer, trouble, tried),
        note=SERVER_IS_AT_FAULT if trouble == OTHER_PART else _BUSY,
        hint=tried.hint("Run the same command again in a few minutes."),
        setting=("retry-patch-attempts", "50") if tried.retries else None,
        why=trouble,
        first_contact=not helped,
    )


def asks_for_too_long(
    name: str, peer: Peer, trouble: str, tried: Tried, seconds: float, *, helped: bool
) -> Failure:
    """A server wants to be left alone for longer than patience lasts."""
    return Failure(
        message=f"{peer} wants to be asked again in {seconds:.0f} s.",
        context=_asked(name, peer, trouble, tried),
        note="pip does not wait that long. Nothing is wrong with the package itself.",
        hint="Run the same command again after that time.",
        setting=("retry-patch-patience", f"{seconds * 2:.0f}"),
        why=trouble,
        first_contact=not helped,
    )


def index_refused(index: str, status: int, strict: bool) -> Failure:
    """An index answered with no page, in a way that asking again does not change.

    :param strict: `retry-patch-indexes = all`.
    """
    trouble = f"the server answers {status}" if status not in (0, 200) else "no page of links came"
    note = (
        "pip is set to read every index (retry-patch-indexes = all), so that no index is silently "
        "replaced by another one."
    )
    return Failure(
        message=f"The index {index} could not be read.",
        context=f"{trouble[0].upper()}{trouble[1:]}.",
        note=note if strict else SERVER_IS_AT_FAULT,
        hint="Check its address and credentials. Or take it out of pip's options and settings.",
        why=trouble,
        first_contact=not strict,
    )

# --- odd_answers
_TELL_THEM = "Run the same command again later. If it stays so, tell those who run the server."


def _odd(
    name: str, host: str, why: str, hint: str = _TELL_THEM, note: str = SERVER_IS_AT_FAULT
) -> Failure:
    return Failure(
        message=f"Asking {clean(host)} for {name} failed.",
        context=f"{why[0].upper()}{why[1:]}.",
        note=note,
        hint=hint,
        why=why,
        first_contact=True,
    )


def bad_redirect(name: str, host: str, where: str) -> Failure:
    """An answer leads to an address that nothing can be asked at."""
    why = f"the answer leads to an address that makes no sense: {clean(where)}"
    hint = "Check the address that you asked for. If it is right, tell those who run the server."
    return _odd(name, host, why, hint)


def odd_status(name: str, host: str, status: int) -> Failure:
    """A status that comes with nothing, or with anything, but not with what was asked for."""
    what = {
        300: "which offers several addresses, and names none",
        304: "which says that nothing has changed, though nobody asked that",
        204: "which says that there is no content",
        205: "which says that there is no content",
    }.get(status, "which is no status of HTTP")
    return _odd(name, host, f"the server answers {status}, {what}")


def odd_coding(name: str, host: str, coding: str) -> Failure:
    """A page came that pip cannot decode; `coding` is its Content-Encoding."""
    why = f"the answer came encoded as {clean(coding, 20)}, which nobody had asked for"
    return _odd(name, host, why)


def no_index_page(page: str, host: str, why: str) -> Failure:
    """pip cannot read a page; `why` is what its parser says."""
    return _odd(page, host, f"what came is no page of an index ({clean(why, 120)})")


_LOG_IN = (
    "Open a web page to log in to the network, or ask those who run the gateway. Then run the same "
    "command again."
)


def web_page_for_file(name: str, host: str, title: str) -> Failure:
    """A login page or a block page came in place of a file that no hash is known of."""
    note = (
        "A network that wants a login first (hotel, train, airport) does that, or a gateway that "
        "blocks the file. Nothing is wrong with the package itself."
    )
    return _odd(name, host, WEB_PAGE + _titled(title), _LOG_IN, note)


def not_of_its_kind(name: str, host: str, size: int, media: str, coding: str) -> Failure:
    """What came is no wheel, say, or not all of one, and no hash says what it should be."""
    kind = "whole wheel" if name.endswith(".whl") else "whole archive"
    kind = "metadata of a wheel" if name.endswith(".metadata") else kind
    shown = format_size(size) + (f" of {clean(media, 40)}" if media else "")
    shown += f", encoded as {clean(coding, 20)}" if coding else ""
    note = (
        "No hash is listed for it. So it is not known whether the file is damaged on the server, "
        "or on its way."
    )
    return _odd(name, host, f"what came is no {kind} ({shown})", note=note)


def no_end(name: str, host: str, size: int) -> Failure:
    """A file was cut each time, and no length told so; its hash did not fit."""
    why = f"what came has no end ({format_size(size)}), and the server tells no length"
    return _odd(name, host, why, _AGAIN, _PACKAGE_IS_FINE)


# Below pip's "No matching distribution found": why a page may not be what the index has.


def odd_page(page: str, what: str) -> str:
    """`page` as `names.name_of` returns it; `what` is one of those below."""
    return f"But {page} {what}."


CAME_EMPTY = "came empty"
HAS_NO_END = "came without its end (</html>): something on the way may have cut it"
IS_JSON = "is JSON that the server calls text/html, so pip finds nothing in it"


def _titled(title: str) -> str:
    return f' ("{clean(title, 60)}")' if title else ""


def names_no_file(title: str) -> str:
    return f"came whole{_titled(title)} and names no file"


def for_people(title: str, host: str, project: str) -> str:
    """`host`: where it came from, if that is not where pip had asked."""
    whence = f" from {clean(host)}" if host else ""
    return (
        f"is a web page for people{_titled(title)}{whence}, and names no file of {clean(project)}. "
        "If this network wants a login (hotel, train, airport), open a web page to log in, then "
        "run the same command again"
    )

# --- mirror_messages
# Of a host that delivered nothing a moment ago.
RESTS = "it delivered nothing a moment ago"


def mirror_serves(index: str, why: str, mirror: str) -> str:
    """An index delivers nothing now; from here on its pages come from a mirror."""
    return f"{index} cannot be read now ({why}). Reading the mirror {mirror} in its place."


def mirror_serves_file(name: str, host: str, why: str, mirror: str, offset: int) -> str:
    """A file comes from a mirror, from `offset` on."""
    so_far = f" after {format_size(offset)}" if offset else ""
    what = f"{short(name)}{so_far}"
    return f"{clean(host)} does not deliver {what} ({why}). Going on with {clean(mirror)}."


def all_sources_failed(name: str, why: str, left: str) -> str:
    return (
        f"Neither the index nor a mirror delivers {short(name)} now ({why}). Trying again {left}."
    )


def mirror_dropped(name: str, mirrors: str) -> str:
    return (
        f"{clean(mirrors)} sent other bytes of {short(name)} than its hash is of. It is not asked "
        "again in this run."
    )


def mirrors_of_another_index(mirrors_of: str, index: str) -> str:
    return (
        f"pip-retry-patch: retry-patch-mirrors is set for the index {mirrors_of}. It is not used "
        f"for {index}."
    )


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


def answers(status: int) -> str:
    return f"it answers {status}"
