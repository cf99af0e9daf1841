"""What a file is, by its bytes: whether it is of its kind, has its end, and was compressed."""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Iterator

from pip_retry_patch import failures, names, odd_answers
from pip_retry_patch.policy.representation import is_web_page
from pip_retry_patch.transport.pages import title_of

_ZIPPED = (".whl", ".zip", ".egg")
_GZIPPED = (".tar.gz", ".tgz")
_TARRED = (".tar", *(ending for ending in names.SDISTS if ending not in _ZIPPED))
# What pip must unpack, by the end of its name.
_ARCHIVES = (".whl", ".tar", *names.SDISTS)
_GZIP = b"\x1f\x8b"

# Content-Encodings that can be undone here.
_CODINGS = frozenset(["gzip", "x-gzip", "deflate"])


def not_the_file(
    path: str, name: str, host: str, media: str, coding: str, whole: bool
) -> failures.Failure | None:
    """Return what is said of a file that no hash is known of and that pip cannot use in any way.

    :param media: and `coding`, its media type and its Content-Encoding.
    :param whole: a Content-Length has told how long it is. Otherwise it may have been cut, and
        pip would end in a traceback as it unpacks it.
    """
    is_metadata = path.endswith(".metadata")
    with open(path, "rb") as file:
        start = file.read(-1 if is_metadata else 4096)
    if is_web_page("", start):
        return odd_answers.web_page_for_file(name, host, title_of(start))
    if is_metadata:
        usable = b"\nname:" in b"\n" + start.lower()
    else:
        # pip looks into a file whose name does not help.
        usable = not path.endswith(_ARCHIVES) or zipfile.is_zipfile(path)
        usable = usable or (path.endswith(_TARRED) and _unpacks(path, to_its_end=not whole))
    size = os.path.getsize(path)
    return None if usable else odd_answers.not_of_its_kind(name, host, size, media, coding)


def has_end(path: str) -> bool:
    """Whether an archive is there to its end; True for what is none by its name."""
    if path.endswith(_ZIPPED):
        return zipfile.is_zipfile(path)  # its index stands at its end
    if not path.endswith(_GZIPPED):
        return not path.endswith(_TARRED) or _unpacks(path, to_its_end=True)
    try:
        for _ in decode(path, "gzip"):
            pass
    except zlib.error:
        return False
    return True


def _unpacks(path: str, to_its_end: bool) -> bool:
    """Whether tarfile, and so pip, can read an archive: its beginning, or all of it."""
    try:
        with tarfile.open(path) as archive:
            if to_its_end:
                archive.getmembers()
        return True
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError):
        return False


def can_be_undone(coding: str) -> bool:
    """Whether `decode` knows each coding of a Content-Encoding."""
    return all(each.strip() in _CODINGS for each in coding.split(","))


def unlabelled_coding(path: str) -> str:
    """Return the coding that a file has, though it should have none and nobody said so; or ""."""
    with Path(path).open("rb") as file:
        begins = file.read(len(_GZIP)) == _GZIP
    return "gzip" if begins and not path.endswith(_GZIPPED) else ""


def decode(path: str, coding: str) -> Iterator[bytes]:
    """Yield what a file was before it was compressed (RFC 9110 section 8.4).

    :param coding: the codings in the order in which they were applied, with commas between them.
    :raises zlib.error: it is not compressed so.
    """
    with Path(path).open("rb") as file:
        pieces = iter(lambda: file.read(1 << 20), b"")
        for each in reversed(coding.split(",")):
            pieces = _decoded(pieces, each.strip())
        yield from pieces


def _decoded(pieces: Iterator[bytes], coding: str) -> Iterator[bytes]:
    stream = None
    for piece in pieces:
        if stream is None:
            stream = zlib.decompressobj(_window(piece, coding))
        while piece:
            if stream.eof:
                # Some senders put several streams of gzip one after the other (RFC 1952, 2.2).
                if not piece.startswith(_GZIP):
                    return
                stream = zlib.decompressobj(_window(piece, coding))
            yield stream.decompress(piece, 1 << 22)
            piece = stream.unused_data if stream.eof else stream.unconsumed_tail
    if stream is not None:
        yield stream.flush()
    if stream is None or not stream.eof:
        raise zlib.error("its end is missing")


def _window(start: bytes, coding: str) -> int:
    """Return what zlib wants to be told of the header: whichever there is, or that there is none.

    "deflate" has the header of zlib (RFC 1950), but some senders leave it out.
    """
    zlibs = len(start) > 1 and start[0] & 15 == 8 and int.from_bytes(start[:2], "big") % 31 == 0
    bare = coding == "deflate" and not zlibs and not start.startswith(_GZIP)
    return -zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32
