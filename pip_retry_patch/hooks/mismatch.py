"""Whether a file is the one that was asked for, and what is done about one that is not.

Before anyone is accused, a file that does not fit its hash is decoded, and fetched once more past
every cache, without what mirrors brought. If it never fits, pip's own error stands, with evidence:
what came, from where, and the one remedy that follows.

This check fails closed. Only pip's verification of the very file in place can accept a file.

To look into a file has a budget. If the budget is exceeded, or a module of Python is missing, the
answer is "not known", and nothing is called broken for that.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import shutil
import tarfile
import tempfile
import textwrap
import time
import zipfile
from types import SimpleNamespace
from typing import Any, Iterator

from pip_retry_patch import wording
from pip_retry_patch.fetch.errors import EarlyEnd, reason
from pip_retry_patch.fetch.judge import coding_of, is_web_page, media_of
from pip_retry_patch.fetch.pages import title_of
from pip_retry_patch.fetch.patience import DECODED, DECODED_MORE, LOOK_BYTES, LOOK_SECONDS
from pip_retry_patch.fetch.request import Outcome
from pip_retry_patch.names import clean, format_size, short
from pip_retry_patch.wrapping import note_failure

# By the end of a name: how such an archive begins, and what opens one of tar, as pip does.
_KINDS = {
    **dict.fromkeys((".whl", ".zip"), (b"PK", "")),
    **dict.fromkeys((".tar.gz", ".tgz"), (b"\x1f\x8b", "gzip")),
    ".tar.bz2": (b"BZh", "bz2"),
    ".tar.xz": (b"\xfd7zXZ", "lzma"),
    ".tar": (b"", "io"),
}

# What may be wrong with a file, in words.
EMPTY, OTHER_KIND, DAMAGED = "empty", "no file of that kind", "damaged"
CUT, WEB_PAGE = "the beginning of such a file, without its end", "a web page"


def digest(path: str, algorithm: str) -> str:
    """Return the hexadecimal digest of a file."""
    made = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            made.update(piece)
    return made.hexdigest()


def start_of(path: str) -> bytes:
    """Return the first bytes of a file, in which metadata has its name."""
    with open(path, "rb") as file:
        return file.read(1 << 16)


def flaw_of(path: str, media: str = "", to_its_end: bool = True) -> str:
    """Return what is wrong with a file of that name, as far as is known; "" if nothing is.

    :param media: its media type, which says what it is if its bytes do not.
    :param to_its_end: an archive is read to its end.
    """
    start = start_of(path)
    if not start or zipfile.is_zipfile(path):  # pip looks into a file whose name does not help
        return "" if start else EMPTY
    if is_web_page("", start):
        return WEB_PAGE
    flaw = ""
    begins, opener = next((kind for end, kind in _KINDS.items() if path.endswith(end)), (b"", ""))
    if path.endswith(".metadata"):
        flaw = "" if b"\nname:" in b"\n" + start.lower() else OTHER_KIND
    elif opener:
        flaw = _flaw_of_tar(path, opener, to_its_end)
    elif begins:
        flaw = CUT  # its index stands at its end
    if flaw and not start.startswith(begins):
        flaw = OTHER_KIND
    return WEB_PAGE if flaw == OTHER_KIND and is_web_page(media) else flaw


def _flaw_of_tar(path: str, opener: str, to_its_end: bool) -> str:
    """Return why tarfile, and so pip, cannot read an archive, or its beginning."""
    until = time.monotonic() + LOOK_SECONDS

    def read(size: int) -> Any:
        if content.tell() > LOOK_BYTES or time.monotonic() > until:
            raise TimeoutError("enough was read")
        return content.read(size)

    try:
        with importlib.import_module(opener).open(path, "rb") as content:
            # Block by block: tarfile does not read what stands behind the last one, nor does pip.
            blocks: Any = SimpleNamespace(read=read)
            with tarfile.open(fileobj=blocks, mode="r|", bufsize=512) as archive:
                while to_its_end and archive.next():
                    pass
        return ""
    except (ImportError, MemoryError, TimeoutError):
        return ""
    except EOFError:
        return CUT
    except Exception:  # of tarfile, zlib or lzma
        return DAMAGED


def not_the_file(name: str, path: str, outcome: Outcome) -> wording.Failure | None:
    """Return what is said of a file that no hash is known of and that pip cannot use in any way.

    If no Content-Length has told how long it is, or pip's cache had it, it may have been cut, and
    pip would end in a traceback as it unpacks it.

    :param outcome: the answer that brought it.
    """
    flaw = flaw_of(path, to_its_end=outcome.length is None or outcome.is_cached)
    if not flaw:
        return None
    facts: dict[str, Any] = {"name": name, "host": outcome.peer.host}
    headers = outcome.response.headers
    if flaw == WEB_PAGE:
        return wording.failure("web page for file", title=title_of(start_of(path)), **facts)
    media, coding = media_of(headers), coding_of(headers)
    shown = format_size(os.path.getsize(path))
    shown += f" of {clean(media, 40)}" if media else ""
    shown += f", encoded as {clean(coding, 20)}" if coding else ""
    return wording.failure("not the file", flaw=flaw, shown=shown, **facts)


# A file that does not fit its hash.


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
        came = _Fetch(artifact, path)
        fetches.append(came)
        if _decode(path, came):
            facts = {"coding": came.coding or "gzip", "host": came.host}
            yield wording.say("decoded", name=artifact.name, **facts)
        mirrors = artifact.distrust()  # each of them once: there may be another one
        artifact.forget()
        if len(fetches) > 1 and not mirrors:
            if not came.is_joined:  # a host may send other parts than it says
                return
            artifact.parts = False
        try:
            with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
                # From the store it may come to another file system.
                shutil.move(artifact.fetch(folder, fresh=True)[0], path)
        except Exception as error:
            failure = getattr(error, "failure", None)
            is_ours = type(error).__module__ == "builtins" and not isinstance(error, OSError)
            if is_ours or (failure is not None and mirrors):
                raise
            came.then = reason(error) if failure is None else str(failure.message)
            return
        how = fetches[0].came.format(name=short(artifact.name))
        line = wording.say("fetched anew", came=how, shown=fetches[0].shown)
        yield "" if mirrors else line


def _decode(path: str, fetch: _Fetch) -> bool:
    """Put what a compressed file decodes to in its place; return whether that worked.

    It may be compressed though nobody said so. To decode it has a budget.
    """
    if not fetch.coding and fetch.flaw != OTHER_KIND:
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

    `flaw` is what `flaw_of` finds. `came` is how it came, for whatever comes next. `then` is why
    nothing came next. `is_joined`: of parts, which an answer brought.
    """

    def __init__(self, artifact: Any, path: str) -> None:
        outcome, body, self.then = artifact.outcome, artifact.body, ""
        kept = None if body is None else body.continued
        self.is_joined = body is not None and body.joined
        headers, announced = outcome.response.headers, outcome.length
        cached = outcome.is_cached
        media, self.coding = media_of(headers), coding_of(headers)
        self.host = outcome.peer.host
        self.digest, self.size = digest(path, "sha256"), os.path.getsize(path)
        self.flaw = flaw_of(path, media)
        self.is_cut = self.flaw == CUT and announced is None and not cached
        how = "kept" if kept is not None else "cached" if cached else self.flaw
        self.came = _CAME.get(how, _CAME[""])

        place, of, whole = "pip's cache" if cached else self.host, "", ""
        if kept is not None:
            place += f" (the first {format_size(kept)} in an earlier run)"
        if media and self.flaw in (WEB_PAGE, OTHER_KIND):
            of = f" of {clean(media, 40)}"
        elif announced is not None:
            of = f" of {format_size(announced)}"
            whole = ", complete" if self.size == announced else ", NOT complete"
        if self.is_joined:
            whole += ", joined of parts"
        coded = f", compressed ({clean(self.coding, 20)})" if self.coding else ""
        self.shown = f"{format_size(self.size)}{of} from {place}{whole}{coded}"


def _evidence(name: str, first: _Fetch, last: _Fetch) -> str:
    """Return what to add to pip's mismatch: what came, and the one remedy that follows."""
    is_same, is_empty = first.digest == last.digest, last.flaw == EMPTY
    remedies = {
        "web page": last.flaw == WEB_PAGE,
        "failed": last.then and not is_empty,
        "compressed": last.coding and not is_empty,
        "not the file": last.flaw not in ("", DAMAGED),
        "same metadata": is_same and name.endswith(".metadata"),
        "same": is_same,
    }
    text = _REMEDIES[next((remedy for remedy, fits in remedies.items() if fits), "different")]
    package = short(name.partition(".metadata")[0])
    told = text.format(host=last.host, package=package, flaw=last.flaw)
    second = f"failed: {clean(last.then)}" if last.then else last.shown
    shown = [f"first fetch:  {first.shown}", f"second fetch: {second}"]
    shown += textwrap.wrap(told, 78, break_on_hyphens=False)
    return "\n  ".join(["pip-retry-patch looked into it:", *shown])


# How the first file came: what is told if the next one fits.
_CAME = {
    "kept": "What an earlier run had kept of {name} was removed",
    "cached": "The copy of {name} in pip's cache was not what the index lists, and was removed",
    WEB_PAGE: "A web page came in place of {name}",
    "": "{name} was damaged on its way",
}
_REMEDIES = {
    "not the file": "What {host} sent is {flaw}. Run the same command again later, or in another "
    "network. If it stays so, tell those who run the server, or the proxy before it. Nothing is "
    "wrong with the package itself.",
    "web page": "{host} sent a web page in place of the file. "
    f"{wording.GATEWAY} {wording.LOG_IN}",
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
