"""Pages of mirrors, read by a real pip's parser: what they make of a file's other sources."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import strategies as st

from pip_retry_patch.hooks.listings import Listings
from tests.support.fuzzing import fuzz, mutated

NAME = "demo-1.0-py3-none-any.whl"
INDEX, MIRROR = "https://index.example/simple/", "https://mirror.example/simple/"
URL = f"https://files.example/packages/{NAME}"
RIGHT, WRONG = "a" * 64, "b" * 64
HASHES = {"sha256": [RIGHT]}


def html(*links: str) -> bytes:
    return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


def link(url: str) -> str:
    return f'<a href="{url}">x</a>'


def as_json(*files: Any) -> bytes:
    return json.dumps({"meta": {"api-version": "1.0"}, "name": "demo", "files": files}).encode()


def file(**fields: Any) -> dict[str, Any]:
    return {"filename": NAME, "url": f"/f/{NAME}", "hashes": {"sha256": RIGHT}, **fields}


PAGES = (
    html(link(f"/f/{NAME}")),
    html(link(f"/f/{NAME}#sha256={RIGHT}")),
    html(link(f"/f/{NAME}#sha256={WRONG}")),
    html(link(f"/f/{NAME}#md5={WRONG}")),
    html(link(f"ftp://mirror.example/{NAME}")),
    html(link(f"file:///{NAME}"), link(f"http://other.example/{NAME}?token=1")),
    html(link(f"http://[/{NAME}")),
    html(link(f"http://h:99999/{NAME}")),
    html(f'<base href="//elsewhere.example/">{link(NAME)}'),
    html(link(f"https://user:secret@mirror.example/{NAME}")),
    html(link(URL)),
    as_json(file()),
    as_json(file(hashes={"sha256": WRONG})),
    as_json(file(hashes=None)),
    as_json(file(hashes={"sha256": 1})),
    as_json(file(url=None)),
    as_json(file(url="http://[")),
    as_json(file(url=f"//{NAME}")),
    as_json(1, None, "x"),
    as_json(),
    b"[]",
    b"{",
    b"",
    b"\xff\xfe",
    b"[" * 5000,
    html(link(f"/f/{NAME}?sha256={WRONG}")),  # a query lists no hash
    html(link(f"/f/{NAME}/")),
)
PARTS = (
    *(b"", b"<", b">", b'"', b"'", b"/", b"#", b"=", b"&", b"%", b"%00", b"\0", b"\xff", b"\n"),
    *(b"http://", b"ftp:", b"//", b"[", b"]", b"@", b":", b"sha256=", b"null", b"{}", b"1", b"\\u"),
    *(b"<base href=", b"</a>", b"<!--", b"SHA256", b"data:", b"?", b".metadata", b"..", b";"),
)
TYPES = ("text/html", "application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+html")


class Sources(SimpleNamespace):
    """The index and one mirror, of which none rests."""

    index = INDEX
    breaker = SimpleNamespace(rests=lambda url: False, in_order=lambda found, key: list(found))

    @staticmethod
    def in_order() -> list[str]:
        return [INDEX, MIRROR]


def listings(content: bytes, kind: str) -> Listings:
    """As they are when the mirror's page is this, and pip's own parser reads it."""
    collector: Any = importlib.import_module("pip._internal.index.collector")
    made = importlib.import_module("pip._internal.models.link").Link

    def read(page: Any, session: Any) -> Any:
        if not page.url.startswith(MIRROR):
            return None
        return collector.IndexContent(content, kind, None, page.url, cache_link_parsing=False)

    parser = SimpleNamespace(_get_index_content=read, parse_links=collector.parse_links)
    found = Listings(Sources(), parser, made)  # type: ignore[arg-type]
    found.note(INDEX, "demo/", [made(URL)])
    return found


def check_page(content: bytes, kind: str) -> list[Any]:
    """Whatever a page is, what it offers has the file's name, and no other hash than the file's."""
    found = listings(content, kind).mirrors(lambda *_: None, None, URL, HASHES, {})
    for mirror in found:
        assert mirror.base in (INDEX, MIRROR)
        parts = urlsplit(mirror.url)
        assert parts.scheme in ("http", "https")
        # As pip names a link: without a slash at its end, or by its host where nothing else is.
        last = unquote(parts.path).rstrip("/").rpartition("/")[2]
        assert (last or parts.netloc) == NAME
        assert mirror.url != URL and WRONG not in parts._replace(query="").geturl()
    return found


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("number", range(len(PAGES)))
def test_pages_of_the_corpus(number: int, kind: str) -> None:
    check_page(PAGES[number], kind)


def test_a_page_offers_what_fits_and_nothing_else() -> None:
    for page in (PAGES[0], PAGES[1], PAGES[11]):
        kind = TYPES[1] if page.startswith(b"{") else TYPES[0]
        (mirror,) = check_page(page, kind)
        assert (mirror.base, mirror.url) == (MIRROR, f"https://mirror.example/f/{NAME}")
    for page in (PAGES[2], PAGES[12]):
        kind = TYPES[1] if page.startswith(b"{") else TYPES[0]
        assert check_page(page, kind) == []


@fuzz(mutated(PAGES, PARTS), st.sampled_from(TYPES))
def test_no_page_is_a_crash_or_offers_another_file(content: bytes, kind: str) -> None:
    check_page(content, kind)


@fuzz(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "filename": st.sampled_from([NAME, "", None, 1, "a/b.whl"]) | st.text(max_size=9),
                "url": mutated((f"/f/{NAME}", URL, f"//h/{NAME}", ""), ("", "[", "\\", "\0", "#")),
                "hashes": st.none()
                | st.dictionaries(
                    st.sampled_from(["sha256", "SHA256", "md5", "x"]),
                    st.sampled_from([RIGHT, RIGHT.upper(), WRONG, "", None, 1]),
                ),
                "yanked": st.sampled_from([True, False, "why", None, 1]),
                "core-metadata": st.sampled_from([True, {"sha256": RIGHT}, None, 1]),
            },
        ),
        max_size=3,
    )
)
def test_no_json_of_a_page_is_a_crash_or_offers_another_file(files: list[Any]) -> None:
    check_page(as_json(*files), TYPES[1])
