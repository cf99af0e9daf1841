"""What a file is, by its bytes: whether it is of its kind, has its end, and was compressed.

To look into a file has a budget. If the budget is exceeded, or a module of Python is missing, the
answer is "not known", and nothing is called broken for that.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import tarfile
import time
import zipfile
from types import SimpleNamespace
from typing import Any, Iterator

from pip_retry_patch import names, wording
from pip_retry_patch.fetch.judge import is_web_page
from pip_retry_patch.fetch.pages import title_of

_ZIPPED = (".whl", ".zip")
_TARRED = (".tar", *(ending for ending in names.SDISTS if ending not in _ZIPPED))
_GZIP = b"\x1f\x8b"
# How a compressed file begins, and the module that opens it. The last is an older format of xz.
_OPENERS = {_GZIP: "gzip", b"BZh": "bz2", b"\xfd7zXZ": "lzma", b"\x5d\0\0": "lzma"}

# The budget of one look into an archive. The bytes are counted as they were before compression.
_LOOK_SECONDS, _LOOK_BYTES = 2.0, 64 << 20


def digest(path: str, algorithm: str) -> str:
    """Return the hexadecimal digest of a file."""
    made = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            made.update(piece)
    return made.hexdigest()


def not_the_file(path: str, artifact: Any) -> wording.Failure | None:
    """Return what is said of a file that no hash is known of and that pip cannot use in any way.

    If no Content-Length has told how long it is, it may have been cut, and pip would end in a
    traceback as it unpacks it.

    :param artifact: what `artifact.Artifact` is: the link that the file was fetched from.
    """
    name, host, media, coding = artifact.name, artifact.host, artifact.media, artifact.coding
    is_metadata = path.endswith(".metadata")
    with open(path, "rb") as file:
        start = file.read(_LOOK_BYTES if is_metadata else 4096)
    if is_web_page("", start):
        title = wording.titled(title_of(start))
        return wording.failure("web page for file", name=name, host=host, title=title)
    if is_metadata:
        usable = b"\nname:" in b"\n" + start.lower()
    else:
        # pip looks into a file whose name does not help.
        usable = not path.endswith((*_ZIPPED, *_TARRED)) or zipfile.is_zipfile(path)
        usable = usable or (
            path.endswith(_TARRED) and not _defect(path, to_its_end=artifact.announced is None)
        )
    size = os.path.getsize(path)
    if usable:
        return None
    kind = "whole wheel" if name.endswith(".whl") else "whole archive"
    kind = "metadata of a wheel" if is_metadata else kind
    shown = names.format_size(size) + (f" of {names.clean(media, 40)}" if media else "")
    shown += f", encoded as {names.clean(coding, 20)}" if coding else ""
    return wording.failure("not of its kind", name=name, host=host, kind_=kind, shown=shown)


def has_end(path: str) -> bool:
    """Return False if a file is an archive, by its name, whose end is missing; else True."""
    if path.endswith(_ZIPPED):
        return zipfile.is_zipfile(path)  # its index stands at its end
    return not path.endswith(_TARRED) or _defect(path, to_its_end=True) != "cut"


def _defect(path: str, to_its_end: bool) -> str:
    """Return why tarfile, and so pip, cannot read an archive, or its beginning; "" if not known."""
    with open(path, "rb") as file:
        start = file.read(6)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), "io")
    try:
        with importlib.import_module(opener).open(path, "rb") as content:
            bounded = _bounded(content, _LOOK_BYTES, _LOOK_SECONDS)
            # Block by block: tarfile does not read what stands behind the last one, nor does pip.
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=512) as archive:
                while to_its_end and archive.next():
                    pass
    except EOFError:
        return "cut"
    except (tarfile.TarError, OSError):
        return "damaged"
    except (ImportError, MemoryError, ValueError):
        pass
    return ""


def _bounded(file: Any, most: int, seconds: float = 120.0) -> Any:
    """Return something to read a file through that raises ValueError beyond a budget."""
    until = time.monotonic() + seconds

    def read(size: int) -> Any:
        if file.tell() > most or time.monotonic() > until:
            raise ValueError("the budget is exceeded")
        try:
            return file.read(size)
        except Exception as error:
            if type(error).__module__ in ("zlib", "_lzma"):
                raise OSError("it is damaged") from error
            raise

    return SimpleNamespace(read=read)


def unlabelled_coding(path: str) -> str:
    """Return the coding that a file has, though it should have none and nobody said so; or ""."""
    with open(path, "rb") as file:
        begins = file.read(len(_GZIP)) == _GZIP
    return "gzip" if begins and not path.endswith((".gz", ".tgz")) else ""


def decode(path: str, coding: str, budget: int) -> Iterator[bytes]:
    """Yield what a file was before it was compressed (RFC 9110 section 8.4).

    :param coding: gzip, at most twice.
    :param budget: how many bytes each of its codings may decode to.
    :raises EOFError, OSError, ValueError: it was cut, is not compressed so, or decodes to more.
    :raises ImportError: Python has no zlib.
    """
    import gzip

    if coding.replace(" ", "").replace("x-", "") not in ("gzip", "gzip,gzip"):
        raise ValueError("it is not compressed so")
    with open(path, "rb") as file:
        content: Any = file
        for _ in coding.split(","):
            content = _bounded(gzip.GzipFile(fileobj=content, mode="rb"), budget)
        yield from iter(lambda: content.read(1 << 20), b"")
