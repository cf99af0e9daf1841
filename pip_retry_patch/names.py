"""What things are called in a line that a user reads: files, pages, hosts and sizes.

Nothing here lets credentials or a signature through.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit


def clean(text: str, limit: int = 200) -> str:
    """Return `text` as one printable ASCII line of at most `limit` characters.

    What a server sends may hold control characters, terminal escapes or a hundred kilobytes.
    """
    shown = text[: limit + 1]
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(c if " " <= c <= "~" else "?" for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def foreign(text: str) -> str:
    """Return what a server, a user or another program says, without the secrets of URLs in it.

    That is the query and the userinfo. Whatever has a text from elsewhere calls this at once.
    """
    if ("?" in text or "@" in text) and "/" in text:
        text = re.sub(r"\S+", lambda found: _without_secrets(found[0]), text)
    return text


def _without_secrets(word: str) -> str:
    path, mark, query = word.partition("?")
    if mark and "/" in path:
        word = path + query[len(query.rstrip(".,;:)'\"")) :]
    return without_userinfo(word)


def without_userinfo(url: str) -> str:
    """Return a URL without its credentials."""
    # All of them: who pastes a URL behind `https://` has two.
    return re.sub(r"//[^/]*@", "//", url) if "@" in url else url


def format_size(count: int) -> str:
    """Return a number of bytes as pip's progress bar and log lines write it."""
    count = min(count, 10**18)  # a header may announce a number of 400 digits
    if count > 1000 * 1000:
        return f"{count / 1000.0 / 1000:.1f} MB"
    if count > 10 * 1000:
        return f"{count // 1000} kB"
    return f"{count / 1000.0:.1f} kB" if count > 1000 else f"{count} bytes"


def format_sum(count: int) -> str:
    """Return the size of many files, or a limit of it, in the largest unit that fits."""
    if count >= 10**12:
        return f"{count / 10**12:.4g} TB"
    return f"{count / 10**9:.4g} GB" if count >= 10**9 else format_size(count)


@lru_cache(maxsize=16)  # of each URL, many parts of a download ask for it
def host_of(url: str) -> str:
    """Return the host of `url`, with its port but without credentials."""
    return clean(urlsplit(url).netloc.rpartition("@")[2].lower())


@lru_cache(maxsize=16)
def base_of(url: str, bases: tuple[str, ...]) -> str:
    """Return the longest base URL that `url` begins with, whatever credentials either has.

    "" if it begins with none of them.
    """

    def bare(url: str) -> str:
        scheme, _, rest = without_userinfo(url).partition("//")
        host, _, path = rest.partition("/")
        return f"{scheme}//{host.lower()}/{path}".rstrip("/") + "/"

    fitting = (base for base in bases if bare(url).startswith(bare(base)))
    return max(fitting, key=lambda base: len(bare(base)), default="")


def redacted(text: str) -> str:
    """Return what may be a URL without its credentials and its query."""
    text = text.partition("?")[0]
    return without_userinfo(text) if "://" in text else text.rpartition("@")[2]


@lru_cache(maxsize=16)
def name_of(url: str) -> str:
    """Return what a user would call the thing at `url`: a file's name, or an index page.

    Neither credentials nor the query, which may hold a signature, are ever part of it.
    """
    parts = urlsplit(url)
    path = _without_secrets(unquote(parts.path))
    last = path.rstrip("/").rpartition("/")[2]
    if last and not path.endswith("/") and "." in last:
        return clean(last)
    return clean(f"the page {parts.scheme}://{host_of(url)}{path}")


def plain(text: str) -> str:
    """Return `text` with the names of projects in it in one spelling (PEP 503)."""
    return re.sub("[-_.]+", "-", text).lower()


# The ends of the names of sdists, as pip knows them.
SDISTS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")


def short(name: str) -> str:
    """Return what `name_of` returns in the form that fits a line: `scipy-1.14.1`.

    pip itself has shown the whole name of a file by then. Of a page it is host and path.
    """
    if name.startswith("the page "):
        return name.partition("://")[2]
    if name.endswith((".whl", ".whl.metadata")):
        what = " (metadata)" if name.endswith(".metadata") else ""
        return "-".join(name.split("-")[:2]) + what if name.count("-") >= 4 else name
    ending = next((ending for ending in SDISTS if name.endswith(ending)), "")
    return name[: len(name) - len(ending)]
