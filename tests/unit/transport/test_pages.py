"""Whether a page came to its end, by what urllib3's own decoders saw of it."""

from __future__ import annotations

import gzip
import io
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3

from pip_retry_patch.transport.pages import is_cut, is_login, oddity, undecoded

PAGE = b"<!DOCTYPE html><html><body>" + bytes(range(97, 123)) * 40 + b"</body></html>\n"


def page(body: bytes, **headers: str) -> Any:
    """A response of requests, read whole."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = urllib3.HTTPResponse(io.BytesIO(body), headers=fields, preload_content=False)
    content = raw.read(decode_content=True)
    return SimpleNamespace(raw=raw, status_code=200, content=content, headers=raw.headers)


CODED = {
    "gzip": gzip.compress(PAGE, mtime=0),
    "deflate": zlib.compress(PAGE),
}
if hasattr(urllib3, "BaseHTTPResponse"):
    CODED["gzip, deflate"] = zlib.compress(gzip.compress(PAGE, mtime=0))


@pytest.mark.parametrize("coding", CODED)
def test_a_stream_without_its_end_is_cut_whatever_its_length_says(coding: str) -> None:
    body = CODED[coding]
    assert not is_cut(page(body, content_encoding=coding, content_length=str(len(body))))
    for missing in (1, 4, 8, 30):
        part = body[:-missing]
        if coding == "gzip, deflate" and missing > 4:
            continue  # the outer stream then has no end either, as the next one says
        assert is_cut(page(part, content_encoding=coding, content_length=str(len(part))))


def test_what_follows_a_whole_gzip_stream_is_no_cut() -> None:
    for more in (gzip.compress(b"<!-- more -->"), b"\0" * 10):
        body = gzip.compress(PAGE) + more
        assert not is_cut(page(body, content_encoding="gzip", content_length=str(len(body))))


JSON = "application/vnd.pypi.simple.v1+json"


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
        (b"demo==1.0\n", "text/plain", False),
    ],
)
def test_a_page_that_ends_with_its_connection_is_whole_if_it_ends_as_it_began(
    body: bytes, media: str, expected: bool
) -> None:
    assert is_cut(page(body, content_type=media)) is expected
    # Where a length or chunks tell the end, that is enough; but nobody can read JSON without its.
    expected = expected and media == JSON
    assert is_cut(page(body, content_type=media, content_length=str(len(body)))) is expected
    assert is_cut(page(body, content_type=media, transfer_encoding="chunked")) is expected


def test_of_an_answer_that_calls_itself_a_part_the_length_says_nothing() -> None:
    for body, expected in ((PAGE, False), (PAGE[:200], True)):
        answer = page(body, content_type="text/html", content_length=str(len(body)))
        answer.status_code = 206
        assert is_cut(answer) is expected


@pytest.mark.parametrize(
    ("body", "coding", "expected"),
    [
        (b"\x8b\x05\x80hello", "br", "br"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstd"),
        (b"a\0b", "compress", "compress"),
        (PAGE, "utf-8", ""),
        (b"demo==1.0\n", "none", ""),
        (b"\xe4 demo-1.0.tar.gz", "latin-1", ""),
        (gzip.compress(PAGE, mtime=0), "gzip", ""),
        (b"\x8b\x05\x80hello", "identity", ""),
        (b"", "br", ""),
    ],
)
def test_a_coding_is_told_where_nobody_undid_it(body: bytes, coding: str, expected: str) -> None:
    assert undecoded(page(body, content_encoding=coding, content_length=str(len(body)))) == expected


INDEX, ELSEWHERE = "https://a.example/simple/demo/", "https://b.example/login"
LOGIN = b"<html><title> Sign\n in </title><form><input type='password'></form></html>"
LINKS = b"<html><a href='demo-1.0.tar.gz'>demo-1.0.tar.gz</a>"


@pytest.mark.parametrize(
    ("body", "media", "url", "words"),
    [
        (LINKS + b"</html>", "text/html", INDEX, ""),
        (LINKS, "text/html", INDEX, "without its end"),
        (LINKS[6:], "text/html", INDEX, ""),
        (LINKS, JSON, INDEX, ""),
        (b'{"files": ["demo-1.0.tar.gz"]}', "text/html", INDEX, "is JSON"),
        (b'{"files": ["demo-1.0.tar.gz"]}', JSON, INDEX, ""),
        (b'{"files": []}', JSON, INDEX, "came whole and names no file"),
        (b" \n", "text/html", INDEX, "came empty"),
        (LOGIN, "text/html", INDEX, 'for people ("Sign in"), and names no file of demo.'),
        (LOGIN, "text/html", ELSEWHERE, 'for people ("Sign in") from b.example, and'),
        (LOGIN + b"our-app.zip", "text/html", INDEX, 'for people ("Sign in"), and names no'),
        (LOGIN + LINKS, JSON, INDEX, ""),
        (b"<a href='other-1.0.zip'>", "text/html", INDEX, ""),  # a page of several projects
        (
            LOGIN.replace(b"Sign", b"\xff"),
            "text/html",
            INDEX,
            "for people, and names no file of",
        ),
    ],
)
def test_a_page_of_an_index_is_doubted_for_a_reason(
    body: bytes, media: str, url: str, words: str
) -> None:
    told = oddity(body, media, url, INDEX, "demo")
    assert words in told and bool(told) == bool(words)


def test_a_login_page_is_no_page_for_people_of_the_index_itself() -> None:
    search = LOGIN.replace(b"password", b"text")
    assert is_login(LOGIN, INDEX, INDEX, "demo")
    assert is_login(search, ELSEWHERE, INDEX, "demo")
    assert not is_login(search, INDEX, INDEX, "demo")
    assert not is_login(LINKS + LOGIN, ELSEWHERE, INDEX, "demo")
