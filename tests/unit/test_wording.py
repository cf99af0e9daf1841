"""All that a user reads, word for word: words.txt has it in the order of the tables.

It is read by people, so a change of a word is made there as well, and read again. With
PIP_RETRY_PATCH_TEST_WRITE_WORDS=1 the file is written anew. No text from elsewhere brings a secret.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

import pytest

from pip_retry_patch import names, settings, wording
from pip_retry_patch.fetch import errors, pages
from pip_retry_patch.records import replace
from pip_retry_patch.wording import Peer, Place, failure, say, tried

NAME = "demo-1.0-py3-none-any.whl"
PLACE = Place(NAME, "files.example", 22_800_000, 44_700_000)
HOST = Peer("h.example")
BY_PROXY = "proxy.example:3128"
PROXIED = Peer("h.example", BY_PROXY)
FAILED = replace(PROXIED, is_proxy=True)
# Whatever a line or an error may have in it.
FACTS: dict[str, Any] = {
    **{"place": PLACE, "peer": HOST, "name": NAME, "host": "h.example", "count": 12},
    **{"why": wording.answered(503, 30.0), "trouble": "the certificate was refused", "status": 403},
    **{"index": "https://i.example/", "pause": ", waited 41 s", "twice": "123 kB", "seconds": 30.0},
    **{"said": "44.7 MB", "coding": "gzip", "left": "up to 7 more times", "project": "demo"},
    **{"places": "j.example", "age": "25.0 hours", "mirror": "https://m.example/"},
    **{"so_far": " after 22.8 MB", "mirrors": "https://m.example/", "size": "1.2 kB"},
    **{"key": "retry-patch-patience", "wanted": "a number of seconds", "value": "soon"},
    **{"default": "120", "meant": " Did you mean retry-patch-patience?", "path": "/mnt/x"},
    **{"title": ' ("Sign in")', "whence": " from login.example"},
    **{"often": ", 4 times so far", "any_more": " any more", "now": "2026-01-02 03:04"},
    **{"last": " (last: closed early)", "where": "http://["},
    **{"flaw": "damaged", "shown": "1.8 kB of text/plain", "tried": tried(3, 41.3)},
    **{"intended": "https://j.example/", "came": "demo-1.0 was damaged on its way"},
}
WORDS = Path(__file__).parent / "words.txt"


def texts(facts: dict[str, Any]) -> list[str]:
    lines = [f"{kind}: {say(kind, **facts)}" for kind in wording._LINES]
    return lines + [f"{kind}:\n{error}" for kind, error in failures(facts).items()]


def failures(facts: dict[str, Any]) -> dict[str, wording.Failure]:
    found = {}
    for kind in wording._FAILURES:
        peer = FAILED if kind.startswith("proxy") else HOST
        found[kind] = failure(kind, **{**facts, "peer": peer})
    return found


def test_what_a_user_reads_is_what_somebody_has_read() -> None:
    found = "\n\n".join(texts(FACTS)) + "\n"
    if os.environ.get("PIP_RETRY_PATCH_TEST_WRITE_WORDS"):
        WORDS.write_text(found, encoding="ascii")
    assert found == WORDS.read_text(encoding="ascii")


def test_all_of_it_is_plain_ascii_whatever_the_network_said() -> None:
    evil = "\x1b[31m\u202e\r\n" + "x" * 10_000
    told = [name for name, fact in FACTS.items() if isinstance(fact, str) and name != "age"]
    for text in texts({**FACTS, **dict.fromkeys(told, evil)}):
        assert text.isascii() and "\x1b" not in text, text
        assert len(text) < 2000 and "\r" not in text


@pytest.mark.parametrize(
    ("offset", "total", "expected"),
    [
        (22_800_000, 44_700_000, "22.8 of 44.7 MB"),
        (900_000, 44_700_000, "900 kB of 44.7 MB"),
        (22_800_000, None, "22.8 MB"),
    ],
)
def test_a_place_has_a_unit_once(offset: int, total: int | None, expected: str) -> None:
    assert replace(PLACE, offset=offset, total=total).briefly == expected


@pytest.mark.parametrize(
    ("peer", "said", "via"),
    [
        (HOST, "h.example", ""),
        (PROXIED, "h.example", f" through the proxy {BY_PROXY}"),
        (FAILED, f"The proxy {BY_PROXY}", " on the way to h.example"),
    ],
)
def test_who_failed_is_named(peer: Peer, said: str, via: str) -> None:
    assert (str(peer), peer.via) == (said, via)


def test_only_another_version_is_begun_anew() -> None:
    assert [kind for kind, error in failures(FACTS).items() if error.changed] == ["changed"]


SECRETS = (
    "https://me:SECRET@h.example/x?signature=SECRET",
    "HTTPSConnectionPool(host='h.example'): cannot read /x-1.0.whl?X-Amz-Signature='SECRET (of x)",
    "//me:SECRET@//you:SECRET@h.example/x",
    "see 'https://me:" + "SECRET" * 1000 + "@h.example/x'",
)
# Whatever takes a text or a URL from elsewhere.
SOURCES: dict[str, Callable[[str], Any]] = {
    "foreign": names.foreign,
    "redacted": names.redacted,
    "an error": lambda text: errors.reason(ValueError(text)),
    "an error of the system": lambda text: errors.reason(OSError(5, text)),
    "a proxy": lambda text: errors.reason(OSError(f"Tunnel connection failed: 502 {text}")),
    "a title": lambda text: pages.title_of(f"<title>{text}</title>".encode()),
    "a setting": lambda text: settings.read({"global.retry-patch-patience": text}.items()),
    "an error of a file": lambda text: wording.of_system(OSError(text)),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_no_text_from_elsewhere_brings_a_secret(source: Callable[[str], Any]) -> None:
    for text in SECRETS:
        found = source(text)
        shown = found.complaints if hasattr(found, "complaints") else found
        assert "SECRET" not in str(shown), text


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://me:SECRET@h.example/a/x-1.0.tar.gz?k=SECRET", "x-1.0.tar.gz"),
        ("https://h.example/simple/x/?k=SECRET", "the page https://h.example/simple/x/"),
        ("https://h.example/http://me:SECRET@i/", "the page https://h.example/http://i/"),
    ],
)
def test_a_name_has_neither_credentials_nor_a_query(url: str, name: str) -> None:
    assert (names.name_of(url), names.host_of(url)) == (name, "h.example")
    assert "SECRET" not in names.redacted(url)
