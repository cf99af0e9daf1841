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
from tests.support.downloads import HASH, SIZE, THIRD, command, end_of
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Cut, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, parametrized
from tests.support.programs import Outcome

# The newest patch release of every minor, each on one Python that it declares to support; the last
# is the newest pip. Where MATRIX has the minor, a pair of MATRIX, so that environments are shared.
PAGE = (CHECKOUT / "docs" / "matrix.md").read_text(encoding="utf-8")
*MINORS, (_, LAST_PYTHON) = re.findall(r"^([0-9.]+) +(3\.\d+)$", PAGE, re.MULTILINE)
HEALED = [
    Package("cut-wheel", SIZE, [Cut(THIRD)]),
    Package("reset", SIZE, [Reset(THIRD)]),
    Package("cut-html", page_faults=[Cut(100)]),
    Package("cut-json", page_faults=[Cut(100)], page_format="json"),
]
MISMATCH = Package("mismatch", hashes="00" * 32)
DYING = Package("dying", SIZE, [Cut(THIRD)], forever=Busy(410))


def download(
    environment: Environment, lab: Lab, *packages: Package, mirror: str = ""
) -> tuple[Outcome, Path]:
    folder = environment.fresh_dir()
    names = (package.name for package in packages)
    env = {"PIP_RETRY_PATCH_MIRRORS": mirror}
    run = environment.run(*command(lab, folder), *names, alone=True, env=env)
    assert lab.wait_idle()
    assert "Traceback" not in run.output
    return run, folder


@parametrized([*MINORS, (NEWEST, LAST_PYTHON)])
def test_a_minor_release_heals_and_reports(armed: Environment) -> None:
    with Lab([*HEALED, MISMATCH]) as lab:
        run, folder = download(armed, lab, *HEALED)
        assert run.returncode == 0, run.output
        for package in HEALED:  # each was interrupted once
            first, again = lab.requests(package.name, "artifact" if package.faults else "page")
            assert first.fault and first.sent == (THIRD if package.faults else 100)
            # Of a page, whose parts no hash covers, pip reads one whole answer.
            assert (first.status, again.status) == (200, 206 if package.faults else 200)
            assert (folder / package.filename).read_bytes() == lab.wheel(package.name)
            assert lab.sent(package.name) <= 1.05 * len(lab.wheel(package.name))
            stem = package.filename.replace("-py3-none-any.whl", "")
            shown = f" {stem} " if package.faults else f"/{package.name}/ "
            assert sum(shown in f" {line}" for line in run.interruptions) == 1, run.output
        run, folder = download(armed, lab, MISMATCH)
        assert end_of(run) == HASH and not list(folder.iterdir()), run.output
        got = lab.sha256("mismatch")
        assert re.search(rf"Expected sha256 {'00' * 32}\s+Got +{got}\b", run.output)
        # One more fetch, and what came of it: the hooks say why not in older pips.
        looks = Version(armed.pip_version) >= Version("20.3")
        assert len(lab.requests("mismatch", "artifact")) == 1 + looks
        assert ("Both brought the same bytes" in run.output) is looks
    with Lab([DYING]) as lab, Lab([Package("dying", SIZE)]) as mirror:
        run, folder = download(armed, lab, DYING, mirror=mirror.index_url)
        assert (run.returncode == 0) is looks, run.output


def test_no_minor_release_that_the_index_has_is_forgotten() -> None:
    """A patch release of a minor that is listed, or the first of a new one, is no reason to fail.

    The latter is the newest pip, which has a row; it is listed by the time the next one comes.
    """
    released = {pip.release[:2] for pip in supplies.released_pips() if pip.major >= 20}
    newest, previous = sorted(released, reverse=True)[:2]
    listed = {newest, *(Version(pip).release[:2] for pip, _ in MINORS)}
    assert released - listed <= {previous}, (
        "add these to docs/matrix.md, each with a Python that it supports"
    )
