"""`history`: what a journal comes to, also one with half a line in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pip_retry_patch.commands import cli, history
from pip_retry_patch.store.journal import Journal


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    old = {"time": "2020-01-01T00:00:00Z", "run": "1", "file": "old", "kind": "interruption"}
    Path(f"{path}.1").write_text(json.dumps({**old, "outcome": "old", "host": "old"}) + "\n")
    journal = Journal(str(path), "24.0", pytest.fail)
    for offset in (1000, 4000):
        journal.note("interruption", "a.whl", "one.example", offset=offset, outcome="closed")
        journal.note("wait", "a.whl", "one.example", seconds=2.0, outcome="resumed")
    journal.note("end", "a.whl", "one.example", seconds=4.0, outcome="finished", again=500)
    journal.note("interruption", "b.whl", "two.example", offset=7, total=9, outcome="reset")
    journal.note("mirror", "b.whl", "three.example", offset=7, outcome="reset")
    journal.note("end", "b.whl", "three.example", seconds=4.0, outcome="failed", again=7)
    journal.note("fresh", "c.whl", "one.example")
    journal.note("interruption", "page", "two.example", outcome="refused")
    journal.note("wait", "page", "two.example", seconds=3.0, outcome="resumed")
    journal.note("end", "page", "two.example", outcome="finished")
    with path.open("a") as file:
        file.write('{"kind": "interr')
    return path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert cli.main(["history", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_says_what_was_interrupted_and_what_became_of_it(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "--file", str(log), "--json", "--since", "7d") == {
        "schema": 1,
        "downloads": 4,
        "finished": 2,
        "failed": 1,
        "interruptions": 4,
        "by": {"closed": 2, "reset": 1, "refused": 1},
        "hosts": {"one.example": 2, "two.example": 2},
        "mirrors": 1,
        "fresh": 1,
        "waited": 7.0,
        "not_fetched_twice": 4500,
    }
    assert told(capsys, "--file", str(log), "--json")["interruptions"] == 5
    assert cli.main(["history", "--file", str(log)]) == 0
    out = capsys.readouterr().out
    assert "one.example" in out and "4.5 kB" in out
    assert max(map(len, out.splitlines())) <= 79


def test_no_journal_yet_is_no_error_but_a_file_that_is_named_must_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(history.entries(tmp_path / "none")) == []
    assert cli.main(["history", "--file", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"pip-retry-patch: {tmp_path / 'none'} is not there\n"
    (tmp_path / "none.1").touch()
    assert cli.main(["history", "--file", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == "No download was interrupted.\n"


def test_of_many_hosts_those_are_told_that_failed_most(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(str(tmp_path / "log"), "24.0", pytest.fail)
    for host in range(1, 13):
        for _ in range(host):
            journal.note("interruption", "a.whl", f"h{host}.example", outcome="closed")
    assert cli.main(["history", "--file", str(tmp_path / "log")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    hosts = rows[rows.index(["hosts"]) + 1 :][:11]
    assert hosts[:2] == [["h12.example", "12"], ["h11.example", "11"]]
    assert hosts[-2:] == [["h3.example", "3"], ["2", "others", "3"]]
    assert len(told(capsys, "--file", str(tmp_path / "log"), "--json")["hosts"]) == 12


@pytest.mark.parametrize("since", ["yesterday", "7", "-1d", "9" * 400 + "d"])
def test_an_odd_age_is_one_line(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["history", "--file", "x", f"--since={since}"]) == 1
    assert capsys.readouterr().err.startswith("pip-retry-patch: --since takes a number")
