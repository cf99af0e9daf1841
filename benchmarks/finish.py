"""How long a download takes over a link that breaks, by the time that the link itself needs."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import charts
from benchmarks.finishing import ALONE, LIMIT, OUTAGES, RATE, WAYS, Run, Scale, staggered
from benchmarks.fleet_model import Ours, Scene, simulate
from benchmarks.peers import OURS, at_a_terminal, everyone

TITLE = "Time to finish over a link that breaks"
GOAL = 1.05
CLOSE = 0.02  # what lies within it is called equal

Runs = dict[str, dict[str, list[Run]]]  # by way and client


# Measuring


def measure(quick: bool) -> dict[str, Any]:
    """Let each client download in each way, in turn; who did not finish is not asked again."""
    scale = Scale(2_000_000, 1_500_000, 1.0, 1) if quick else Scale()
    peers = everyone()
    peers[len(OURS) : len(OURS)] = map(at_a_terminal, peers[: len(OURS)])
    if quick:
        peers = [peers[1], next(peer for peer in peers if "wget" in peer.name)]
    runs: Runs = {way: {peer.name: [] for peer in peers} for way in WAYS}
    for _ in range(scale.rounds):
        for peer in peers:
            finished = [w for w in WAYS if all(r.end == "right" for r in runs[w][peer.name])]
            for way in finished:
                if way in ALONE:
                    runs[way][peer.name] += staggered(peer, [way], scale)
            outages = [way for way in finished if way in OUTAGES]
            for way, run in zip(outages, staggered(peer, outages, scale), strict=True):
                runs[way][peer.name].append(run)
            print(peer.name, *(f"{w}: {runs[w][peer.name][-1]}" for w in finished), sep="\n  ")
    kept = {way: {n: list(map(asdict, rs)) for n, rs in by.items()} for way, by in runs.items()}
    return {"scale": asdict(scale), "runs": kept, "alone": alone(scale.outage)}


def alone(outage: float) -> dict[str, float]:
    """How long after the return of a server that refused a client of ours goes on, in seconds.

    Its waits are drawn by lot, so a few runs tell little. These are 10,000 draws of the real
    policy/retry.py, as `fleet` simulates it, with a server that has time for everyone at once.
    """
    clients = 10_000
    rate = simulate(Ours(), Scene(clients, outage, work=1.0 / clients)).rate
    after = sorted(second + 0.5 for second in rate if second >= 0 for _ in range(rate[second]))
    mean, most = statistics.mean(after), statistics.quantiles(after, n=10)[-1]
    return {"mean": round(mean, 1), "nine of ten": round(most, 1)}


# Telling


def read(figures: dict[str, Any]) -> tuple[Scale, Runs]:
    runs = {
        way: {name: [Run(**run) for run in each] for name, each in by.items()}
        for way, by in figures["runs"].items()
    }
    return Scale(**figures["scale"]), runs


def ratios(runs: list[Run], ideal: float, what: str = "seconds") -> list[float]:
    """Time by ideal of each run, sorted; none where one did not bring the right file."""
    if any(run.end != "right" for run in runs):
        return []
    return sorted(getattr(run, what) / ideal for run in runs)


def cell(runs: list[Run], ideal: float, what: str) -> str:
    found = ratios(runs, ideal, what)
    if not found:
        right = sum(run.end == "right" for run in runs)
        return runs[-1].end + (f" ({right} of {len(runs)} right)" if right else "")
    spread = f" ({found[0]:.2f}-{found[-1]:.2f})" if len(found) > 1 else ""
    return f"{statistics.median(found):.2f}{spread}"


def section(figures: dict[str, Any]) -> str:
    """The text of the page."""
    scale, runs = read(figures)
    head = ["time / ideal", *map(scale.words, WAYS)]
    tables = [
        charts.table(
            head,
            [
                [name, *(cell(runs[way][name], scale.ideal(way), what) for way in WAYS)]
                for name in runs["clean"]
            ],
        )
        for what in ("seconds", "transfer")
    ]
    bare = [
        statistics.median(found)
        for name, each in runs["clean"].items()
        if name.startswith("pip") and not is_ours(name)
        if (found := ratios(each, scale.ideal("clean")))
    ]
    clean = f"{min(bare):.2f} to {max(bare):.2f}" if bare else "more than 1.00"
    verdicts = "\n".join(f"- {verdict(way, scale, runs)}" for way in WAYS)
    after = figures["alone"]
    return f"""
A wheel of {scale.size / 1e6:g} MB comes over a link of {RATE / 1e6:g} MB/s between two network
namespaces, over TLS, from an index that sends a strong ETag and honours ranges. *Drops*: the
connection ends after every {scale.every / 1e6:g} MB, for ever. The outages of {scale.outage:g} s
begin when half of the file has passed. *Without packets*: a router on the way drops them, and
nobody is told. *Without wifi*: the client loses its address and its route, so new connections fail
at once. *Without server*: its connections end and new ones are refused. The link has no delay but
that of its queue (up to 50 ms): on a long way, each new connection costs every client some round
trips more.

Each client ran {scale.rounds} times in each way, but no more in one where it had not finished once;
a run is stopped after {LIMIT:g} s. The ideal is size by rate, and the outage. Numbers are time by
ideal, median (least-most): at 1.00 the link is never idle. Only the right file counts; else the
table says how it ended.

The whole process, from its start to its end:

{tables[0]}

A pip starts, looks at the index, and after the last byte checks the hash, copies the file and fills
its cache. A bare pip on the clean link therefore needs {clean} of the ideal, which no guard
can undercut; wget, curl and aria2 are given the file's URL, and write it once. From the first
request for the file to the end of the process:

{tables[1]}

![Time to finish by ideal, for each client and way](images/finish.svg)

The goal is at most {GOAL:.2f} with the patch, and ahead of every other client.

{verdicts}

Where packets are lost, only silence tells of it: a client continues when its read timeout is over
(pip's `--timeout`, 15 s, to which the others were set too), or when the link is back, if that is
later; a connection that is being made then meets the link again within a second or more, as the
system repeats its question. Without wifi, the same timeout passes first; from then on the patch
asks every second or so, for that costs no server anything. Where a server refuses, the waits of the
patch grow and are drawn by lot, so that a fleet does not storm a server that has just come back: a
single client pays for that here, and one that asks at fixed times does better. A few runs tell
little of a lot: of 10,000 draws, a client goes on {after["mean"]:g} s after the return on average,
and nine of ten within {after["nine of ten"]:g} s. What many do at once is told
[below](#what-a-fleet-does-to-an-index-that-comes-back).
"""


def verdict(way: str, scale: Scale, runs: Runs) -> str:
    """What one column means for the slower of ours."""
    ideal, words = scale.ideal(way), f"*{scale.words(way)}*"
    middle = {
        name: statistics.median(found)
        for name, each in runs[way].items()
        if (found := ratios(each, ideal))
    }
    ours = {name: middle[name] for name in middle if is_ours(name)}
    if len(ours) < sum(map(is_ours, runs[way])):
        return f"{words}: with the patch, not every download finished."
    slower = max(ours, key=ours.__getitem__)
    text = f"{words}: {slower} needs {ours[slower]:.2f}"
    if clean := ratios(runs["clean"][slower], 1.0):
        outage = ideal - scale.ideal("clean")
        extra = ours[slower] * ideal - statistics.median(clean) - outage
        if way != "clean":
            text += f", {round(extra, 1) + 0.0:+.1f} s against its own clean run and the outage"
    transfer = statistics.median(ratios(runs[way][slower], ideal, "transfer"))
    if ours[slower] <= GOAL:
        text += "; the goal is met"
    elif transfer <= GOAL:
        text += f"; the goal is missed, but met from the first request on ({transfer:.2f})"
    else:
        text += "; the goal is missed"
    others = sorted((middle[name], name) for name in middle if not is_ours(name))
    faster = [f"{name} ({value:.2f})" for value, name in others if value < ours[slower] - CLOSE]
    text += f". Faster: {', '.join(faster)}." if faster else f". Nobody is faster by {CLOSE:.2f}."
    ends = len(runs[way]) - len(middle)
    return f"{text} {ends} of the others did not finish." if ends else text


def is_ours(name: str) -> bool:
    return "+ patch" in name  # and maybe ", at a terminal"


def draw(figures: dict[str, Any], directory: Path) -> None:
    """One panel for each way: dots for the medians, lines from the least to the most."""
    scale, runs = read(figures)
    names = list(runs["clean"])
    most = 2.2
    size = (11, 0.9 + 0.32 * len(names))
    path = directory / "finish.svg"
    with charts.chart(path, 1, len(WAYS), sharey=True, figsize=size) as (_, axes):
        for axis, way in zip(axes, WAYS, strict=True):
            ideal = scale.ideal(way)
            axis.axvline(GOAL, color=charts.GREEN, linestyle="--", linewidth=1)
            for y, name in enumerate(names):
                bare = charts.ORANGE if name.startswith("pip") else charts.PINK
                color = charts.BLUE if is_ours(name) else bare
                found = ratios(runs[way][name], ideal)
                if not found:
                    end = runs[way][name][-1].end
                    axis.text(1.1, y, end, va="center", size=8, color=charts.GREY)
                    continue
                middle = statistics.median(found)
                transfer = statistics.median(ratios(runs[way][name], ideal, "transfer"))
                if middle > most:
                    axis.text(most, y, f"{middle:.1f} →", va="center", ha="right", size=8)
                    continue
                axis.plot(found, [y] * len(found), color=color, linewidth=1.5)
                axis.plot([middle], [y], "o", color=color, markersize=6)
                axis.plot([transfer], [y], "|", color=color, markersize=9)
            axis.set_title(scale.words(way))
            axis.set_xlim(0.95, most)
            axis.set_xticks([1, 1.5, 2])
            axis.set_ylim(len(names) - 0.5, -0.5)
            axis.set_yticks(range(len(names)), names)
        axes[0].set_xlabel("dot: whole process / ideal")
        axes[1].set_xlabel("bar: transfer / ideal")
        axes[2].set_xlabel(f"dashed: the goal, {GOAL:.2f}")
