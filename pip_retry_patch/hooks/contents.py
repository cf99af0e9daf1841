"""What a file is, by its bytes: whether it is of its kind, and has its end.

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
from typing import Any

from pip_retry_patch import names, wording
from pip_retry_patch.fetch.judge import coding_of, is_web_page, media_of
from pip_retry_patch.fetch.pages import title_of
from pip_retry_patch.fetch.patience import LOOK_BYTES, LOOK_SECONDS
from pip_retry_patch.fetch.request import Outcome

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

    If no Content-Length has told how long it is, it may have been cut, and pip would end in a
    traceback as it unpacks it.

    :param outcome: the answer that brought it.
    """
    flaw = flaw_of(path, to_its_end=outcome.length is None)
    if not flaw:
        return None
    facts: dict[str, Any] = {"name": name, "host": outcome.peer.host}
    headers = outcome.response.headers
    if flaw == WEB_PAGE:
        title = wording.titled(title_of(start_of(path)))
        return wording.failure("web page for file", title=title, **facts)
    media, coding = media_of(headers), coding_of(headers)
    shown = names.format_size(os.path.getsize(path))
    shown += f" of {names.clean(media, 40)}" if media else ""
    shown += f", encoded as {names.clean(coding, 20)}" if coding else ""
    return wording.failure("not the file", flaw=flaw, shown=shown, **facts)
