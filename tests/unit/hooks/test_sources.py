"""Which source is asked when, where a mirror may lead, and what it gets of pip's session."""

from __future__ import annotations

from http.cookiejar import CookieJar
from typing import Any

import pytest

from pip_retry_patch.hooks import sources
from pip_retry_patch.hooks.sources import Sources

INDEX, ONE, TWO = "https://index.example/s/", "https://one.example/s/", "https://two.example/s/"


class Session:
    """As much of pip's as a mirror is asked by."""

    def __init__(self, insecure: str = "") -> None:
        self.cookies: Any = CookieJar()
        self._insecure = insecure

    def is_secure_origin(self, link: str) -> bool:
        return link != self._insecure


class Answer:
    """A response of requests: a redirect, or with a body."""

    def __init__(self, to: str = "", status: int = 200, body: bytes = b"") -> None:
        self.is_redirect, self.headers = bool(to), {"location": to}
        self.status_code, self.closed = status, False
        self._body = body

    def close(self) -> None:
        self.closed = True

    def iter_content(self, size: int) -> Any:
        return iter([self._body[at : at + size] for at in range(0, len(self._body), size)])


def made(now: float = 0.0, *mirrors: str) -> Sources:
    found = Sources(
        mirrors or ("https://one.example/s", f"{TWO}/", INDEX), lambda url: url, lambda: now
    )
    found.index = INDEX
    return found


def follow(answers: dict[str, Answer], session: Session, url: str = f"{ONE}demo/") -> Any:
    return made().follow(session, answers.__getitem__, url, INDEX)


def test_the_index_comes_first_and_who_rests_last_and_who_was_dropped_never() -> None:
    found = made()
    assert found.in_order() == [INDEX, ONE, TWO]
    found.breaker.open(INDEX)
    assert found.in_order() == [ONE, TWO, INDEX]
    found.dropped.add(ONE)
    assert found.in_order() == [TWO, INDEX]


def test_a_mirror_leads_to_where_pip_would_go_itself() -> None:
    first, second = Answer("../files/a"), Answer("http://cdn.example/a")
    answers = {
        f"{ONE}demo/": first,
        "https://one.example/s/files/a": second,
        "http://cdn.example/a": Answer(),
    }
    assert follow(answers, Session()) is answers["http://cdn.example/a"]
    assert first.closed and second.closed and not answers["http://cdn.example/a"].closed


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("ftp://one.example/a", "not http or https"),
        ("file:///etc/passwd", "not http or https"),
        ("https://INDEX.example:443/x", "leads to the index"),
        ("http://plain.example/a", "pip does not trust that host"),
    ],
)
def test_a_mirror_leads_nowhere_else(to: str, words: str) -> None:
    answers = {f"{ONE}demo/": Answer(to)}
    with pytest.raises(ConnectionError, match=words):
        follow(answers, Session(insecure="http://plain.example/a"))
    assert answers[f"{ONE}demo/"].closed


def test_a_mirror_on_the_indexs_own_host_may_lead_there() -> None:
    answers = {"https://index.example/b/": Answer("/c/"), "https://index.example/c/": Answer()}
    found = follow(answers, Session(), "https://index.example/b/")
    assert found is answers["https://index.example/c/"]


def test_ten_requests_are_enough_for_a_mirror() -> None:
    asked: list[str] = []

    def get(url: str) -> Answer:
        asked.append(url)
        return Answer(f"{url}x")

    with pytest.raises(ConnectionError, match="redirects for ever"):
        made().follow(Session(), get, ONE, INDEX)
    assert len(asked) == 10


def test_each_source_has_cookies_of_its_own() -> None:
    """To a jar all ports of a host are one: a mirror beside the index would get its cookies."""
    session, found = Session(), made()
    jar, seen = session.cookies, []

    def get(url: str) -> Answer:
        seen.append(session.cookies)
        if url.startswith(TWO):
            raise ConnectionError("closed")
        return Answer()

    found.follow(session, get, ONE, INDEX)
    found.follow(session, get, f"{ONE}other/", INDEX)
    with pytest.raises(ConnectionError):
        found.follow(session, get, TWO, INDEX)
    assert session.cookies is jar
    assert seen[0] is seen[1] is not seen[2]
    assert jar not in seen and all(type(each) is CookieJar for each in seen)


def page(answer: Answer, now: float = 5.0) -> tuple[Any, list[Any]]:
    sent = []

    def send(url: str, options: dict[str, Any], **how: Any) -> Answer:
        sent.append((url, options, how))
        return answer

    given = {"headers": {"A": "b"}, "allow_redirects": True, "stream": False}
    return made(now).page(send, Session(), f"{ONE}demo/", given), sent


def test_a_page_is_asked_for_briefly_and_read_whole() -> None:
    answer, sent = page(Answer(body=b"x" * 200_000))
    assert answer._content == b"x" * 200_000 and answer._content_consumed is True
    options = {"headers": {"A": "b"}, "stream": True, "allow_redirects": False}
    how = {"brief": True, "until": 65.0, "method": "GET"}
    assert sent == [(f"{ONE}demo/", options, how)]


def test_what_is_no_page_is_not_read() -> None:
    answer, _ = page(Answer(status=404, body=b"x"))
    assert not hasattr(answer, "_content") and not answer.closed


def test_a_page_without_an_end_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LARGEST_PAGE", 100_000)
    assert len(page(Answer(body=b"x" * 100_000))[0]._content) == 100_000
    answer = Answer(body=b"x" * 100_001)
    with pytest.raises(ConnectionError, match="too large"):
        page(answer)
    assert answer.closed
