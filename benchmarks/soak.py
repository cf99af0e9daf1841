"""Real packages: an install from PyPI through a proxy that breaks its connections, by a seed.

In no run but its own: it depends on PyPI, and takes up to three times a quarter of an hour for each
pip. What it proves is that the outcome is that of an undisturbed install, file by file.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from benchmarks import charts
from benchmarks.clients import PIPS, ended, judged
from tests.support import directories, environments, programs
from tests.support.environments import Environment
from tests.support.proxies import CuttingConnectProxy

SEED, LIMIT = "soak", 900  # seconds for one install
REQUIREMENTS = Path(__file__).with_name("soak.txt")
FEW = ["--only-binary :all:", "--no-binary docopt", "docopt", "idna", "networkx", "six"]
OURS = re.compile(r"pip_retry_patch|wrapt|pip\b|pip-", re.IGNORECASE)
CLEAN, BROKEN, PLAIN = "undisturbed", "with the patch", "pip alone"


class WeatherProxy(CuttingConnectProxy):
    """A proxy where each tunnel has a fate of its own, the n-th always the same."""

    FATES: ClassVar = {"fin": 45, "rst": 30, "drop": 20, "stall": 5}  # in a hundred
    LEAST, MOST = 30_000, 20_000_000  # bytes; each size between is as likely as its double

    def fate(self, number: int) -> tuple[str, int | None]:
        chance = Random(f"{SEED} {number}")
        (how,) = chance.choices(list(self.FATES), list(self.FATES.values()))
        return how, int(math.exp(chance.uniform(math.log(self.LEAST), math.log(self.MOST))))


def measure(quick: bool) -> dict[str, Any]:
    """Install undisturbed, and through the same weather with and without the patch."""
    pips: dict[str, Any] = {}
    for pip, python in PIPS[1:2] if quick else (PIPS[0], PIPS[1], PIPS[3]):
        for what in (CLEAN, BROKEN, PLAIN):
            environment = environments.fresh_environment(pip, python, armed=what == BROKEN)
            proxy = CuttingConnectProxy() if what == CLEAN else WeatherProxy()
            found = install(environment, proxy, quick)
            pips.setdefault(environment.pip_version, {})[what] = found
            print(environment.pip_version, what, found, flush=True)
            if what == CLEAN and found["end"] != "right":
                raise RuntimeError("nothing disturbs this install, and it fails")
            directories.sweep()
    return {"pips": pips}


def install(environment: Environment, proxy: CuttingConnectProxy, quick: bool) -> dict[str, Any]:
    """One `pip install`, and what came of it."""
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
        said, code = ended(process, LIMIT)
    files = sorted(set(installed(environment)) - set(before))
    return {
        "end": judged(said, code, right=True),
        "seconds": round(time.monotonic() - began),
        "bytes": sum(proxy.downstream.values()),  # files, pages, TLS
        "struck": dict(sorted(proxy.struck.items())),
        "files": len(files),
        "digest": hashlib.sha256("\n".join(files).encode()).hexdigest(),
    }


def installed(environment: Environment) -> list[str]:
    """Name and hash what is in site-packages; not RECORD, which hashes it too, and none of ours."""
    packages = environment.site_packages
    return [
        f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in packages.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.name != "RECORD"
        if not OURS.match(name := str(path.relative_to(packages)))
    ]


def section(figures: dict[str, Any]) -> str:
    rows = []
    for pip, told in figures["pips"].items():
        clean, broken, plain = told[CLEAN], told[BROKEN], told[PLAIN]
        same = broken["end"] == "right" and broken["digest"] == clean["digest"]
        rows.append(
            [
                *(f"pip {pip}", str(sum(broken["struck"].values()))),
                f"{broken['bytes'] / clean['bytes']:.2f}",
                f"the same {broken['files']} files" if same else broken["end"],
                f"{plain['end']} after {plain['bytes'] / clean['bytes']:.0%}",
            ]
        )
    head = ["", "connections struck", "bytes by the undisturbed", "with the patch", "pip alone"]
    return charts.table(head, rows)
