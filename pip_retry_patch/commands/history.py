"""The command `history`: what became of downloads, read from the journal (`retry-patch-log`)."""

from __future__ import annotations

import calendar
import collections
import json
import re
import time
from pathlib import Path
from typing import Any, Iterable, Iterator

from pip_retry_patch import names
from pip_retry_patch.commands.environment import UnableError, describe

# Of what `--json` prints (docs/history.md).
SCHEMA = 1

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

# Of reasons and of hosts, so many are told to a person; `--json` has all.
TOLD = 10


def history(python: str, file: Path | None, since: str | None, as_json: bool) -> int:
    """Print what the journal says; the exit code is 0.

    :param file: the journal; None for the one that pip's configuration names.
    :param since: how far back: a number and m, h, d or w.
    :raises UnableError: there is no journal, or it cannot be read.
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
    after = time.time() - int(age[1]) * _UNITS[age[2]] if since else None
    found = summary(entries(path), after)
    print(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))
    return 0


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a journal, those that were rotated away first. Raises UnableError."""
    for part in (Path(f"{path}.1"), path):
        try:
            with part.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        found = json.loads(line)
                    except (ValueError, RecursionError):
                        continue  # half a line: a disk was full
                    if isinstance(found, dict) and isinstance(found.get("kind"), str):
                        yield found
        except FileNotFoundError:
            continue  # nothing was interrupted yet
        except OSError as why:
            raise UnableError(f"{part} cannot be read: {why.strerror}") from None


def summary(lines: Iterable[dict[str, Any]], after: float | None = None) -> dict[str, Any]:
    """Return what a journal says, as `--json` prints it.

    :param after: seconds since 1970, before which nothing counts.
    """
    kinds: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[str] = collections.Counter()
    hosts: collections.Counter[str] = collections.Counter()
    ends: dict[tuple[str, str], str] = {}
    kept = waited = 0.0
    for line in lines:
        if after is not None and _time_of(line) < after:
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
            if outcome == "answered":
                ends[download] = "finished"  # until it is interrupted again
        elif kind == "end":
            ends[download] = outcome
            kept -= _number(line.get("again"))
    return {
        "schema": SCHEMA,
        "downloads": len(ends),
        "finished": list(ends.values()).count("finished"),
        "failed": list(ends.values()).count("failed"),
        "interruptions": kinds["interruption"],
        "by": dict(reasons.most_common()),
        "hosts": dict(hosts.most_common()),
        "mirrors": kinds["mirror"],
        "fresh": kinds["fresh"],
        "waited": round(waited, 1),
        "not_fetched_twice": max(int(kept), 0),
    }


def _time_of(line: dict[str, Any]) -> float:
    try:
        return calendar.timegm(time.strptime(str(line.get("time")), "%Y-%m-%dT%H:%M:%SZ"))
    except (ValueError, OverflowError):
        return 0.0


def _number(value: Any) -> float:
    # No journal of ours holds a negative one, or more than fits a disk; JSON has Infinity and NaN.
    plausible = isinstance(value, (int, float)) and 0 <= value < 10**18
    return float(value) if plausible else 0.0


def _lines(found: dict[str, Any]) -> list[str]:
    if not found["downloads"]:
        return ["No download was interrupted."]
    rows: list[tuple[str, Any]] = [
        ("downloads that were interrupted", found["downloads"]),
        ("  finished", found["finished"]),
        ("  failed", found["failed"]),
        ("  stopped before their end", found["downloads"] - found["finished"] - found["failed"]),
    ]
    for title, key in (("interruptions", "by"), ("hosts", "hosts")):
        most = list(found[key].items())
        rows.append((title, found["interruptions"] if key == "by" else ""))
        rows += [(f"  {names.clean(name, 50)}", count) for name, count in most[:TOLD]]
        if most[TOLD:]:
            rows.append((f"  {len(most) - TOLD} others", sum(count for _, count in most[TOLD:])))
    rows += [
        ("waited", f"{found['waited']:.0f} s"),
        ("gone on from a mirror", found["mirrors"]),
        ("fetched once more", found["fresh"]),
        ("not fetched twice", names.format_sum(found["not_fetched_twice"])),
    ]
    return [f"{name:54} {value}".rstrip() for name, value in rows]
