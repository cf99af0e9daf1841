"""Faults of all kinds, mirrors, kept bytes and kills at once: a few worlds here, an hour on demand.

`python -m nox -s chaos -- 60` plays new worlds for an hour. Whatever a world is, no run brings
another file, hangs, ends in a traceback or accuses the hash, and nothing is left on the disk.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from pip_retry_patch.store.kept import SMALLEST
from tests.support import hosts, programs, runs
from tests.support.certificates import certificates
from tests.support.downloads import NO_MATCH, OK, OURS, TRACEBACK, command, end_of, said
from tests.support.environments import Environment
from tests.support.lab import faults as f
from tests.support.lab.faults import Entry
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.programs import Argument

MINUTES = float(os.environ.get("PIP_RETRY_PATCH_CHAOS_MINUTES", "0"))
SEED = int(os.environ.get("PIP_RETRY_PATCH_CHAOS_SEED", "0"))
IN_THE_CHECK = 4
# So that an hour is many runs.
HURRIED: dict[str, Argument] = {
    **hosts.HURRIED,
    "PIP_RETRY_PATCH_ATTEMPTS": "4",
    "PIP_NO_CACHE_DIR": "",
    "PYTHONFAULTHANDLER": "1",
}
MOST_RUNS = 20  # of one world, until the schedules are used up and it must succeed


def drawn_fault(chance: random.Random, size: int, encrypted: bool) -> Entry:
    """Return what strikes one request for a file, and is neither another file nor a web page."""
    pick = chance.choice

    def at() -> int:
        return pick([0, 1, size - 1, chance.randrange(size), chance.randrange(size)])

    too_long = pick([f.Overstate(1), f.Overstate(5000), f.Compressed()])
    entries: list[Entry] = [
        *(f.Cut(at()), f.Cut(at(), pick([True, False])), f.Reset(at()), f.Stall(at(), 1.5)),
        *(f.Drop(), (f.Drop(), f.Reset(0)), f.Garble(at()) if encrypted else None),
        pick([f.Away(at(), 1.0), f.Slow(at(), 50, 1.0)]),
        f.Busy(pick([429, 500, 502, 503, 504, 521, 403, 404])),
        f.Busy(503, retry_after=pick([0, 1])),
        f.Redirect("?signature=1"),
        f.ToRange(f.Busy(pick([400, 403, 416, 500]))),
        f.ToRange(f.Unsatisfiable(pick([None, 5]))),
        (pick([f.Whole(), f.OtherTotal(), f.OtherETag(), f.Elsewhere(100)]), f.Cut(at())),
        pick([f.Whole(), f.OtherTotal(), f.OtherETag(), f.Unlabelled(1), f.OtherTotal(2 * size)]),
        (pick([f.Unconditional(), f.Excess(9)]), f.Cut(at())),
        (pick([too_long, f.Doubled(), f.Overruled(9)]), f.Cut(at())),
        pick([too_long, f.Unframed()]),
        None,
    ]
    return pick(entries)


def drawn_page_faults(chance: random.Random) -> list[Entry]:
    """Return what strikes the first requests for a page, or for metadata."""
    entries: list[Entry] = [f.Cut(chance.randrange(200)), f.Reset(0), f.Drop(), None]
    entries += [f.Busy(chance.choice([429, 500, 503])), f.Redirect("?signature=1")]
    entries += [f.Stall(chance.randrange(200), 1.5), f.Away(0, 1.0)]
    entries += [f.Overstate(9), f.Overruled(9), f.Doubled(), f.Unframed()]
    return chance.choices(entries, k=chance.randrange(3))


def drawn_packages(chance: random.Random, size: int, encrypted: bool) -> list[Package]:
    """Return one file as an index, which may have TLS, and a mirror have it."""
    schedules = [
        [drawn_fault(chance, size, tls) for _ in range(chance.randrange(most))]
        for most, tls in ((8, encrypted), (4, False))
    ]
    hashes, at = chance.random() < 0.75, chance.randrange(1, size)
    odd, chosen = chance.random(), chance.choice(schedules)
    if odd < 0.3:
        for _ in range(chance.randrange(1, 4)):
            page = f.WebPage(labelled=chance.random() < 0.5)
            chosen.insert(chance.randrange(len(chosen) + 1), page)
    elif odd < 0.6 and hashes:
        # What only a hash tells from the file. One such fetch is asked for again; of two, the
        # second is a genuine mismatch, and so it is beside a web page.
        cut: Entry = (f.Unframed(), f.Cut(at))
        chosen.append(chance.choice([f.Flip(at), f.Short(-at), f.Short(at), f.Replaced(), cut]))
    # Another page, without a word of it: of two the second stands.
    others: list[Entry] = [f.Short(-99), f.WebPage(), (f.Unframed(), f.Cut(99)), *[None] * 15]
    return [
        Package(
            "demo",
            size,
            schedule,
            page_faults=[*drawn_page_faults(chance), chance.choice(others)],
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
        for schedule in schedules
    ]


def play(chance: random.Random, pip: Environment) -> Counter[str]:
    """Run pip in one world until it succeeds; return how each run ended."""
    ends: Counter[str] = Counter()
    cache, kills = pip.fresh_dir(), chance.randrange(3)
    tls, rate = chance.choice([certificates().server, None, None]), chance.choice([None, 4_000_000])
    size = chance.choice([40_000, 1_100_000, 3_000_000])
    ours, theirs = drawn_packages(chance, size, tls is not None)
    with Lab([ours], rate=rate, tls=tls) as index, Lab([theirs]) as mirror:
        env = {**HURRIED, "PIP_RETRY_PATCH_MIRRORS": chance.choice([mirror.index_url, ""])}
        trust = "--trusted-host", mirror.url.partition("://")[2]
        while not ends[OK]:
            assert sum(ends.values()) < MOST_RUNS, ends
            folder, temporary = pip.fresh_dir(), pip.fresh_dir()
            words = *command(index, folder, cache), *trust, "demo"
            process = pip.start("-m", "pip", *words, env={**env, "TMPDIR": temporary})
            if ends["killed"] < kills and was_killed(process, chance.uniform(0.3, 2.0)):
                ends["killed"] += 1
                continue
            run = programs.finish(process, timeout=90)
            ends[end_of(run)] += 1
            check(run, folder / ours.filename, index.wheel("demo"))
            assert not list(temporary.iterdir()), "left in the temporary directory"
    left = [*(cache / "retry-patch").glob("*")]
    if kills:
        # Who is killed while it makes a folder leaves a lock; a later run takes it away.
        left = [path for path in left if path.is_dir() or path.with_suffix("").exists()]
        left = left if size > SMALLEST else []  # (what is small is not looked for in the store)
    assert not left, f"left in the store: {left}"
    return ends


def was_killed(process: subprocess.Popen[str], seconds: float) -> bool:
    """Kill a pip after so many seconds, if it runs that long."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        programs.kill(process)
        process.communicate()
        return True
    return False


def check(run: programs.Outcome, file: Path, right: bytes) -> None:
    """Assert that what one run brought is right, or its error is."""
    end, text = end_of(run), said(run)
    if end == OK:
        assert file.read_bytes() == right, f"another file\n{run.output}"
        return
    # HTML with a length may lack its end, and is read as it is.
    is_cut = end == NO_MATCH and "came without its end" in text
    # Where a login page came twice, the mismatch stands, and its evidence says so, or what it can
    # of one without a label. A refusal from the start is for pip to tell.
    told = ("sent a web page in place", "sent is no file of that kind")
    is_page = "DO NOT MATCH" in text and any(words in text for words in told)
    is_refused = end not in (TRACEBACK, NO_MATCH) and "HTTP error 40" in text
    assert end == OURS or is_cut or is_page or is_refused, f"{end}\n{run.output}"
    assert not file.exists()


@old_middle_new
def test_whatever_goes_wrong_the_file_is_right_or_the_error_is(
    pip: str, armed: Environment
) -> None:
    first = SEED or (random.randrange(1 << 32) if MINUTES else 1)
    end, worlds = time.monotonic() + 60 * MINUTES, 0
    ends: Counter[str] = Counter()
    while time.monotonic() < end if MINUTES else worlds < IN_THE_CHECK:
        try:
            ends += play(random.Random(first + worlds), armed)
        except (AssertionError, pytest.fail.Exception) as error:
            again = f"PIP_RETRY_PATCH_CHAOS_SEED={first + worlds} pytest {__file__}"
            raise AssertionError(f"{again} -k pip{pip}\n{error}") from error
        worlds += 1
    told = ", ".join(f"{count} {how}" for how, count in sorted(ends.items()))
    runs.note_figure(f"pip {armed.pip_version}: {worlds} worlds from seed {first} on: {told}")
