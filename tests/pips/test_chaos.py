"""Faults of all kinds, mirrors, kept bytes and kills at once: a few worlds here, an hour on demand.

`python -m nox -s chaos -- 60` plays new worlds for an hour. Whatever a world is, no run brings
another file, hangs, ends in a traceback or accuses the hash, and nothing is left on the disk.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Iterator

import pytest

from tests.support import hosts, programs, runs
from tests.support.certificates import certificates
from tests.support.downloads import NO_MATCH, OK, OURS, TRACEBACK, command, end_of, said
from tests.support.environments import Environment
from tests.support.lab import faults as f
from tests.support.lab.faults import Entry, Fault, together
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.programs import Argument

MINUTES = float(os.environ.get("PIP_RETRY_PATCH_CHAOS_MINUTES", "0"))
SEED = int(os.environ.get("PIP_RETRY_PATCH_CHAOS_SEED", "0"))
IN_THE_CHECK = 4
# So that an hour is many runs.
HURRIED: dict[str, Argument] = {**hosts.HURRIED, "PIP_RETRY_PATCH_ATTEMPTS": "4"}
HURRIED["PYTHONFAULTHANDLER"] = "1"
del HURRIED["PIP_NO_CACHE_DIR"]
SIZES = (40_000, 1_100_000, 3_000_000)
MOST_RUNS = 20  # of one world, until the schedules are used up and it must succeed


# What makes another file of a whole answer, so that only its hash tells. One such fetch is asked
# for again; of two, the second is a genuine mismatch.
SPOILERS = (f.Flip, f.Truncated, f.Short, f.Replaced)


def drawn_fault(chance: random.Random, size: int, encrypted: bool) -> Entry:
    """Return what strikes one request for a file."""
    pick = chance.choice

    def at() -> int:
        return pick([0, 1, size - 1, chance.randrange(size), chance.randrange(size)])

    too_long = pick([f.Overstate(1), f.Overstate(5000), f.Compressed()])
    entries: list[Entry] = [
        *(f.Cut(at()), f.Cut(at(), pick([True, False])), f.Reset(at()), f.Stall(at(), 1.5)),
        *(f.Drop(), (f.Drop(), f.Reset(0)), f.Garble(at()) if encrypted else f.Reset(at())),
        pick([f.Away(1.0, at()), f.Slow(at(), 50, 1.0)]),
        f.Busy(pick([429, 500, 502, 503, 504, 521, 403, 404])),
        f.Busy(503, retry_after=pick([0, 1])),
        f.Redirect("?signature=1"),
        f.WebPage(labelled=pick([True, False])),
        f.ToRange(f.Busy(pick([400, 403, 416, 500]))),
        f.ToRange(f.Unsatisfiable(pick([None, 5]))),
        (pick([f.Whole(), f.Starred(), f.OtherETag(), f.Elsewhere(100)]), f.Cut(at())),
        pick([f.Whole(), f.Starred(), f.OtherETag(), f.Unlabelled(1), f.OtherTotal(7)]),
        (pick([f.Unconditional(), f.Excess(9), f.Unframed()]), f.Cut(at())),
        (pick([too_long, f.Doubled(), f.Overruled(9)]), f.Cut(at())),
        pick([too_long, f.Unframed()]),
        None,
    ]
    return pick(entries)


def drawn_page_faults(chance: random.Random) -> list[Entry]:
    """Return what strikes the first requests for a page, or for metadata."""
    entries: list[Entry] = [f.Cut(chance.randrange(200)), f.Reset(0), f.Drop(), None]
    entries += [f.Busy(chance.choice([429, 500, 503])), f.Redirect("?signature=1")]
    entries += [f.Stall(chance.randrange(200), 1.5), f.Away(1.0)]
    entries += [f.Overstate(9), f.Overruled(9), f.Doubled(), f.Unframed()]
    return chance.choices(entries, k=chance.randrange(3))


def drawn_other_page(chance: random.Random) -> list[Entry]:
    """Return what makes another page of one, without a word of it. Of two the second stands."""
    cut = f.Unframed(), f.Cut(chance.randrange(200))
    entries: list[Entry] = [f.Truncated(1 + chance.randrange(200)), f.WebPage(), cut]
    return [chance.choice(entries)] if chance.random() < 0.15 else []


def drawn_package(
    chance: random.Random, size: int, faults: int, encrypted: bool, hashes: bool
) -> Package:
    """Return the package as one source has it, with up to so many faults."""
    count = chance.randrange(faults + 1)
    schedule = [drawn_fault(chance, size, encrypted) for _ in range(count)]
    if chance.random() < 0.15 and not any(isinstance(fault, f.WebPage) for fault in schedule):
        at = chance.randrange(1, size)
        schedule.append(chance.choice([f.Flip(at), f.Truncated(at), f.Short(at), f.Replaced()]))
    return Package(
        "demo",
        size,
        schedule,
        page_faults=drawn_page_faults(chance) + drawn_other_page(chance),
        ranges=chance.random() < 0.85,
        chunked=chance.random() < 0.3,
        validator=chance.choice(["strong", "weak", "date", "none"]),
        gzip=chance.random() < 0.2,
        page_format=chance.choice(["html", "json"]),
        hashes=hashes,
        metadata=chance.random() < 0.3,
        metadata_faults=drawn_page_faults(chance),
        max_age=chance.choice([None, 3600]),
    )


def fit(first: Package, second: Package) -> bool:
    """Whether at most one fetch is spoilt, of all that two sources answer; none without a hash."""
    faults = [fault for entry in (*first.faults, *second.faults) for fault in together(entry)]
    spoilt = sum(map(is_spoilt, (*first.faults, *second.faults)))
    most = 1 if first.hashes and not any(isinstance(fault, f.WebPage) for fault in faults) else 0
    return spoilt <= most


def is_spoilt(entry: Entry) -> bool:
    """Whether a whole answer may be another file, without a word of it."""
    faults: tuple[Fault, ...] = together(entry)
    unframed = any(isinstance(fault, f.Unframed) for fault in faults) and len(faults) > 1
    return unframed or any(isinstance(fault, SPOILERS) for fault in faults)


class Chaos:
    """One world, and what became of it.

    `ends` counts how each run ended, the killed ones among them.
    """

    def __init__(self, seed: int, pip: Environment) -> None:
        self.seed = seed
        self.ends: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._pip = pip
        self._cache = pip.fresh_dir()
        self._output = ""

    def play(self) -> None:
        """Run pip in it until it succeeds. Raises AssertionError with the seed and the output."""
        try:
            self._play()
        except (AssertionError, pytest.fail.Exception) as error:
            raise AssertionError(f"seed {self.seed}: {error}\n{self._output}") from error

    @contextlib.contextmanager
    def _sources(self) -> Iterator[tuple[Lab, Lab]]:
        chance = self._chance
        size = chance.choice(SIZES)
        rate = chance.choice([None, 4_000_000])
        encrypted, hashes = chance.random() < 0.3, chance.random() < 0.75
        while True:
            first = drawn_package(chance, size, 7, encrypted, hashes)
            second = drawn_package(chance, size, 3, False, hashes)
            if fit(first, second):
                break
        context = certificates().server if encrypted else None
        with Lab([first], rate=rate, tls=context) as index, Lab([second]) as mirror:
            yield index, mirror

    def _play(self) -> None:
        chance = self._chance
        with self._sources() as (index, mirror):
            mirrored = {"PIP_RETRY_PATCH_MIRRORS": mirror.index_url}
            env = {**HURRIED, **(mirrored if chance.random() < 0.5 else {})}
            options = ["--trusted-host", mirror.url.partition("://")[2]]
            kills = chance.randrange(3)
            for turn in range(MOST_RUNS):
                if self._run(index, env, options, turn < kills):
                    break
            else:
                raise AssertionError(f"{MOST_RUNS} runs did not bring it")
        store = self._cache / "retry-patch"
        left = set(store.iterdir()) if store.exists() else set()
        if kills:
            # Who is killed while it makes a folder leaves a lock; a later run takes it away.
            left = {path for path in left if path.is_dir() or path.with_suffix("").exists()}
        assert not left, f"left in the store: {left}"

    def _run(self, lab: Lab, env: dict[str, Argument], options: list[str], killed: bool) -> bool:
        folder, temporary = self._pip.fresh_dir(), self._pip.fresh_dir()
        process = self._pip.start(
            *("-m", "pip", *command(lab, folder, self._cache), *options, "demo"),
            env={**env, "TMPDIR": temporary},
        )
        if killed:
            until = time.monotonic() + self._chance.uniform(0.3, 2.0)
            while time.monotonic() < until and process.poll() is None:
                time.sleep(0.01)
            if process.poll() is None:
                programs.kill(process)
                self._output, _ = process.communicate()
                self.ends["killed"] += 1
                return False
        run = programs.finish(process, timeout=90)
        self._output = run.output
        end = end_of(run)
        self.ends[end] += 1
        file = folder / lab.filename("demo")
        # HTML with a length may lack its end, and is read as it is.
        is_cut = end == NO_MATCH and "came without its end" in said(run)
        assert is_cut or end not in (TRACEBACK, NO_MATCH), end
        if end == OK:
            assert file.read_bytes() == lab.wheel("demo"), "another file"
        else:
            # Where a login page came twice, the mismatch stands, and its evidence says so, or what
            # it can of one without a label. A refusal from the start is for pip to tell.
            told = ("sent a web page in place", "sent is no file of that kind")
            page = "DO NOT MATCH" in run.output and any(words in said(run) for words in told)
            assert end == OURS or page or is_cut or "HTTP error 40" in said(run), end
            assert not file.exists()
        assert not list(Path(temporary).iterdir()), "left in the temporary directory"
        return end == OK


@old_middle_new
def test_whatever_goes_wrong_the_file_is_right_or_the_error_is(armed: Environment) -> None:
    first = SEED or (random.randrange(1 << 32) if MINUTES else 1)
    end, worlds = time.monotonic() + 60 * MINUTES, 0
    ends: Counter[str] = Counter()
    while time.monotonic() < end if MINUTES else worlds < IN_THE_CHECK:
        chaos = Chaos(first + worlds, armed)
        chaos.play()
        ends += chaos.ends
        worlds += 1
    told = ", ".join(f"{count} {how}" for how, count in sorted(ends.items()))
    runs.note_figure(
        f"pip {armed.pip_version}: {worlds} worlds from seed {first} on, "
        f"{sum(ends.values())} runs: {told}"
    )
