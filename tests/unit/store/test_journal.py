"""The journal: whole lines, however many pips share it, and never a reason to fail."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from pip_retry_patch.store import writer
from pip_retry_patch.store.journal import Journal


def note(journal: Journal, count: int = 1) -> None:
    for _ in range(count):
        facts = {"offset": 5, "total": 10, "outcome": "closed\n"}
        journal.note("interruption", "demo-1.0.whl", "files.example", **facts)


def test_each_event_is_one_line_of_json(tmp_path: Path) -> None:
    note(Journal(str(tmp_path / "log"), "24.0", pytest.fail))
    (line,) = (tmp_path / "log").read_text().splitlines()
    found = json.loads(line)
    assert found.pop("time").endswith("Z") and found.pop("run")
    assert found == {
        "v": 1,
        "pip": "24.0",
        "file": "demo-1.0.whl",
        "host": "files.example",
        "kind": "interruption",
        "offset": 5,
        "total": 10,
        "seconds": 0.0,
        "outcome": "closed\n",
        "again": 0,
    }


@pytest.mark.parametrize("largest", [10_000_000, 100_000])
def test_many_pips_share_a_file_and_none_loses_a_line(largest: int, tmp_path: Path) -> None:
    path = tmp_path / "log"
    journals = [Journal(str(path), "24.0", pytest.fail, largest) for _ in range(8)]
    threads = [threading.Thread(target=note, args=(journal, 60)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    older = Path(f"{path}.1")
    lines = [line for part in (older, path) if part.exists() for line in part.open()]
    assert older.exists() == (largest < 10_000_000)
    assert len(lines) == 480 and all(json.loads(line)["total"] == 10 for line in lines)


def test_a_large_journal_is_renamed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    note(Journal(str(path), "24.0", pytest.fail, largest=1000), 20)
    older = Path(f"{path}.1")
    assert older.stat().st_size > 1000 > older.stat().st_size - 300
    assert path.stat().st_size <= 1300


def test_a_journal_that_cannot_be_renamed_now_is_renamed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, while somebody reads it."""

    def refused(*_: object) -> None:
        raise PermissionError("it is being used by another process")

    path = tmp_path / "log"
    journal = Journal(str(path), "24.0", pytest.fail, largest=1000)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refused)
        note(journal, 20)
    assert path.read_text().count("\n") == 20
    note(journal)
    assert path.read_text().count("\n") == 1 and Path(f"{path}.1").exists()


def test_a_lock_that_somebody_keeps_costs_one_wait_and_no_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    journal = Journal(str(path), "24.0", pytest.fail, largest=100)
    with writer.locked(str(path)) as held:
        assert held
        note(journal, 5)
    assert path.read_text().count("\n") == 5 and journal._patience == 0.0


@pytest.mark.parametrize("kind", ["directory", "pipe", "link", "missing"])
def test_what_cannot_be_written_is_said_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        (tmp_path / "large").write_bytes(b"x" * 5000)
        path.symlink_to(tmp_path / "large")
    else:
        path = path / "nowhere" / "log"
    complaints: list[str] = []
    note(Journal(str(path), "24.0", complaints.append, largest=1000), 3)
    assert len(complaints) == 1 and complaints[0]
    assert kind != "link" or (path.is_symlink() and (tmp_path / "large").stat().st_size == 5000)


def test_the_path_is_resolved_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    journal = Journal(str(tmp_path / "link" / "log"), "24.0", pytest.fail)
    note(journal)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "two")
    note(journal)
    assert (tmp_path / "one" / "log").read_text().count("\n") == 2
