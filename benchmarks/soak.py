"""Real packages: an install from PyPI through a proxy that breaks its connections, by a seed.

`python -m benchmarks soak` is the command, or `python -m benchmarks.soak 24.0` for one of the pips.
It is no part of `python -m benchmarks` alone, for it takes as long as PyPI and the machine let it:
at the most three times a quarter of an hour for each pip. What it proves is that the outcome is
that of an undisturbed install, file by file.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import charts
from benchmarks.processes import ProcessError
from tests.support import directories, environments, programs, runs
from tests.support.downloads import OK
from tests.support.downloads import end_of as end_of_pip
from tests.support.environments import Environment
from tests.support.matrix import NEWEST
from tests.support.proxies import CuttingConnectProxy, WeatherProxy

TITLE = "A hundred real packages"

PIPS = (("20.3.4", "3.9"), ("24.0", "3.12"), (NEWEST, "3.13"))
SEED = "soak"
LIMIT = 900  # seconds for one install
REQUIREMENTS = Path(__file__).with_name("soak.txt")
NO_BINARY = re.compile(r"^--no-binary (.*)$", re.MULTILINE)
FEW = ["--only-binary :all:", "--no-binary docopt", "docopt", "idna", "networkx", "six"]
OURS = re.compile(r"pip_retry_patch|wrapt|pip\b|pip-", re.IGNORECASE)

CLEAN, BROKEN, PLAIN = "undisturbed", "with the patch", "pip alone"


@dataclass
class Install:
    """One `pip install`, and what came of it."""

    end: str  # "ok", or how it ended
    code: int | None  # None: it was stopped when its time was up
    seconds: float
    bytes: int  # downstream through the proxy: files, pages, TLS
    struck: dict[str, int]  # what befell connections, how often
    announced: int  # lines that tell of an interruption
    projects: int  # lines of `pip freeze`
    freeze: str  # a digest of them
    files: int  # in site-packages, without what was there before
    digest: str  # one of all of them, by name and content


# Measuring


def measure(quick: bool) -> dict[str, Any]:
    pips = {}
    for pip, python in PIPS[1:2] if quick else PIPS:
        pips.update(one_row(pip, python, quick)["pips"])
    return {"seed": SEED, "pips": pips}


def one_row(pip: str, python: str, quick: bool) -> dict[str, Any]:
    version = environments.environment(pip, python, armed=False).pip_version
    return {"seed": SEED, "pips": {version: {"python": python, **one_pip(pip, python, quick)}}}


def one_pip(pip: str, python: str, quick: bool) -> dict[str, Any]:
    """Install undisturbed, and through the same weather with and without the patch."""
    found = {}
    for what in (CLEAN, BROKEN, PLAIN):
        environment = environments.fresh_environment(pip, python, armed=what == BROKEN)
        proxy = CuttingConnectProxy() if what == CLEAN else WeatherProxy(SEED)
        found[what] = install(environment, proxy, quick)
        print(f"pip {pip}, {what}: {asdict(found[what])}", flush=True)
        directories.sweep()
    return {what: asdict(one) for what, one in found.items()}


def install(environment: Environment, proxy: CuttingConnectProxy, quick: bool) -> Install:
    requirements = environment.fresh_dir() / "requirements.txt"
    requirements.write_text("\n".join(FEW) if quick else REQUIREMENTS.read_text())
    command = ["-m", "pip", "install", "--no-deps", "--use-pep517", "--no-compile", "--no-input"]
    command += ["--progress-bar", "off", "--requirement", str(requirements)]
    before = installed(environment)
    with proxy:
        # Not --proxy: the pips that fetch what an sdist is built with would not get that.
        env: dict[str, programs.Argument] = {"HTTPS_PROXY": proxy.url, "HTTP_PROXY": proxy.url}
        began = time.monotonic()
        process = environment.start(*command, env=env, machine=True)
        try:
            stdout, stderr = process.communicate(timeout=LIMIT)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            programs.kill(process)
            stdout, stderr = process.communicate()
            code = None
        seconds = time.monotonic() - began
    outcome = programs.Outcome(process.returncode, stdout, stderr, seconds)
    if code != 0 and type(proxy) is CuttingConnectProxy:
        raise ProcessError(f"nothing disturbs this install:\n{outcome.output[-4000:]}")
    files = {name: held for name, held in installed(environment).items() if name not in before}
    listing = "".join(f"{name} {held}\n" for name, held in sorted(files.items()))
    lines = environment.run("freeze").stdout.splitlines()
    frozen = [line for line in lines if not OURS.match(line)]
    return Install(
        "no end" if code is None else end_of_pip(outcome),
        code,
        round(seconds, 1),
        sum(proxy.downstream.values()),
        dict(sorted(proxy.struck.items())) if isinstance(proxy, WeatherProxy) else {},
        len(outcome.interruptions),
        len(frozen),
        digest("\n".join(frozen)),
        len(files),
        digest(listing),
    )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def installed(environment: Environment) -> dict[str, str]:
    """Hash what is in site-packages; not RECORD, which hashes it too, and nothing of ours."""
    packages = environment.site_packages
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in packages.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.name != "RECORD"
        if not OURS.match(name := str(path.relative_to(packages)))
    }


def end_of(outcome: programs.Outcome) -> str:
    """Name the end of an install in a word or two."""
    end = OK if outcome.returncode == 0 else end_of_pip(outcome)
    return "error" if end == outcome.output else end


# Telling


def section(figures: dict[str, Any]) -> str:
    """The text of the page."""
    pips = figures["pips"]
    head = ["", "connections struck", "announced", "bytes", "wall", "outcome", "pip alone"]
    rows = [[f"pip {pip}, Python {told['python']}", *cells(told)] for pip, told in pips.items()]
    sizes = [told[CLEAN]["bytes"] / 1e6 for told in pips.values()]
    walls = [told[CLEAN]["seconds"] for told in pips.values()]
    projects = [told[CLEAN]["projects"] for told in pips.values()]
    sdists = re.findall(r"[\w-]+", NO_BINARY.findall(REQUIREMENTS.read_text())[0])
    return f"""
{span(projects)} popular projects, large and small, are installed from PyPI with
`pip install --no-deps`, most of them as wheels and {len(sdists)} as sdists
([benchmarks/soak.txt](../benchmarks/soak.txt)). First undisturbed: {span(sizes)} MB come in
{span(walls)} s. Then through a proxy between pip and PyPI, where no connection lasts: of a hundred,
{weather()} on average,
after 30 kB to 20 MB, each size as likely as its double. The seed is "{figures["seed"]}". An install
is stopped after {LIMIT} s.

{charts.table(head, rows)}

*Connections struck* is how many ended so, and how; *announced* the lines of pip-retry-patch that
tell of an interruption; *bytes* and *wall* are those of the undisturbed install as 1. The outcome
is *the same* if the exit code, `pip freeze` and each installed file are, by SHA-256. Bytes count
pages, files and TLS: each new connection costs a handshake. Where a connection falls silent, pip's
`--timeout` passes first (15 s). The walls are of one run each, and the machine had other work: they
are a hint, no more. *pip alone* is through the same weather, and the share is of the
bytes.

{verdict(pips)}
"""


def weather() -> str:
    words = {
        "fin": "are closed",
        "rst": "are reset",
        "drop": "are dropped before there is a tunnel",
        "stall": "fall silent",
    }
    told = [f"{share} {words[how]}" for how, share in WeatherProxy.FATES.items()]
    return f"{', '.join(told[:-1])} and {told[-1]}"


def span(values: list[float]) -> str:
    least, most = round(min(values)), round(max(values))
    return str(least) if least == most else f"{least} to {most}"


def is_same(told: dict[str, Any]) -> bool:
    return all(told[CLEAN][key] == told[BROKEN][key] for key in ("code", "freeze", "digest"))


def cells(told: dict[str, Any]) -> list[str]:
    clean, broken, plain = told[CLEAN], told[BROKEN], told[PLAIN]
    struck = broken["struck"]
    kinds = ", ".join(f"{count} {how}" for how, count in struck.items())
    same = f"**the same**, {broken['files']} files" if is_same(told) else broken["end"]
    return [
        f"{sum(struck.values())} ({kinds})",
        str(broken["announced"]),
        f"{broken['bytes'] / clean['bytes']:.2f}",
        f"{broken['seconds'] / clean['seconds']:.1f}",
        same,
        f"{plain['end']} after {plain['bytes'] / clean['bytes']:.0%}",
    ]


def verdict(pips: dict[str, Any]) -> str:
    bad = [pip for pip, told in pips.items() if not is_same(told) or told[CLEAN]["end"] != OK]
    if bad:
        return f"Not the same: pip {', '.join(bad)}."
    struck = sum(sum(told[BROKEN]["struck"].values()) for told in pips.values())
    return f"All {struck} were healed, and every file is what the undisturbed install has."


def draw(figures: dict[str, Any], directory: Path) -> None:
    """One table makes no chart."""


def main() -> None:
    """Measure some of PIPS, named by version, and keep their figures beside those of the others.

    A pip takes up to three quarters of an hour, so that they need not be measured in one go.
    """
    from benchmarks.__main__ import DOCS, RESULTS, conditions, page

    runs.begin_run()
    path = RESULTS / "soak.json"
    for pip, python in PIPS:
        if pip in sys.argv[1:]:
            began = time.monotonic()
            figures = one_row(pip, python, quick=False)
            seconds = round(time.monotonic() - began)
            kept = json.loads(path.read_text()) if path.exists() else {"seconds": 0}
            figures["pips"] = {**kept.get("figures", figures)["pips"], **figures["pips"]}
            result = {"conditions": conditions(), "seconds": kept["seconds"] + seconds}
            path.write_text(json.dumps({**result, "figures": figures}, indent=1) + "\n")
    page(DOCS, RESULTS)


if __name__ == "__main__":
    main()
