"""Which files of no known hash pip could not use, told before it tries."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch.hooks.contents import not_the_file

TARS = {".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz", ".tar": "w"}
ENDINGS = (*TARS, ".zip", ".whl")
FILES = {f"demo-1.0/{number}.py": bytes(range(256)) * 8 * number for number in range(1, 5)}


def archive(ending: str) -> bytes:
    """Return a whole archive of the kind that such a name stands for."""
    made = io.BytesIO()
    if ending in TARS:
        with tarfile.open(fileobj=made, mode=TARS[ending]) as tar:  # type: ignore[call-overload]
            for name, content in FILES.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    else:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in FILES.items():
                zipped.writestr(name, content)
    return made.getvalue()


def fetched(name: str, whole: bool) -> Any:
    """Return what is known of a file that was fetched; `whole`: a server told its length."""
    announced = 1 if whole else None
    return SimpleNamespace(
        name=name, host="files.example", media="", coding="", announced=announced
    )


def told_of(tmp_path: Path, ending: str, content: bytes, whole: bool) -> str:
    """Return what is said of a file; "" for one that pip can use."""
    path = tmp_path / f"demo-1.0{ending}"
    path.write_bytes(content)
    failure = not_the_file(str(path), fetched(path.name, whole))
    return "" if failure is None else failure.context


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("whole", [False, True])
def test_a_whole_archive_is_left_to_pip(ending: str, whole: bool, tmp_path: Path) -> None:
    assert told_of(tmp_path, ending, archive(ending), whole) == ""


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.7])
def test_an_archive_that_was_cut_is_told(ending: str, share: float, tmp_path: Path) -> None:
    content = archive(ending)
    said = told_of(tmp_path, ending, content[: int(len(content) * share)], whole=False)
    kind = "whole wheel" if ending == ".whl" else "whole archive"
    assert f"no {kind}" in said


def test_what_pip_can_unpack_is_left_to_it(tmp_path: Path) -> None:
    # Only the checksum of gzip is missing, which neither tarfile nor pip reads.
    assert told_of(tmp_path, ".tar.gz", archive(".tar.gz")[:-3], whole=False) == ""


def test_a_file_with_a_length_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    # Its length was enforced: what is missing in it, the server has not got either.
    assert told_of(tmp_path, ".tar.gz", archive(".tar.gz")[:-90], whole=True) == ""


def test_what_is_no_archive_by_its_name_is_left_alone(tmp_path: Path) -> None:
    assert told_of(tmp_path, ".txt", b"anything", whole=False) == ""


def test_an_sdist_of_another_kind_than_its_name_says_is_left_to_pip(tmp_path: Path) -> None:
    # pip looks into the file where the name does not help.
    assert told_of(tmp_path, ".tar.gz", archive(".zip"), whole=False) == ""
