"""The command `history`: what became of downloads, read from the journal (`retry-patch-log`)."""

from __future__ import annotations

import collections
import contextlib
import json
from pathlib import Path
from typing import Any, Iterable, Iterator

from pip_retry_patch import names
from pip_retry_patch.commands.environment import UnableError, describe
from pip_retry_patch.store.journal import VERSION

# Of what `--json` prints (docs/status.md).
SCHEMA = 1

# Of reasons and of hosts, so many are told to a person; `--json` has all.
TOLD = 10


def history(python: str, as_json: bool) -> int:
    """Sum up what was interrupted, and what became of it.

    Reads the file that the setting retry-patch-log names, to which each interruption, wait and end
    of a download is written. Without that setting nothing is written.

    :raises UnableError: there is no journal.
    """
    path = Path(describe(python)["settings"]["retry-patch-log"]["value"])
    if not path.name:
        raise UnableError(
            "nothing is written down; to begin: pip config set global.retry-patch-log PATH"
        )
    if path.exists() and not path.is_file():
        raise UnableError(f"{path} is no file, so what is written there is not kept")
    found = summary(entries(path))
    print(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))
    return 0


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a journal, those that were rotated away first. Raises OSError."""
    for part in (Path(f"{path}.1"), path):
        if part.exists():  # nothing need have been interrupted yet
            with part.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    # Half a line, for a disk was full; or somebody else's.
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        entry = json.loads(line)
                        if entry["v"] == VERSION:
                            yield entry


def summary(lines: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what a journal says, as `--json` prints it."""
    kinds: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[str] = collections.Counter()
    hosts: collections.Counter[str] = collections.Counter()
    ends: dict[tuple[str, str], str] = {}
    kept, waited = 0, 0.0
    for line in lines:
        kind, download = line["kind"], (line["run"], line["file"])
        ends.setdefault(download, "")
        kinds[kind] += 1
        if kind == "interruption":
            ends[download] = ""
            reasons[line["outcome"]] += 1
            hosts[line["host"]] += 1
            kept += line["offset"]
        elif kind == "wait":
            waited += line["seconds"]
        elif kind == "end":
            ends[download] = line["outcome"]
            kept -= line["again"]
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
        "not_fetched_twice": max(kept, 0),
    }


def _lines(found: dict[str, Any]) -> Iterator[str]:
    finished, failed = found["finished"], found["failed"]
    stopped = found["downloads"] - finished - failed
    yield f"interrupted downloads: {found['downloads']}"
    yield f"  {finished} finished, {failed} failed, {stopped} stopped before their end"
    for title, counts in (("interruptions", found["by"]), ("hosts", found["hosts"])):
        yield f"{title}: {sum(counts.values())}"
        yield from (f"  {count:6} {names.clean(n, 60)}" for n, count in [*counts.items()][:TOLD])
    yield f"waited: {found['waited']:.0f} s"
    yield f"continued by a mirror: {found['mirrors']}"
    yield f"fetched anew: {found['fresh']}"
    yield f"not fetched twice: {names.format_sum(found['not_fetched_twice'])}"
