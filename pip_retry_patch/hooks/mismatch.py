"""What is done about a file that does not fit its hash.

Before anyone is accused, the file is decoded, and fetched once more past every cache, without what
mirrors brought. If it never fits, pip's own error stands, with evidence: what came, from where, and
the one remedy that follows.

This check fails closed. Only pip's verification of the very file in place can accept a file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import textwrap
from typing import Any, Iterator

from pip_retry_patch import wording
from pip_retry_patch.fetch.errors import EarlyEnd, reason
from pip_retry_patch.fetch.judge import coding_of, media_of
from pip_retry_patch.fetch.patience import DECODED, DECODED_MORE
from pip_retry_patch.hooks import contents
from pip_retry_patch.names import clean, format_size, short
from pip_retry_patch.wrapping import note_failure


def look_into(mismatch: Any, artifact: Any, verify: Any, path: str, pip: Any) -> Any:
    """Put other files in the place of one that does not fit, until pip's check accepts one.

    :param mismatch: what pip raised.
    :param artifact: what `files.Artifact` is: one link, and how pip fetches it.
    :param verify: pip's check of a file's hash.
    :param pip: what `compat.Pip` is.
    :raises Exception: `mismatch`, whatever goes wrong here; or made of a Failure, for no other
        source delivers the file, or it has no end.
    """
    fetches: list[_Fetch] = []
    try:
        for line in _others(artifact, path, fetches):
            with contextlib.suppress(type(mismatch)):
                verified = verify(path)
                if line:
                    pip.inform(line)
                return verified
        first, last = fetches[0], fetches[-1]
        if last.is_cut and not last.then:
            facts = {"name": artifact.name, "host": last.host, "size": format_size(last.size)}
            raise pip.error(wording.failure("no end", **facts), EarlyEnd())
        # pip shows it at the end, alone or in a list of such errors, by their body().
        evidence, body = _evidence(artifact.name, first, last), mismatch.body
        mismatch.body = lambda: body().rstrip("\n") + "\n\n" + evidence
    except Exception as error:
        if getattr(error, "failure", None) is not None:
            raise
        note_failure("the hash check", error)
    raise mismatch


def _others(artifact: Any, path: str, fetches: list[_Fetch]) -> Iterator[str]:
    """Put one file after another in place, and yield what to tell if it fits.

    :param fetches: gets what is known of each file that did not fit.
    """
    while True:
        fetches.append(_Fetch(artifact, path))
        if _decode(path, fetches[-1]):
            coding = fetches[-1].coding or "gzip"
            host = fetches[-1].host
            yield wording.say("decoded", name=artifact.name, coding=coding, host=host)
        mirrors = artifact.drop_mirrors()  # each of them once: there may be another one
        artifact.forget()
        if len(fetches) > 1 and not mirrors:
            return
        try:
            with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
                # From the store it may come to another file system.
                shutil.move(artifact.fetch(folder, fresh=True)[0], path)
        except Exception as error:
            failure = getattr(error, "failure", None)
            is_ours = type(error).__module__ == "builtins" and not isinstance(error, OSError)
            if is_ours or (failure is not None and mirrors):
                raise
            fetches[-1].then = reason(error) if failure is None else str(failure.message)
            return
        line = wording.say("fetched anew", name=artifact.name, came=fetches[0].shown)
        yield "" if mirrors else line


def _decode(path: str, fetch: _Fetch) -> bool:
    """Put what a compressed file decodes to in its place; return whether that worked.

    It may be compressed though nobody said so. To decode it has a budget.
    """
    if not fetch.coding and fetch.flaw != contents.OTHER_KIND:
        return False
    import gzip

    left = DECODED * fetch.size + DECODED_MORE
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        decoded = os.path.join(folder, "decoded")
        try:
            with gzip.open(path) as coded, open(decoded, "wb") as file:
                for piece in iter(lambda: coded.read(1 << 20), b""):
                    left -= len(piece)
                    if left < 0:
                        return False
                    file.write(piece)
            os.replace(decoded, path)
        except Exception:  # it is not compressed so, was cut, or is damaged; or the disk is full
            return False
    return True


class _Fetch:
    """What is known of a file that did not fit.

    `flaw` is what `contents.flaw_of` finds. `then` is why nothing came next.
    """

    def __init__(self, artifact: Any, path: str) -> None:
        outcome, kept, self.then = artifact.outcome, artifact.continued, ""
        headers, announced = outcome.response.headers, outcome.length
        cached = outcome.is_cached
        media, self.coding = media_of(headers), coding_of(headers)
        self.host = outcome.peer.host
        self.digest, self.size = contents.digest(path, "sha256"), os.path.getsize(path)
        self.flaw = contents.flaw_of(path, media)
        self.is_cut = self.flaw == contents.CUT and announced is None and not cached

        place, of, whole = "pip's cache" if cached else self.host, "", ""
        if kept is not None:
            place += f" (the first {format_size(kept)} in an earlier run)"
        if media and self.flaw in (contents.WEB_PAGE, contents.OTHER_KIND):
            of = f" of {clean(media, 40)}"
        elif announced is not None:
            of = f" of {format_size(announced)}"
            whole = ", complete" if self.size == announced else ", NOT complete"
        coded = f", compressed ({clean(self.coding, 20)})" if self.coding else ""
        self.shown = f"{format_size(self.size)}{of} from {place}{whole}{coded}"


def _evidence(name: str, first: _Fetch, last: _Fetch) -> str:
    """Return what to add to pip's mismatch: what came, and the one remedy that follows."""
    is_same, is_empty = first.digest == last.digest, last.flaw == contents.EMPTY
    remedies = {
        "web page": last.flaw == contents.WEB_PAGE,
        "failed": last.then and not is_empty,
        "compressed": last.coding and not is_empty,
        "not the file": last.flaw not in ("", contents.DAMAGED),
        "same metadata": is_same and name.endswith(".metadata"),
        "same": is_same,
        "different": True,
    }
    text = _REMEDIES[next(remedy for remedy, fits in remedies.items() if fits)]
    package = short(name.partition(".metadata")[0])
    told = text.format(host=last.host, package=package, flaw=last.flaw, later=_LATER)
    second = f"failed: {clean(last.then)}" if last.then else last.shown
    shown = [f"first fetch:  {first.shown}", f"second fetch: {second}"]
    shown += textwrap.wrap(told, 78, break_on_hyphens=False)
    return "\n  ".join(["pip-retry-patch looked into it:", *shown])


_LATER = (
    "Run the same command again later, or in another network. If it stays so, tell those who run "
    "the server, or the proxy before it. Nothing is wrong with the package itself."
)
_REMEDIES = {
    "not the file": "What {host} sent is {flaw}. {later}",
    "web page": "{host} sent a web page in place of the file. A network that wants a login "
    "first (hotel, train, airport) does that, or a gateway that blocks the file. Open a web page "
    "to log in to the network, or ask those who run the gateway. {later}",
    "failed": "So it is not known whether the file was damaged on its way. Run the same command "
    "again when the connection is better.",
    "compressed": "Something between you and {host} compresses the file, though nobody asked for "
    "that, and pip cannot undo it. Try another network, or ask those who run the proxy.",
    "same": "Both brought the same bytes, so nothing was damaged on the way: this is not the file "
    "whose hash is listed. Do not work around this, the file may have been replaced. If the hash "
    "is in your requirements file, compare it with a source that you trust, and make it anew with "
    "'pip hash'. If the index lists it, ask those who run the index or made the package ({host}).",
    "same metadata": "Both brought the same bytes, so nothing was damaged on the way: the metadata "
    "of {package} does not fit the hash that the index lists for it. It is out of date or damaged "
    "at the index; the package itself was not looked at. Tell those who run the index ({host}).",
    "different": "Each fetch brought different bytes, and none fits. Run the same command again. "
    "If it stays so, something between you and the server damages the file: a proxy, an antivirus "
    "program, a router, or the disk or memory of this machine. Try another network, or another "
    "machine.",
}
