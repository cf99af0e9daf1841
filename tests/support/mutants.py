"""Do the tests bite? Mutants of the product, by mutmut, and how many of them the fast tests kill.

mutmut has no budget and no choice by lot. So this gives it the names of some: of all, in an order
drawn by a seed, batch by batch until the time is over. What was found stays in `mutants/`, and the
next run of the same tree goes on from there.

It changes neither what is decorated (so no wrapper of `@fail_open`, and no property) nor what
stands outside of functions.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

MADE = Path("mutants/pip_retry_patch")
BATCH = 200
NOBODY = "no-mutant-has-this-name"  # with it mutmut makes all mutants, and looks what reaches them

# While it looks which tests reach what, mutmut 3.8 also notes who called whom, in a variable of the
# context. To give that back fails now and then where threads and finalizers call our code, and so
# does the test. Nobody here asks who called whom.
MUTMUT = """
from mutmut.core import MutmutCallStack
MutmutCallStack.set = MutmutCallStack.reset = lambda *_: None
from mutmut.__main__ import cli
cli()
"""
SURVIVED = (0, 5, 33)  # the exit codes of tests that passed, or were none (mutmut/stats.py)


def found(rooms: list[str]) -> dict[str, int | None]:
    """Return the exit code of each mutant's tests, None where they were not run.

    :param rooms: folders of the product, or modules of it; all, if there are none.
    """
    codes: dict[str, int | None] = {}
    for path in sorted(MADE.rglob("*.meta")):
        room = path.relative_to(MADE).parts[0].partition(".")[0]
        if not rooms or room in rooms:
            codes.update(json.loads(path.read_text())["exit_code_by_key"])
    return codes


def run(names: list[str], children: int, seconds: float | None = None) -> None:
    """Let mutmut try these, for so long at the most; what it found by then counts."""
    command = [sys.executable, "-c", MUTMUT, "run", "--max-children", str(children), *names]
    with open("mutants/mutmut.txt", "w") as output:  # its spinner prints thousands of lines
        try:
            subprocess.run(command, stdout=output, stderr=output, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s mutants --", description=__doc__)
    parser.add_argument("rooms", nargs="*", help="such as fetch, or settings; or else all")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--children", type=int, default=1, help="how many at a time")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    Path("mutants").mkdir(exist_ok=True)
    run([NOBODY], options.children)
    left = sorted(name for name, code in found(options.rooms).items() if code is None)
    random.Random(options.seed).shuffle(left)
    while left and time.monotonic() < end:
        batch, left = left[:BATCH], left[BATCH:]
        run(batch, options.children, max(end - time.monotonic(), 1))
    tried = {name: code for name, code in found(options.rooms).items() if code is not None}
    survived = sorted(name for name, code in tried.items() if code in SURVIVED)
    print(*survived, f"seed {options.seed}: {len(survived)} of {len(tried)} survived", sep="\n")
    print("`python -m mutmut show NAME` shows what was changed.")


if __name__ == "__main__":
    main()
