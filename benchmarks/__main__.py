"""One command for every figure of docs/benchmarks.md.

    python -m benchmarks                 # everything but the soak: an hour; root, on Debian
    python -m benchmarks bytes cost      # only some parts
    python -m benchmarks soak            # real packages from PyPI; in no run but its own
    python -m benchmarks --page          # no measuring: the tables and charts from the figures kept
    python -m benchmarks --quick         # proves that it runs; the figures mean nothing

A part is a module here with `measure(quick)`, whose figures are kept in
benchmarks/results/PART.json, and `section(figures)`, its table in Markdown. `draw(figures, path)`,
where it has one, makes its chart, docs/images/PART.svg. The text between the tables is written by
hand.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support import runs, supplies

HERE = Path(__file__).resolve().parent
RESULTS, DOCS = HERE / "results", HERE.parent / "docs"
PAGE = DOCS / "benchmarks.md"
PARTS = ("bytes", "chance", "finish", "cost", "soak")


def part(name: str) -> Any:
    return importlib.import_module(f"benchmarks.{name}")


def measure(name: str, quick: bool, results: Path) -> None:
    """Measure a part and keep its figures, with what they depend on beside the code."""
    began = time.monotonic()
    figures = part(name).measure(quick)
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "load": round(os.getloadavg()[2], 1),  # the average of the last quarter of an hour
        "newest_pip": supplies.newest_pip(),
        "minutes": round((time.monotonic() - began) / 60),
        "figures": figures,
    }
    (results / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def block(name: str, results: Path) -> str:
    """A part of the page: its table, and how it was measured."""
    told = json.loads((results / f"{name}.json").read_text())
    return (
        f"{part(name).section(told['figures']).strip()}\n\n"
        f"<sub>`python -m benchmarks {name}`, {told['date']}, {told['machine']}, load "
        f"{told['load']}</sub>"
    )


def page(text: str) -> str:
    """The page with each part's block made anew from the figures that are kept."""
    for name in PARTS:
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = f"{before}{begin}{block(name, RESULTS)}{end}{after}"
    return text


def draw(name: str, results: Path, directory: Path) -> None:
    if hasattr(part(name), "draw"):
        figures = json.loads((results / f"{name}.json").read_text())["figures"]
        part(name).draw(figures, directory / f"{name}.svg")


def main() -> None:
    """Measure what was asked for and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--page", action="store_true", help="write the page from kept figures")
    parser.add_argument("--quick", action="store_true", help="only prove that it runs")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    runs.begin_run()
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) if asked.quick else RESULTS
        for name in () if asked.page else asked.parts or PARTS[:-1]:
            print(f"== {name}", flush=True)
            measure(name, asked.quick, results)
            if asked.quick:
                print(block(name, results))
                draw(name, results, results)
    if not asked.quick:
        for name in PARTS:
            draw(name, RESULTS, DOCS / "images")
        PAGE.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
