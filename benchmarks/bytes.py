"""What interrupted downloads cost in bytes: those on the wire by the size of the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.patches import Rectangle

from benchmarks.charts import GREY, ORANGE, SKY, chart
from benchmarks.clients import (
    NAME,
    OURS,
    RIGHT,
    SILENCE,
    Client,
    everyone,
    two_at_a_time,
)
from tests.support import environments
from tests.support.certificates import certificates
from tests.support.downloads import Download
from tests.support.lab.faults import Busy, Cut, Fault, Garble, Redirect, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.partials import interrupted

SIZE, REPEATS = 40_000_000, 3
STEP = 77_777  # later in each repeat, so that no client's buffer fits by luck
THRIFTY = 1.01  # up to this nothing counts as fetched twice: that allows for pip's buffer
NO_RANGES, EXPIRED = "no ranges, a cut", "expired signature"
FAULTS = ("one cut", "twenty cuts", "reset", "stall", "broken TLS record", NO_RANGES, EXPIRED)


@contextlib.contextmanager
def serving(
    fault: str, size: int, repeat: int, silence: float
) -> Iterator[tuple[Lab, Sequence[Lab]]]:
    """Serve a wheel that is interrupted half-way: an index, and whose bytes count.

    The signed link breaks once and answers 403 from then on; the index redirects to a fresh one.
    """
    half = size // 2 + repeat * STEP
    faults: Mapping[str, Sequence[Fault]] = {
        "twenty cuts": [Cut(size // 21 - repeat * STEP // 21)] * 20,
        "reset": [Reset(half)],
        "stall": [Stall(half, silence)],
        "broken TLS record": [Garble(half)],
    }
    forever = Busy(403) if fault == EXPIRED else None
    spoiled = faults.get(fault, [Cut(half)])
    package = Package(NAME, size, spoiled, forever, ranges=fault != NO_RANGES)
    with Lab([package], tls=certificates().server if "TLS" in fault else None) as lab:
        if fault != EXPIRED:
            yield lab, [lab]
            return
        with Lab([Package(NAME, size)]) as fresh:
            links = [Redirect(f"{f.url}/files/{NAME}/{f.filename(NAME)}?s=1") for f in (lab, fresh)]
            with Lab([Package(NAME, size, links, links[1])]) as index:
                yield index, [lab, fresh]


def run(client: Client, fault: str, repeat: int, size: int, silence: float) -> tuple[int, str, int]:
    """Let one client meet one fault: bytes sent, end, size of the file."""
    with serving(fault, size, repeat, silence) as (lab, counted):
        end, _ = client.download(lab, certificates().ca_pem if lab.tls else None)
        return sum(each.sent(NAME) for each in counted), end, len(lab.wheel(NAME))


def killed_twice(pip: str, python: str, size: int) -> float:
    """Let a pip with us be killed at each third of a file; all bytes that were sent by its size."""
    environment = environments.environment(pip, python, armed=True)
    cache = environment.fresh_dir()
    with Lab([Package(NAME, size)], rate=size // 3) as lab:
        for _ in "12":
            interrupted(environment, lab, cache, size // 3)
        Download(environment, lab, cache=cache).assert_right()
        lab.wait_idle()
        return round(lab.sent(NAME) / len(lab.wheel(NAME)), 4)


def measure(quick: bool) -> dict[str, Any]:
    """Let every client meet every fault, some times over."""
    clients = everyone()
    ours = dict(zip([client.name for client in clients], OURS))
    clients = [clients[0], clients[-1]] if quick else clients
    size, silence = (12_000_000, 1.0) if quick else (SIZE, 4.0 * SILENCE)
    kills = {
        name: median(killed_twice(*pair, size * 3 // 10) for _ in range(1 if quick else REPEATS))
        for name, pair in ours.items()
    }
    jobs = [
        (client, fault, repeat, size, silence)
        for fault in FAULTS
        for repeat in range(1 if quick or fault == "stall" else REPEATS)
        for client in clients
    ]
    runs: dict[str, dict[str, list[Any]]] = {f: {c.name: [] for c in clients} for f in FAULTS}
    whole = 0
    for job, (sent, end, whole) in zip(jobs, two_at_a_time(run, jobs)):
        runs[job[1]][job[0].name].append([sent, end])
        print(job[0].name, *job[1:3], round(sent / whole, 3), end, flush=True)
    return {"size": whole, "runs": runs, "killed twice": kills}


def cell(runs: list[Any], size: int) -> tuple[str, str]:
    """How one client's runs with one fault ended, if not well; least and most bytes by size."""
    wrong = sorted({end for _, end in runs if end != RIGHT})
    low, high = (f"{of(sent for sent, _ in runs) / size:.2f}" for of in (min, max))
    return ", ".join(wrong), low if low == high else f"{low} to {high}"


def section(figures: dict[str, Any]) -> str:
    told = [f"{name} {ratio:.2f}" for name, ratio in figures["killed twice"].items()]
    return f"Killed twice: {', '.join(told)}."


def draw(figures: dict[str, Any], path: Path) -> None:
    """A table in colour: what failed has no colour, and a cross."""
    size, names = figures["size"], list(figures["runs"][FAULTS[0]])
    with chart(path, figsize=(10.5, 0.42 * len(names) + 1.3)) as axes:
        for y, name in enumerate(names):
            for x, fault in enumerate(FAULTS):
                runs = figures["runs"][fault][name]
                wrong, ratio = cell(runs, size)
                perfect = 1.5 if fault == NO_RANGES else 1.0  # without, the first half comes twice
                thrifty = max(sent for sent, _ in runs) <= THRIFTY * perfect * size
                options: dict[str, Any] = {"facecolor": SKY if thrifty else ORANGE}
                if wrong:
                    options = {"fill": False, "edgecolor": GREY}
                axes.add_patch(Rectangle((x - 0.47, y - 0.43), 0.94, 0.86, lw=0.6, **options))
                text = f"\N{BALLOT X} {wrong}" if wrong else ratio
                colour = GREY if wrong else "black"
                axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=9)
        axes.set_xlim(-0.5, len(FAULTS) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        labels = [fault.replace(" a ", "\na ").replace(" TLS", "\nTLS") for fault in FAULTS]
        axes.set_xticks(range(len(FAULTS)), labels)
        axes.set_yticks(range(len(names)), names)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel(
            "bytes on the wire / size of the file; blue: nothing fetched twice that need not be; "
            "\N{BALLOT X}: no right file"
        )
