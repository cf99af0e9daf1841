"""What pip itself pays where nothing goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks import charts, processes
from benchmarks.peers import OURS
from benchmarks.serving import Served, serving
from tests.support import directories, environments
from tests.support.environments import Environment
from tests.support.lab.packages import Package

TITLE = "What pip pays where nothing goes wrong"

GOALS = {
    "pip --version": 1.01,
    "pip list": 1.01,
    "one small wheel": 1.03,
    "forty small wheels": 1.03,
    "300 MB, HTTP": 1.01,
    "300 MB, TLS": 1.01,
}
SMALL, LARGE, COUNTED = 20_000, 300_000_000, 30_000_000  # bytes
FORTY = [f"small{number:02}" for number in range(40)]
# Bare: pip alone. Armed: with us. Unkept: armed, with `retry-patch-partials = off`. Unarmed:
# installed, but without the .pth file, which is what two more packages cost.
BARE, ARMED, UNKEPT, UNARMED = "bare", "armed", "unkept", "unarmed"
ROUNDS = {"pip --version": 20, "pip list": 16, "one small wheel": 16, "forty small wheels": 8}
LARGE_ROUNDS = 8


@dataclass(frozen=True)
class Bench:
    """The environments of one pip, and the two indexes."""

    bare: Environment
    armed: Environment
    unarmed: Environment
    http: Served
    tls: Served
    ca_pem: Path

    def run(self, what: str, variant: str, counted: bool) -> Any:
        """Run pip once, in an empty directory; return its Cost, or how much was counted.

        :param what: one of GOALS. A large artifact is a smaller one where it is counted.
        """
        chosen = {BARE: self.bare, UNARMED: self.unarmed}.get(variant, self.armed)
        directory = chosen.fresh_dir()
        env = processes.environ_of_pip(directory)
        if variant == UNKEPT:
            env["PIP_RETRY_PATCH_PARTIALS"] = "off"
        command: list[str | Path] = [chosen.python, "-m", "pip"]
        if what.startswith("pip "):
            command.append(what.removeprefix("pip "))
        else:
            served = self.tls if what.endswith("TLS") else self.http
            names = {"one small wheel": ["small00"], "forty small wheels": FORTY}
            wanted = names.get(what, ["counted" if counted else "large"])
            to_tls = ("--cert", self.ca_pem)
            command += processes.download(directory, served.index_url, *to_tls, *wanted)
        try:
            if counted:
                return processes.instructions(processes.ROOT, command, env, directory)
            return processes.spend(command, env, directory)
        finally:
            shutil.rmtree(directory)


def variants(what: str) -> tuple[str, ...]:
    """What is compared for one command, the one without us first."""
    if what.startswith("pip "):
        return (BARE, ARMED, UNARMED)
    return (BARE, ARMED, UNKEPT) if "MB" in what else (BARE, ARMED)


def measure(quick: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {"large": LARGE, "counted": COUNTED, "pips": {}}
    whats = ("pip --version", "one small wheel", "300 MB, TLS") if quick else tuple(GOALS)
    if quick:
        figures |= {"large": 4_000_000, "counted": 1_500_000}
    with _served(figures["large"], figures["counted"]) as (http, tls, ca_pem):
        for pip, python in OURS[1:] if quick else OURS:
            bare, armed = (environments.environment(pip, python, on) for on in (False, True))
            bench = Bench(bare, armed, _unarmed(pip, python), http, tls, ca_pem)
            jobs = [(what, variant) for what in whats for variant in variants(what)]
            for what, variant in jobs:  # compiles what is not compiled yet
                if "MB" not in what:
                    bench.run(what, variant, counted=False)
            # Counts do not care what else the machine does; times do.
            with ThreadPoolExecutor(2) as pool:
                counting = [pool.submit(_count, bench, *job, quick) for job in jobs]
                counted = [count.result() for count in counting]
            counts: dict[str, dict[str, int]] = {what: {} for what in whats}
            for (what, variant), count in zip(jobs, counted, strict=True):
                counts[what][variant] = count
            rounds = {what: 2 if quick else ROUNDS.get(what, LARGE_ROUNDS) for what in whats}
            times = {what: _in_turn(bench, what, rounds[what]) for what in whats}
            told = {"python": python, "instructions": counts, "times": times}
            figures["pips"][bare.pip_version] = told
    return figures


def _count(bench: Bench, what: str, variant: str, quick: bool) -> int:
    if quick:  # valgrind takes half a minute for pip: a stand-in (startup has the real one)
        return int(1e9 * float(bench.run(what, variant, counted=False).cpu))
    return int(bench.run(what, variant, counted=True))


@contextmanager
def _served(large: int, counted: int) -> Iterator[tuple[Served, Served, Path]]:
    """Serve everything over HTTP and over TLS."""
    packages = [*(Package(name, SMALL) for name in FORTY)]
    packages += [Package("large", large), Package("counted", counted)]
    ca_pem = directories.scratch(processes.ROOT) / "ca.pem"
    with serving(packages) as http, serving(packages, ca_pem) as tls:
        yield http, tls, ca_pem


def _unarmed(pip: str, python: str) -> Environment:
    made = environments.fresh_environment(pip, python, armed=True)
    (made.site_packages / "pip_retry_patch.pth").unlink()
    return made


def _in_turn(bench: Bench, what: str, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Run each variant in turn, every other round backwards; CPU and wall seconds of each."""
    chosen = [variant for variant in variants(what) if variant != UNARMED]
    times: dict[str, list[tuple[float, float]]] = {variant: [] for variant in chosen}
    for number in range(rounds):
        for variant in reversed(chosen) if number % 2 else chosen:
            cost = bench.run(what, variant, counted=False)
            times[variant].append((round(cost.cpu, 4), round(cost.wall, 4)))
    return times


# --- the page ----------------------------------------------------------------------------------


def _instructions(figures: dict[str, Any], pip: str, what: str, variant: str) -> float | None:
    """Instructions of a variant by those of pip alone.

    A large file is counted in a smaller size, and the line through that and the small file gives
    what the large one takes.
    """
    counts = figures["pips"][pip]["instructions"]
    if variant not in counts.get(what, {}):
        return None
    if "MB" not in what:
        return float(counts[what][variant] / counts[what][BARE])
    by = (figures["large"] - SMALL) / (figures["counted"] - SMALL)

    def whole(of: str) -> float:
        small = counts["one small wheel"][BARE if of == BARE else ARMED]
        return float(small + by * (counts[what][of] - small))

    return whole(variant) / whole(BARE)


def _ratios(
    figures: dict[str, Any], pip: str, what: str, variant: str, column: int
) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of the ratios of the rounds."""
    times = figures["pips"][pip]["times"][what]
    pairs = zip(times[variant], times[BARE], strict=True)
    low, middle, high = quantiles([one[column] / other[column] for one, other in pairs], n=4)
    return low, middle, high


def section(figures: dict[str, Any]) -> str:
    large = f"{figures['large'] / 1e6:.0f} MB"
    counted = f"{figures['counted'] / 1e6:.0f} MB"
    parts = [
        "pip with the patch by pip in an environment without it, from loopback. Instructions are "
        f"of the whole process in user space; those of {large} come from a count of {counted} and "
        "of the small wheel, in a line. Times were taken in turn, every other round backwards: the "
        "median of the rounds' ratios, and their quartiles. “Not kept” is with "
        "`retry-patch-partials = off`, “not armed” has the packages installed but no `.pth` file: "
        "what two more packages cost any pip. A small wheel is 20 kB."
    ]
    for pip, told in figures["pips"].items():
        rows = []
        for what in told["instructions"]:
            for variant in told["instructions"][what]:
                if variant == BARE:
                    continue
                rows.append(_row(figures, pip, what, variant))
        head = ["", "goal", "instructions", "CPU", "", "wall", ""]
        parts.append(f"pip {pip}, Python {told['python']}:\n\n{charts.table(head, rows)}")
    parts.append("![Instructions of pip with the patch](images/cost.svg)")
    parts.append(_meaning(figures))
    return "\n\n".join(parts)


NOTES = {ARMED: "", UNKEPT: ", not kept", UNARMED: ", not armed"}


def _row(figures: dict[str, Any], pip: str, what: str, variant: str) -> list[str]:
    goal = f"{GOALS[what]:.2f}" if variant == ARMED else ""
    ratio = _instructions(figures, pip, what, variant)
    row = [what + NOTES[variant], goal, f"{ratio:.3f}"]
    for column in (0, 1):
        if variant == UNARMED:
            row += ["", ""]
            continue
        low, middle, high = _ratios(figures, pip, what, variant, column)
        row += [f"{middle:.3f}", f"{low:.2f} to {high:.2f}"]
    return row


def _meaning(figures: dict[str, Any]) -> str:
    met: list[str] = []
    missed: list[str] = []
    for pip, told in figures["pips"].items():
        for what in told["instructions"]:
            ratio = _instructions(figures, pip, what, ARMED) or 0.0
            text = f"{what} with pip {pip} ({ratio:.3f})"
            (met if round(ratio, 2) <= GOALS[what] else missed).append(text)
    text = f"By instructions {len(met)} of {len(met) + len(missed)} goals are met. "
    if missed:
        text += f"Missed: {'; '.join(missed)}. [costs.md](costs.md) says what costs it. "
    kept, unkept = (_range(figures, variant) for variant in (ARMED, UNKEPT))
    return text + (
        f"In CPU seconds, which have the kernel's part in them, the large file takes {kept} of "
        f"what pip alone takes, and {unkept} if it is not kept: the former core wrote one more "
        "copy into the page cache. The other times scatter by more than most of these "
        "ratios differ from 1. Loopback has no network in it: where pip waits for a line, all of "
        "this is lost in the waiting. A copied byte counts as one instruction, though "
        "a processor copies 32 at once."
    )


def _range(figures: dict[str, Any], variant: str) -> str:
    """The least and the largest median of the CPU ratios of the large file."""
    middles = [
        _ratios(figures, pip, what, variant, 0)[1]
        for pip, told in figures["pips"].items()
        for what in told["times"]
        if "MB" in what
    ]
    return f"{min(middles):.2f} to {max(middles):.2f}"


def draw(figures: dict[str, Any], directory: Path) -> None:
    whats = list(next(iter(figures["pips"].values()))["instructions"])
    colours = [charts.GREEN, charts.ORANGE, charts.BLUE]
    with charts.chart(directory / "cost.svg", figsize=(8, 3.2)) as (_, axes):
        width = 0.8 / len(figures["pips"])
        for number, pip in enumerate(figures["pips"]):
            ratios = [_instructions(figures, pip, what, ARMED) or 1 for what in whats]
            places = [place + number * width for place in range(len(whats))]
            heights = [(ratio - 1) * 100 for ratio in ratios]
            axes.bar(places, heights, width * 0.9, label=f"pip {pip}", color=colours[number])
        for place, what in enumerate(whats):
            goal = (GOALS[what] - 1) * 100
            ends = [place - width / 2, place + 0.8 - width / 2]
            axes.plot(ends, [goal, goal], color=charts.GREY, linestyle="--", linewidth=1)
        middle = 0.4 - width / 2
        labels = [what.replace(" small", "\nsmall").replace(", ", ",\n") for what in whats]
        axes.set_xticks([place + middle for place in range(len(whats))], labels)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:+g} %")
        axes.set_title("Instructions that the patch adds to pip; the dashed lines are our goals")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
