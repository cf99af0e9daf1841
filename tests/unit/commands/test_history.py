"""`history`: what a journal comes to, also one with half a line in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pip_retry_patch.commands import cli, status
from pip_retry_patch.store.journal import Journal

Captured = pytest.CaptureFixture[str]
FOREIGN = '{"kind": "interruption"}\n"\xff\n'
OLD = '{"v": 1, "time": "2020-01-01T00:00:00Z", "run": "1", "file": "a", "kind": "fresh"}\n'
# What happened to a file, at a host, and how it was.
HAPPENED: list[tuple[str, str, str, dict[str, Any]]] = [
    ("interruption", "a.whl", "one", {"offset": 1000, "outcome": "closed"}),
    ("wait", "a.whl", "one", {"seconds": 2.0, "outcome": "resumed"}),
    ("interruption", "a.whl", "one", {"offset": 4000, "outcome": "closed"}),
    ("wait", "a.whl", "one", {"seconds": 2.0, "outcome": "resumed"}),
    ("end", "a.whl", "one", {"seconds": 4.0, "outcome": "finished", "again": 500}),
    ("interruption", "b.whl", "two", {"offset": 7, "total": 9, "outcome": "reset"}),
    ("mirror", "b.whl", "three", {"offset": 7, "outcome": "reset"}),
    ("end", "b.whl", "three", {"seconds": 4.0, "outcome": "failed", "again": 7}),
    ("fresh", "c.whl", "one", {}),
    ("interruption", "page", "two", {"outcome": "refused"}),
    ("wait", "page", "two", {"seconds": 3.0, "outcome": "resumed"}),
    ("end", "page", "two", {"outcome": "finished"}),
]


def told(log: Path, capsys: Captured, *arguments: str) -> str:
    """Return what it prints where this is the journal."""
    settings = {"retry-patch-log": {"value": str(log)}}
    with mock.patch.object(status, "describe", lambda python: {"settings": settings}):
        assert cli.main(["history", *arguments]) == 0
    return capsys.readouterr().out


def test_it_sums_up_what_became_of_downloads(tmp_path: Path, capsys: Captured) -> None:
    log = tmp_path / "log"
    assert told(log, capsys).startswith("interrupted downloads: 0\n"), "nothing need have been"
    journal = Journal(str(log), "24.0", pytest.fail)
    for number, (event, name, host, facts) in enumerate(HAPPENED):
        journal.note(event, name, host, **facts)
        if number == 5:
            log.rename(f"{log}.1")
    with log.open("a") as file:
        file.write(FOREIGN + '{"v": 1, "kind": "interr')
    with Path(f"{log}.1").open("a") as file:
        file.write(OLD)
    assert json.loads(told(log, capsys, "--json", "--since", "4w")) == {
        **{"schema": 1, "downloads": 4, "finished": 2, "failed": 1, "interruptions": 4},
        **{"by": {"closed": 2, "reset": 1, "refused": 1}, "hosts": {"one": 2, "two": 2}},
        **{"waited": 7.0, "not_fetched_twice": 4500},
    }
    out = told(log, capsys)
    assert "  2 finished, 1 failed, 2 stopped before their end\n" in out
    assert out.endswith("waited: 7 s\nnot fetched twice: 4.5 kB\n")


@pytest.mark.parametrize("since", ["yesterday", "7", "-1d", "9" * 400 + "d", ""])
def test_an_odd_age_is_misuse(since: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["history", f"--since={since}"])
    assert "argument --since: invalid age value" in capsys.readouterr().err
