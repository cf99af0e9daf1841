"""The journal: one JSON line for each thing that happened to a download (`retry-patch-log`).

docs/history.md is its schema. Many pips may share one file: each line is one write to a file that
was opened to append (POSIX: such writes do not mix). No line holds credentials, nor the query
of a URL. Nothing here is loaded where the setting is not made.
"""

from __future__ import annotations

import json
import os
import stat
import time
from typing import Any, Callable

VERSION = 1

# Larger than this, in bytes, it is renamed to PATH.1, and what had that name is gone.
LARGEST = 10_000_000


class Journal:
    """Appends to one file, and never raises: what cannot be written is complained of once.

    :param pip: its version.
    :param complain: takes the error, the first time that nothing can be written.
    """

    def __init__(
        self, path: str, pip: str, complain: Callable[[str], None], largest: int = LARGEST
    ) -> None:
        self._path = path
        self._pip = pip
        self._complain = complain
        self._largest = largest
        self._run = f"{os.getpid():x}-{time.time_ns():x}"
        self._failed = False

    def note(
        self,
        kind: str,
        file: str,
        host: str,
        offset: int = 0,
        total: int | None = None,
        seconds: float = 0.0,
        outcome: str = "",
        again: int = 0,
    ) -> None:
        """Write a line.

        :param kind: interruption, wait, mirror, fresh or end.
        :param file: what a user calls it. `host`: without credentials.
        :param offset: bytes that had arrived, of `total`.
        :param outcome: why it was interrupted, or what became of it.
        :param again: bytes that were fetched twice.
        """
        line: dict[str, Any] = {
            "v": VERSION,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "run": self._run,
            "pip": self._pip,
            "file": file,
            "host": host,
            "kind": kind,
            "offset": offset,
            "total": total,
            "seconds": round(seconds, 1),
            "outcome": outcome,
            "again": again,
        }
        try:
            self._append((json.dumps(line) + "\n").encode("ascii"))
        except Exception as why:
            if not self._failed:
                self._failed = True
                self._complain(getattr(why, "strerror", None) or str(why))

    def _append(self, line: bytes) -> None:
        handle = self._open()
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise OSError("it is not a file")
            there = os.stat(self._path)
            if status.st_size > self._largest and there.st_ino == status.st_ino:
                # Not if another pip has renamed it since.
                os.replace(self._path, f"{self._path}.1")
                os.close(handle)
                handle = self._open()
            os.write(handle, line)
        finally:
            os.close(handle)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        # A pipe that nobody reads must not make pip wait.
        return os.open(self._path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
