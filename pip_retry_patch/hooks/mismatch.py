"""What is done about a file that does not fit its hash.

Before anyone is accused, the file is fetched without what mirrors brought, decoded, and fetched
once more past every cache. If it never fits, pip's own error stands, with evidence: what came, from
where, and the one remedy that follows.

This check fails closed. Only pip's verification of the very file in place can accept a file.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import textwrap
from typing import Any, Iterator

from pip_retry_patch import wording
from pip_retry_patch.fetch.errors import reason
from pip_retry_patch.fetch.judge import is_web_page
from pip_retry_patch.hooks import contents
from pip_retry_patch.names import clean, format_size, short
from pip_retry_patch.wrapping import note_failure

# A file is fetched afresh a second and third time only if no length was told and it was cut.
_FRESH_FETCHES = 3
# So many mirrors may have brought wrong bytes before the file is fetched afresh.
_MOST_MIRRORS = 10


def check(artifact: Any, verify: Any, path: str, mismatch: type[Exception], tell: Any) -> Any:
    """Let pip check the hash of a file. If it does not fit, put others in its place.

    :param artifact: what `files.Artifact` is: one link, and how pip fetches it.
    :param verify: raises `mismatch` if the hash of a file does not fit.
    :param tell: shows one line to the user.
    :raises mismatch: the first one, whatever goes wrong here.
    :raises Exception: made of a Failure: no other source delivers the file, or it has no end.
    """
    try:
        return verify(path)
    except mismatch as error:
        first: Any = error
    seen: list[_Fetch] = []
    try:
        for line in _others(artifact, path, seen):
            with contextlib.suppress(mismatch):
                verified = verify(path)
                if line:
                    tell(line)
                return verified
        # pip shows it at the end, alone or in a list of such errors, by their body().
        evidence, body = _evidence(artifact.name, seen[0], seen[-1]), first.body
        first.body = lambda: body().rstrip("\n") + "\n\n" + evidence
        if seen[-1].is_cut and not seen[-1].then:
            size = format_size(seen[-1].size)
            first = artifact.error(
                wording.failure("no end", name=artifact.name, host=artifact.host, size=size)
            )
    except Exception as error:
        if getattr(error, "failure", None) is not None:
            raise
        note_failure("the hash check", error)
    raise first


def _others(artifact: Any, path: str, seen: list[_Fetch]) -> Iterator[str]:
    """Put one file after another in place, and yield what to tell if it fits.

    :param seen: gets what is known of each file that did not fit.
    """
    for _, size in zip(range(_MOST_MIRRORS), iter(artifact.drop_mirrors, None)):
        artifact.forget()
        artifact.continue_from(path, size)
        if _why_not_fetched(artifact, path, False):
            break
        yield ""
    for fresh in range(1 + _FRESH_FETCHES):
        if fresh:
            artifact.forget()
            seen[-1].then = _why_not_fetched(artifact, path, True)
            if seen[-1].then:
                return
            yield f"{seen[0].came.format(name=short(artifact.name))} Fetched anew, its hash fits."
        seen.append(_Fetch(artifact, path))
        coding = _undo_coding(artifact, path, seen[-1].size)
        if coding:
            yield wording.say("decoded", name=artifact.name, coding=coding, host=artifact.host)
        if fresh and not seen[-1].is_cut:
            break
    artifact.forget()


def _why_not_fetched(artifact: Any, path: str, fresh: bool) -> str:
    """Replace a file by another fetch of it; return why that failed, "" if it did not.

    :raises Exception: made of a Failure, if the fetch was not to be a fresh one.
    """
    try:
        with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
            os.replace(artifact.fetch(folder, fresh=fresh)[0], path)
        return ""
    except Exception as error:
        failure = getattr(error, "failure", None)
        if failure is not None and not fresh:
            raise
        if type(error).__module__ == "builtins" and not isinstance(error, OSError):
            note_failure("another fetch of a file", error)
        return reason(error) if failure is None else str(failure.message)


def _undo_coding(artifact: Any, path: str, size: int) -> str:
    """Put what a compressed file decodes to in its place; return its coding, "" if none."""
    coding: str = artifact.coding or contents.unlabelled_coding(path)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        decoded = os.path.join(folder, "decoded")
        try:
            with open(decoded, "wb") as file:
                file.writelines(contents.decode(path, coding, 20 * size + 10_000_000))
            os.replace(decoded, path)
        except (EOFError, ImportError, OSError, ValueError):
            return ""
    return coding


# How a file begins, by the end of its name.
_BEGINNINGS = {".whl": b"PK", ".zip": b"PK", ".egg": b"PK", ".metadata": b"Metadata-Version:"}
_BEGINNINGS.update({".gz": b"\x1f\x8b", ".tgz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ"})


class _Fetch:
    """What is known of a file that did not fit.

    `oddity` is a key of _REMEDIES, or "". `came` is how it came, for whatever comes next. `then` is
    why nothing came next.
    """

    def __init__(self, artifact: Any, path: str) -> None:
        with open(path, "rb") as file:
            start = file.read(512)
        self.digest, self.size = contents.digest(path, "sha256"), os.path.getsize(path)
        self.host = clean(artifact.host)
        media, coding, announced = artifact.media, artifact.coding, artifact.announced
        begins = _BEGINNINGS.get(os.path.splitext(artifact.name)[1])
        page = is_web_page(media, start)
        of_its_kind = not page if begins is None else start.startswith(begins)
        oddities = {
            "part": artifact.part,
            "empty": not self.size,
            "web page": page and not of_its_kind,
            "compressed": coding,
            "other kind": not of_its_kind,
            "cut": not contents.has_end(path),
        }
        self.oddity = next((oddity for oddity, is_so in oddities.items() if is_so), "")
        self.is_cut = self.oddity == "cut" and announced is None and not artifact.cached

        kept, of, whole, self.then = artifact.continued, "", "", ""
        how = "kept" if kept is not None else "cached" if artifact.cached else self.oddity
        self.came = _CAME.get(how, _DAMAGED)
        place = "pip's cache" if artifact.cached else self.host
        if kept is not None:
            place += f" (the first {format_size(kept)} in an earlier run)"
        if media and not of_its_kind:
            of = f" of {clean(media, 40)}"
        elif announced is not None:
            of = f" of {format_size(announced)}"
            whole = ", complete" if self.size == announced else ", NOT complete"
        compressed = f", compressed ({clean(coding, 20)})" if coding else ""
        self.shown = f"{format_size(self.size)}{of} from {place}{whole}{compressed}"


def _evidence(name: str, first: _Fetch, last: _Fetch) -> str:
    """Return what to add to pip's mismatch: what came, and the one remedy that follows."""
    remedy = last.oddity
    if last.then and remedy not in ("part", "empty", "web page"):
        remedy = "failed"
    elif not remedy and first.digest == last.digest:
        remedy = "same metadata" if name.endswith(".metadata") else "same"
    elif not remedy:
        remedy = "different" if first.came == _DAMAGED else "not as before"
    words = {"host": last.host, "package": short(name.partition(".metadata")[0]), "later": _LATER}
    words["before"] = first.came.format(name="the file")
    told = textwrap.wrap(_REMEDIES[remedy].format(**words), 78, break_on_hyphens=False)
    second = f"failed: {clean(last.then)}" if last.then else last.shown
    shown = [f"first fetch:  {first.shown}", f"second fetch: {second}", *told]
    return "\n  ".join(["pip-retry-patch looked into it:", *shown])


# How the first file came: what is told if the next one fits, and in the evidence if it does not.
_CAME = {
    "kept": "What an earlier run had kept of {name} was removed.",
    "cached": "The copy of {name} in pip's cache was not what the index lists, and was removed.",
    "web page": "A web page came in place of {name}.",
}
_DAMAGED = "{name} was damaged on its way."
_LATER = (
    "Run the same command again later, or in another network. If it stays so, tell those who run "
    "the server, or the proxy before it. Nothing is wrong with the package itself."
)
_REMEDIES = {
    "part": "{host} sent a part of the file only (206), though all of it was asked for. {later}",
    "empty": "What {host} sent is empty. {later}",
    "web page": "{host} sent a web page in place of the file. A network that wants a login first "
    "(hotel, train, airport) does that, or a gateway that blocks the file. Open a web page to log "
    "in to the network, or ask those who run the gateway. {later}",
    "other kind": "What {host} sent is no file of that kind. {later}",
    "cut": "What {host} sent is the beginning of such a file, without its end. {later}",
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
    "not as before": "{before} What the server sent now does not fit either. Run the same command "
    "again: it will show whether the server always sends the same bytes.",
    "different": "Each fetch brought different bytes: something between you and the server damages "
    "them. That may be a proxy, an antivirus program, a router, or the disk or memory of this "
    "machine. Try another network, or another machine.",
}
