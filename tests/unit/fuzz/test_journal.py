"""The journal, whatever a line of it is."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given

from pip_retry_patch.commands.history import _lines, entries, summary
from tests.support.fuzzing import mutated

LINE = (
    b'{"v": 1, "time": "2026-01-31T12:00:00Z", "run": "1-2", "pip": "24.0", "file": "a.whl", '
    b'"host": "h.example", "kind": "interruption", "offset": 5, "total": 10, "seconds": 0.5, '
    b'"outcome": "closed", "again": 0}\n'
)
WAIT = LINE.replace(b"interruption", b"wait").replace(b"closed", b"resumed")
END = LINE.replace(b"interruption", b"end").replace(b"closed", b"finished")
PARTS = (
    *(b"", b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\\ud800", b"\xff", b"\0", b"\x1b[1m"),
    *(b"NaN", b"-Infinity", b"1e999", b"-1", b"9" * 400, b"9" * 5000, b"null", b"true"),
    *(b"[" * 3000, b"{}", b"[]", b'"wait"', b'"end"', b"2026", b"9999-99", b"0000-00-00"),
)
OFFSETS = (b"Infinity", b"NaN", b"9" * 400, b"9" * 5000, b"[" * 3000, b"-5")
# What was found by the fuzzing below.
LINES = (
    LINE + WAIT + END,
    *(LINE.replace(b'"offset": 5', b'"offset": ' + offset) for offset in OFFSETS),
    LINE.replace(b'"offset": 5', b'"offset": 1e308') * 3,
    *(LINE[:-30], b"[]\n", b"\xff\xfe\n", b""),
)


def check_journal(data: bytes, path: Path) -> None:
    """It comes to whole numbers, and to lines that a terminal can show."""
    path.write_bytes(data)
    for after in (0.0, 1.8e9):
        found = summary(entries(path), after)
        json.dumps(found, allow_nan=False)
        for key in ("downloads", "finished", "failed", "interruptions", "mirrors", "fresh"):
            assert type(found[key]) is int and 0 <= found[key] <= data.count(b"{")
        assert found["finished"] + found["failed"] <= found["downloads"]
        assert found["not_fetched_twice"] >= 0 <= found["waited"]
        for line in _lines(found):
            assert line.isascii() and line.isprintable() and len(line) < 100


@given(data=mutated(LINES, PARTS))
def test_no_line_of_a_journal_is_a_crash(data: bytes, tmp_path: Path) -> None:
    check_journal(data, tmp_path / "log")
