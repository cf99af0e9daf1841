"""The command `history`: what became of downloads, read from the journal (`retry-patch-log`)."""

from __future__ import annotations

import collections
import contextlib
import json
import re
import time
from pathlib import Path
from typing import Any, Iterable, Iterator

from pip_retry_patch import names
from pip_retry_patch.commands.environment import UnableError, describe

# Of what `--json` prints (docs/status.md).
SCHEMA = 1

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

# Of reasons and of hosts, so many are told to a person; `--json` has all.
TOLD = 10


def history(python: str, file: Path | None, since: str | None, as_json: bool) -> int:
    """Sum up what was interrupted, and what became of it.

    Reads the file that the setting retry-patch-log names, to which each interruption, wait and end
    of a download is written. Without that setting nothing is written.

    :param file: the journal; None for the one that pip's configuration names.
    :param since: how far back: a number and m, h, d or w.
    :raises UnableError: there is no journal.
    """
    age = re.fullmatch(r"(\d{1,6})([mhdw])", since or "0m", re.ASCII)
    if age is None:
        raise UnableError(f"--since takes a number and m, h, d or w, like 7d, not {since!r}")
    path = file or Path(describe(python)["settings"]["retry-patch-log"]["value"])
    if not path.name:
        raise UnableError(
            "nothing is written down; to begin: pip config set global.retry-patch-log PATH"
        )
    if file and not (file.exists() or Path(f"{file}.1").exists()):
        raise UnableError(f"{file} is not there")
    if path.exists() and not path.is_file():
        raise UnableError(f"{path} is no file, so what is written there is not kept")
    after = time.time() - int(age[1]) * _UNITS[age[2]] if since else 0.0
    found = summary(entries(path), max(after, 0.0))
    print(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))
    return 0


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a journal, those that were rotated away first. Raises OSError."""
    for part in (Path(f"{path}.1"), path):
        if part.exists():  # nothing need have been interrupted yet
            with part.open(encoding="utf-8", errors="replace") as lines:
                yield from filter(None, map(_entry, lines))


def _entry(line: str) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, RecursionError):  # half a line: a disk was full
        found = json.loads(line)
        if isinstance(found, dict) and isinstance(found.get("kind"), str):
            return found
    return None


def summary(lines: Iterable[dict[str, Any]], after: float = 0.0) -> dict[str, Any]:
    """Return what a journal says, as `--json` prints it.

    :param after: seconds since 1970, before which nothing counts.
    """
    earliest = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(after))
    kinds: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[str] = collections.Counter()
    hosts: collections.Counter[str] = collections.Counter()
    ends: dict[tuple[str, str], str] = {}
    kept = waited = 0.0
    for line in lines:
        if str(line.get("time")) < earliest:
            continue
        kind, outcome = line["kind"], str(line.get("outcome"))
        download = str(line.get("run")), str(line.get("file"))
        ends.setdefault(download, "")
        kinds[kind] += 1
        if kind == "interruption":
            ends[download] = ""
            reasons[outcome] += 1
            hosts[str(line.get("host"))] += 1
            kept += _number(line.get("offset"))
        elif kind == "wait":
            waited += _number(line.get("seconds"))
        elif kind == "end":
            ends[download] = outcome
            kept -= _number(line.get("again"))
    became = list(ends.values())
    return {
        "schema": SCHEMA,
        "downloads": len(ends),
        "finished": became.count("finished"),
        "failed": became.count("failed"),
        "interruptions": kinds["interruption"],
        "by": dict(reasons.most_common()),
        "hosts": dict(hosts.most_common()),
        "mirrors": kinds["mirror"],
        "fresh": kinds["fresh"],
        "waited": round(waited, 1),
        "not_fetched_twice": max(int(kept), 0),
    }


def _number(value: Any) -> float:
    # No journal of ours holds a negative one, or more than fits a disk; JSON has Infinity and NaN.
    plausible = isinstance(value, (int, float)) and 0 <= value < 10**18
    return float(value) if plausible else 0.0


def _lines(found: dict[str, Any]) -> list[str]:
    if not found["downloads"]:
        return ["No download was interrupted."]
    stopped = found["downloads"] - found["finished"] - found["failed"]
    rows = [
        ("downloads that were interrupted", found["downloads"]),
        ("  finished", found["finished"]),
        ("  failed", found["failed"]),
        ("  stopped before their end", stopped),
        ("interruptions", found["interruptions"]),
        *_most(found["by"]),
        ("hosts", ""),
        *_most(found["hosts"]),
        ("waited", f"{found['waited']:.0f} s"),
        ("gone on from a mirror", found["mirrors"]),
        ("fetched once more", found["fresh"]),
        ("not fetched twice", names.format_sum(found["not_fetched_twice"])),
    ]
    return [f"{name:54} {value}".rstrip() for name, value in rows]


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    rows = [(f"  {names.clean(name, 50)}", count) for name, count in counts.items()]
    others = sum(count for _, count in rows[TOLD:])
    return [*rows[:TOLD], (f"  {len(rows) - TOLD} others", others)] if others else rows
