"""Downloads in this process whose bytes are kept for the next one, as those of pip are."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Iterator

from pip_retry_patch.store.directory import DAY, Directory, Limits
from pip_retry_patch.store.shelf import Shelf
from pip_retry_patch.transport.continuation import Continuation
from tests.support.guarded import UNHURRIED, Copy, Server, read

KEY = "a" * 32
LIMITS = Limits(size=100_000_000, age=DAY)


class Run:
    """One run of pip, with the store that it shares with the others.

    `lines` are what was announced, `continuation` stands beside the last request.
    """

    def __init__(self, store: Path) -> None:
        self.copy = Copy(timeout=UNHURRIED)
        self.lines: list[str] = []
        self.continuation: Continuation | None = None
        self.shelf = Shelf(Directory(store, LIMITS), KEY)

    @contextlib.contextmanager
    def asking(self, server: Server, fresh: bool = False, **headers: str) -> Iterator[Any]:
        """Ask for the file, with what earlier runs kept of it; yield urllib3's response."""
        self.continuation = Continuation(self.shelf, "demo", fresh, self.lines.append)
        url = f"{server.url}/files/demo/{server.filename('demo')}"
        guard = self.copy.guards["http"]
        with guard.sending(
            url,
            lambda fields: self.copy.get(server, **headers, **fields),
            hashed=True,
            artifact=True,
            continuation=self.continuation,
        ):
            response: Any = self.copy.get(server, **headers)
        try:
            yield response
        finally:
            response.close()

    def fetch(self, server: Server, fresh: bool = False, **headers: str) -> bytes:
        with self.asking(server, fresh, **headers) as response:
            return b"".join(read(response, 65_536))

    def interrupted(self, server: Server, size: int) -> None:
        """Read so many bytes, and stop as a run does that is interrupted."""
        with self.asking(server) as response:
            assert len(response.read(size)) == size


def kept(store: Path) -> list[Path]:
    return sorted(store.glob("*.partial")) if store.exists() else []
