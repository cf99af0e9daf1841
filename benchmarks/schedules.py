"""The random schedules of faults of `chance`: the same seed, the same schedule."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.support.lab.faults import (
    Away,
    Busy,
    Changed,
    Cut,
    Drop,
    Elsewhere,
    Flip,
    Garble,
    OtherETag,
    OtherTotal,
    Reset,
    Short,
    Stall,
    Unlabelled,
    Whole,
)
from tests.support.lab.packages import Package
from tests.support.lab.stages import Entry, Fault

LONG_STALL = 20.0  # seconds: longer than any client waits for a byte


def schedule(seed: int) -> tuple[Package, bool]:
    """Return what is served and what spoils it, and whether over TLS."""
    random = Random(seed)
    secure, size = chance(random, 0.25), random.randrange(300_000, 3_000_000)
    hashed = chance(random, 0.85)
    # The first must strike a whole response; those of `answer` only strike a client's next ones.
    faults: list[Entry] = [ending(random, size, secure)]
    more = random.choices(range(8), (3, 3, 3, 3, 2, 2, 1, 1))[0]
    for _ in range(more):
        faults.append(struck(random, size, secure, hashed))
    page = [page_fault(random) for _ in range(random.choice((0, 0, 0, 1, 1, 2)))]
    return (
        Package(
            f"demo-{seed}",
            size,
            faults,
            page_faults=page,
            metadata=chance(random, 0.3),
            metadata_faults=[Cut(random.randrange(40))] if chance(random, 0.3) else [],
            ranges=chance(random, 0.85),
            validator=random.choices(("strong", "date", "weak", "none"), (6, 2, 1, 1))[0],
            chunked=chance(random, 0.15),
            gzip=chance(random, 0.2),
            gzip_varies=chance(random, 0.05),
            hashes=hashed,
            page_format=random.choice(("html", "json")),
        ),
        secure,
    )


def chance(random: Random, probability: float) -> bool:
    return random.random() < probability


def struck(random: Random, size: int, secure: bool, hashed: bool) -> Entry:
    """One entry: an ending, a strange answer, or the one in the other."""
    if chance(random, 0.65):
        return ending(random, size, secure)
    strange = answer(random, size, hashed)
    # Otherwise most downloads would be over here.
    return (strange, ending(random, size, secure)) if chance(random, 0.6) else strange


def ending(random: Random, size: int, secure: bool) -> Fault:
    """What ends a response early, or comes in its place."""
    after = int(size * random.random() / 2)
    kinds: list[tuple[int, Callable[[], Fault]]] = [
        (30, lambda: Cut(after, notify=chance(random, 0.3))),
        (12, lambda: Reset(after)),
        (6, lambda: Stall(after, LONG_STALL if chance(random, 0.05) else 2 * random.random())),
        (14, lambda: busy(random)),
        (4, lambda: Away(1 + random.random(), after)),
        (8, Drop),
    ]
    if secure:
        kinds.append((12, lambda: Garble(after)))
    return chosen(random, kinds)


def answer(random: Random, size: int, hashed: bool) -> Fault:
    """An answer that is not what was asked for. `hashed`: a client can find out a false byte."""
    kinds: list[tuple[int, Callable[[], Fault]]] = [
        (5, lambda: Elsewhere(random.randrange(1, 100_000))),
        (3, Unlabelled),
        (5, lambda: OtherTotal(random.randrange(1, 1000))),
        (5, OtherETag),
        (6, Whole),
        (1, Changed),
    ]
    if hashed:  # without a hash nobody could notice these
        kinds.append((2, lambda: Unlabelled(random.randrange(1, 100_000))))
        kinds.append((3, lambda: Short(random.randrange(1, size))))
        kinds.append((1, lambda: Flip(random.randrange(size))))
    return chosen(random, kinds)


def page_fault(random: Random) -> Fault:
    """What happens to the index page, which has some 300 bytes."""
    return chosen(
        random, [(2, lambda: Cut(random.randrange(250))), (1, lambda: busy(random)), (1, Drop)]
    )


def busy(random: Random) -> Busy:
    return Busy(random.choice((503, 429)), random.choice((None, None, 1)))


def chosen(random: Random, kinds: list[tuple[int, Callable[[], Fault]]]) -> Fault:
    """Make one of these, by weight."""
    (make,) = random.choices([make for _, make in kinds], [weight for weight, _ in kinds])
    return make()
