"""What is done about a file that does not fit its hash, with a pip that is only a few lines.

What users are told, tests/pips/body/test_faults.py shows.
"""

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

WHEEL = "demo-1.0-py3-none-any.whl"


def wheel(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr(zipfile.ZipInfo("demo.py"), content)
    return made.getvalue()


RIGHT, WRONG, OTHER = wheel(bytes(range(200)) * 10), wheel(bytes(2000)), wheel(bytes(1999) + b"x")
REFUSED = "    demo:\n        Expected sha256 0000\n"


class HashMismatch(Exception):
    """Stands for pip's."""

    def body(self) -> str:
        return REFUSED


class World:
    """An artifact that brings one file after another, and pip's check of its hash."""

    body, parts = SimpleNamespace(continued=None, joined=False), True

    def __init__(self, folder: Path, *fetches: bytes, name: str = WHEEL, **facts: Any) -> None:
        self.folder, self.fetches, self.name = folder, list(fetches), name
        self.facts = {"coding": "", "announced": len(fetches[0]), "cached": False, **facts}
        self.did: list[Any] = []
        self.lines: list[str] = []
        self.inform = self.lines.append
        self.mistakes: list[Exception] = []
        self.first = HashMismatch()
        self.path = self.fetch(str(folder))[0]

    def fetch(self, location: str, fresh: bool = False) -> tuple[str, str]:
        self.did.append("fresh" if fresh else "fetch")
        self.outcome = SimpleNamespace(
            response=SimpleNamespace(headers={"content-encoding": self.facts["coding"]}),
            length=self.facts["announced"],
            peer=Peer("files.example"),
            is_cached=self.facts["cached"],
        )
        path = Path(location, self.name)
        path.write_bytes(self.fetches.pop(0))
        return str(path), ""

    def forget(self) -> None:
        self.did.append("forget")

    def distrust(self) -> bool:
        return False

    def verify(self, path: str) -> str:
        self.did.append("verify")
        if Path(path).read_bytes() != RIGHT:
            raise HashMismatch
        return "verified"

    def check(self) -> Any:
        with mock.patch.object(mismatch, "note_failure", lambda _, why: self.mistakes.append(why)):
            return mismatch.look_into(self.first, self, self.verify, self.path, self)

    def refuses(self) -> str:
        """Check a file that stays a mismatch; return what pip says of it."""
        with pytest.raises(HashMismatch) as found:
            self.check()
        assert found.value is self.first and not self.lines
        assert os.listdir(self.folder) == [self.name]
        return found.value.body()


@pytest.mark.parametrize("what", ["forget", "distrust", "fetch", "inform", "flaw_of"])
def test_a_mistake_of_ours_leaves_the_first_mismatch(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if pip had accepted the file by then."""
    world = World(tmp_path, WRONG, RIGHT)
    owner = world if hasattr(world, what) else mismatch
    monkeypatch.setattr(owner, what, lambda *_, **__: 1 / 0)
    assert REFUSED.strip() in world.refuses() and len(world.mistakes) == 1


def test_what_decodes_counts_once_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", mock.Mock(side_effect=OSError("full")))
    said = World(tmp_path, *[gzip.compress(RIGHT)] * 2, coding="gzip").refuses()
    assert "compresses the file" in " ".join(said.split())


@pytest.mark.parametrize(
    ("coded", "decoded"),
    [(gzip.compress(bytes(40 << 20), 1), 0), (gzip.compress(b"") * 100_000, 2)],
    ids=["a bomb", "nothing in many members"],
)
def test_nothing_is_decoded_beyond_the_budget(coded: bytes, decoded: int, tmp_path: Path) -> None:
    world = World(tmp_path, coded, coded, coding="gzip")
    assert "compresses the file" in " ".join(world.refuses().split())
    assert world.did.count("verify") == 1 + decoded


def test_what_was_joined_of_parts_twice_is_fetched_in_one_piece(tmp_path: Path) -> None:
    """The network may have damaged it once; a server may always send other parts than it says."""
    for fetches in ((WRONG, RIGHT), (WRONG, WRONG, RIGHT)):
        world = World(tmp_path, *fetches)
        world.body = SimpleNamespace(continued=None, joined=True)
        assert world.check() == "verified" and world.parts is (len(fetches) == 2)


def test_a_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    world = World(tmp_path, WRONG, RIGHT)

    def interrupted(location: str, fresh: bool = False) -> Any:
        (Path(location) / "half").write_bytes(b"x")
        raise KeyboardInterrupt

    world.fetch = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.check()
    assert os.listdir(tmp_path) == [WHEEL]


def test_the_evidence_is_two_fetches_and_one_remedy(tmp_path: Path) -> None:
    world = World(tmp_path, WRONG, WRONG)
    expected, empty, heading, one, other, *remedy = world.refuses().splitlines()[1:]
    assert "Expected" in expected and not empty and heading == "pip-retry-patch looked into it:"
    assert one.startswith("  first fetch:  ") and other.startswith("  second fetch: ")
    assert remedy[0].startswith("  Both brought the same bytes")
    assert all(line.startswith("  ") and len(line) <= 80 for line in remedy)
    assert world.did[1:3] == ["forget", "fresh"] and not world.mistakes


def test_metadata_that_does_not_fit_is_told_as_the_indexs_metadata(tmp_path: Path) -> None:
    world = World(tmp_path, *[b"Metadata-Version: 2.1\nName: demo\n"] * 2, name=f"{WHEEL}.metadata")
    said = " ".join(world.refuses().split())
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
    said = World(tmp_path, WRONG, OTHER, **facts).refuses()
    assert "Each fetch brought different bytes" in said and f"  first fetch:  {line}" in said
