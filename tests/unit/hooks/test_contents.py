"""What a file is, by its bytes, and which files of no known hash pip could not use."""

from __future__ import annotations

import lzma
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from pip_retry_patch.fetch.request import Outcome
from pip_retry_patch.hooks import mismatch
from tests.support.exchanges import response

FORMATS = {
    **{".tar.gz": "gztar", ".tgz": "gztar", ".tar.bz2": "bztar", ".tar.xz": "xztar"},
    **{".tar": "tar", ".zip": "zip", ".whl": "zip"},
}


def archive(ending: str) -> bytes:
    """Return a whole archive of the kind that such a name stands for."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "demo-1.0")
        files.mkdir()
        for number in range(1, 5):
            (files / f"{number}.py").write_bytes(os.urandom(512) * 4 * number)
        return Path(shutil.make_archive(f"{folder}/demo", FORMATS[ending], files)).read_bytes()


def at(folder: Path, ending: str, content: bytes) -> str:
    path = folder / f"demo-1.0{ending}"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("ending", FORMATS)
def test_an_archive_has_no_flaw_and_half_of_one_has(ending: str, tmp_path: Path) -> None:
    whole = archive(ending)
    assert mismatch.flaw_of(at(tmp_path, ending, whole)) == ""
    assert mismatch.flaw_of(at(tmp_path, ending, b"")) == mismatch.EMPTY
    for share in (0.1, 0.5, 0.7):
        cut = at(tmp_path, ending, whole[: int(len(whole) * share)])
        assert mismatch.flaw_of(cut) == (mismatch.DAMAGED if ending == ".tar" else mismatch.CUT)
    if ending != ".tar":
        assert mismatch.flaw_of(at(tmp_path, ending, b"denied" * 99)) == mismatch.OTHER_KIND
        assert mismatch.flaw_of(at(tmp_path, ending, b"denied"), "text/html") == mismatch.WEB_PAGE
    assert mismatch.flaw_of(at(tmp_path, ending, b"<!doctype HTML>")) == mismatch.WEB_PAGE


def test_what_pip_can_unpack_has_no_flaw(tmp_path: Path) -> None:
    whole = archive(".tar.gz")
    for ending, content, media, flaw in (
        # Only the checksum of gzip is missing, which neither tarfile nor pip reads.
        (".tar.gz", whole[:-3], "", ""),
        # pip looks into the file where the name does not help.
        (".tar.gz", archive(".zip"), "", ""),
        (".tar.gz", archive(".zip"), "text/html", ""),
        (".tar.xz", lzma.compress(archive(".tar"), format=lzma.FORMAT_ALONE), "", ""),
        *((".txt", b"anything", "", ""), (".whl.metadata", b"Name: demo", "", "")),
        (".whl.metadata", b"{}", "", mismatch.OTHER_KIND),
        (".tar.gz", whole[:60] + bytes(30) + whole[90:], "", mismatch.DAMAGED),
    ):
        assert mismatch.flaw_of(at(tmp_path, ending, content), media) == flaw


def test_a_file_with_a_length_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    # Its length was enforced: what is missing in it, the server has not got either.
    path, outcome = at(tmp_path, ".tar.gz", archive(".tar.gz")[:-90]), Outcome("")
    for framed, is_cached, is_told in (
        ("close", False, True),
        ("length", False, False),
        ("length", True, True),  # by the network, not by the disk
    ):
        outcome.response, outcome.is_cached = response(b"x", framed=framed), is_cached
        assert bool(mismatch.not_the_file("demo-1.0.tar.gz", path, outcome)) == is_told


@pytest.mark.parametrize(("ending", "module"), [(".tar.gz", "gzip"), (".tar.bz2", "bz2")])
def test_a_look_has_a_budget_and_a_python_need_not_have_each_compression(
    ending: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mismatch, "LOOK_SECONDS", 60.0)
    path = at(tmp_path, ending, archive(ending)[:-500])
    assert mismatch.flaw_of(path)
    for budget, least in (("LOOK_BYTES", -1), ("LOOK_SECONDS", -1.0)):
        with monkeypatch.context() as patched:
            patched.setattr(mismatch, budget, least)
            assert mismatch.flaw_of(path) == ""
    monkeypatch.setitem(sys.modules, module, None)
    assert mismatch.flaw_of(path) == ""
