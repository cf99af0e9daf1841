"""What a file is, by its bytes."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from pip_retry_patch.hooks import contents

TEXT = b"hello, hello, hello\n" * 2000


CODED = {
    "gzip": gzip.compress(TEXT, mtime=0),
    "x-gzip": gzip.compress(TEXT[:500], mtime=0) + gzip.compress(TEXT[500:], mtime=0),
    "gzip, gzip": gzip.compress(gzip.compress(TEXT, mtime=0), mtime=0),
    " gzip ": gzip.compress(TEXT, mtime=0) + bytes(9),
}
BUDGET = len(TEXT)


@pytest.mark.parametrize("coding", CODED)
def test_gzip_is_undone_and_needs_its_end(coding: str, tmp_path: Path) -> None:
    path = tmp_path / "file.whl"
    path.write_bytes(CODED[coding])
    assert b"".join(contents.decode(str(path), coding, BUDGET)) == TEXT
    path.write_bytes(CODED[coding][: len(CODED[coding]) // 2])
    with pytest.raises(EOFError):
        list(contents.decode(str(path), coding, BUDGET))


@pytest.mark.parametrize("coding", ["", "br", "deflate", "gzip, br", "gzip, gzip, gzip"])
def test_other_codings_are_not_undone(coding: str, tmp_path: Path) -> None:
    path = tmp_path / "file.whl"
    path.write_bytes(CODED["gzip"])
    with pytest.raises(ValueError):
        list(contents.decode(str(path), coding, BUDGET))


def test_no_more_is_decoded_than_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "file.whl"
    path.write_bytes(gzip.compress(bytes(64 << 20)))
    decoded = 0
    with pytest.raises(ValueError):
        for piece in contents.decode(str(path), "gzip", 1 << 20):
            decoded += len(piece)
    assert decoded <= 3 << 20


def archives() -> dict[str, bytes]:
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("demo.py", TEXT)
    with tarfile.open(fileobj=tarred, mode="w:gz") as tar:
        info = tarfile.TarInfo("demo.bin")
        info.size = 5000
        tar.addfile(info, io.BytesIO(random.Random(1).randbytes(5000)))
    return {"a.whl": zipped.getvalue(), "a.zip": zipped.getvalue(), "a.tar.gz": tarred.getvalue()}


@pytest.mark.parametrize("name", archives())
def test_an_archive_without_its_end_has_none(name: str, tmp_path: Path) -> None:
    whole, path = archives()[name], tmp_path / name
    path.write_bytes(whole)
    assert contents.has_end(str(path))
    # What stands behind the last file of a tar is padding, which nobody reads.
    for kept in (5, len(whole) // 2, len(whole) - (200 if name.endswith(".gz") else 1)):
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
