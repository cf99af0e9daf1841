"""One command for every figure of docs/benchmarks.md.

    python -m benchmarks                 # everything: most of an hour; root, on Debian
    python -m benchmarks fleet bytes     # only some parts
    python -m benchmarks soak            # real packages from PyPI; in no run but its own
    python -m benchmarks --page          # no measuring: the page again, from the figures kept
    python -m benchmarks --quick         # proves that it runs; the figures mean nothing

A part is a module here with a `TITLE` and three functions: `measure(quick)` gives its figures,
which are kept in benchmarks/results/PART.json, `section(figures)` its text in Markdown, and
`draw(figures, directory)` its charts. Times and bytes of different clients are always measured in
turn in one run, and quoted as ratios.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol, cast

from benchmarks.peers import install
from benchmarks.processes import ProcessError
from tests.support import runs, supplies

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
DOCS = HERE.parent / "docs"
# In the order of the page.
PARTS = ("bytes", "finish", "mirror", "chance", "startup", "cost", "memory", "fleet", "soak")
APART = frozenset({"soak"})  # only where it is named: it depends on PyPI, and takes up to two hours
# What needs no wget, curl, aria2, uv.
PEERLESS = frozenset({"startup", "cost", "memory", "fleet", "soak"})

HEAD = """# Benchmarks

Written by `python -m benchmarks`, which measures every figure below again, but for the last
section: about {minutes} minutes on two cores, as root on Debian (it installs wget, curl, aria2 and
iproute2; uv and the pips come from PyPI), with the packages of
`pip install -e '.[test,benchmarks]'`. `python -m benchmarks PART` repeats one part. The figures as
they were measured, run by run, are in `benchmarks/results`.

**All figures were measured on the former core, 2026-11.**

Machines are noisy, so nothing here is a lone time: it is bytes, instructions, and ratios of runs
made in turn on one machine, with their spread. What is measured against is an unreliable index, on
loopback or behind a link between two network namespaces, which spoils each client's downloads in
the same places.
"""


class Part(Protocol):
    """A module of this package that is one part of the page."""

    TITLE: str

    def measure(self, quick: bool) -> dict[str, Any]:
        """Measure, and return what `section` and `draw` need, as JSON can hold it."""

    def section(self, figures: dict[str, Any]) -> str:
        """The text below the heading, in Markdown."""

    def draw(self, figures: dict[str, Any], directory: Path) -> None:
        """Write the charts, as SVG."""


def part(name: str) -> Part:
    return cast(Part, importlib.import_module(f"benchmarks.{name}"))


def conditions() -> dict[str, str]:
    """What the figures of a run depend on, beside the code."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "newest_pip": supplies.newest_pip(),
    }


def page(directory: Path, results: Path) -> None:
    """Write the page and its charts from the figures that are kept."""
    images = directory / "images"
    images.mkdir(parents=True, exist_ok=True)
    kept = {name: json.loads((results / f"{name}.json").read_text()) for name in PARTS}
    measured = [result["seconds"] for name, result in kept.items() if name not in APART]
    minutes = round(sum(measured) / 60)
    sections = [HEAD.format(minutes=minutes)]
    for name, result in kept.items():
        module = part(name)
        told = result["conditions"]
        module.draw(result["figures"], images)
        sections.append(
            f"## {module.TITLE}\n\n{module.section(result['figures']).strip()}\n\n"
            f"<sub>`python -m benchmarks {name}`, {told['date']}: {told['machine']}; "
            f"newest pip {told['newest_pip']}.</sub>\n"
        )
    (directory / "benchmarks.md").write_text("\n".join(sections))
    print(f"wrote {directory / 'benchmarks.md'}")


def main() -> None:
    """Measure what was asked for and write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure every figure of docs/benchmarks.md."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--page", action="store_true", help="write the page from kept figures")
    parser.add_argument("--quick", action="store_true", help="only prove that it runs")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    wanted = [name for name in PARTS if name in (arguments.parts or set(PARTS) - APART)]
    if arguments.page:
        page(DOCS, RESULTS)
        return
    runs.begin_run()
    if not PEERLESS.issuperset(wanted):
        try:
            install()
        except ProcessError as error:
            sys.exit(f"python -m benchmarks: {error}")
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) if arguments.quick else RESULTS
        results.mkdir(exist_ok=True)
        for name in wanted:
            print(f"== {name}", flush=True)
            began = time.monotonic()
            figures = part(name).measure(arguments.quick)
            seconds = round(time.monotonic() - began)
            result = {"conditions": conditions(), "seconds": seconds, "figures": figures}
            (results / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        if arguments.quick:
            for name in wanted:
                figures = json.loads((results / f"{name}.json").read_text())["figures"]
                print(f"\n## {part(name).TITLE}\n\n{part(name).section(figures)}")
                part(name).draw(figures, results)
        else:
            page(DOCS, RESULTS)


if __name__ == "__main__":
    main()
