"""The command `pip-retry-patch`: what a person asks of an installed patch. Today: does it work."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Sequence

import pip_retry_patch

if TYPE_CHECKING:
    from pip_retry_patch.lab import Lab, Package

PIP_LIMIT = 60  # seconds for one pip, far more than any of the faults costs

# Run by the environment's own Python as it starts for pip, with the .pth files that it finds.
PROBE = """
import importlib.util, json, sys
found = {"armed": False, "pip": None, "wrapt": True}
if importlib.util.find_spec("pip"):
    import pip
    found["pip"] = pip.__version__
    found["armed"] = "pip_retry_patch" in sys.modules
found["wrapt"] = importlib.util.find_spec("wrapt") is not None
print(json.dumps(found))
"""


class UnableError(Exception):
    """A command cannot do its work; the text says why, and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0 well, 1 not well, 2 misused, 130 interrupted."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if not arguments.command:
        parser.print_help(sys.stderr)
        return 2
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Nobody reads on. Python would complain when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UnableError as why:
        sys.stdout.flush()
        print(f"pip-retry-patch: {ascii_line(str(why))}", file=sys.stderr)
        return 1
    return code


def build_parser() -> argparse.ArgumentParser:
    """The commands; each names the function that runs it."""
    parser = argparse.ArgumentParser(
        prog="pip-retry-patch",
        description="Once installed, plain pip finishes the downloads that the network interrupts. "
        "There is nothing to run for that; this command answers questions about it.",
    )
    version = f"pip-retry-patch {pip_retry_patch.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    command = commands.add_parser(
        "selftest",
        help="break downloads on purpose and see this pip finish them",
        description="Starts an unreliable package index on this machine (127.0.0.1, no other "
        "traffic), lets this environment's own pip download from it, fault by fault, and compares "
        "the files with the originals. Takes about 15 seconds; writes only to a temporary "
        "directory. Exit code 0: every fault was healed; 1: not.",
    )
    command.set_defaults(run=selftest)
    return parser


# selftest


@dataclass(frozen=True)
class Outcome:
    """How one download through one fault ended."""

    problem: str  # "" where the fault was healed
    seconds: float
    ratio: float  # bytes on the wire by size of the file

    def __str__(self) -> str:
        figures = f"{self.seconds:6.1f} s   {self.ratio:5.2f} x"
        return f"FAILED {figures}\n    {self.problem}" if self.problem else f"healed {figures}"


def selftest(_: argparse.Namespace) -> int:
    """Lead this environment's pip through one fault after the other. Raises UnableError."""
    from pip_retry_patch.lab import Lab  # only now: nothing else needs a server

    trials = plan()
    width = max(map(len, trials)) + 2
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(temporary_directory()))
        version = pip_version(directory)
        try:
            lab = stack.enter_context(Lab(trials.values()))
        except OSError as error:
            raise UnableError(f"cannot listen on 127.0.0.1 for the test: {error}") from None
        python = ".".join(map(str, sys.version_info[:3]))
        print(f"pip {version} on Python {python}, against an unreliable index on 127.0.0.1")
        print(f"\n{'':{width}}result    time   bytes fetched / size")
        outcomes = []
        for title, package in trials.items():
            print(f"{title:{width}}", end="", flush=True)
            outcomes.append(download(lab, package, directory))
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
    from pip_retry_patch.lab import Away, Busy, Cut, Package, Reset, Stall

    return {
        "connection cut once": Package("cut-once", 2_000_000, [Cut(900_000)]),
        "connection cut 20 times": Package("cut-often", 3_000_000, [Cut(140_000)] * 20),
        "connection reset": Package("reset", 2_000_000, [Reset(900_000)]),
        "server falls silent": Package("stall", 2_000_000, [Stall(900_000)]),
        "no range requests, cut": Package("no-ranges", 1_000_000, [Cut(500_000)], ranges=False),
        "chunked, cut": Package("chunked", 2_000_000, [Cut(900_000)], chunked=True),
        "cut, then 503 twice": Package("busy", 1_000_000, [Cut(500_000), *[Busy(503, 1)] * 2]),
        "server away for 2 seconds": Package("away", 2_000_000, [Away(2.0, 900_000)]),
    }


def temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """A place for the downloads. Raises UnableError where there is none."""
    try:
        return tempfile.TemporaryDirectory(prefix="pip-retry-patch-")
    except OSError as error:
        raise UnableError(f"no temporary directory for the test; set TMPDIR ({error})") from None


def pip_version(directory: Path) -> str:
    """The version of this environment's pip. Raises UnableError if it is missing or not armed."""
    if not sys.executable:
        raise UnableError("this Python does not know its own executable, so it cannot run pip")
    python, output = sys.executable, ""
    try:
        output = run([python, "-c", PROBE], directory).stdout
        found = json.loads(output.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnableError(f"{python} cannot be run: {error}") from None
    except (IndexError, ValueError):
        raise UnableError(f"{python} does not start well: {last_words(output)}") from None
    if not found["pip"]:
        raise UnableError(f"no pip in this environment; try: {python} -m ensurepip")
    if not found["armed"]:
        raise UnableError(
            "not armed: this environment does not obey a pip_retry_patch.pth, so pip runs as it "
            f"always did; try: {python} -m pip install --force-reinstall pip-retry-patch"
        )
    if not found["wrapt"]:
        raise UnableError(f"wrapt, which it needs, is missing; try: {python} -m pip install wrapt")
    return str(found["pip"])


def download(lab: Lab, package: Package, directory: Path) -> Outcome:
    """Let pip download a package, and compare."""
    target = directory / package.name
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--timeout=2"]
    command += ["--index-url", lab.index_url, "--dest", str(target), package.name]
    began = time.monotonic()
    try:
        pip = run(command, directory)
    except subprocess.TimeoutExpired:
        problem = f"pip had not ended after {PIP_LIMIT} seconds"
    else:
        problem = "" if pip.returncode == 0 else last_words(pip.stdout) or f"exit {pip.returncode}"
    seconds = time.monotonic() - began
    lab.wait_idle()
    original = lab.wheel(package.name)
    if not problem:
        try:
            same = (target / lab.filename(package.name)).read_bytes() == original
        except OSError as error:
            problem = ascii_line(str(error))
        else:
            problem = "" if same else "the file differs from the index's"
    return Outcome(problem, seconds, lab.sent(package.name) / len(original))


def run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run Python away from the user's pip settings, proxies and working directory."""
    spoils = re.compile(r"PIP_|(REQUESTS|CURL)_CA_BUNDLE$|\w+_PROXY$", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not spoils.match(name)}
    clean = {"PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return subprocess.run(
        command,
        cwd=directory,
        env={**kept, **clean, "PYTHONIOENCODING": "utf-8:backslashreplace"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=PIP_LIMIT,
        check=False,
    )


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


def ascii_line(text: str) -> str:
    """The text without what could upset a terminal."""
    return "".join(c if c.isprintable() else " " for c in text).encode("ascii", "replace").decode()
