"""Whether a page that was read in one piece is whole, and is one of an index at all.

A page that is cut in a way that its framing cannot show would be read as a shorter page: with fewer
versions on it, or with none. So would a login page.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pip_retry_patch import names, odd_answers
from pip_retry_patch.policy.representation import coding_of, is_web_page, media_of

# urllib3's GzipDecoder, after what follows a whole stream proved to be no stream.
_SWALLOW_DATA = 2


def is_cut(response: Any) -> bool:
    """Whether the body of a response of requests, which was read, ends before its end."""
    raw, content, media = response.raw, response.content, media_of(response.headers)
    if response.status_code not in (200, 206) or not content:
        return False
    if raw.headers.get("content-encoding") and _is_open(getattr(raw, "_decoder", None)):
        return True
    framed = "content-length" in raw.headers or "transfer-encoding" in raw.headers
    if framed and response.status_code == 200:
        # A proxy may have cut it and made its length anew. Of JSON that can be told, and whoever
        # reads it cannot read it then. What ends as an object is not read twice.
        return (
            media.endswith("+json")
            and content[-64:].rstrip()[-1:] != b"}"
            and not _ends(media, content)
        )
    return not _ends(media, content)


# What pip takes for a file, by the end of its name; the commonest first.
_FILES = tuple(end.encode() for end in (".whl", *names.SDISTS, ".tar", ".egg"))


def names_files(content: bytes) -> bool:
    """Whether a page names anything that pip could take for a file."""
    return any(ending in content for ending in _FILES)


def is_kept(response: Any) -> bool:
    """Whether pip's HTTP cache had a part in an answer: as itself, or as a redirect to it.

    A permanent redirect is kept for ever, also that of a network which wanted a login, or to a host
    that is no more.
    """
    return any(getattr(each, "from_cache", False) for each in (*response.history, response))


# What no page of an index has, and pages for people have. They are the larger, but not here.
_FOR_PEOPLE = (b"<form", b"<input", b"<script", b"<iframe", b'http-equiv="refresh')
_START = 1 << 16


def title_of(content: bytes) -> str:
    """Return what a web page calls itself, "" if that cannot be shown."""
    found = re.search(rb"<title[^>]*>([^<]*)", content[:_START], re.IGNORECASE)
    title = " ".join(found[1].decode("utf-8", "replace").split()) if found else ""
    return title if title.isascii() else ""


def is_for_people(content: bytes) -> bool:
    """Whether a page is one to look at and to fill in."""
    start = content[:_START].lower()
    return any(mark in start for mark in _FOR_PEOPLE)


def is_login(content: bytes, url: str, asked: str, project: str) -> bool:
    """Whether something else than an index answers, by a page that came from `url`.

    Some indexes show a page for people where they have no project. It comes from themselves, and
    asks for no password.
    """
    moved = names.host_of(url) != names.host_of(asked)
    asks = moved or b"password" in content[:_START].lower()
    return asks and not _lists(content, project) and is_for_people(content)


def _lists(content: bytes, project: str) -> bool:
    """Whether a page may list a file of a project, by what stands anywhere in it."""
    name = re.split("[-_.]", project.lower())[0].encode()
    return names_files(content) and (name in content or name in content.lower())


def oddity(content: bytes, media: str, url: str, asked: str, project: str) -> str:
    """Return why a page of an index may not be what that has, in words; "" for most pages.

    :param url: where it came from in the end. `asked`: where it was asked for.
    """
    # A page for people may have something for them to download.
    if not _lists(content, project) and is_for_people(content):
        host = names.host_of(url)
        moved = host if host != names.host_of(asked) else ""
        return odd_answers.for_people(title_of(content), moved, project)
    if not names_files(content):
        if content.strip():
            return odd_answers.names_no_file(title_of(content))
        return odd_answers.CAME_EMPTY
    if media.endswith("html"):
        if content[:64].lstrip().startswith(b"{"):
            return odd_answers.IS_JSON
        if not _ends("", content):
            return odd_answers.HAS_NO_END
    return ""


def undecoded(response: Any) -> str:
    """Return the Content-Encoding of a page that urllib3 could not decode; "" for all else.

    What is text in spite of such a label is read as text, as ever.
    """
    coding = coding_of(response.headers)
    if not coding or getattr(response.raw, "_decoder", "") is not None:
        return ""
    content = response.content
    if names_files(content):
        return ""
    try:
        return coding if "\0" in content.decode("utf-8") else ""
    except UnicodeDecodeError:
        return coding


def _is_open(decoder: Any) -> bool:
    """Whether urllib3's decoder waits for more: no end of a gzip stream came (RFC 1952), say."""
    if hasattr(decoder, "_decoders"):
        return any(map(_is_open, decoder._decoders))
    if getattr(decoder, "_state", None) == _SWALLOW_DATA:
        return False
    stream: Any = getattr(decoder, "_obj", None)
    if hasattr(stream, "is_finished"):  # brotli
        return not stream.is_finished()
    return getattr(stream, "eof", True) is False


def _ends(media: str, content: bytes) -> bool:
    """Whether a page that ends with its connection ends as what it began as."""
    if media == "application/json" or media.endswith("+json"):
        try:
            json.loads(content)
        except ValueError:
            return False
        except RecursionError:
            pass  # what nests so deep is pip's to judge
        return True
    start = content[:512].lower()
    if is_web_page("", start) and b"<html" in start:
        # What follows may be a comment: PyPI writes its serial number there.
        return b"</html" in content[-1024:].lower()
    return True
