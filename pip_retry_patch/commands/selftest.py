"""The command `selftest`: this environment's own pip against an unreliable index on loopback."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Mapping, NamedTuple, Sequence

from pip_retry_patch.commands.environment import (
    UnableError,
    ascii_line,
    last_words,
    pip_of,
    run,
    temporary_directory,
)
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
    # The one that is never served again: a mirror has the rest of the file.
    "host dies, a mirror goes on": Package("mirror", 2_000_000, [_CUT], forever=Fault("busy")),
}
# How a plain pip ends, in two words.
ENDS = {
    "Traceback (most recent call last)": "traceback",
    "DO NOT MATCH THE HASHES": "blames hash",
    "No matching distribution": "not found",
    "incomplete-download": "gives up",
    "not enough bytes were received": "gives up",
}


class Outcome(NamedTuple):
    """How one download through one fault ended."""

    problem: str  # "" where the right file came
    end: str  # the same in two words
    seconds: float
    ratio: float  # bytes on the wire by size of the file

    def __str__(self) -> str:
        figures = f"{self.seconds:6.1f} s   {self.ratio:5.2f} x"
        return f"FAILED {figures}\n    {self.problem}" if self.problem else f"healed {figures}"


def selftest(python: str, compare: bool) -> int:
    """Lead a Python's pip through one fault after the other, and print what comes of it.

    :param compare: whether to lead it through each of them without us first.
    :return: the exit code.
    :raises UnableError: the test cannot be made.
    """
    width, failed = max(map(len, PLAN)) + 2, 0
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        found = pip_of(python)
        try:
            index = stack.enter_context(Server([*PLAN.values()]))
            # For a comparison each fault is served twice.
            plain = stack.enter_context(Server([*PLAN.values()] if compare else []))
            lost = [package for package in PLAN.values() if package.forever]
            whole = [package._replace(faults=(), forever=None) for package in lost]
            mirror = stack.enter_context(Server(whole))
        except OSError as error:
            raise UnableError(f"cannot listen on 127.0.0.1 for the test: {error}") from None
        print(f"pip {found['pip']} on Python {found['python']}", end=", ")
        print("against an unreliable index on 127.0.0.1")
        column = f"{'plain pip':15}" if compare else ""
        print(f"\n{'':{width}}{column}result    time   bytes fetched / size")
        for title, package in PLAN.items():
            print(f"{title:{width}}", end="", flush=True)
            if compare:
                env = {"PIP_RETRY_PATCH": "0"}
                alone = download(python, [plain], package, directory / "plain", env)
                print(f"{alone.end:15}", end="", flush=True)
            servers = [index, mirror] if package.forever else [index]
            outcome = download(python, servers, package, directory)
            failed += bool(outcome.problem)
            print(outcome, flush=True)
    if failed:
        print(f"\n{failed} of {len(PLAN)} faults were not healed. pip-retry-patch is loaded")
        print("here, but does not do its work with this pip. Please report this output.")
        return 1
    print(f"\nAll {len(PLAN)} faults were healed; every file is what the index has.")
    return 0


def download(
    python: str,
    servers: Sequence[Server],
    package: Package,
    directory: Path,
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Let pip download a package, and compare.

    :param servers: the index, and its mirrors.
    """
    index, *mirrors = (f"{server.url}/simple/" for server in servers)
    env = {"PIP_RETRY_PATCH_MIRRORS": " ".join(mirrors), **(env or {})}
    command = [python, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--timeout=2"]
    command += ["--index-url", index, "--dest", package.name, package.name]
    directory.mkdir(exist_ok=True)
    began, end, original = time.monotonic(), "ok", package.wheel()
    try:
        pip = run(command, directory, env)
        problem = ""
        if pip.returncode:
            problem = last_words(pip.stdout) or f"exit {pip.returncode}"
            end = next((end for words, end in ENDS.items() if words in pip.stdout), "error")
        elif (directory / package.name / package.filename).read_bytes() != original:
            problem, end = "the file differs from the index's", "wrong file"
    except subprocess.TimeoutExpired as error:
        problem, end = f"pip had not ended after {error.timeout:.0f} seconds", "no end"
    except OSError as error:
        problem, end = ascii_line(str(error)), "no file"
    seconds = time.monotonic() - began
    sent = sum(server.sent[f"/{package.filename}"] for server in servers)
    return Outcome(problem, end, seconds, sent / len(original))
