"""Whether a page came to its end, by what urllib3's own decoders saw of it."""

from __future__ import annotations

import gzip
import io
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3

from pip_retry_patch.transport.pages import is_cut

PAGE = b"<!DOCTYPE html><html><body>" + bytes(range(97, 123)) * 40 + b"</body></html>\n"


def page(body: bytes, **headers: str) -> Any:
    """A response of requests, read whole."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = urllib3.HTTPResponse(io.BytesIO(body), headers=fields, preload_content=False)
    content = raw.read(decode_content=True)
    return SimpleNamespace(raw=raw, status_code=200, content=content, headers=raw.headers)


CODED = {
    "gzip": gzip.compress(PAGE),
    "deflate": zlib.compress(PAGE),
}
if hasattr(urllib3, "BaseHTTPResponse"):
    CODED["gzip, deflate"] = zlib.compress(gzip.compress(PAGE))


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
    # Where a length or chunks tell the end, that is enough.
    assert not is_cut(page(body, content_type=media, content_length=str(len(body))))
    assert not is_cut(page(body, content_type=media, transfer_encoding="chunked"))
