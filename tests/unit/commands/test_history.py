"""`history`: what a journal comes to, also one with half a line in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pip_retry_patch.commands import cli
from pip_retry_patch.store.journal import Journal

Captured = pytest.CaptureFixture[str]
OLD = '{"time": "2020-01-01T00:00:00Z", "run": "1", "file": "old", "kind": "interruption"}\n'
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


def told(capsys: Captured, *arguments: str) -> str:
    assert cli.main(["history", *arguments]) == 0
    return capsys.readouterr().out


def test_it_sums_up_what_became_of_downloads(tmp_path: Path, capsys: Captured) -> None:
    log = tmp_path / "log"
    (tmp_path / "log.1").write_text(OLD)
    journal = Journal(str(log), "24.0", pytest.fail)
    for event, name, host, facts in HAPPENED:
        journal.note(event, name, host, **facts)
    with log.open("a") as file:
        file.write('{"kind": "interr')
    assert json.loads(told(capsys, "--file", str(log), "--json", "--since", "7d")) == {
        **{"schema": 1, "downloads": 4, "finished": 2, "failed": 1, "interruptions": 4},
        **{"by": {"closed": 2, "reset": 1, "refused": 1}, "hosts": {"one": 2, "two": 2}},
        **{"mirrors": 1, "fresh": 1, "waited": 7.0, "not_fetched_twice": 4500},
    }
    assert json.loads(told(capsys, "--file", str(log), "--json"))["interruptions"] == 5
    out = told(capsys, "--file", str(log))
    for name, count in (("finished", 2), ("failed", 1), ("stopped before their end", 2)):
        assert f"  {name:52} {count}\n" in out
    assert out.endswith(" 4.5 kB\n")
    assert max(map(len, out.splitlines())) <= 79


def test_of_many_hosts_those_are_told_that_failed_most(tmp_path: Path, capsys: Captured) -> None:
    log = str(tmp_path / "log")
    journal = Journal(log, "24.0", pytest.fail)
    for host in range(1, 13):
        for _ in range(host):
            journal.note("interruption", "a.whl", f"h{host}", outcome="closed")
    rows = [line.split() for line in told(capsys, "--file", log).splitlines()]
    hosts = rows[rows.index(["hosts"]) + 1 :][:11]
    assert hosts[:2] == [["h12", "12"], ["h11", "11"]]
    assert hosts[-2:] == [["h3", "3"], ["2", "others", "3"]]
    assert len(json.loads(told(capsys, "--file", log, "--json"))["hosts"]) == 12


def test_a_journal_that_is_named_must_be_there(tmp_path: Path, capsys: Captured) -> None:
    assert cli.main(["history", "--file", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"pip-retry-patch: {tmp_path / 'none'} is not there\n"
    (tmp_path / "none.1").touch()
    assert told(capsys, "--file", str(tmp_path / "none")) == "No download was interrupted.\n"


@pytest.mark.parametrize("since", ["yesterday", "7", "-1d", "9" * 400 + "d"])
def test_an_odd_age_is_one_line(since: str, capsys: Captured) -> None:
    assert cli.main(["history", "--file", "x", f"--since={since}"]) == 1
    assert capsys.readouterr().err.startswith("pip-retry-patch: --since takes a number")
