"""The store, whatever downloads do in it at once, and whatever kills and full disks leave there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.store import files, header, partials, shelf
from pip_retry_patch.store.directory import DAY, Directory, Limits
from pip_retry_patch.store.locks import HeldError, held_for_a_moment
from pip_retry_patch.store.partials import Partial
from pip_retry_patch.store.shelf import Shelf
from tests.support.fuzzing import fuzz

# Three artifacts; the size of the last one is not known.
CONTENTS = tuple(bytes((n * (3 + k) + k) % 251 for n in range(3000)) for k in range(3))
KEYS = tuple(str(number) * 32 for number in range(3))
LIMIT = 2 * header.SIZE + 4000

WHAT = (
    *("part", "part", "part", "find", "find", "find", "begin", "add", "add", "close", "kill"),
    *("remove", "give back", "clear", "cut", "spoil", "link", "stale lock", "purge"),
)
STEPS = st.tuples(st.sampled_from(WHAT), st.integers(0, 2), st.integers(0, 3000))


class World:
    """What several pips do with one directory. `at` is how much each has got of its artifact."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = Directory(folder / "store", Limits(LIMIT, DAY), 0, 0)
        self.shelves = [Shelf(self.directory, key) for key in KEYS]
        self.partials: list[Partial | None] = [None, None, None]
        self.at = [0, 0, 0]

    def play(self, what: str, which: int, number: int) -> None:
        if what == "part":
            for step in ("begin", "add", "close"):
                self.play(step, which, number)
            return
        here, partial = self.shelves[which], self.partials[which]
        kept = list(files.entries(self.directory.path))
        if what in ("begin", "find"):
            if partial is not None:
                partial.close()
            total = None if which == 2 else len(CONTENTS[which])
            known = Representation(Validators('"v"'), total)
            begun = here.begin("demo", known, "h", "") if what == "begin" else here.find()
            self.partials[which], self.at[which] = begun, 0
            if what == "find" and begun is not None:
                self.read(begun, which)
        elif what == "add" and partial is not None:
            piece = CONTENTS[which][self.at[which] :][:number]
            partial.add(self.at[which], piece)
            self.at[which] += len(piece)
        elif what in ("close", "remove") and partial is not None:
            partial.close() if what == "close" else partial.remove()
            self.partials[which] = None
        elif what == "give back":
            here.give_back()
        elif what == "clear":
            here.clear()
        elif what == "purge":
            files.purge(self.directory.path)
        elif what == "kill" and partial is not None:
            self.kill(partial)
            self.partials[which] = None
        elif what == "stale lock" and self.directory.path.exists():
            (self.directory.path / f"lock-{os.geteuid()}").touch(0o600)
        elif what in ("cut", "spoil", "link") and kept:
            path, status = kept[number % len(kept)]
            if not self.is_held(path):
                self.damage(path, what, number % (status.st_size + 1))

    def read(self, partial: Partial, which: int) -> None:
        """What is found is what was kept: the first bytes of the artifact."""
        found = b"".join(iter(lambda: partial.read(1000), b""))
        assert len(found) == partial.size
        assert found == CONTENTS[which][: len(found)]
        self.at[which] = len(found)

    def is_held(self, path: Path) -> bool:
        held: list[Any] = [partial._held for partial in self.partials if partial is not None]
        return any(each is not None and each.path == path for each in held)

    def kill(self, partial: Partial) -> None:
        """What was in the buffer is lost."""
        held = partial._held
        if held is not None:
            with open(os.devnull, "r+b") as nowhere:
                os.dup2(nowhere.fileno(), held.file.fileno())
            with contextlib.suppress(OSError):
                held.close()

    def damage(self, path: Path, what: str, size: int) -> None:
        if what == "cut":
            os.truncate(path, size)
        elif what == "spoil":
            with path.open("r+b") as file:
                file.seek(min(size, header.SIZE - 9))
                file.write(b"\xff\0{}\n")
        else:
            with contextlib.suppress(FileExistsError):
                os.link(path, self.folder / "another name")

    def check(self) -> None:
        """What is there fits into the limit, and nobody holds the store for longer than a moment.

        :raises AssertionError: it does not.
        """
        found = list(files.entries(self.directory.path))
        assert sum(status.st_size for _, status in found) <= LIMIT
        assert all(path.name[:32] in KEYS for path, _ in found)
        if self.directory.path.exists():
            alone = held_for_a_moment(self.directory.path)
            with alone, pytest.raises(HeldError), held_for_a_moment(self.directory.path):
                pass

    def end(self) -> None:
        for partial in self.partials:
            if partial is not None:
                partial.remove()
        files.purge(self.directory.path)
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "another name").unlink()
        with contextlib.suppress(FileNotFoundError):
            assert not os.listdir(self.directory.path)


def check_store(steps: list[tuple[str, int, int]], folder: Path) -> None:
    world = World(folder)
    try:
        for step in steps:
            world.play(*step)
            world.check()
    finally:
        world.end()


CORPUS = (
    [("begin", 0, 0), ("add", 0, 2000), ("kill", 0, 0), ("find", 0, 0), ("add", 0, 3000)],
    [("begin", 0, 0), ("add", 0, 3000), ("close", 0, 0), ("find", 0, 0), ("find", 0, 0)],
    [("begin", 2, 0), ("add", 2, 2500), ("close", 2, 0), ("find", 2, 0), ("add", 2, 400)],
    [("part", 0, 900), ("part", 1, 900), ("part", 2, 3000), ("find", 2, 0), ("find", 0, 0)],
    [("begin", 0, 0), ("add", 0, 900), ("close", 0, 0), ("link", 0, 0), ("find", 0, 0)],
)


@pytest.fixture(autouse=True)
def _small_artifacts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (partials, shelf):
        monkeypatch.setattr(module, "SMALLEST", 100)
    monkeypatch.setattr("pip_retry_patch.store.locks.TRIES", 2)
    monkeypatch.setattr("pip_retry_patch.store.locks.PAUSE", 0.0)


@pytest.mark.parametrize("number", range(len(CORPUS)))
def test_steps_of_the_corpus(number: int, tmp_path: Path) -> None:
    check_store(CORPUS[number], tmp_path)


def test_what_is_found_was_kept_and_the_limit_holds(tmp_path: Path) -> None:
    @fuzz(st.lists(STEPS, min_size=15, max_size=30))
    def every(steps: list[tuple[str, int, int]]) -> None:
        check_store(steps, tmp_path)

    every()
