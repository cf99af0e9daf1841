"""Streams of bytes, whatever comes: headers of answers, chunks, and the ends of gzip streams."""

from __future__ import annotations

import gzip
import http.client
import io
import re
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from hypothesis import strategies as st

from pip_retry_patch.hooks.contents import decode
from pip_retry_patch.transport.chunks import Chunks
from pip_retry_patch.transport.header import PunctualResponse
from pip_retry_patch.transport.pages import is_cut
from tests.support.fuzzing import fuzz, mutated

# Headers


class Wire(io.RawIOBase):
    """What a socket brings, in pieces of these sizes and then as much as is asked for."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self.data, self.sizes = data, list(sizes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        most = self.sizes.pop(0) if self.sizes else len(buffer)
        piece, self.data = self.data[: min(most, len(buffer))], self.data[most:]
        buffer[: len(piece)] = piece
        return len(piece)


class Socket:
    """As much of a socket as http.client and our header ask of one."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self.wire = Wire(data, sizes)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self.wire)

    def gettimeout(self) -> float:
        return 10.0


def answer(kind: type[http.client.HTTPResponse], data: bytes, sizes: list[int]) -> Any:
    """Return status, fields and length of what is read as a header, or the error of that."""
    response = kind(Socket(data, sizes), method="GET")  # type: ignore[arg-type]
    try:
        response.begin()
    except (http.client.HTTPException, OSError, ValueError) as error:
        return type(error)
    return response.status, response.getheaders(), response.length, response.chunked


ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n",
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.0 200 OK\n\nabc",
    b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    b"HTTP/2 200\r\n\r\n",
    b"SSH-2.0-x\r\n\r\n",
    b"",
)
PARTS = (
    *(b"", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n", b" ", b":", b"\0", b"\xff", b"HTTP/1.1 "),
    *(b"100", b"103", b"199", b"200", b"204", b"304", b"999", b"1000", b"-1", b"Content-Length: 9"),
    *(b"Transfer-Encoding: chunked\r\n", b"X: " + b"x" * 70_000, b"X: y\r\n" * 200, b"9" * 5000),
)


def check_header(data: bytes, sizes: list[int]) -> None:
    """It is http.client's own answer, but for interim answers and a header without its end."""
    plain = answer(http.client.HTTPResponse, data, sizes)
    ours = answer(PunctualResponse, data, sizes)
    assert not (isinstance(ours, tuple) and 101 < ours[0] < 200)
    interim = re.search(rb"HTTP/\S*\s+1[0-9][0-9]", data)  # which are skipped, as a 100 is by both
    if ours == plain or interim:
        return
    # What http.client takes for an answer is one, unless its header never ended.
    assert ours is http.client.RemoteDisconnected
    assert isinstance(plain, tuple) and 200 <= plain[0] < 300
    final = data[data.rindex(b"HTTP/") :]
    assert b"\r\n\r\n" not in final and b"\n\n" not in final


@pytest.mark.parametrize("data", ANSWERS, ids=range(len(ANSWERS)))
def test_headers_of_the_corpus(data: bytes) -> None:
    for sizes in ([], [1] * len(data), [10, 1, 20]):
        check_header(data, sizes)


@fuzz(mutated(ANSWERS, PARTS), st.lists(st.integers(1, 40), max_size=30), examples=200)
def test_a_header_is_read_as_http_client_does_or_not_at_all(data: bytes, sizes: list[int]) -> None:
    check_header(data, sizes)


# Chunks


class Pieces:
    """A body that brings these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = list(pieces)

    def read1(self, most: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def chunks_of(pieces: list[bytes]) -> Chunks:
    return Chunks(Pieces(pieces), None)


@fuzz(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 50))
def test_what_is_put_into_chunks_comes_out_of_them(pieces: list[bytes], amount: int) -> None:
    """As urllib3's `read_chunked` takes them apart: a line, the bytes in steps, the line end."""
    file, received = chunks_of(pieces), b""
    while True:
        left = int(file.readline().split(b";")[0], 16)
        if not left:
            break
        while left:
            piece = file.read(min(left, amount))
            assert piece
            received += piece
            left -= len(piece)
        assert file.read(2) == b"\r\n"
    assert received == b"".join(pieces) and not file.finished
    assert file.readline() == b"\r\n" and file.finished
    assert file.readline() == b"" and file.read(1) == b""


@fuzz(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.lists(st.none() | st.integers(0, 60), max_size=60),
)
def test_no_order_of_reads_and_lines_changes_the_chunks(
    pieces: list[bytes], steps: list[int | None]
) -> None:
    whole = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    file, received = chunks_of(pieces), b""
    for amount in steps:
        piece = file.readline() if amount is None else file.read(amount)
        assert amount is None or len(piece) <= amount
        received += piece
    received += file.read(len(whole))
    assert received == whole and file.finished


# The ends of gzip streams

PAGE = b"<!DOCTYPE html><html><body>" + bytes(range(97, 123)) * 40 + b"</body></html>\n"


def page(body: bytes, coding: str) -> Any:
    headers = {"content-encoding": coding, "content-length": str(len(body))}
    raw = urllib3.HTTPResponse(io.BytesIO(body), headers=headers, preload_content=False)
    content = raw.read(decode_content=True)
    return SimpleNamespace(raw=raw, status_code=200, content=content, headers=raw.headers)


@fuzz(
    st.lists(st.binary(max_size=60), min_size=1, max_size=3),
    st.sampled_from(["gzip", "deflate", "raw deflate"]),
    st.integers(0, 500),
)
def test_a_stream_is_cut_unless_its_end_came(
    contents: list[bytes], kind: str, missing: int
) -> None:
    """Streams of gzip may follow each other (RFC 1952 section 2.2)."""
    if kind == "gzip":
        streams = [gzip.compress(PAGE + content, mtime=0) for content in contents]
    elif kind == "deflate":
        streams = [zlib.compress(PAGE + contents[0])]
    else:
        squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        streams = [squeeze.compress(PAGE + contents[0]) + squeeze.flush()]
    whole = b"".join(streams)
    part = whole[: len(whole) - min(missing, len(streams[-1]))]
    coding = "gzip" if kind == "gzip" else "deflate"
    ends = missing == 0 or (missing >= len(streams[-1]) and len(streams) > 1)
    found = page(part, coding)
    assert is_cut(found) == (not ends and bool(found.content))


def spoiled(data: bytes) -> Any:
    return mutated((data, gzip.compress(data, mtime=0), zlib.compress(data)), PARTS)


@fuzz(spoiled(PAGE), st.sampled_from(["gzip", "deflate", "gzip, deflate", "br"]))
def test_no_coded_page_is_a_crash_of_ours(body: bytes, coding: str) -> None:
    try:
        found = page(body, coding)
    except urllib3.exceptions.HTTPError:
        return  # urllib3 says so itself
    assert is_cut(found) in (True, False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for `decode`, which reads files."""
    return tmp_path_factory.mktemp("decode")


def decoded(body: bytes, path: Path, coding: str = "gzip") -> bytes | None:
    path.write_bytes(body)
    try:
        return b"".join(decode(str(path), coding))
    except zlib.error:
        return None


def test_a_file_is_decoded_whole_or_not_at_all(folder: Path) -> None:
    """Decoded is only what has its end; a hash is then checked, whatever it decodes to."""

    @fuzz(spoiled(PAGE))
    def every(body: bytes) -> None:
        found = decoded(body, folder / "file")
        if found is not None:
            assert found == zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body)

    every()
    for whole in (gzip.compress(PAGE), zlib.compress(PAGE)):
        assert decoded(whole, folder / "file") == PAGE
        for missing in range(1, len(whole) + 1):
            assert decoded(whole[:-missing], folder / "file") is None


# Pages that end with their connection

TYPES = st.sampled_from(["text/html", "application/json", "a/b+json", "text/plain", ""])
BITS = (
    b"<html",
    b"</html",
    b"<!--",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\u",
    b"\xff\xfe",
    b"\0",
    b"1" * 5000,
)


@fuzz(mutated((PAGE, b'{"files": []}', b"[" * 3000, b"<a href='x'>x</a>"), BITS), TYPES)
def test_no_page_without_a_length_is_a_crash(body: bytes, media: str) -> None:
    raw = SimpleNamespace(headers={})
    response = SimpleNamespace(
        raw=raw, status_code=200, content=body, headers={"content-type": media}
    )
    assert is_cut(response) in (True, False)
