"""Whether a file that no hash covers can be what its name says.

Where the network spoilt it, pip would find that out as it unpacks the file: by a traceback, or by
words that blame the package.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib

from pip_retry_patch import failures, names, odd_answers
from pip_retry_patch.policy.representation import is_web_page
from pip_retry_patch.transport.pages import title_of

# What pip must unpack, by the end of its name.
_ZIPS = (".whl", ".zip")
_ARCHIVES = (*_ZIPS, ".tar", *names.SDISTS)


def not_the_file(
    path: str, name: str, host: str, media: str, coding: str, whole: bool
) -> failures.Failure | None:
    """Return what is said of a file that pip cannot use in any way; None for all others.

    :param media: and `coding`, its media type and its Content-Encoding.
    :param whole: a Content-Length has told how long it is. Otherwise it may have been cut, and
        nobody knows.
    """
    is_metadata = path.endswith(".metadata")
    with open(path, "rb") as file:
        start = file.read(-1 if is_metadata else 4096)
    if is_web_page("", start):
        return odd_answers.web_page_for_file(name, host, title_of(start))
    if is_metadata:
        usable = b"\nname:" in b"\n" + start.lower()
    else:
        usable = not path.endswith(_ARCHIVES) or _is_archive(path, whole)
    size = os.path.getsize(path)
    return None if usable else odd_answers.not_of_its_kind(name, host, size, media, coding)


def _is_archive(path: str, whole: bool) -> bool:
    """Whether a file begins and ends as an archive does; a zip's index stands at its end."""
    if zipfile.is_zipfile(path):
        return True
    if path.endswith(_ZIPS):
        return False
    try:
        with tarfile.open(path) as archive:
            if not whole:
                archive.getmembers()  # reads all of it
        return True
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError):
        return False
