"""All that a user reads, word for word: words.txt has it in the order of the tables.

It is read by people, so a change of a word is made there as well, and read again. With
PIP_RETRY_PATCH_TEST_WRITE_WORDS=1 the file is written anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pip_retry_patch import wording
from pip_retry_patch.records import replace
from pip_retry_patch.wording import Peer, Place, Tried, failure, say

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
    **{"places": "j.example", "age": wording.format_age(90_000), "mirror": "https://m.example/"},
    **{"so_far": " after 22.8 MB", "mirrors": "https://m.example/", "size": "1.2 kB"},
    **{"key": "retry-patch-patience", "wanted": "a number of seconds", "value": "soon"},
    **{"default": "120", "meant": " Did you mean retry-patch-patience?", "path": "/mnt/x"},
    **{"title": wording.titled("Sign in"), "whence": " from login.example"},
    **{"often": ", 4 times so far", "any_more": " any more", "now": "2026-01-02 03:04"},
    **{"last": " (last: closed early)", "where": "http://[", "what": "which is no status of HTTP"},
    **{"flaw": "damaged", "shown": "1.8 kB of text/plain", "tried": Tried(3, 41.3)},
    **{"intended": "https://j.example/"},
}
WORDS = Path(__file__).parent / "words.txt"


def texts() -> list[str]:
    """Return every line and every error."""
    lines = [f"{kind}: {say(kind, **FACTS)}" for kind in wording._LINES]
    return lines + [f"{kind}:\n{error}" for kind, error in failures(FACTS).items()]


def failures(facts: dict[str, Any]) -> dict[str, wording.Failure]:
    found = {}
    for kind in wording._FAILURES:
        peer = FAILED if kind.startswith("proxy") else HOST
        found[kind] = failure(kind, **{**facts, "peer": peer})
    return found


def test_what_a_user_reads_is_what_somebody_has_read() -> None:
    found = "\n\n".join(texts()) + "\n"
    if os.environ.get("PIP_RETRY_PATCH_TEST_WRITE_WORDS"):
        WORDS.write_text(found, encoding="ascii")
    assert found == WORDS.read_text(encoding="ascii")


def test_all_of_it_is_plain_ascii_whatever_the_network_said() -> None:
    evil = "\x1b[31m\u202e\r\n" + "x" * 10_000
    told = [name for name, fact in FACTS.items() if isinstance(fact, str) and name != "age"]
    facts = {**FACTS, **dict.fromkeys(told, evil)}
    lines = [say(kind, **facts) for kind in wording._LINES]
    for text in (*lines, *map(str, failures(facts).values())):
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
    ("peer", "key", "said", "via"),
    [
        (HOST, "h.example", "h.example", ""),
        (PROXIED, "h.example", "h.example", f" through the proxy {BY_PROXY}"),
        (FAILED, BY_PROXY, f"The proxy {BY_PROXY}", " on the way to h.example"),
    ],
)
def test_who_failed_is_named(peer: Peer, key: str, said: str, via: str) -> None:
    assert (peer.key, str(peer), peer.via) == (key, said, via)


def test_only_another_version_is_begun_anew() -> None:
    assert [kind for kind, error in failures(FACTS).items() if error.changed] == ["changed"]


def test_an_age_has_one_unit() -> None:
    ages = {30: "a minute", 60: "1 minute", 7200: "2 hours", 90_000: "1 day", 864_000: "10 days"}
    assert {seconds: wording.format_age(seconds) for seconds in ages} == ages
