"""A clean index: files, ranges, validators, pages and metadata, as the RFCs and PEPs want them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import json
import re
import zipfile
from email.utils import parsedate_to_datetime

import pytest

from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.wire import lab_with, look, path

JSON = "application/vnd.pypi.simple.v1+json"


def test_serves_the_whole_artifact_with_its_validators() -> None:
    with lab_with() as lab:
        seen = look(lab)
        assert (seen.status, seen.body, seen.end) == (200, lab.wheel("p"), "fin")
        assert seen.headers["Content-Length"] == str(len(lab.wheel("p")))
        assert seen.headers["Accept-Ranges"] == "bytes"
        assert re.fullmatch(r'"\w+"', seen.headers["ETag"])
        dates = [parsedate_to_datetime(seen.headers[name]) for name in ("Date", "Last-Modified")]
        assert (dates[0] - dates[1]).days in (364, 365)
        assert lab.sent("p") == len(lab.wheel("p"))


def test_wheel_is_valid_and_always_the_same() -> None:
    package = Package("Some.Name", 2_500_000, requires=["other>=1"])
    data = package.wheel()
    assert data == package.wheel() != package.wheel(1)
    assert len(gzip.compress(data, 1)) > len(data) * 0.99
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        metadata = archive.read("some_name-1.0.dist-info/METADATA").decode()
        record = archive.read("some_name-1.0.dist-info/RECORD").decode().split()
        assert {line.split(",")[0] for line in record} == set(archive.namelist())
        for line in record[:-1]:
            name, digest, size = line.split(",")
            content = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
            assert (digest, size) == (f"sha256={expected.rstrip('=')}", str(len(content)))
    assert "Name: Some.Name\n" in metadata
    assert "Requires-Dist: other>=1\n" in metadata
    assert package.filename == "some_name-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("header", "status", "start", "stop"),
    [
        ("bytes=0-", 206, 0, None),
        ("bytes=100-", 206, 100, None),
        ("bytes=100-199", 206, 100, 200),
        ("bytes=100-99999999", 206, 100, None),
        ("bytes=-50", 206, -50, None),
        ("bytes=-99999999", 206, 0, None),
        ("bytes=9-3", 200, 0, None),
        ("bytes=0-1,5-6", 200, 0, None),
        ("lines=1-", 200, 0, None),
    ],
)
def test_ranges(header: str, status: int, start: int, stop: int | None) -> None:
    with lab_with() as lab:
        data = lab.wheel("p")
        expected = data[start:stop]
        seen = look(lab, Range=header)
        assert (seen.status, seen.body) == (status, expected)
        assert seen.headers["Content-Length"] == str(len(expected))
        if status == 206:
            first = start % len(data)
            label = f"bytes {first}-{first + len(expected) - 1}/{len(data)}"
            assert seen.headers["Content-Range"] == label
        assert lab.log[0].range == header


@pytest.mark.parametrize("start", [0, 1])
def test_range_behind_the_end_is_416(start: int) -> None:
    with lab_with() as lab:
        size = len(lab.wheel("p"))
        seen = look(lab, Range=f"bytes={size + start}-")
        assert (seen.status, seen.headers["Content-Range"]) == (416, f"bytes */{size}")


def test_without_ranges_everything_is_200() -> None:
    with Lab([Package("p", ranges=False)]) as lab:
        seen = look(lab, Range="bytes=10-")
        assert (seen.status, seen.body) == (200, lab.wheel("p"))
        assert "Accept-Ranges" not in seen.headers


@pytest.mark.parametrize(
    ("validator", "header", "status"),
    [
        ("strong", "ETag", 206),
        ("strong", "Last-Modified", 206),
        ("weak", "ETag", 200),
        ("date", "Last-Modified", 206),
        ("date", None, 200),
        ("none", None, 200),
    ],
)
def test_if_range(validator: str, header: str | None, status: int) -> None:
    with Lab([Package("p", validator=validator)]) as lab:  # type: ignore[arg-type]
        plain = look(lab)
        sent = {name for name in ("ETag", "Last-Modified") if name in plain.headers}
        known = {"strong": {"ETag", "Last-Modified"}, "weak": {"ETag"}, "date": {"Last-Modified"}}
        assert sent == known.get(validator, set())
        condition = plain.headers[header] if header else '"unknown"'
        assert look(lab, Range="bytes=5-", If_Range=condition).status == status
        assert lab.log[1].if_range == condition


def test_conditional_request_is_304_without_a_body() -> None:
    with lab_with() as lab:
        plain = look(lab)
        for seen in (
            look(lab, If_None_Match=plain.headers["ETag"]),
            look(lab, If_Modified_Since=plain.headers["Last-Modified"]),
        ):
            assert (seen.status, seen.body) == (304, b"")
        assert look(lab, If_None_Match='"other"').status == 200


def test_unknown_paths_and_methods() -> None:
    with lab_with() as lab:
        assert look(lab, "/simple/q/").status == 404
        assert look(lab, "/files/p/q.whl").status == 404
        assert look(lab, f"{path(lab)}.metadata").status == 404
        assert look(lab, method="POST").status == 405
        assert b'href="p/"' in look(lab, "/simple/").body
        assert look(lab, f"{lab.url}/simple/p/").status == 200  # as a proxy is asked
        assert [request.kind for request in lab.log] == [
            *["other"] * 3, "artifact", "other", "page"
        ]  # fmt: skip


def test_html_page_and_metadata() -> None:
    with Lab([Package("P", metadata=True, requires=["q"])]) as lab:
        page = look(lab, "/simple/p/").body.decode()
        found = re.search(
            r'href="(/files/p/.*?)#sha256=(\w+)" .*data-core-metadata="sha256=(\w+)', page
        )
        assert found
        artifact, digest, core = found.groups()
        assert hashlib.sha256(look(lab, artifact).body).hexdigest() == digest == lab.sha256("P")
        metadata = look(lab, f"{artifact}.metadata").body
        assert hashlib.sha256(metadata).hexdigest() == core
        assert b"Requires-Dist: q" in metadata
        assert [request.kind for request in lab.requests("P")] == ["page", "artifact", "metadata"]


def test_json_page_only_for_those_who_ask() -> None:
    with Lab([Package("p", page_format="json")]) as lab:
        seen = look(lab, "/simple/p/", Accept=f"{JSON}, text/html;q=0.1")
        assert seen.headers["Content-Type"] == JSON
        (file,) = json.loads(seen.body)["files"]
        assert (file["url"], file["hashes"]) == (path(lab), {"sha256": lab.sha256("p")})
        assert look(lab, "/simple/p/").headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("hashes", "fragment"), [(False, ""), ("0123", "#sha256=0123")])
def test_announced_hash(hashes: bool | str, fragment: str) -> None:
    with Lab([Package("p", hashes=hashes)]) as lab:
        assert f'href="{path(lab)}{fragment}"'.encode() in look(lab, "/simple/p/").body


def test_gzip_for_those_who_accept_it() -> None:
    with Lab([Package("p", gzip=True), Package("q", gzip_varies=True)]) as lab:
        assert "Content-Encoding" not in look(lab).headers
        assert "Content-Encoding" not in look(lab, Accept_Encoding="gzip;q=0, identity").headers
        one, two = (look(lab, Accept_Encoding="gzip, deflate") for _ in range(2))
        assert gzip.decompress(one.body) == lab.wheel("p")
        assert (one.body, one.headers["ETag"]) == (two.body, two.headers["ETag"])
        one, two = (look(lab, "/simple/q/", Accept_Encoding="gzip") for _ in range(2))
        assert gzip.decompress(one.body) == gzip.decompress(two.body)
        assert one.body != two.body
        assert one.headers["ETag"] != two.headers["ETag"]


def test_max_age_is_for_files() -> None:
    with Lab([Package("p", max_age=600)]) as lab:
        assert look(lab).headers["Cache-Control"] == "max-age=600"
        assert "Cache-Control" not in look(lab, "/simple/p/").headers


def test_chunked_body_is_well_formed() -> None:
    with Lab([Package("p", chunked=True)]) as lab:
        connection = http.client.HTTPConnection("127.0.0.1", int(lab.url.rpartition(":")[2]))
        for _ in range(2):
            connection.request("GET", path(lab), headers={"Range": "bytes=5-"})
            response = connection.getresponse()
            assert response.getheader("Content-Length") is None
            assert response.read() == lab.wheel("p")[5:]
        connection.close()
        assert lab.sent("p") == 2 * (len(lab.wheel("p")) - 5)
