"""Every minor release of pip: the faults that people meet most, healed or reported.

Two runs of pip a row, for there are many rows: one for all that heals, one for what must not.
tests/pips looks closer, at fewer pips.
"""

from __future__ import annotations

import re
from pathlib import Path

from packaging.version import Version

from tests.support import supplies
from tests.support.directories import CHECKOUT
from tests.support.environments import Environment
from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Kind, Package
from tests.support.lab.server import Lab
from tests.support.matrix import MINORS, NEWEST, each_minor
from tests.support.programs import Outcome

SIZE = 3_000_000
THIRD = 1_000_000

# The packages of each column, and what of theirs is struck.
HEALED = {
    "cut wheel": [Package("cut-wheel", SIZE, [Cut(THIRD)])],
    "reset": [Package("reset", SIZE, [Reset(THIRD)])],
    "cut page": [
        Package("cut-html", page_faults=[Cut(100)]),
        Package("cut-json", page_faults=[Cut(100)], page_format="json"),
    ],
}
MISMATCH = Package("mismatch", hashes="00" * 32)


def download(environment: Environment, lab: Lab, packages: list[Package]) -> tuple[Outcome, Path]:
    folder = environment.fresh_dir()
    run = environment.run(
        *("download", "--no-deps", "--dest", folder),
        *("--index-url", lab.index_url, "--trusted-host", "127.0.0.1"),
        *(package.name for package in packages),
        alone=True,
    )
    assert lab.wait_idle()
    return run, folder


def not_healed(package: Package, lab: Lab, run: Outcome, folder: Path) -> list[str]:
    """What is wrong with a download that should have been interrupted once, and healed."""
    wrong = []
    kind: Kind = "artifact" if package.faults else "page"
    requests = lab.requests(package.name, kind)
    struck = [request for request in requests if request.fault]
    if len(struck) != 1 or struck[0].sent not in (100, THIRD):
        wrong.append(f"the fault did not strike the {kind}: {requests}")
    # Of a page, whose parts no hash covers, pip reads one whole answer.
    again = 206 if package.faults else 200
    if [request.status for request in requests] != [200, again]:
        wrong.append(f"the {kind} was not continued: {requests}")
    file = folder / package.filename
    if not file.exists() or file.read_bytes() != lab.wheel(package.name):
        wrong.append("the file is missing or wrong")
    if lab.sent(package.name) > 1.05 * len(lab.wheel(package.name)):
        wrong.append(f"{lab.sent(package.name)} bytes were sent")
    stem = package.filename.replace("-py3-none-any.whl", "")
    shown = f" {stem} " if package.faults else f"/{package.name}/ "
    lines = [line for line in run.interruptions if shown in f" {line}"]
    if len(lines) != 1:
        wrong.append(f"announced {len(lines)} times")
    return [f"{package.name}: {line}" for line in wrong]


def not_reported(environment: Environment, lab: Lab, run: Outcome, folder: Path) -> list[str]:
    """What is wrong with a run that met a file whose hash does not fit."""
    wrong = []
    words = "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE"
    if run.returncode != 1 or words not in " ".join(run.output.split()):
        wrong.append("pip did not say it")
    if "Traceback" in run.output:
        wrong.append("a traceback")
    if not re.search(rf"Expected sha256 {'00' * 32}\s+Got +{lab.sha256('mismatch')}\b", run.output):
        wrong.append("the hashes are not shown as they are")
    if list(folder.iterdir()):
        wrong.append("the file was saved")
    # The file ring: one more fetch, and what came of it (the hooks say why not in older pips).
    looks = Version(environment.pip_version) >= Version("20.3")
    if len(lab.requests("mismatch", "artifact")) != 1 + looks:
        wrong.append(f"fetched {len(lab.requests('mismatch', 'artifact'))} times")
    if ("Both brought the same bytes" in run.output) is not looks:
        wrong.append("what was looked into is missing" if looks else "looked into by an old pip")
    return wrong


@each_minor
def test_a_minor_release_heals_and_reports(armed: Environment) -> None:
    packages = [package for column in HEALED.values() for package in column]
    with Lab([*packages, MISMATCH]) as lab:
        run, folder = download(armed, lab, packages)
        refused, empty = download(armed, lab, [MISMATCH])
        wrong = {
            column: [line for each in chosen for line in not_healed(each, lab, run, folder)]
            for column, chosen in HEALED.items()
        }
        wrong["hash mismatch"] = not_reported(armed, lab, refused, empty)
    assert not any(wrong.values()), f"{wrong}\n{run.output}\n{refused.output}"
    assert run.returncode == 0 and "Traceback" not in run.output, run.output


def test_no_minor_release_that_the_index_has_is_forgotten() -> None:
    """A patch release of a minor that is listed, or the first of a new one, is no reason to fail.

    The latter is the newest pip, which has a row; it is listed by the time the next one comes.
    """
    released = {pip.release[:2] for pip in supplies.released_pips() if pip.major >= 20}
    newest, previous = sorted(released, reverse=True)[:2]
    listed = {newest, *(Version(pip).release[:2] for pip, _ in MINORS if pip != NEWEST)}
    assert released - listed <= {previous}, (
        "add these to MINORS in tests/support/matrix.py, each with a Python that it supports, "
        "and to docs/matrix.md"
    )


def test_the_page_lists_the_minor_releases() -> None:
    """Its newest pip may be older than today's: a patch release is no reason to write it."""
    page = (CHECKOUT / "docs" / "matrix.md").read_text(encoding="utf-8")
    *rows, (newest, python) = re.findall(r"^([0-9.]+) +(3\.\d+)$", page, re.MULTILINE)
    assert (*rows, (NEWEST, python)) == MINORS
    assert Version(newest) <= supplies.released_pips()[-1]
