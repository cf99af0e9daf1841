"""Whether a page came to its end, by what urllib3's own decoders saw of it, and what it is.

What users are told of odd answers, tests/pips/requests/test_odd_answers.py shows.
"""

from __future__ import annotations

import gzip
import io
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3

from pip_retry_patch.fetch import pages

PAGE = b"<!DOCTYPE html><html><body>" + bytes(range(97, 123)) * 40 + b"</body></html>\n"
JSON = "application/vnd.pypi.simple.v1+json"
FILES = b'{"files": ["demo-1.0.tar.gz"]}'
URL, ELSEWHERE = "https://a.example/simple/demo/", "https://b.example/login"


def page(body: bytes, **headers: str) -> Any:
    """Return a response of requests, read whole."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = urllib3.HTTPResponse(io.BytesIO(body), headers=fields, preload_content=False)
    content = raw.read(decode_content=True)
    return SimpleNamespace(raw=raw, status_code=200, content=content, headers=raw.headers)


def coded(body: bytes, coding: str) -> Any:
    return page(body, content_encoding=coding, content_length=str(len(body)))


GZIPPED = gzip.compress(PAGE, mtime=0)

CODED = {"gzip": GZIPPED, "deflate": zlib.compress(PAGE)}
if hasattr(urllib3, "BaseHTTPResponse"):
    CODED["gzip, deflate"] = zlib.compress(GZIPPED)


@pytest.mark.parametrize("coding", CODED)
def test_a_stream_without_its_end_is_cut_whatever_its_length_says(coding: str) -> None:
    body = CODED[coding]
    for missing, is_cut in ((0, False), (1, True), (4, True)):
        assert pages.has_no_end(coded(body[: len(body) - missing], coding)) is is_cut


def test_what_follows_a_whole_gzip_stream_is_no_cut() -> None:
    for more in (gzip.compress(b"<!-- more -->"), b"\0" * 10):
        assert not pages.has_no_end(coded(GZIPPED + more, "gzip"))


@pytest.mark.parametrize(
    ("body", "media", "expected"),
    [
        (PAGE, "text/html", False),
        (PAGE[:200], "text/html", True),
        (PAGE + b"<!--SERIAL 1-->", "text/html", False),
        (b"<a href='x'>x</a>", "text/html", False),  # no document, as PEP 503 never asked for one
        (b"<!DOCTYPE html>\n<a href='x'>x</a>", "text/html", False),
        (b'{"files": []}', JSON, False),
        (b'{"files": [', JSON, True),
        (b'{"files": [{}', JSON, True),
        (b"[" * 100_000, "application/json", False),  # what nests without end is left to pip
        (b"demo==1.0\n", "text/plain", False),
    ],
)
def test_a_whole_page_ends_as_it_began(body: bytes, media: str, expected: bool) -> None:
    assert pages.has_no_end(page(body, content_type=media)) is expected
    # Length and chunks may be those of a proxy that got no more. Then it is asked again in silence.
    for fields in ({"content_length": str(len(body))}, {"transfer_encoding": "chunked"}):
        framed = page(body, content_type=media, **fields)
        assert pages.has_no_end(framed) is expected
        assert pages.is_framed(framed)


@pytest.mark.parametrize(
    ("announced", "short"),
    [("5", False), ("6", True), ("4", False), ("5, 5", False), ("", False)],
)
def test_a_page_is_short_of_what_was_announced(announced: str, short: bool) -> None:
    raw = SimpleNamespace(tell=lambda: 5)
    answer = SimpleNamespace(raw=raw, headers={"content-length": announced}, status_code=200)
    assert pages.is_short(answer) is short
    assert pages.is_short(SimpleNamespace(**vars(answer), from_cache=True)) is short
    answer.status_code = 304
    assert not pages.is_short(answer)


@pytest.mark.parametrize(
    ("body", "doubtful"),
    [
        (b"<!DOCTYPE html><html><body> </body></html>", False),
        (b"<!DOCTYPE html><html><body>", True),
        (b"<html><body>Sorry</body></html>", True),
        (b"<" * 60_000 + b"</html>", True),
        (b"<html>" + b"<br>" * 20_000 + b"</html>", True),  # not looked into
        (b"", True),
    ],
)
def test_a_page_that_names_no_file_is_doubtful_where_it_has_words(
    body: bytes, doubtful: bool
) -> None:
    """pip's own tests have pages of an index that list nothing."""
    fields = {"content_length": str(len(body)), "content_type": "text/html"}
    assert pages.is_doubtful(page(body, **fields)) is doubtful
    # What pip does not read is doubtful whatever it names.
    for content, media in ((LINKS + b"</html>", ""), (b'{"url": "a.whl"}', "text/html")):
        assert pages.is_doubtful(page(content, content_type=media))


LOGIN = b"<html><title> Sign\n in </title><form><input type='password'></form></html>"
LINKS = b"<html><a href='demo-1.0.tar.gz'>demo-1.0.tar.gz</a>"


@pytest.mark.parametrize(
    ("body", "media", "expected"),
    [
        (LINKS + b"</html>", "text/html", ""),
        (LINKS, "text/html", "without its end"),
        (LINKS[6:], "text/html", ""),
        (LINKS, JSON, ""),
        (FILES, "text/html", "is JSON"),
        (FILES, JSON, ""),
        (LOGIN + b"our-app.zip", "text/html", 'for people ("Sign in"), and names no file of demo'),
        (LOGIN.replace(b"Sign", b"\xff"), "text/html", "for people, and names no file of demo"),
        (LOGIN + LINKS, JSON, ""),
        (b"<a href='other-1.0.zip'>", "text/html", ""),  # a page of several projects
    ],
)
def test_a_page_of_an_index_is_doubted_for_a_reason(body: bytes, media: str, expected: str) -> None:
    told, _ = pages.oddity(body, media, URL, URL, "demo", False)
    assert expected in told and bool(told) == bool(expected)


@pytest.mark.parametrize(
    ("body", "url", "expected"),
    [
        (LOGIN, URL, "TT"),
        (LOGIN.replace(b"password", b"text"), ELSEWHERE, "TT"),
        (LOGIN.replace(b"password", b"text"), URL, "FT"),
        (LINKS + LOGIN, ELSEWHERE, "FF"),
        (b"<html>Links for Demo</html>", URL, "FF"),
        (b"<html>Not found</html>", URL, "FT"),
        (b"<html></html>", URL, "FF"),
        *((body, URL, "TT") for body in (b"", b"<html>Links", b'{"error": ""}', FILES)),
    ],
)
def test_what_may_stand_in_place_of_an_index(body: bytes, url: str, expected: str) -> None:
    """By default, and where each index is needed."""
    found = (pages.oddity(body, "text/html", url, URL, "demo", each) for each in (False, True))
    assert "".join(str(is_other)[0] for _, is_other in found) == expected


def test_a_page_that_another_host_sent_names_it() -> None:
    told, _ = pages.oddity(LOGIN, "text/html", ELSEWHERE, URL, "demo", False)
    assert 'for people ("Sign in") from b.example, and names no file of demo' in told
