"""What is done about a file that does not fit its hash, with a pip that is only a few lines."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from pip_retry_patch.hooks import mismatch
from pip_retry_patch.wording import Peer

WHEEL, METADATA = "demo-1.0-py3-none-any.whl", "demo-1.0-py3-none-any.whl.metadata"


def wheel(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr(zipfile.ZipInfo("demo.py"), content)
    return made.getvalue()


RIGHT, WRONG, OTHER = wheel(bytes(range(200)) * 10), wheel(bytes(2000)), wheel(bytes(1999) + b"x")


class HashMismatch(Exception):
    """Stands for pip's."""

    def body(self) -> str:
        return "    demo:\n        Expected sha256 0000\n"


class Fetched:
    """What one fetch brings, and its facts."""

    def __init__(self, content: bytes, coding: str = "", **facts: Any) -> None:
        self.content = content
        self.outcome = SimpleNamespace(
            response=SimpleNamespace(headers={"content-encoding": coding}),
            length=facts.get("announced", len(content)),
            peer=Peer("files.example"),
            came_from_cache=facts.get("cached", False),
        )


class Artifact:
    """What brings one fetch after another; the first is there already."""

    name = WHEEL
    continued = None

    def __init__(self, folder: Path, *fetches: Any) -> None:
        self.folder, self.fetches = folder, list(fetches)
        self.did: list[Any] = []
        self.path = self.fetch(str(folder))[0]

    def fetch(self, location: str, fresh: bool = False) -> tuple[str, str]:
        self.did.append("fresh" if fresh else "fetch")
        assert Path(location) == self.folder or Path(location).parent == self.folder
        fetched = self.fetches.pop(0)
        fetched = fetched if isinstance(fetched, Fetched) else Fetched(fetched)
        self.outcome = fetched.outcome
        path = Path(location) / self.name
        path.write_bytes(fetched.content)
        return str(path), "application/zip"

    def forget(self) -> None:
        self.did.append("forget")

    def drop_mirrors(self) -> bool:
        return False


class Pip:
    """pip's check of a hash, and what is done about it."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.lines: list[str] = []
        self.failed: list[Exception] = []
        self.verified: list[str] = []
        self.first = HashMismatch()

    def verify(self, path: str) -> str:
        self.verified.append(path)
        if Path(path).read_bytes() != RIGHT:
            raise HashMismatch
        return f"verified {len(self.verified)}"

    def inform(self, line: str) -> None:
        self.lines.append(line)

    def check(self) -> Any:
        with mock.patch.object(mismatch, "note_failure", lambda _, why: self.failed.append(why)):
            path = self.artifact.path
            return mismatch.look_into(self.first, self.artifact, self.verify, path, self)

    def refuses(self) -> str:
        """Check a file that stays a mismatch; return what pip says of it, its lines joined."""
        with pytest.raises(HashMismatch) as found:
            self.check()
        assert found.value is self.first and not self.lines
        assert os.listdir(self.artifact.folder) == [self.artifact.name]
        self.body = found.value.body()
        return " ".join(self.body.split())


def pip(folder: Path, *fetches: Any) -> Pip:
    return Pip(Artifact(folder, *fetches))


# What fails closed.


@pytest.mark.parametrize("what", ["forget", "drop_mirrors", "fetch"])
def test_a_mistake_of_ours_leaves_the_first_mismatch(what: str, tmp_path: Path) -> None:
    world = pip(tmp_path, WRONG, RIGHT)
    setattr(world.artifact, what, mock.Mock(side_effect=TypeError("a mistake")))
    assert "Expected sha256 0000" in world.refuses()
    assert [type(error) for error in world.failed] == [TypeError]


@pytest.mark.parametrize("what", ["inform", "short", "contents"])
def test_no_earlier_answer_is_given_after_a_mistake(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if pip had accepted the file by then."""
    world = pip(tmp_path, WRONG, RIGHT)
    owner: Any = world if what == "inform" else mismatch
    monkeypatch.setattr(owner, what, lambda *_: 1 / 0)
    with pytest.raises(HashMismatch) as found:
        world.check()
    assert found.value is world.first and len(world.failed) == 1


def test_what_decodes_to_the_file_is_no_answer_until_it_stands_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = Fetched(gzip.compress(RIGHT), coding="gzip")
    monkeypatch.setattr(os, "replace", mock.Mock(side_effect=OSError("full")))
    assert "compresses the file" in pip(tmp_path, coded, coded).refuses()


def test_a_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    world = pip(tmp_path, WRONG, RIGHT)

    def interrupted(location: str, fresh: bool = False) -> Any:
        (Path(location) / "half").write_bytes(b"x")
        raise KeyboardInterrupt

    world.artifact.fetch = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.check()
    assert os.listdir(tmp_path) == [WHEEL]


@pytest.mark.parametrize("times", [1, 100_000])
def test_nothing_is_decoded_beyond_the_budget(times: int, tmp_path: Path) -> None:
    coded = gzip.compress(bytes(40 << 20), 1) if times == 1 else gzip.compress(b"") * times
    world = pip(tmp_path, *[Fetched(coded, coding="gzip")] * 2)
    assert "compresses the file" in world.refuses()


# The evidence, of which tests/pips/body/test_faults.py shows more.


def test_the_evidence_is_two_fetches_and_one_remedy(tmp_path: Path) -> None:
    world = pip(tmp_path, WRONG, WRONG)
    assert "Both brought the same bytes" in world.refuses()
    before, empty, heading, one, other, *remedy = world.body.splitlines()[1:]
    assert "Expected" in before and not empty and heading == "pip-retry-patch looked into it:"
    assert one.startswith("  first fetch:  ") and other.startswith("  second fetch: ")
    assert remedy and all(line.startswith("  ") and len(line) <= 80 for line in remedy)
    assert world.artifact.did[1:3] == ["forget", "fresh"] and not world.failed


def test_metadata_that_does_not_fit_is_told_as_the_indexs_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Artifact, "name", METADATA)
    said = pip(tmp_path, *[b"Metadata-Version: 2.1\nName: demo\n"] * 2).refuses()
    assert "the metadata of demo-1.0 does not fit" in said
    assert "those who run the index (files.example)" in said and "replaced" not in said


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"announced": 3_000_000}, "2.1 kB of 3.0 MB from files.example, NOT complete"),
        ({"announced": None}, "2.1 kB from files.example"),
        ({"cached": True}, "2.1 kB of 2.1 kB from pip's cache, complete"),
    ],
)
def test_a_fetch_is_told_in_one_line(facts: Any, line: str, tmp_path: Path) -> None:
    world = pip(tmp_path, Fetched(WRONG, **facts), OTHER)
    assert "Each fetch brought different bytes" in world.refuses()
    assert f"  first fetch:  {line}" in world.body
