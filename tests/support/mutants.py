"""Do the tests bite? Mutants of the product, by mutmut, and how many of them the fast tests kill.

mutmut changes one thing at a time, and runs the tests that reach the function. It has no budget and
no choice by lot, and takes the mutants whose tests are fast before the others. So this gives it the
names of some: of all, in an order drawn by a seed, batch by batch until the time is over. What was
found stays in `mutants/`, and the next run of the same tree goes on from there.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Dict, Optional

ROOM = Path("mutants/pip_retry_patch")
BATCH = 250
NOBODY = "no-mutant-has-this-name"

# What mutmut says of a mutant by the exit code of its tests (mutmut/stats.py); others killed it.
SURVIVED, NO_TESTS, UNKNOWN = 0, 33, None
Found = Dict[str, Optional[int]]


def found(rooms: list[str]) -> Found:
    """Return the exit code of each mutant's tests, None where they were not run."""
    codes: Found = {}
    for room in rooms:
        for path in sorted((ROOM / room).rglob("*.meta")):
            codes.update(json.loads(path.read_text())["exit_code_by_key"])
    return codes


def make() -> None:
    """Let mutmut make all mutants, and look which tests reach which function."""
    # It ends with a failed assertion then, as there is no mutant of that name to be tried.
    command = [sys.executable, "-m", "mutmut", "run", NOBODY]
    subprocess.run(command, check=False, capture_output=True)


def run(names: list[str], seconds: float) -> None:
    """Let mutmut try these, for so long at the most; what it found by then counts."""
    command = [sys.executable, "-m", "mutmut", "run", *names]
    # Its spinner prints thousands of lines.
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s mutants --", description=__doc__)
    parser.add_argument("rooms", nargs="*", default=["policy", "store", "transport"])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    make()
    names = sorted(found(options.rooms))
    if not names:
        raise SystemExit("mutmut made no mutants: see what `python -m mutmut run` says.")
    random.Random(options.seed).shuffle(names)
    left = [name for name in names if found(options.rooms)[name] is UNKNOWN]
    while left and time.monotonic() < end:
        batch, left = left[:BATCH], left[BATCH:]
        run(batch, max(end - time.monotonic(), 1))
    codes = {name: code for name, code in found(options.rooms).items() if code is not UNKNOWN}
    count = Counter(
        {SURVIVED: "survived", NO_TESTS: "no test"}.get(code, "killed") for code in codes.values()
    )
    for name, code in sorted(codes.items()):
        if code in (SURVIVED, NO_TESTS):
            print(f"{'survived' if code == SURVIVED else 'no test '} {name}")
    print(f"seed {options.seed}: of {len(names)} mutants {len(codes)} were tried: {dict(count)}")
    print("`python -m mutmut show NAME` shows what was changed.")


if __name__ == "__main__":
    main()
