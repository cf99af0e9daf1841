"""The journal: whole lines, however many pips share it, and never a reason to fail."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from pip_retry_patch.store.journal import Journal


def note(journal: Journal, count: int = 1) -> None:
    for _ in range(count):
        journal.note("interruption", "demo-1.0.whl", "files.example", 5, 10, outcome="closed\n")


def test_each_event_is_one_line_of_json(tmp_path: Path) -> None:
    complaints: list[str] = []
    note(Journal(str(tmp_path / "log"), "24.0", complaints.append))
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
    assert not complaints


def test_many_pips_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    journals = [Journal(str(path), "24.0", pytest.fail) for _ in range(8)]
    threads = [threading.Thread(target=note, args=(journal, 200)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_text().splitlines()
    assert len(lines) == 1600 and all(json.loads(line)["total"] == 10 for line in lines)


def test_a_large_journal_is_renamed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    note(Journal(str(path), "24.0", pytest.fail, largest=1000), 20)
    older = Path(f"{path}.1")
    assert older.stat().st_size > 1000 > older.stat().st_size - 300
    assert path.stat().st_size <= 1300


@pytest.mark.parametrize("kind", ["directory", "pipe", "missing"])
def test_what_cannot_be_written_is_said_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = path / "nowhere" / "log"
    complaints: list[str] = []
    note(Journal(str(path), "24.0", complaints.append), 3)
    assert len(complaints) == 1 and complaints[0]
