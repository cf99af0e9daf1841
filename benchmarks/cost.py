"""What pip, and a Python that is not pip, pay where nothing goes wrong."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import charts
from benchmarks.clients import OURS, pip_download
from tests.support import costs, directories, environments, supplies
from tests.support.certificates import certificates
from tests.support.environments import Environment
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import MATRIX, NEWEST
from tests.support.programs import Argument, MissingError, checked, finish, launch

SMALL, LARGE = 20_000, 300_000_000  # bytes
FORTY = [f"small{number:02}" for number in range(40)]
WANTED = {"a wheel of 20 kB": FORTY[:1], "forty of them": FORTY, "300 MB, TLS": ["large"]}
ROUNDS = dict(zip(WANTED, (16, 8, 8)))
COMMENT, OTHERS = "a comment", ("setuptools", "virtualenv", "coverage")
# One pip for each Python: not measured, only what installs.
PIPS = {python: pip for pip, python in MATRIX}


# A process begins as a copy of the one that starts it, and its peak with it: so a small one starts
# what is measured, whose last line of output then says what it cost.
LAUNCHER = """
import json, os, sys, time
began = time.monotonic()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.monotonic() - began
print()
print(json.dumps([status, usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss]))
"""


class Cost(NamedTuple):
    """What a process took: CPU (user and system) and wall time in seconds, peak memory in KiB."""

    cpu: float
    wall: float
    peak: int


def spend(environment: Environment, arguments: Sequence[Argument], cwd: Path) -> Cost:
    """Run a Python that has to succeed, and return what it cost."""
    line = [sys.executable, "-I", "-S", "-c", LAUNCHER, environment.python, *arguments]
    said = finish(launch(line, {"HOME": cwd}, cwd), 900).output
    status, *cost = json.loads(said.splitlines()[-1])
    if status:
        raise MissingError(f"{' '.join(map(str, line))} failed:\n{said}")
    return Cost(*cost)


def measure(quick: bool) -> dict[str, Any]:
    supplies.newest_pip(), supplies.product()  # once, before the threads want them
    pythons = ["3.13"] if quick else list(PIPS)
    with ThreadPoolExecutor(2) as pool:  # counts do not care what else the machine does
        starts = dict(zip(pythons, pool.map(count_starts, pythons)))
    small, large = Package("large", 4_000_000 if quick else LARGE), {}
    packages = [*(Package(name, SMALL) for name in FORTY), small]
    with Lab(packages) as http, Lab(packages, tls=certificates().server) as tls:
        for pip, python in OURS[1:] if quick else OURS:
            bare, armed = (environments.environment(pip, python, on) for on in (False, True))
            large[bare.pip_version] = compare(bare, armed, http, tls, quick)
    return {"starts": starts, "pips": large}


def compare(bare: Environment, armed: Environment, http: Lab, tls: Lab, quick: bool) -> Any:
    """Counts and costs of each download, of a pip alone and with us; times in turn."""
    figures: dict[str, Any] = {}
    for what, wanted in WANTED.items():
        lab = tls if what.endswith("TLS") else http
        counts: list[int] = []
        if lab is http and not quick:  # valgrind would take an hour for the large one
            for environment in (bare, armed):
                run(environment, lab, wanted, spend)  # compiles what is not compiled yet
                counts.append(run(environment, lab, wanted, costs.instructions))
        spent: list[list[Cost]] = [[], []]
        for number in range(2 if quick else ROUNDS[what]):
            for which in (number % 2, 1 - number % 2):
                spent[which].append(run((bare, armed)[which], lab, wanted, spend))
        figures[what] = {"instructions": counts, "bare": spent[0], "armed": spent[1]}
        print(bare.pip_version, what, counts, *summary(figures[what]), flush=True)
    return figures


def run(environment: Environment, lab: Lab, wanted: list[str], count: Any) -> Any:
    """Let pip download once, in an empty directory; return what `count` says."""
    directory = environment.fresh_dir()
    words = pip_download(lab, directory, "--quiet", "--cert", certificates().ca_pem, *wanted)
    try:
        return count(environment, words, directory)
    finally:
        shutil.rmtree(directory)


# The start of a Python: one venv for all kinds of `.pth` files, so that no path is longer.


def count_starts(python: str) -> dict[str, int | None]:
    """Count the instructions of `python -c pass` with each kind of `.pth` file."""
    made = environments.new_venv(directories.scratch() / "venv", python)
    counts: dict[str, int | None] = {}
    for kind in (COMMENT, "pip-retry-patch", *OTHERS):
        counts[kind] = costs.of_a_start(made) if put(made, kind) else None
        shutil.rmtree(made.site_packages)
        made.site_packages.mkdir()
    print(python, counts, flush=True)
    return counts


def put(made: Environment, kind: str) -> bool:
    """Put one kind of file into an empty site-packages; whether this Python has it."""
    packages, python = made.site_packages, made.python_version
    if kind == COMMENT:
        packages.joinpath("a.pth").write_text("# nothing but a comment\n")
        return True
    if kind == "pip-retry-patch":
        wheels = [supplies.wrapt_wheel(python), supplies.product().wheel]
    else:
        try:
            wheels = sorted(supplies.wheelhouse(python, kind).glob("*.whl"))
        except MissingError as why:
            if "No matching distribution" in str(why):
                return False
            raise
    pip = supplies.pip_wheel(supplies.newest_pip() if PIPS[python] == NEWEST else PIPS[python])
    options = ["--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    checked(*made.command, f"{pip}/pip", "install", *options, *wheels)
    if kind == "virtualenv":  # what it puts into each environment that it makes
        code = packages.joinpath("virtualenv/create/via_global_ref/_virtualenv.py").read_bytes()
        shutil.rmtree(packages)
        packages.mkdir()
        packages.joinpath("_virtualenv.py").write_bytes(code)
        packages.joinpath("_virtualenv.pth").write_text("import _virtualenv")
    return bool(list(packages.glob("*.pth")))


def summary(figures: dict[str, Any]) -> Iterator[str]:
    """CPU and wall, each the median of the rounds' ratios; memory in MiB."""
    bare, armed = figures["bare"], figures["armed"]
    for column in (0, 1):
        yield f"{median(a[column] / b[column] for a, b in zip(armed, bare)):.3f}"
    yield f"{(median(a[2] for a in armed) - median(b[2] for b in bare)) / 1024:+.1f} MiB"


def section(figures: dict[str, Any]) -> str:
    rows = []
    for pip, found in figures["pips"].items():
        for what, told in found.items():
            counts = told["instructions"]
            share = f"{counts[1] / counts[0]:.3f}" if counts else ""
            rows.append([f"pip {pip}, {what}", share, *summary(told)])
    head = ["with the patch / without", "instructions", "CPU", "wall", "peak memory"]
    pips = charts.table(head, rows)
    rows = []
    for python, counts in figures["starts"].items():
        base, *others = counts.values()
        rows.append([python, *(f"{n / base - 1:+.2%}" if n else "none" for n in others)])
    head = ["`python -c pass`", *list(figures["starts"]["3.13"])[1:]]
    return f"{pips}\n\n{charts.table(head, rows)}"
