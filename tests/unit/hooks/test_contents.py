"""What a file is, by its bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from pip_retry_patch.hooks import contents

TEXT = b"hello, hello, hello\n" * 2000


def bare_deflate(content: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(content) + stream.flush()


CODED = {
    "gzip": gzip.compress(TEXT, mtime=0),
    "x-gzip": gzip.compress(TEXT[:500], mtime=0) + gzip.compress(TEXT[500:], mtime=0),
    "deflate": zlib.compress(TEXT),
    "gzip, gzip": gzip.compress(gzip.compress(TEXT, mtime=0), mtime=0),
    "deflate,gzip": gzip.compress(zlib.compress(TEXT), mtime=0),
    " gzip ": gzip.compress(TEXT, mtime=0) + bytes(9),
}


@pytest.mark.parametrize(
    ("coding", "coded"), [*CODED.items(), ("deflate", bare_deflate(TEXT)), ("deflate", b"")]
)
def test_each_coding_is_undone_and_needs_its_end(coding: str, coded: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.whl"
    assert contents.can_be_undone(coding)
    if coded:
        path.write_bytes(coded)
        assert b"".join(contents.decode(str(path), coding)) == TEXT
    path.write_bytes(coded[: len(coded) // 2])
    with pytest.raises(zlib.error):
        list(contents.decode(str(path), coding))


@pytest.mark.parametrize("coding", ["", "br", "gzip, br", "aws-chunked"])
def test_other_codings_are_not_undone(coding: str) -> None:
    assert not contents.can_be_undone(coding)


def archives() -> dict[str, bytes]:
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("demo.py", TEXT)
    with tarfile.open(fileobj=tarred, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("demo.py"))
    return {"a.whl": zipped.getvalue(), "a.zip": zipped.getvalue(), "a.tar.gz": tarred.getvalue()}


@pytest.mark.parametrize("name", archives())
def test_an_archive_without_its_end_has_none(name: str, tmp_path: Path) -> None:
    whole, path = archives()[name], tmp_path / name
    path.write_bytes(whole)
    assert contents.has_end(str(path))
    for kept in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        assert not contents.has_end(str(path))


def test_of_other_files_the_end_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "demo.metadata"
    path.write_bytes(b"Name: de")
    assert contents.has_end(str(path))


@pytest.mark.parametrize(
    ("name", "coding"), [("a.whl", "gzip"), ("a.metadata", "gzip"), ("a.tar.gz", "")]
)
def test_a_coding_without_a_label_is_known_by_the_first_bytes(
    name: str, coding: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT, mtime=0))
    assert contents.unlabelled_coding(str(path)) == coding
    path.write_bytes(TEXT)
    assert not contents.unlabelled_coding(str(path))
