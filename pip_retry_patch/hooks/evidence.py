"""What is told of a file whose hash did not fit: what came, and the one remedy that follows.

These words stand after pip's own (THESE PACKAGES DO NOT MATCH THE HASHES), or in place of them
where a second fetch brought the right file.
"""

from __future__ import annotations

from pip_retry_patch.hooks.contents import can_be_undone
from pip_retry_patch.names import clean, format_size, short
from pip_retry_patch.policy.representation import is_web_page
from pip_retry_patch.records import NamedTuple

# How an artifact begins, by the end of its name.
_BEGINNINGS = {
    ".whl": b"PK",
    ".zip": b"PK",
    ".egg": b"PK",
    ".tar.gz": b"\x1f\x8b",
    ".tgz": b"\x1f\x8b",
    ".tar.bz2": b"BZh",
    ".tar.xz": b"\xfd7zXZ",
    ".metadata": b"Metadata-Version:",
}


class Fetch(NamedTuple):
    """One fetch of an artifact, as evidence.

    `size` and `announced` are in bytes, `announced` is None without a Content-Length; `digest`
    tells equal files from others. `continued`: so many bytes are from an earlier run. `media` is
    its media type, `coding` its Content-Encoding, `start` its first bytes. `part`: the server said
    that it is a part (206), though all of it was asked for. `has_end`: see contents.has_end.
    """

    name: str
    cached: bool
    host: str
    size: int
    announced: int | None
    digest: str
    continued: int | None = None
    media: str = ""
    coding: str = ""
    start: bytes = b""
    part: bool = False
    has_end: bool = True

    @property
    def is_web_page(self) -> bool:
        return is_web_page(self.media, self.start)

    @property
    def is_of_its_kind(self) -> bool:
        """Whether it begins as a file of that name does."""
        for end, beginning in _BEGINNINGS.items():
            if self.name.endswith(end):
                return self.start.startswith(beginning)
        return not self.is_web_page

    @property
    def is_cut(self) -> bool:
        """Whether the connection ended before the file did, though no length was told."""
        cut = self.announced is None and not self.has_end and not self.cached
        return cut and self.is_of_its_kind and not self.part

    def __str__(self) -> str:
        place = "pip's cache" if self.cached else clean(self.host)
        if self.continued is not None:
            place += f" (the first {format_size(self.continued)} in an earlier run)"
        shown = format_size(self.size)
        if not self.is_of_its_kind and self.media:
            shown += f" of {clean(self.media, 40)} from {place}"
        elif self.announced is None:
            shown += f" from {place}"
        else:
            whole = "complete" if self.size == self.announced else "NOT complete"
            shown += f" of {format_size(self.announced)} from {place}, {whole}"
        return shown + (f", compressed ({clean(self.coding, 20)})" if self.coding else "")


def evidence(first: Fetch, second: Fetch | None, trouble: str = "") -> str:
    """What to add to pip's hash mismatch: what was seen, and the remedy that follows from it.

    :param second: the fresh fetch, None if there was none, because of `trouble`.
    """
    seen = [f"  first fetch:  {first}"]
    if second is None:
        seen.append(f"  second fetch: failed: {clean(trouble)}")
    else:
        seen.append(f"  second fetch: {second}")
    return "\n".join(["pip-retry-patch looked into it:", *seen, *_remedy(first, second)])


def _remedy(first: Fetch, second: Fetch | None) -> list[str]:
    last = second or first
    host = clean(last.host)
    if last.part:
        return [
            f"  {host} sent a part of the file only (206), though all of it was",
            "  asked for. Run the same command again later. If it stays so, tell those who run",
            "  the server, or the proxy before it. Nothing is wrong with the package itself.",
        ]
    if not last.size:
        return [
            f"  What {host} sent is empty. Run the same command again later. If it",
            "  stays so, tell those who run the server, or the proxy before it. Nothing is wrong",
            "  with the package itself.",
        ]
    if last.is_web_page:
        return [
            f"  {host} sent a web page in place of the file. A network that wants a",
            "  login first (hotel, train, airport) does that, or a gateway that blocks the",
            "  file. Open a web page to log in to the network, or ask those who run the",
            "  gateway. Then run the same command again. Nothing is wrong with the package",
            "  itself.",
        ]
    if second is None:
        return [
            "  So it is not known whether the file was damaged on its way. Run the same",
            "  command again when the connection is better.",
        ]
    if second.coding and not can_be_undone(second.coding):
        return [
            f"  Something between you and {host} encodes the file in a way that",
            "  nobody had asked for and that pip cannot undo. Try another network, or ask those",
            "  who run the proxy or the index.",
        ]
    if second.coding:
        return [
            f"  Something between you and {host} compresses the file, though nobody",
            "  asked for that, and what it decodes to does not fit either. Try another",
            "  network, or ask those who run the proxy or the index.",
        ]
    if not second.is_of_its_kind:
        return [
            f"  What {host} sent is no file of that kind. Something between you and the",
            "  server may answer in its place. Try another network, or ask those who run the",
            "  proxy or the index.",
        ]
    if not second.has_end and not second.coding:
        return [
            f"  What {host} sent is the beginning of such a file, without its end. The",
            "  server may have no more of it, or a proxy or an antivirus program before it.",
            "  Nothing was replaced. Try another network, or ask those who run the proxy or the",
            "  index.",
        ]
    if first.digest == second.digest:
        return [
            "  Both brought the same bytes, so nothing was damaged on the way: this is another",
            "  file than the one whose hash is listed. Do not work around this, the file may have",
            "  been replaced. If the hash is in your requirements file, compare it with a source",
            "  that you trust, and make it anew with 'pip hash'. If the index lists it, ask those",
            f"  who run the index, or the authors of the package ({host}).",
        ]
    if first.continued is not None or first.cached:
        was = "The file in pip's cache was another one, and was removed."
        if first.continued is not None:
            was = "What an earlier run had kept of the file was removed."
        return [
            f"  {was} What the server sent",
            "  now does not fit either. Run the same command again: it will show whether the",
            "  server always sends the same bytes, or whether something on the way damages",
            "  them.",
        ]
    if first.is_web_page:
        return [
            "  First a web page came in place of the file, and then another file than the one",
            "  whose hash is listed. Run the same command again: it will show whether the",
            "  server always sends the same bytes.",
        ]
    return [
        "  Each fetch brought different bytes: something between you and the server damages",
        "  them. That may be a proxy, an antivirus program, a router, or the disk or memory of",
        "  this machine. Try another network, or another machine.",
    ]


def healed(name: str, first: Fetch) -> str:
    """A file whose hash did not fit was fetched once more, and now it fits."""
    name = short(name)
    if first.continued is not None:
        return (
            f"{name} did not fit its hash: what an earlier run had kept of it was damaged or out "
            "of date. It was removed, and the file fetched from the start: now its hash fits."
        )
    if first.cached:
        return (
            f"{name} in pip's cache was not what the index lists (damaged or out of date). "
            "It was removed from the cache and fetched: now its hash fits."
        )
    if first.is_web_page:
        return f"A web page came in place of {name}. Fetched once more, its hash fits."
    return f"{name} was damaged on its way: its hash did not fit. Fetched once more, it fits."
