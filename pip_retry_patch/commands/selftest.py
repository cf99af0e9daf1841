"""The command `selftest`: this environment's own pip against an unreliable index on loopback."""

from __future__ import annotations

import time

from pip_retry_patch.commands.environment import describe, download
from pip_retry_patch.commands.server import Fault, Package, Server

_CUT = Fault("cut", 900_000)
PLAN = {
    "connection cut once": Package("cut-once", 2_000_000, [_CUT]),
    "connection cut 20 times": Package("cut-often", 3_000_000, [Fault("cut", 140_000)] * 20),
    "connection reset": Package("reset", 2_000_000, [Fault("reset", 900_000)]),
    "server falls silent": Package("stall", 2_000_000, [Fault("stall", 900_000)]),
    "no range requests, cut": Package("no-ranges", 1_800_000, [_CUT], ranges=False),
    "chunked, cut": Package("chunked", 2_000_000, [_CUT], chunked=True),
    "cut, then 503 twice": Package("busy", 2_000_000, [_CUT, *[Fault("busy", seconds=1)] * 2]),
    "server away for 2 seconds": Package("away", 2_000_000, [Fault("away", 900_000, 2.0)]),
    "index page cut": Package("page", 100_000, page_faults=[Fault("cut", 100)]),
}


def selftest(python: str) -> int:
    """Break downloads on purpose and see this pip finish them.

    Starts an unreliable package index on this machine (127.0.0.1, no other traffic), lets this
    environment's own pip download from it, fault by fault, and compares the files with the
    originals. Takes about 15 seconds; writes only to a temporary directory. Exit code 0: every
    fault was healed; 1: not.

    :raises UnableError: the test cannot be made.
    """
    found, failed = describe(python, clean=True), 0
    print(f"pip {found['pip']} on Python {found['python']}", end=", ")
    print("against an unreliable index on 127.0.0.1")
    print(f"\n{'':29}result    time   bytes fetched / size")
    for title, package in PLAN.items():
        print(f"{title:29}", end="", flush=True)
        began = time.monotonic()
        with Server(package) as index:
            what = "--timeout=2", "--index-url", index.index, package.name
            problem = download(python, package, what)
        ratio = index.sent / len(package.wheel())
        figures = f"{time.monotonic() - began:6.1f} s   {ratio:5.2f} x"
        print(f"FAILED {figures}\n    {problem}" if problem else f"healed {figures}", flush=True)
        failed += bool(problem)
    if failed:
        print(f"\n{failed} of {len(PLAN)} faults were not healed. pip-retry-patch is loaded")
        print("here, but does not do its work with this pip. Please report this output.")
        return 1
    print(f"\nAll {len(PLAN)} faults were healed; every file is what the index has.")
    return 0
