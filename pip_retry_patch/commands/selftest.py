"""The command `selftest`: this environment's own pip against an unreliable index on loopback."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pip_retry_patch.commands.environment import (
    UnableError,
    ascii_line,
    pip_of,
    run,
    temporary_directory,
)

if TYPE_CHECKING:
    from tests.support.lab.packages import Package
    from tests.support.lab.server import Lab

# The fault of which a mirror is to make up for the rest of the file.
MIRRORED = "host dies, a mirror goes on"

PIP_LIMIT = 60  # seconds for one pip, far more than any of the faults costs


@dataclass(frozen=True)
class Outcome:
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
    from tests.support.lab.server import Lab  # only now: nothing else needs a server

    trials = plan()
    # For a comparison each fault is served twice, under two names.
    plain = {
        title: replace(package, name=f"{package.name}-plain") for title, package in trials.items()
    }
    width = max(map(len, trials)) + 2
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(temporary_directory()))
        found = pip_of(python, directory)
        try:
            packages = [*trials.values(), *(plain.values() if compare else ())]
            lab = stack.enter_context(Lab(packages))
            whole = [replace(package, faults=(), forever=None) for package in packages]
            mirror = stack.enter_context(Lab(whole))
        except OSError as error:
            raise UnableError(f"cannot listen on 127.0.0.1 for the test: {error}") from None
        print(f"pip {found.pip} on Python {found.python}, against an unreliable index on 127.0.0.1")
        column = f"{'plain pip':15}" if compare else ""
        print(f"\n{'':{width}}{column}result    time   bytes fetched / size")
        outcomes = []
        for title, package in trials.items():
            print(f"{title:{width}}", end="", flush=True)
            if compare:
                alone = download(python, lab, plain[title], directory, {"PIP_RETRY_PATCH": "0"})
                print(f"{alone.end:15}", end="", flush=True)
            other = mirror if title == MIRRORED else None
            outcomes.append(download(python, lab, package, directory, {}, other))
            print(outcomes[-1], flush=True)
    failed = sum(1 for outcome in outcomes if outcome.problem)
    if failed:
        print(f"\n{failed} of {len(outcomes)} faults were not healed. pip-retry-patch is loaded")
        print("here, but does not do its work with this pip. Please report this output.")
        return 1
    print(f"\nAll {len(outcomes)} faults were healed; every file is what the index has.")
    return 0


def plan() -> dict[str, Package]:
    """The faults of the selftest, each in a package of its own."""
    from tests.support.lab.faults import Away, Busy, Cut, Reset, Stall
    from tests.support.lab.packages import Package

    return {
        "connection cut once": Package("cut-once", 2_000_000, [Cut(900_000)]),
        "connection cut 20 times": Package("cut-often", 3_000_000, [Cut(140_000)] * 20),
        "connection reset": Package("reset", 2_000_000, [Reset(900_000)]),
        "server falls silent": Package("stall", 2_000_000, [Stall(900_000)]),
        "no range requests, cut": Package("no-ranges", 1_000_000, [Cut(500_000)], ranges=False),
        "chunked, cut": Package("chunked", 2_000_000, [Cut(900_000)], chunked=True),
        "cut, then 503 twice": Package("busy", 1_000_000, [Cut(500_000), *[Busy(503, 1)] * 2]),
        "server away for 2 seconds": Package("away", 2_000_000, [Away(2.0, 900_000)]),
        "index page cut": Package("page", 100_000, page_faults=[Cut(100)]),
        MIRRORED: Package("mirrored", 2_000_000, [Cut(900_000)], forever=Busy(503)),
    }


def download(
    python: str,
    lab: Lab,
    package: Package,
    directory: Path,
    env: dict[str, str],
    mirror: Lab | None = None,
) -> Outcome:
    """Let pip download a package, and compare."""
    if mirror is not None:
        env = dict(env, PIP_RETRY_PATCH_MIRRORS=mirror.index_url)
    target = directory / package.name
    command = [python, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--timeout=2"]
    command += ["--index-url", lab.index_url, "--dest", str(target), package.name]
    began = time.monotonic()
    try:
        pip = run(command, directory, PIP_LIMIT, env)
    except subprocess.TimeoutExpired:
        problem, end = f"pip had not ended after {PIP_LIMIT} seconds", "no end"
    else:
        problem = "" if pip.returncode == 0 else last_words(pip.stdout) or f"exit {pip.returncode}"
        end = end_of(pip)
    seconds = time.monotonic() - began
    labs = [lab] if mirror is None else [lab, mirror]
    for each in labs:
        each.wait_idle()
    original = lab.wheel(package.name)
    if not problem:
        try:
            same = (target / lab.filename(package.name)).read_bytes() == original
        except OSError as error:
            problem = ascii_line(str(error))
        else:
            problem = "" if same else "the file differs from the index's"
            end = end if same else "wrong file"
    sent = sum(each.sent(package.name) for each in labs)
    return Outcome(problem, end, seconds, sent / len(original))


def end_of(pip: subprocess.CompletedProcess[str]) -> str:
    """Say in two words how a pip ended."""
    if pip.returncode == 0:
        return "ok"
    for words, end in (
        ("Traceback (most recent call last)", "traceback"),
        ("DO NOT MATCH THE HASHES", "blames hash"),
        ("No matching distribution", "not found"),
        ("incomplete-download", "gives up"),
        ("not enough bytes were received", "gives up"),
    ):
        if words in pip.stdout:
            return end
    return "error"


def last_words(output: str) -> str:
    """The line of pip's output that says best why it ended: its last error, or its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or [""]
    errors = [n for n, line in enumerate(lines) if re.match(r"(ERROR|error|[\w.]+Error)\b", line)]
    best = errors[-1] if errors else len(lines) - 1
    line = lines[best]
    if re.fullmatch(r"error: [\w-]+", line):  # the slug of a DiagnosticPipError; its words follow
        line = " ".join([f"{line}:", *lines[best + 1 : best + 2]]).replace("\u00d7 ", "")
    line = ascii_line(line)
    return line if len(line) <= 76 else f"{line[:73]}..."
