"""The journal: whole lines, however many pips share it, and never a reason to fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from pip_retry_patch.store import writer
from pip_retry_patch.store.journal import Journal
from tests.support.needs import needs_links

# One of several pips. Its appends are as Windows makes them: it looks for the end of a file, and
# then writes there.
PIP = """
import io, os, sys
from pip_retry_patch.store import journal, writer

class Two(io.FileIO):
    def __init__(self, path):
        super().__init__(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "w")
    def write(self, data):
        self.seek(0, os.SEEK_END)
        os.sched_yield() if hasattr(os, "sched_yield") else None
        super().write(data)

writer.append_to = Two
journal.LARGEST = int(sys.argv[2])
shared = journal.Journal(sys.argv[1], "24.0", sys.exit)
shared._patience = 60.0  # on a busy machine one may have to wait for long
for number in range(300):
    shared.note("interruption", "demo-1.0.whl", "files.example", total=number)
"""


def note(journal: Journal, count: int = 1) -> None:
    for _ in range(count):
        facts = {"offset": 5, "total": 10, "outcome": "closed\n\ud800"}
        journal.note("interruption", "demo-1.0.whl", "files.example", **facts)


@pytest.mark.parametrize("largest", [10_000_000, 150_000])
def test_four_pips_share_a_file_and_none_loses_a_line(largest: int, tmp_path: Path) -> None:
    path = tmp_path / "log"
    command = [sys.executable, "-c", PIP, str(path), str(largest)]
    running = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    parts = [part for part in (Path(f"{path}.1"), path) if part.exists()]
    assert len(parts) == (2 if largest < 10_000_000 else 1)
    totals = [json.loads(line)["total"] for part in parts for line in part.open()]
    assert sorted(totals) == sorted([*range(300)] * 4)


def test_a_large_journal_is_renamed_or_if_somebody_reads_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pip_retry_patch.store.journal.LARGEST", 1000)
    path = tmp_path / "log"
    journal = Journal(str(path), "24.0", pytest.fail)
    with mock.patch("os.replace", side_effect=PermissionError("in use")):  # Windows
        note(journal, 20)
    assert path.read_text().count("\n") == 20
    note(journal)
    assert path.read_text().count("\n") == 1
    assert Path(f"{path}.1").read_text().count("\n") == 20


def test_a_lock_that_somebody_keeps_costs_one_wait_and_no_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    journal = Journal(str(path), "24.0", pytest.fail)
    journal._patience = 0.2
    with writer.locked(str(path)) as held:
        assert held
        note(journal, 5)
    assert path.read_text().count("\n") == 5 and journal._patience == 0.0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("folder", "it is not a plain file"),
        pytest.param("link", "it is not a plain file", marks=needs_links),
        ("nowhere/log", "no such file or directory"),
    ],
)
def test_what_cannot_be_written_is_said(
    name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pip_retry_patch.store.journal.LARGEST", 1000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"x" * 5000)
    if name == "link":
        (tmp_path / "link").symlink_to(tmp_path / "large")
    before = sorted(tmp_path.iterdir())
    complaints: list[str] = []
    note(Journal(str(tmp_path / name), "24.0", complaints.append), 3)
    assert complaints == [why] * 3 and (tmp_path / "large").stat().st_size == 5000
    assert [path for path in sorted(tmp_path.iterdir()) if path.suffix != ".lock"] == before


@needs_links
def test_the_path_is_resolved_once(tmp_path: Path) -> None:
    one, other, link = (tmp_path / name for name in ("one", "other", "link"))
    one.mkdir()
    link.symlink_to(one)
    journal = Journal(str(link / "log"), "24.0", pytest.fail)
    note(journal)
    link.unlink()
    link.symlink_to(other)
    note(journal)
    assert (one / "log").read_text().count("\n") == 2
