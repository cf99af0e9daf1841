"""Do the tests bite? Mutants of the product, by mutmut, and how many of them the fast tests kill.

mutmut changes one thing at a time, and runs the tests that reach the function. It has no budget and
no choice by lot, and takes the mutants whose tests are fast before the others. So this gives it the
names of some: of all, in an order drawn by a seed, batch by batch until the time is over. What was
found stays in `mutants/`, and the next run of the same tree goes on from there.

It changes neither what is decorated (so no wrapper of `@fail_open`, and no property) nor what
stands outside of functions.
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

PRODUCT = Path("mutants/pip_retry_patch")
OUTPUT = Path("mutants/mutmut.txt")
STATS = Path("mutants/mutmut-stats.json")  # written when all tests passed
BATCH = 200
NOBODY = "no-mutant-has-this-name"

# While it looks which tests reach what, mutmut 3.8 also notes who called whom, in a variable of the
# context. To give that back fails now and then where threads and finalizers call our code, and so
# does the test. Nobody here asks who called whom.
MUTMUT = """
from mutmut.core import MutmutCallStack
MutmutCallStack.set = MutmutCallStack.reset = lambda *_: None
from mutmut.__main__ import cli
cli()
"""

# What mutmut says of a mutant by the exit code of its tests (mutmut/stats.py); others killed it.
SURVIVED, NO_TESTS, UNKNOWN = 0, (5, 33), None
Found = Dict[str, Optional[int]]


def found(rooms: list[str]) -> Found:
    """Return the exit code of each mutant's tests, None where they were not run.

    :param rooms: folders of the product, or modules of it; all, if there are none.
    """
    codes: Found = {}
    for path in sorted(PRODUCT.rglob("*.meta")):
        if not rooms or room_of(path.relative_to(PRODUCT).as_posix()) in rooms:
            codes.update(json.loads(path.read_text())["exit_code_by_key"])
    return codes


def room_of(path: str) -> str:
    """Return `transport` for `transport/body.py`, and `names` for `names.py`."""
    return path.partition("/")[0].partition(".")[0]


def make(children: int) -> None:
    """Let mutmut make all mutants, and look which tests reach which function."""
    # It ends with a failed assertion then, as there is no mutant of that name to be tried.
    run([NOBODY], children, None)
    if not STATS.exists():
        fail("mutmut could not look which tests reach what")


def run(names: list[str], children: int, seconds: float | None) -> int:
    """Let mutmut try these, for so long at the most; what it found by then counts.

    :return: its exit code; 0 if the time was over.
    """
    command = [sys.executable, "-c", MUTMUT, "run", "--max-children", str(children), *names]
    # Its spinner prints thousands of lines.
    with OUTPUT.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            return 0


def fail(what: str) -> None:
    """End with what mutmut said."""
    lines = OUTPUT.read_text(errors="replace").replace("\r", "\n").splitlines()
    said = [line for line in dict.fromkeys(lines) if line.strip()]
    last = [line[:200] for line in said[-60:]]
    raise SystemExit("\n".join([*last, f"{what}: all that it said is in {OUTPUT}"]))


def result_of(code: int | None) -> str:
    if code == SURVIVED:
        return "survived"
    return "no test" if code in NO_TESTS else "killed"


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s mutants --", description=__doc__)
    parser.add_argument("rooms", nargs="*", help="such as transport, or settings; or else all")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--children", type=int, default=1, help="how many at a time")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    Path("mutants").mkdir(exist_ok=True)
    make(options.children)
    names = sorted(found(options.rooms))
    if not names:
        fail("mutmut made no mutants")
    random.Random(options.seed).shuffle(names)
    before = found(options.rooms)
    left = [name for name in names if before[name] is UNKNOWN]
    while left and time.monotonic() < end:
        batch, left = left[:BATCH], left[BATCH:]
        if run(batch, options.children, max(end - time.monotonic(), 1)):
            fail("mutmut could not try them")
    tell(found(options.rooms), options.seed)


def tell(found: Found, seed: int) -> None:
    """Print what survived, and a table of the rooms."""
    tried = {name: result_of(code) for name, code in sorted(found.items()) if code is not UNKNOWN}
    for name, result in tried.items():
        if result != "killed":
            print(f"{result:8} {name}")
    rooms: dict[str, Counter[str]] = {}
    for name, result in tried.items():
        room = name.removeprefix("pip_retry_patch.").partition(".")[0]
        rooms.setdefault(room, Counter())[result] += 1
    rooms["all"] = Counter(tried.values())
    print(f"seed {seed}: of {len(found)} mutants {len(tried)} were tried")
    print(f"{'room':16} tried  killed  survived  no test")
    for room, count in rooms.items():
        print(
            f"{room:16} {sum(count.values()):5} {count['killed']:7} {count['survived']:9} "
            f"{count['no test']:8}"
        )
    print("`python -m mutmut show NAME` shows what was changed.")


if __name__ == "__main__":
    main()
