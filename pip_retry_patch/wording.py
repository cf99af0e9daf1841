"""Every word that a user reads while pip runs: one table of lines, one of the errors at the end.

Text is plain ASCII (terminals that are not UTF-8 get it whole), and every text among the facts
passes through `names.clean` first, for it may have come from the network.
"""

from __future__ import annotations

import errno
from typing import Any

from pip_retry_patch.names import clean, foreign, format_size, short
from pip_retry_patch.records import record, replace

# What an error of the network means (fetch/errors.py says which is which).
NO_ANSWER = "closed without an answer"
NOT_HTTP = "what answered does not speak HTTP"
CLOSED_EARLY = "closed early"
NO_CONNECTION_IN_TIME = "connecting timed out"
NO_DATA_IN_TIME = "timed out"
NAME_NOT_RESOLVED = "name not resolved"
NOT_DECODABLE = "what came is labelled as compressed, and cannot be decompressed"
# What an answer is that is of no use.
OTHER_PART = "HTTP 206, with another part than was asked for"
ONLY_A_PART = "only a part came"
WEB_PAGE = "a web page came in place of the file"
TEXT = "text came in place of the file"
NO_HELP = "it has to read again too often what had arrived"
RESTS = "it delivered nothing a moment ago"
EARLIER_RUN = "an earlier run stopped there"

# Of an error of the system, by its number: its own text may be in any language. Those of Windows'
# sockets come first.
_BY_NUMBER = {
    10013: "forbidden by this machine, perhaps by its firewall",
    10050: "network is down",
    10051: "network is unreachable",
    10052: "network dropped connection on reset",
    10053: "connection aborted by this machine",
    10054: "connection reset by peer",
    10060: NO_DATA_IN_TIME,  # older Pythons make no TimeoutError of it
    10061: "connection refused",
    10064: "host is down",
    10065: "no route to host",
    errno.EACCES: "permission denied",
    errno.ENOENT: "no such file or directory",
    errno.ENOSPC: "no space left on device",
}


def answered(status: int, wanted: float | None = None) -> str:
    """`wanted`: for how many seconds it asks (Retry-After)."""
    return f"HTTP {status}" + (f", wants {wanted:.0f} s" if wanted else "")


def of_system(error: Any) -> str:
    """Return what an error of the system means: in its own words only where they are ASCII."""
    number = getattr(error, "winerror", None) or getattr(error, "errno", None) or 0
    said = foreign(getattr(error, "strerror", None) or str(error)).rstrip(".")
    if number > 10000 and number in _BY_NUMBER:
        return _BY_NUMBER[number]
    if not said.isascii() or "?" in said:
        return _BY_NUMBER.get(getattr(error, "errno", None) or 0, f"error {number}")
    return clean(said[:1].lower() + said[1:])


@record
class Place:
    """Where a download was interrupted: how many bytes of how many, from which host."""

    name: str
    host: str
    offset: int
    total: int | None

    def __str__(self) -> str:
        whole = "" if self.total is None else f" of {format_size(self.total)}"
        return format_size(self.offset) + whole

    @property
    def briefly(self) -> str:
        """Return "22.8 of 40.0 MB": a unit that both have is written once."""
        unit = " " + format_size(self.offset).rpartition(" ")[2]
        text = str(self)
        return text.replace(unit, "", 1) if text.endswith(unit) and self.total else text


@record
class Peer:
    """Whom a request goes to.

    :param host: as `names.host_of` returns it. `proxy`: the same of the proxy before it, if any.
    :param is_proxy: the proxy is what failed, and nothing is known of the host.
    """

    host: str
    proxy: str = ""
    is_proxy: bool = False

    def __str__(self) -> str:
        return f"The proxy {self.proxy}" if self.is_proxy else self.host

    @property
    def via(self) -> str:
        """The other one of both, where there are two."""
        if self.is_proxy:
            return f" on the way to {self.host}"
        return f" through the proxy {self.proxy}" if self.proxy else ""


def tried(attempts: int, seconds: float) -> str:
    """A request was sent so many times in so many seconds, the first included."""
    took = f"{seconds:.0f} s" if seconds >= 1 else "less than a second"
    return f"{attempts} attempt{'s' if attempts != 1 else ''} in {took}"


_LOST = "{peer} cannot be reached{any_more}{peer.via} ({why}). Trying {left}"
_LINES = {
    # Of one file or page.
    "continuing": "Continuing {short} from {at}, kept from an earlier run",
    "resumed": "{short} resumed at {at} ({why}{often})",
    "replayed": "{short} fetches {at} again ({why})",
    "waits": "{short} waits at {at} ({why}), trying {left}",
    "cut often": "{short}: cut {count} times{pause}, {twice} refetched",
    "kept": "Kept {at}; the same command continues there.",
    "restarted": "The bytes of {short} differ from those that had arrived; starting anew",
    "unsafe": "{short} cannot be continued safely: add #sha256=... to the URL. Starting anew.",
    "accepted short": "The server announced {said} for {short} but has {size}. The hash that the "
    "index lists fits, so it is complete.",
    "decoded": "{short} came compressed (Content-Encoding: {coding}), which nobody had asked "
    "{host} for. Decoded, its hash fits.",
    "fetched anew": "{came} ({shown}). Fetched anew, its hash fits.",
    "taken": "{short} looks cut, but came like that twice. It is taken as it is.",
    # Of a host.
    **dict.fromkeys(("lost", "unreachable", "proxy unreachable"), _LOST),
    "no answer": "{peer} does not answer{any_more}{peer.via} ({why}). Trying {left}",
    "offline": "This machine has no network ({why}). Trying {left}",
    "busy": "{peer} is busy ({why}). Trying {left}",
    # Of an index.
    "index unread": "The index {index} could not be read ({why}). pip goes on without it: what "
    "only this index has is not seen.",
    "found elsewhere": "{project} was found at {places} only. The index {index} could not be read, "
    "and may have another one of that name.",
    "may be unread": "But the index {index} could not be read ({why}), and may have it.",
    "stale": "The index {index} cannot be read ({why}). Taking its pages from pip's cache, up to "
    "{age} old: newer versions are not seen.",
    # Of mirrors.
    "mirror serves": "{host} does not deliver {short}{so_far} ({why}). Going on with {mirror}.",
    "all failed": "Neither the index nor a mirror delivers {short} now ({why}). Trying {left}",
    "mirror dropped": "{mirrors} sent other bytes of {short} than its hash is of. It is not asked "
    "again in this run.",
    "mirrors of another": "pip-retry-patch: retry-patch-mirrors is set for the index {intended}. "
    "It is not used for {index}.",
    # Of settings.
    "bad setting": "pip-retry-patch: the setting {key} must be {wanted}, not {value!r}. Using "
    "{default}.",
    "unknown setting": "pip-retry-patch: there is no setting {key}.{meant}",
    "unusable directory": "pip-retry-patch keeps nothing: retry-patch-partials = {path}: {why}",
    "unusable log": "pip-retry-patch cannot write to retry-patch-log = {path}: {why}",
    "purged": "Partial downloads removed: {count} ({size})",
    # Why the page of an index may not be what that has; "odd page" says it.
    "came empty": "came empty",
    "has no end": "came without its end (</html>): something on the way may have cut it",
    "is JSON": "is JSON that the server calls text/html, so pip finds nothing in it",
    "names no file": "came whole{title} and names no file",
    "for people": "is a web page for people{title}{whence}, and names no file of {project}. If "
    "this network wants a login (hotel, train, airport), open a web page to log in, then run the "
    "same command again",
}


def say(kind: str, **facts: Any) -> str:
    """Return a line.

    :param facts: `place` (a Place), `why`, `name` and what else the line has.
    """
    return _LINES[kind].format(**_shown(facts))


def _shown(facts: dict[str, Any]) -> dict[str, Any]:
    shown = {key: clean(fact) if isinstance(fact, str) else fact for key, fact in facts.items()}
    if "place" in facts:
        shown["name"], shown["at"] = facts["place"].name, facts["place"].briefly
    if "name" in shown:
        shown["short"] = short(shown["name"])
    if "why" in facts:
        shown["Why"] = shown["why"][:1].upper() + shown["why"][1:]
    return shown


@record
class Failure:
    """Why a download ended, in the four parts of pip's diagnostic errors (pip 22.0).

    :param why: what the network did, in a few words.
    :param setting: the setting that makes pip try longer, and a value for it; see `compat`.
    :param changed: the server has another version. What was received is worthless, but a fresh
        start is not.
    :param first_contact: of the host nothing was heard in this run. pip may continue without it, if
        it is one of several indexes.
    """

    message: str
    context: str
    note: str
    hint: str
    why: str = ""
    setting: tuple[str, str] | None = None
    changed: bool = False
    first_contact: bool = False

    def __str__(self) -> str:
        """All of it as plain text, for a pip without diagnostic errors and for log files."""
        return f"{self.message}\n  {self.context}\nnote: {self.note}\nhint: {self.hint}"


_FINE = "The network failed. Nothing is wrong with the package itself."
_AGAIN = "Run the same command again when the connection is better."
_AT_FAULT = "The server is at fault, or what stands before it, not the package itself."
_TELL_THEM = "Run the same command again later. If it stays so, tell those who run the server."
_NO_RETRIES = "pip was told not to retry: take out --retries 0 or retry-patch-attempts = 0."
GATEWAY = (
    "A network that wants a login first (hotel, train, airport) does that, or a gateway that "
    "blocks the file. Nothing is wrong with the package itself."
)
LOG_IN = "Open a web page to log in, or ask those who run the gateway. Then run the command again."
_STOPPED = "Downloading {place.name} stopped at {place}."
_BROKE = "The connection to {place.host} failed: {why}; "
_ASKED = "Asked for {name}: {why}."
_TRIED = "{tried}{peer.via}. "
_LOGIN = "a network that wants a login first (hotel, train, airport)"
_PROXYS = "--proxy, HTTP_PROXY, HTTPS_PROXY, pip's configuration."


def _stopped(then: str, note: str, hint: str) -> tuple[str, ...]:
    return _STOPPED, _BROKE + then, note, hint


def _asking(context: str, note: str = _AT_FAULT, hint: str = _TELL_THEM) -> tuple[str, ...]:
    return "Asking {host} for {name} failed.", context, note, hint


def _lost(
    hint: str, note: str = _FINE, message: str = "{peer} cannot be reached."
) -> tuple[str, ...]:
    return message, _ASKED, _TRIED + note, hint


def _answers(message: str, note: str, hint: str) -> tuple[str, ...]:
    return message, _ASKED, f"{_TRIED}{note} Nothing is wrong with the package itself.", hint


def _unproven(note: str, hint: str) -> tuple[str, ...]:
    return "{peer} did not prove that it is that host.", _ASKED, note, hint


# The message, context, note and hint of each Failure.
_FAILURES: dict[str, tuple[str, ...]] = {
    # A body that was interrupted.
    "gave up": _stopped("{tried} brought nothing more{last}.", _FINE, _AGAIN),
    "not tried": _stopped("it was not tried again.", _FINE, _NO_RETRIES),
    "refused": _stopped(
        "asked for the rest, the server answered {status}.",
        "What had arrived was in order, but the server does not send the rest.",
        "Run the same command again: if an index lists the file, it gives a new link to it. If it "
        "stays so, check pip's credentials for {place.host}.",
    ),
    "stranger": _stopped("then {trouble} ({tried}).", GATEWAY, LOG_IN),
    "changed": _stopped(
        "asked for the rest, the server has another version of it.",
        "Parts of two versions were not joined. Nothing of them is used.",
        "Run the same command again: it fetches the new version from the start.",
    ),
    "cut page": (_STOPPED, "The page from {place.host} has no end: {why}; {tried}.", _FINE, _AGAIN),
    # A request that was not answered.
    "lost": _lost(_AGAIN),
    "no answer": _lost(
        _AGAIN, "It took the connection, but sent no answer.", "{peer} does not answer."
    ),
    "unreachable": _lost("Check the host's name and the network, then run the same command again."),
    "offline": _lost(
        "Connect it to a network, then run the same command again.", "This machine has no network."
    ),
    "proxy unreachable": _lost("Check the proxy's address: " + _PROXYS),
    "proxy refuses": _answers(
        "The proxy {peer.proxy} refuses the connection to {peer.host}.",
        "The proxy answered, not the host.",
        "Check its address and credentials: " + _PROXYS,
    ),
    # A host with such a certificate is not asked again.
    "certificate not yet valid": _unproven(
        "The clock of this machine may be slow: it says {now}.",
        "Set the clock, then run the same command again.",
    ),
    "certificate expired": _unproven(
        "The certificate is too old, or the clock of this machine is fast: it says {now}.",
        "Check the clock. If it is right, tell those who run the server.",
    ),
    "certificate of another": _unproven(
        f"Something else may answer in its place: {_LOGIN}.",
        "Check the host's name, or open a web page to log in to the network.",
    ),
    "certificate unknown": _unproven(
        f"pip does not know who vouches for it. That may be a company, or {_LOGIN}.",
        "Name the certificate of that authority: --cert FILE. Or open a web page to log in.",
    ),
    "bad TLS": (
        "{peer} and this machine do not agree on how to encrypt.",
        _ASKED,
        "To wait does not change that. The server, this machine's OpenSSL or something between "
        "them is set so.",
        "Check the URL (https, port), the client certificate (--client-cert) and the URL of any "
        "proxy: most begin with http://.",
    ),
    # A request whose answer is of no help.
    "busy": _answers(
        "{peer} answers, but cannot serve the request.",
        "The server is busy, or not quite back.",
        "Run the same command again in a few minutes.",
    ),
    "unreadable": _answers(
        "What {peer} answers cannot be read.",
        "It may be something else than a web server.",
        "Check the host, the port and any proxy.",
    ),
    "asks for too long": _answers(
        "{peer} wants to be asked again in {seconds:.0f} s.",
        "pip does not wait that long.",
        "Run the same command again after that time.",
    ),
    "bad redirect": _asking(
        "{Why}: {where}.",
        _AT_FAULT,
        "Check the address that you asked for. If it is right, tell those who run the server.",
    ),
    "odd status": _asking("The server answers {status}, which is no answer to that."),
    "odd coding": _asking("The answer came encoded as {coding}, which nobody had asked for."),
    "no page": _asking("What came is no page of an index ({why})."),
    "index refused": (
        "The index {index} could not be read.",
        "{Why}.",
        _AT_FAULT,
        "Check its address and credentials. Or take it out of pip's options and settings.",
    ),
    # A file that is none.
    "web page for file": _asking(
        "A web page came in place of the file{title}.",
        GATEWAY,
        "Open its address in a browser: log in there, or look for the address of the file itself. "
        "Then run the command again.",
    ),
    "not the file": _asking(
        "What came is {flaw} ({shown}).",
        "No hash is listed for it: it may be damaged on the server, or on its way.",
    ),
    "no end": _asking(
        "What came has no end ({size}), and the server tells no length.", _FINE, _AGAIN
    ),
}


def failure(kind: str, setting: tuple[str, str] | None = None, **facts: Any) -> Failure:
    """Return why a download ended.

    :param setting: see Failure.
    :param facts: as for `say`; `peer` (a Peer), `tried` (see there), `first_contact` (see Failure);
        `retries`: False where pip was told to do without any.
    """
    message, context, note, hint = (text.format(**_shown(facts)) for text in _FAILURES[kind])
    if not facts.get("retries", True):
        hint, setting = _NO_RETRIES, None
    why, is_first = str(facts.get("why", "")), facts.get("first_contact", False)
    return Failure(message, context, note, hint, why, setting, kind == "changed", is_first)


def with_kept(failure: Failure, is_kept: bool = True) -> Failure:
    """Add whether what arrived waits for the next run."""
    note = "What arrived is kept, and the next run continues from there."
    if not is_kept:
        note = "Without a hash it cannot be continued safely: add #sha256=... to the URL."
    return replace(failure, note=f"{failure.note} {note}")
