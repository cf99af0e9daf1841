"""When a page comes from pip's cache, and which page of it may."""

from __future__ import annotations

import ssl
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any, Mapping

import pytest
import requests

from pip_retry_patch import failures
from pip_retry_patch.hooks import stale
from pip_retry_patch.hooks.stale import StalePages

INDEX = "https://index.example/simple/"
URL = f"{INDEX}demo/"
PAGE = b"<!DOCTYPE html><html><body>a page</body></html>"
HTML = {"content-type": "text/html", "content-length": str(len(PAGE))}


class FailedError(Exception):
    """Stands for pip's error that is made of a Failure."""

    def __init__(self, note: str = "", why: str = "it failed") -> None:
        super().__init__(why)
        self.failure = failures.Failure("gave up", "", note, "", why=why)


def response(status: int = 200, headers: Mapping[str, str] = HTML, body: bytes = PAGE) -> Any:
    found = requests.Response()
    found.status_code = status
    found.headers.update(headers)
    found._content = body
    found.raw = SimpleNamespace(headers=found.headers, close=lambda: None)
    return found


class Adapter:
    """CacheControl's, with one page; `newer`: as since pip 23.1, the body lies apart."""

    def __init__(self, kept: Any, newer: bool = True) -> None:
        self.kept, self.asked = kept, []  # type: ignore[var-annotated]
        self.cache = SimpleNamespace(get=lambda key: "data" if key == "key" else None)
        if newer:
            self.cache.get_body = lambda key: f"body of {key}"
        self.controller = SimpleNamespace(
            cache_url=lambda url: "key" if url == URL else "other",
            serializer=SimpleNamespace(loads=self.loads),
        )

    def loads(self, request: Any, *data: Any) -> Any:
        self.asked.append((request.url, request.headers.get("Accept"), *data))
        return self.kept

    def build_response(self, request: Any, found: Any, from_cache: bool) -> Any:
        assert from_cache
        return found


class World:
    """The pages of one pip, and what its sources answer."""

    def __init__(self, kept: Any = None, person: bool = False, adapter: Any = None) -> None:
        self.now, self.lines, self.sent = 0.0, [], []  # type: ignore[var-annotated]
        self.answers: list[Any] = []
        self.session = requests.Session()
        self.adapter = Adapter(kept) if adapter is None else adapter
        vars(self.session)["get_adapter"] = lambda url: self.adapter
        self.pages = StalePages(requests, person, lambda: self.now, self.lines.append)

    def send(self, brief: bool = False) -> Any:
        self.sent.append(brief)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, *answers: Any, url: str = URL) -> Any:
        self.answers, self.sent = list(answers), []
        with self.pages.page(INDEX):
            return self.pages.request(
                self.send, self.session, url, {"headers": {"Accept": "text/html"}}
            )


def test_what_the_index_answers_stands() -> None:
    for status in (200, 304, 403, 404, 410):
        world, answer = World(response()), response(status)
        assert world.ask(answer) is answer
        assert world.sent == [False] and not world.lines


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_is_of_no_help_gives_way_to_the_page_that_is_kept(status: int) -> None:
    kept = response()
    world, answer = World(kept), response(status)
    closed: list[None] = []
    answer.close = lambda: closed.append(None)
    assert world.ask(answer) is kept and closed
    (line,) = world.lines
    assert f"it answers {status}" in line and INDEX in line


def test_a_lost_index_is_waited_for_then_left_alone_and_told_of_once() -> None:
    kept = response()
    world = World(kept)
    assert world.ask(FailedError(why="refused")) is kept
    assert world.sent == [False] and "(refused)" in world.lines[0]
    assert world.ask() is kept and world.sent == [], "it rests"
    world.now = 301.0
    assert world.ask(FailedError()) is kept and world.sent == [False]
    assert len(world.lines) == 1


def test_who_is_offline_at_a_terminal_has_the_page_at_once() -> None:
    kept = response()
    world = World(kept, person=True)
    assert world.ask(FailedError(failures.NO_NETWORK)) is kept
    assert world.sent == [True]
    world = World(kept, person=True)
    assert world.ask(FailedError(), FailedError()) is kept
    assert world.sent == [True, False], "what has a network is waited for"
    world = World(kept, person=True)
    assert world.ask(response(503)) is kept and world.sent == [True]


def test_a_refused_certificate_is_no_reason_to_take_the_page() -> None:
    error = FailedError()
    error.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed")
    with pytest.raises(FailedError):
        World(response()).ask(error)


@pytest.mark.parametrize("person", [False, True])
def test_what_is_no_failure_of_a_network_is_pips(person: bool) -> None:
    with pytest.raises(KeyError):
        World(response(), person).ask(KeyError("a mistake"))


def test_without_a_page_that_is_kept_all_is_as_ever() -> None:
    for kept in (None, response(404)):
        with pytest.raises(FailedError):
            World(kept, person=True).ask(FailedError())
    world = World(response())
    with pytest.raises(FailedError):
        world.ask(FailedError(), url=f"{INDEX}other/")
    world.answers = [FailedError()]
    with pytest.raises(FailedError):  # no page of an index is fetched
        world.pages.request(world.send, world.session, URL, {})


def test_a_page_within_a_page_ends_with_it() -> None:
    pages = World().pages
    with pages.page("one"):
        with pytest.raises(KeyError), pages.page("two"):
            raise KeyError
        assert pages._now.index == "one"
    assert pages._now.index is None


@pytest.mark.parametrize("newer", [True, False])
def test_vary_is_compared_with_what_the_session_would_send(newer: bool) -> None:
    adapter = Adapter(response(), newer)
    World(adapter=adapter).ask(FailedError())
    body = ["body of key"] if newer else []
    assert adapter.asked == [(URL, "text/html", "data", *body)]
    assert World(adapter=SimpleNamespace()).ask(answer := response(503)) is answer


@pytest.mark.parametrize(
    ("kept", "usable"),
    [
        (response(), True),
        (response(headers={**HTML, "cache-control": "max-age=600, public"}), True),
        (response(headers={**HTML, "cache-control": "max-age=0 , No-Cache"}), False),
        (response(headers={**HTML, "cache-control": "no-store"}), False),
        (response(headers={**HTML, "cache-control": "private,must-revalidate=1"}), False),
        (response(301), False),
        (response(headers={**HTML, "content-length": "46"}), False),
        (response(headers={**HTML, "content-length": "46", "content-encoding": "gzip"}), True),
        (response(headers={"content-type": "text/html"}, body=b"<html><body>cut"), False),
        (response(headers={"content-type": "text/html"}), True),
        (response(headers={**HTML, "content-length": "many"}), False),
    ],
)
def test_a_page_is_taken_whole_and_where_its_server_allows_it(kept: Any, usable: bool) -> None:
    answer = response(503)
    assert World(kept).ask(answer) is (kept if usable else answer)


def test_how_old_a_page_is_is_told_by_its_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale, "time", SimpleNamespace(time=lambda: 1_000_000.0))
    for date, age in (
        (formatdate(1_000_000 - 7200, usegmt=True), "up to 2 hours old"),
        (formatdate(2_000_000, usegmt=True), "up to a minute old"),
        ("yesterday", "up to a minute old"),
        ("", "up to a minute old"),
    ):
        world = World(response(headers={**HTML, "date": date}))
        world.ask(FailedError())
        assert age in world.lines[0]
