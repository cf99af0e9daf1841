"""What is asked of a source that has a file, and of which source at all."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch.hooks.listings import Listings
from pip_retry_patch.hooks.sources import Sources

INDEX, ONE, TWO = "https://index.example/s/", "https://one.example/s/", "https://two.example/s/"
NAME = "demo-1.0-py3-none-any.whl"
URL = f"https://files.example/{NAME}"
HASHES = {"sha256": ["a" * 64]}
Link: Any = importlib.import_module("pip._internal.models.link").Link


class World:
    """Two mirrors, and what their pages list: URLs, None where there is no page to pip."""

    def __init__(self, **pages: Any) -> None:
        self.pages = {"https://one.example/s/demo/": pages.get("one"), **pages}
        self.pages["https://two.example/s/demo/"] = pages.get("two")
        self.read: list[str] = []
        self.sent: list[Any] = []
        self.reading: list[bool] = []
        self.sources = Sources([ONE, TWO], Link, lambda: 0.0)
        self.sources.index = INDEX
        self.session: Any = SimpleNamespace(cookies={}, is_secure_origin=lambda link: True)
        self.collector = SimpleNamespace(
            _get_index_content=self.page, parse_links=lambda found: [Link(url) for url in found]
        )
        self.listings = Listings(self.sources, self.collector, Link)
        self.listings.note(INDEX, "demo/", [Link(f"{URL}#sha256={'a' * 64}")])

    def page(self, link: Any, session: Any) -> Any:
        assert session is self.session
        self.read.append(link.url)
        self.reading.append(self.listings.reading)
        found = self.pages[link.url]
        if isinstance(found, Exception):
            raise found
        return found

    def send(self, url: str, options: dict[str, Any], **how: Any) -> Any:
        self.sent.append((url, options, how))
        to = "https://files.example/x" if "leads" in url else ""
        return SimpleNamespace(
            is_redirect=bool(to), headers={"location": to}, close=lambda: None, url=url
        )

    def mirrors(self, url: str = URL, **kwargs: Any) -> list[Any]:
        return self.listings.mirrors(self.send, self.session, url, HASHES, kwargs)

    def urls(self, url: str = URL) -> list[str]:
        return [mirror.url for mirror in self.mirrors(url)]


def test_each_source_that_has_it_is_named_in_order() -> None:
    world = World(one=[f"https://one.example/{NAME}"], two=[f"https://two.example/{NAME}"])
    assert world.urls() == [f"https://one.example/{NAME}", f"https://two.example/{NAME}"]
    assert [mirror.base for mirror in world.mirrors()] == [ONE, TWO]
    assert world.read == [f"{ONE}demo/", f"{TWO}demo/"], "each page is read once"
    assert world.reading == [True, True] and not world.listings.reading


def test_the_older_name_of_pips_reader_is_known_too() -> None:
    world = World(one=[f"https://one.example/{NAME}"])
    world.collector._get_html_page = vars(world.collector).pop("_get_index_content")
    assert world.urls() == [f"https://one.example/{NAME}"]


def test_a_page_that_cannot_be_read_lists_nothing_and_is_asked_for_again() -> None:
    world = World(one=OSError("closed"), two=None)
    assert world.urls() == [] == world.urls()
    assert world.read == [f"{ONE}demo/", f"{TWO}demo/"] * 2
    assert not world.listings.reading


def test_a_source_that_rests_is_not_asked_for_its_page_and_comes_last() -> None:
    world = World(one=[f"https://one.example/{NAME}"], two=[f"https://two.example/{NAME}"])
    world.sources.breaker.open(ONE)
    assert world.urls() == [f"https://two.example/{NAME}"]
    world = World(one=[f"https://one.example/{NAME}"], two=[f"https://two.example/{NAME}"])
    world.mirrors()
    world.sources.breaker.open(ONE)
    assert world.urls() == [f"https://two.example/{NAME}", f"https://one.example/{NAME}"]


def test_a_mirror_that_lists_the_indexs_own_files_has_none() -> None:
    assert World(one=[URL], two=[f"https://files.example/other/{NAME}"]).urls() == []


@pytest.mark.parametrize(
    ("fragment", "fits"),
    [("", True), (f"#sha256={'A' * 64}", True), (f"#sha256={'b' * 64}", False), ("#md5=1", True)],
)
def test_a_file_with_another_hash_is_another_file(fragment: str, fits: bool) -> None:
    there = f"https://one.example/{NAME}"
    assert World(one=[there + fragment]).urls() == ([there] if fits else [])


def test_metadata_lies_beside_its_file() -> None:
    world = World(one=[f"https://one.example/{NAME}#sha256={'b' * 64}"])
    assert world.listings.page_of(f"{URL}.metadata") == "demo/" == world.listings.page_of(URL)
    assert world.listings.page_of(f"{URL}x") is None
    assert world.urls(f"{URL}.metadata") == [f"https://one.example/{NAME}.metadata"]


def test_a_mirror_is_asked_as_pip_asked_the_index_but_past_every_cache() -> None:
    world = World(one=[f"https://one.example/{NAME}"])
    (mirror,) = world.mirrors(headers={"Accept-Encoding": "identity"}, stream=False)
    assert mirror.again({"Range": "bytes=5-"}).url == mirror.url
    fields = {"Accept-Encoding": "identity", "Cache-Control": "no-cache", "Range": "bytes=5-"}
    options = {"headers": fields, "stream": True, "allow_redirects": False}
    assert world.sent == [(mirror.url, options, {"plain": True})]


def test_a_mirror_that_leads_to_the_original_brings_nothing() -> None:
    """It would get a second chance there, as if it were somebody else."""
    world = World(one=[f"https://one.example/leads/{NAME}"])
    (mirror,) = world.mirrors()
    with pytest.raises(ConnectionError, match="leads to the index"):
        mirror.again({})


def test_only_links_of_the_web_are_files() -> None:
    world = World(one=[f"file:///{NAME}"])
    world.listings.note(TWO, "demo/", [Link(f"ftp://two.example/{NAME}")])
    assert world.urls() == []
