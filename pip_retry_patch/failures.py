"""The errors that a user reads: what each `Failure` says of what failed, why, and what helps."""

from __future__ import annotations

from pip_retry_patch.messages import OTHER_PART, Peer, Place, times
from pip_retry_patch.names import clean, format_seconds, host_of, name_of
from pip_retry_patch.records import NamedTuple

_PACKAGE_IS_FINE = "The network failed. Nothing is wrong with the package itself."
_AGAIN = "Run the same command again when the connection is better."
NO_NETWORK = "This machine has no network."
SERVER_IS_AT_FAULT = "The server is at fault, or what stands before it, not the package itself."
_BUSY = "The server is busy, or not quite back. Nothing is wrong with the package itself."
_NO_RETRIES = "pip was told not to retry (--retries 0). Without that, it waits and tries again."


class Failure(NamedTuple):
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
    return failure._replace(
        note=f"{failure.note} What arrived is kept, and the next run continues from there."
    )


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
    return stopped._replace(setting=longer)


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


def cut_page(url: str, size: int) -> Failure:
    """A page came, but not to its end. To fetch it anew may help."""
    place = Place(name_of(url), host_of(url), size, None)
    context = f"{clean(place.host)} is there, but the page that came has no end."
    return _ended(place, context, _PACKAGE_IS_FINE)._replace(changed=True)


def changed(place: Place, why: str) -> Failure:
    """The server has another version now; the parts of two versions are never joined."""
    return _stopped(
        place,
        why,
        "asked for the rest, the server has another version of it",
        "Parts of two versions were not joined. Nothing of them is used.",
        "Run the same command again: it fetches the new version from the start.",
    )._replace(changed=True)


# A request that was not answered.


class Tried(NamedTuple):
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
    proxy = peer._replace(is_proxy=True)
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


def broken_request(name: str, host: str, why: str) -> Failure:
    """What failed was nothing of the above, but the network it was."""
    return Failure(
        message=f"Asking {clean(host)} for {name} failed.",
        context=f"{why[0].upper()}{why[1:]}.",
        note=_PACKAGE_IS_FINE,
        hint=_AGAIN,
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
