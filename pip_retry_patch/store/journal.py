"""The journal: one JSON line for each thing that happened to a download (`retry-patch-log`).

docs/status.md is its schema. `Journal` writes, and `summary` reads. Many pips may share one file.
No line holds credentials, nor the query of a URL. Nothing here is loaded where the setting is not
made.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import sys
import time
from typing import Any, Callable, Iterator

from pip_retry_patch import wording
from pip_retry_patch.store import writer

VERSION = 1  # of a line
SCHEMA = 1  # of the summary

# For those who collect what containers print.
STDERR = "/dev/stderr"

# Larger than this, in bytes, it is renamed to PATH.1, and what had that name is gone.
LARGEST = 10_000_000


class Journal:
    """Appends to one file, and never raises: what cannot be written is complained of.

    :param pip: its version.
    :param complain: takes the reason why a line cannot be written.
    """

    def __init__(self, path: str, pip: str, complain: Callable[[str], None]) -> None:
        folder, name = os.path.split(path)
        self._path = os.path.join(os.path.realpath(folder), name)
        self._pip, self._complain = pip, complain
        self._run = f"{os.getpid():x}-{time.time_ns():x}"
        self._patience = 5.0  # seconds to wait for others; none, once that was in vain

    def note(self, event: str, name: str, host: str, **facts: Any) -> None:
        """Write a line.

        :param event: interruption, wait, mirror, fresh or end.
        :param name: what a user calls the file. `host`: without credentials.
        :param facts: `offset`: bytes that had arrived, of `total`. `outcome`: why it was
            interrupted, or what became of it. `seconds`: how long it took. `again`: bytes that
            were fetched twice.
        """
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"v": VERSION, "time": moment, "run": self._run, "pip": self._pip}
        line.update(file=name, host=host, kind=event)
        line.update({"offset": 0, "total": None, "outcome": "", "again": 0, **facts})
        line["seconds"] = round(facts.get("seconds", 0.0), 1)
        try:
            if self._path == STDERR:
                print(json.dumps(line), file=sys.stderr, flush=True)
            else:
                self._append((json.dumps(line) + "\n").encode("ascii"))
        except Exception as why:
            self._complain(wording.of_system(why))

    def _append(self, line: bytes) -> None:
        writer.check_directory(os.path.dirname(self._path))
        with writer.locked(self._path, self._patience) as held:
            writer.check(self._path)
            if held:
                # Windows renames no file that somebody reads: then it grows until the next line.
                with contextlib.suppress(OSError):
                    if os.path.getsize(self._path) > LARGEST:
                        os.replace(self._path, f"{self._path}.1")
            else:
                self._patience = 0.0
            with writer.append_to(self._path) as file:
                file.write(line)


def entries(path: str) -> Iterator[dict[str, Any]]:
    """Yield the entries of a journal, those that were rotated away first. Raises OSError."""
    for part in (f"{path}.1", path):
        if os.path.exists(part):  # nothing need have been interrupted yet
            with open(part, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    # Half a line, for a disk was full; or somebody else's.
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        entry = json.loads(line)
                        if entry["v"] == VERSION:
                            yield entry


def summary(path: str, after: float = 0.0) -> dict[str, Any]:
    """Return what a journal says, as `history --json` prints it. Raises OSError.

    :param after: seconds since 1970, before which nothing counts.
    """
    earliest = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(max(after, 0.0)))
    reasons: collections.Counter[str] = collections.Counter()
    hosts: collections.Counter[str] = collections.Counter()
    ends: dict[tuple[str, str], str] = {}
    kept, waited = 0, 0.0
    for entry in entries(path):
        if entry["time"] < earliest:
            continue
        kind, download = entry["kind"], (entry["run"], entry["file"])
        ends.setdefault(download, "")
        if kind == "interruption":
            ends[download] = ""
            reasons[entry["outcome"]] += 1
            hosts[entry["host"]] += 1
            kept += entry["offset"]
        elif kind == "wait":
            waited += entry["seconds"]
        elif kind == "end":
            ends[download] = entry["outcome"]
            kept -= entry["again"]
    became = list(ends.values())
    return {
        "schema": SCHEMA,
        "downloads": len(ends),
        "finished": became.count("finished"),
        "failed": became.count("failed"),
        "interruptions": sum(hosts.values()),
        "by": dict(reasons.most_common()),
        "hosts": dict(hosts.most_common()),
        "waited": round(waited, 1),
        "not_fetched_twice": max(kept, 0),
    }
