"""A hundred random schedules of faults: who gets the right file, and what the others are told."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.charts import BLUE, GREEN, GREY, ORANGE, PINK, VERMILION, chart
from benchmarks.clients import BLAMES, NAME, RIGHT, UNCLEAR, Client, everyone, two_at_a_time
from tests.support.certificates import certificates
from tests.support.lab import faults as f
from tests.support.lab.faults import Entry, Fault
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab, Request

SEEDS = 100
LONG_STALL = 20.0  # seconds: longer than any client waits for a byte
CLEAR, MISLEADING, CRASH = "clear error", "misleading", "traceback"
# What an end is called here, where it is another word.
CALLED = {**dict.fromkeys((*BLAMES, UNCLEAR), MISLEADING), "gives up": CLEAR, "traceback": CRASH}
STYLE = {  # readable without colour: the pattern differs as well
    RIGHT: (BLUE, ""),
    CLEAR: (GREEN, ".."),
    MISLEADING: (ORANGE, "//"),
    CRASH: (PINK, "xx"),
    "wrong file": (VERMILION, "**"),
    "no end": (GREY, "--"),
}


def schedule(seed: int) -> tuple[Package, bool]:
    """What is served, what spoils it, and whether over TLS; the same for a seed."""
    random = Random(seed)
    secure, size = random.random() < 0.25, random.randrange(300_000, 3_000_000)
    hashed = random.random() < 0.85
    # The first must strike a whole response; those of `answer` only strike a client's next ones.
    faults: list[Entry] = [ending(random, size, secure)]
    for _ in range(random.choices(range(8), (3, 3, 3, 3, 2, 2, 1, 1))[0]):
        if random.random() < 0.65:
            faults.append(ending(random, size, secure))
            continue
        strange = answer(random, size, hashed)
        # Alone it would be the end of most downloads.
        alone = random.random() >= 0.6
        faults.append(strange if alone else (strange, ending(random, size, secure)))
    page = [page_fault(random) for _ in range(random.choice((0, 0, 0, 1, 1, 2)))]
    package = Package(
        NAME,
        size,
        faults,
        page_faults=page,
        metadata=random.random() < 0.3,
        metadata_faults=[f.Cut(random.randrange(40))] if random.random() < 0.3 else [],
        ranges=random.random() < 0.85,
        validator=random.choices(("strong", "date", "weak", "none"), (6, 2, 1, 1))[0],
        chunked=random.random() < 0.15,
        gzip=random.random() < 0.24,
        hashes=hashed,
        page_format=random.choice(("html", "json")),
    )
    return package, secure


def chosen(random: Random, kinds: list[tuple[int, Any]]) -> Fault:
    """Make one of these, by weight."""
    (make,) = random.choices([make for _, make in kinds], [weight for weight, _ in kinds])
    fault: Fault = make()
    return fault


def busy(random: Random) -> Fault:
    return f.Busy(random.choice((503, 429)), random.choice((None, None, 1)))


def ending(random: Random, size: int, secure: bool) -> Fault:
    """What ends a response early, or comes in its place."""
    after = int(size * random.random() / 2)
    kinds: list[tuple[int, Any]] = [
        (30, lambda: f.Cut(after, notify=random.random() < 0.3)),
        (12, lambda: f.Reset(after)),
        (6, lambda: f.Stall(after, LONG_STALL if random.random() < 0.05 else 2 * random.random())),
        (14, lambda: busy(random)),
        (4, lambda: f.Away(after, 1 + random.random())),
        (8, f.Drop),
    ]
    return chosen(random, kinds + [(12, lambda: f.Garble(after))] * secure)


def answer(random: Random, size: int, hashed: bool) -> Fault:
    """An answer that is not what was asked for. `hashed`: a client can find out a false byte."""
    kinds: list[tuple[int, Any]] = [
        (5, lambda: f.Elsewhere(random.randrange(1, 100_000))),
        (3, f.Unlabelled),
        (5, lambda: f.OtherTotal(size + random.randrange(2000, 3000))),
        (5, f.OtherETag),
        (6, f.Whole),
        (1, f.Changed),
    ]
    false: list[tuple[int, Any]] = [
        (2, lambda: f.Unlabelled(random.randrange(1, 100_000))),
        (3, lambda: f.Short(random.randrange(1, size))),
        (1, lambda: f.Flip(random.randrange(size))),
    ]
    return chosen(random, kinds + false * hashed)


def page_fault(random: Random) -> Fault:
    """What happens to the index page, which has some 300 bytes."""
    cut = (2, lambda: f.Cut(random.randrange(250)))
    return chosen(random, [cut, (1, lambda: busy(random)), (1, f.Drop)])


def spoiled(request: Request) -> bool:
    """Whether a response brought bytes that are not the file's: its hash is rightly blamed."""
    fault = request.fault or ""
    return (
        "Flip" in fault
        or "Changed" in fault
        or (request.status == 200 and "Short" in fault)  # complete by its framing
        or (request.status == 206 and bool(re.search(r"Unlabelled\(shift=[1-9]", fault)))
    )


def run(client: Client, seed: int) -> str:
    """Let a client meet a schedule."""
    package, secure = schedule(seed)
    with Lab([package], tls=certificates().server if secure else None) as lab:
        end, _ = client.download(lab, certificates().ca_pem if secure else None)
        blamed = end in ("blames hash", "blames package", UNCLEAR)
        # It is right to blame the hash of what is not the file.
        rightly = blamed and any(map(spoiled, lab.requests(NAME, "artifact")))
        return "gives up" if rightly else end


def measure(quick: bool) -> dict[str, Any]:
    """Let every client meet every schedule."""
    clients, seeds = everyone(), range(SEEDS)
    if quick:
        clients, seeds = [clients[0], clients[2], clients[-1]], range(2)
    jobs = [(client, seed) for seed in seeds for client in clients]
    ends: dict[str, list[str]] = {client.name: [] for client in clients}
    for (client, seed), end in zip(jobs, two_at_a_time(run, jobs)):
        ends[client.name].append(end)
        print(seed, client.name, end, flush=True)
    return {"ends": ends}


def counted(figures: dict[str, Any]) -> dict[str, Counter[str]]:
    """Give for each client how many runs ended in each of the ways."""
    return {
        name: Counter(CALLED.get(end, end) for end in ends)
        for name, ends in figures["ends"].items()
    }


def section(figures: dict[str, Any]) -> str:
    counts = counted(figures)
    honest = [name for name, count in counts.items() if set(+count) <= {RIGHT, CLEAR}]
    best = max(count[RIGHT] for count in counts.values())
    most = [name for name, count in counts.items() if count[RIGHT] == best]
    return (
        f"The right file or a clear error each time: {', '.join(honest) or 'nobody'}. "
        f"The most right files, {best}: {', '.join(most)}."
    )


def draw(figures: dict[str, Any], path: Path) -> None:
    """One bar for each client, in parts that differ in colour and pattern."""
    counts = counted(figures)
    names, left = list(counts), [0] * len(counts)
    with chart(path, figsize=(9, 0.36 * len(names) + 1.2)) as axes:
        for end, (colour, pattern) in STYLE.items():
            widths = [count[end] for count in counts.values()]
            if not any(widths):
                continue
            options = {"color": colour, "hatch": pattern, "edgecolor": "white", "label": end}
            bars = axes.barh(names, widths, left=left, linewidth=0.5, **options)
            labels = [str(width) if width >= 4 else "" for width in widths]
            # The patterns would cross the figures out.
            box = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}
            axes.bar_label(bars, labels, label_type="center", color="black", fontsize=9, bbox=box)
            left = [a + b for a, b in zip(left, widths)]
        axes.invert_yaxis()
        axes.set_xlim(0, max(left))
        axes.set_xlabel(f"{max(left)} schedules of faults")
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=len(STYLE))
