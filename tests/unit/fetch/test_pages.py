"""Whether a page came to its end, by what urllib3's own decoders saw of it, and what it is."""

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
URL = "https://a.example/simple/demo/"


def page(body: bytes, status: int = 200, **headers: str) -> Any:
    """A response of requests, read whole."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = urllib3.HTTPResponse(io.BytesIO(body), headers=fields, preload_content=False)
    content = raw.read(decode_content=True)
    return SimpleNamespace(raw=raw, status_code=status, content=content, headers=raw.headers)


CODED = {
    "gzip": gzip.compress(PAGE, mtime=0),
    "deflate": zlib.compress(PAGE),
}
if hasattr(urllib3, "BaseHTTPResponse"):
    CODED["gzip, deflate"] = zlib.compress(gzip.compress(PAGE, mtime=0))


@pytest.mark.parametrize("coding", CODED)
def test_a_stream_without_its_end_is_cut_whatever_its_length_says(coding: str) -> None:
    body = CODED[coding]
    whole = page(body, content_encoding=coding, content_length=str(len(body)))
    assert not pages.has_no_end(whole)
    for missing in (1, 4, 8, 30):
        part = body[:-missing]
        if coding == "gzip, deflate" and missing > 4:
            continue  # the outer stream then has no end either, as the next one says
        cut = page(part, content_encoding=coding, content_length=str(len(part)))
        assert pages.has_no_end(cut)


def test_what_follows_a_whole_gzip_stream_is_no_cut() -> None:
    for more in (gzip.compress(b"<!-- more -->"), b"\0" * 10):
        body = gzip.compress(PAGE) + more
        answer = page(body, content_encoding="gzip", content_length=str(len(body)))
        assert not pages.has_no_end(answer)


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
    assert pages.has_no_end(page(body, content_type=media)) is expected
    # Where a length or chunks tell the end, that is enough; but nobody can read JSON without its.
    expected = expected and media == JSON
    told: list[dict[str, Any]]
    told = [{"content_length": str(len(body))}, {"transfer_encoding": "chunked"}]
    for fields in told:
        assert pages.has_no_end(page(body, content_type=media, **fields)) is expected


def test_json_that_nests_without_end_is_left_to_pip() -> None:
    assert not pages.has_no_end(page(b"[" * 100_000, content_type="application/json"))


@pytest.mark.parametrize("status", [200, 206, 404])
def test_a_page_without_a_file_is_doubtful_where_it_was_to_have_some(status: int) -> None:
    doubtful = status != 404
    length = str(len(PAGE))
    assert pages.is_doubtful(page(PAGE, status, content_length=length)) is doubtful
    named = PAGE.replace(b"</body>", b"<a href=demo-1.0.tar.gz></body>")
    assert not pages.is_doubtful(page(named, status, content_length=str(len(named))))


@pytest.mark.parametrize(
    ("announced", "short"),
    [("5", False), ("6", True), ("4", False), ("5, 5", False), ("", False)],
)
def test_a_page_is_short_of_what_was_announced(announced: str, short: bool) -> None:
    raw = SimpleNamespace(tell=lambda: 5)
    answer = SimpleNamespace(raw=raw, headers={"content-length": announced}, status_code=200)
    assert pages.is_short(answer) is short
    cached = SimpleNamespace(**vars(answer), from_cache=True)
    assert not pages.is_short(cached)
    answer.status_code = 304
    assert not pages.is_short(answer)


def words(*arguments: Any) -> str:
    found = pages.odd_answer(*arguments)
    return "" if found is None else found.context


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
    answer = page(body, content_encoding=coding, content_length=str(len(body)))
    told = words("page", True, URL, answer)
    assert told == (
        expected and f"The answer came encoded as {expected}, which nobody had asked for."
    )


@pytest.mark.parametrize(
    ("kind", "whole", "status", "fields", "expected"),
    [
        ("page", True, 200, {}, ""),
        ("page", True, 404, {}, ""),
        ("page", True, 302, {"location": "http://["}, "The answer leads to an address"),
        (
            "page",
            True,
            307,
            {},
            "The answer leads to an address that makes no sense: it na",
        ),
        ("page", True, 304, {}, "The server answers 304, which says that nothing has changed"),
        ("page", True, 999, {}, "The server answers 999, which is no status of HTTP."),
        ("page", True, 204, {}, ""),
        ("file", False, 204, {}, "The server answers 204, which says that there is no content."),
        ("file", False, 200, {}, ""),
        ("other", False, 204, {}, ""),
    ],
)
def test_an_answer_that_pip_would_take_for_something_else_is_told(
    kind: str, whole: bool, status: int, fields: dict[str, str], expected: str
) -> None:
    told = words(kind, whole, URL, page(PAGE, status, **fields))
    assert told.startswith(expected) and bool(told) == bool(expected)


def test_a_web_page_is_no_requirements_file() -> None:
    assert words("other", True, URL, page(PAGE)).startswith("A web page came in place of the file")
    assert not words("other", True, URL, page(b"demo==1.0\n"))
    # It may be a page of an index, of which we know nothing in a pip that we have never seen.
    assert not words("other", True, URL, page(b"<html><a href='demo-1.0.tar.gz'></html>"))


ELSEWHERE = "https://b.example/login"
LOGIN = b"<html><title> Sign\n in </title><form><input type='password'></form></html>"
LINKS = b"<html><a href='demo-1.0.tar.gz'>demo-1.0.tar.gz</a>"


@pytest.mark.parametrize(
    ("body", "media", "url", "expected"),
    [
        (LINKS + b"</html>", "text/html", URL, ""),
        (LINKS, "text/html", URL, "without its end"),
        (LINKS[6:], "text/html", URL, ""),
        (LINKS, JSON, URL, ""),
        (b'{"files": ["demo-1.0.tar.gz"]}', "text/html", URL, "is JSON"),
        (b'{"files": ["demo-1.0.tar.gz"]}', JSON, URL, ""),
        (b'{"files": []}', JSON, URL, "came whole and names no file"),
        (b" \n", "text/html", URL, "came empty"),
        (LOGIN, "text/html", URL, 'for people ("Sign in"), and names no file of demo.'),
        (LOGIN, "text/html", ELSEWHERE, 'for people ("Sign in") from b.example, and'),
        (LOGIN + b"our-app.zip", "text/html", URL, 'for people ("Sign in"), and names no'),
        (LOGIN + LINKS, JSON, URL, ""),
        (b"<a href='other-1.0.zip'>", "text/html", URL, ""),  # a page of several projects
        (LOGIN.replace(b"Sign", b"\xff"), "text/html", URL, "for people, and names no file of"),
    ],
)
def test_a_page_of_an_index_is_doubted_for_a_reason(
    body: bytes, media: str, url: str, expected: str
) -> None:
    told = pages.oddity(body, media, url, URL, "demo")
    assert expected in told and bool(told) == bool(expected)


def test_a_login_page_is_no_page_for_people_of_the_index_itself() -> None:
    search = LOGIN.replace(b"password", b"text")
    assert pages.is_login(LOGIN, URL, URL, "demo")
    assert pages.is_login(search, ELSEWHERE, URL, "demo")
    assert not pages.is_login(search, URL, URL, "demo")
    assert not pages.is_login(LINKS + LOGIN, ELSEWHERE, URL, "demo")
