"""A package that no plain pip gets through. That its download ends well says enough."""

from __future__ import annotations

from pathlib import Path

from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.programs import Argument, Outcome

SIZE = 1_200_000


def fatal() -> Package:
    """A package of which the first two answers break off, in a way that ends every plain pip."""
    return Package("demo", SIZE, [Cut(SIZE // 3), Reset(SIZE // 4)], chunked=True)


def project(folder: Path) -> Path:
    """Make an sdist whose build needs that package."""
    package = Package("project", 1000, sdist=True, build_requires=["demo"])
    sdist = folder / package.filename
    sdist.write_bytes(package.artifact)
    return sdist


def downloading(lab: Lab, folder: Path) -> list[Argument]:
    return ["download", "--no-deps", "--dest", folder, "--index-url", lab.index_url, "demo"]


def assert_healed(run: Outcome, lab: Lab, folder: Path | None = None, said: int = 2) -> None:
    """Assert that both breaks were healed; `folder` is where the file is, with the right bytes."""
    assert run.returncode == 0, run.output
    assert len(run.interruptions) == said, run.output
    assert len(lab.requests("demo", "artifact")) == 3
    if folder is not None:
        assert (folder / lab.filename("demo")).read_bytes() == lab.wheel("demo")
