"""A file goes on from bytes that pip has of it: what a mirror brought behind them was wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.lab.packages import payload
from pip_retry_patch.store.prefix import Prefix, PrefixShelf
from pip_retry_patch.transport.continuation import Continuation
from tests.support.guarded import UNHURRIED, Copy, GaveUpError, read
from tests.support.scripted import Scripted, refusing, sending

DATA = payload("prefix", 300_000)
SIZE = 100_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of which only the first bytes are right."""
    found = tmp_path / "demo.whl"
    found.write_bytes(DATA[:SIZE] + bytes(5000))
    return found


def fetch(server: Scripted, shelf: Any) -> bytes:
    copy = Copy(timeout=UNHURRIED)
    continuation = Continuation(shelf, "demo", False, lambda line: None)
    with copy.guards["http"].sending(
        server.url, lambda fields: None, hashed=True, artifact=True, continuation=continuation
    ):
        response = copy.get(server)
    return b"".join(read(response, 4096))


def shelf_of(path: Path) -> PrefixShelf:
    return PrefixShelf(Prefix(str(path), "demo", SIZE))


def test_what_follows_the_prefix_is_asked_for_and_the_file_stays_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    with Scripted(sending(DATA, "length", 50_000), sending(DATA, "length")) as server:
        assert fetch(server, shelf_of(path)) == DATA
        asked = [request.get("range") for request in server.requests]
        assert asked == [f"bytes={SIZE}-", f"bytes={SIZE + 50_000}-"]
    assert path.read_bytes() == before


def test_where_it_is_not_taken_all_of_it_is_fetched(path: Path) -> None:
    with Scripted(refusing(403), sending(DATA, "length")) as server:
        assert fetch(server, shelf_of(path)) == DATA
        assert "range" not in server.requests[1]
    assert path.exists()


def test_it_is_offered_once(path: Path) -> None:
    shelf = shelf_of(path)
    found = shelf.find()
    assert found is not None and found.size == SIZE
    assert found.header.name == "demo" and found.header.known.total is None
    found.close()
    assert shelf.find() is None


def test_nobody_is_told_that_it_waits_for_the_next_run(path: Path) -> None:
    scripts = sending(DATA, "length", 50_000), refusing(404)
    with Scripted(*scripts) as server, pytest.raises(GaveUpError) as end:
        fetch(server, shelf_of(path))
    assert "kept" not in str(end.value)
