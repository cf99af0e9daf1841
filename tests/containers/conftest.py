"""The images that recipes begin with, and where their downloads come from.

`python:3.13-slim` and `debian:stable-slim` are made here, from debootstrap and a Python of this
machine. What is added to them is two variables that name the index. So no recipe is changed, and
nothing of this machine gets into a layer.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Iterator

import pytest

from tests.support import environments, supplies
from tests.support.directories import CHECKOUT, DEBIAN, scratch
from tests.support.images import Engine
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.programs import Outcome, checked
from tests.support.recipes import recipe

PYTHON = "3.13"
STANDARD = f"python:{PYTHON}-slim"
GUARDED = "guarded-base"
STAND_IN = f"""
FROM pristine-debian
COPY bin /usr/local/bin/
COPY lib /usr/local/lib/
RUN ldconfig && ln -s python{PYTHON} /usr/local/bin/python3 && python3 -m ensurepip \\
    && ln -s python3 /usr/local/bin/python && ln -s pip3 /usr/local/bin/pip \\
    && find /usr/local -name __pycache__ -prune -exec rm -r {{}} +
"""
UNREAD = (
    *("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*_*"),
    *("usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*"),
)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """What builds and runs images. Where it is missing, the test fails."""
    with contextlib.closing(Engine()) as made:
        yield made


@pytest.fixture(scope="session")
def index() -> Iterator[str]:
    """The URL of an index that breaks nothing: the product, what it needs, and the newest pip."""
    newest = supplies.pip_wheel(supplies.newest_pip())
    wheels = supplies.product().wheel, supplies.wrapt_wheel(PYTHON), newest
    with Lab(
        Package(wheel.name.partition("-")[0].replace("_", "-"), path=wheel) for wheel in wheels
    ) as lab:
        yield lab.index_url


@pytest.fixture(scope="session")
def debian(engine: Engine, index: str) -> str:
    """Debian stable, without a Python."""
    checked(CHECKOUT / ".ci/debian", "stable", DEBIAN, "ca-certificates,libffi8")
    tree = scratch() / "debian.tar"
    # As the real one, without what nobody reads in a container.
    checked("tar", "-C", DEBIAN, *(f"--exclude=./{path}" for path in UNREAD), "-cf", tree, ".")
    engine.ask("import", tree, "pristine-debian")
    tree.unlink()
    return engine.offer("debian:stable-slim", "pristine-debian", index)


@pytest.fixture(scope="session")
def python_image(engine: Engine, debian: str, index: str) -> str:
    """A Python in /usr/local, without compiled files, as in the image whose name it has."""
    _, program = environments.interpreter(PYTHON)
    prefix, copy = program.resolve().parents[1], scratch()
    (copy / "bin").mkdir()
    shutil.copy(program, copy / "bin" / f"python{PYTHON}")
    unneeded = "test", "idlelib", "config-*", "site-packages", "__pycache__", "*.a"
    library = Path("lib", f"python{PYTHON}")
    shutil.copytree(prefix / library, copy / library, ignore=shutil.ignore_patterns(*unneeded))
    for shared in (prefix / "lib").glob("libpython*.so.1.0"):
        shutil.copy(shared, copy / "lib")
    engine.make(STAND_IN, "pristine-python", context=copy)
    return engine.offer(STANDARD, "pristine-python", index)


@pytest.fixture(scope="session")
def first_build(engine: Engine, python_image: str) -> Outcome:
    """What came of the recipe of a base image. The image is `guarded-base`."""
    return engine.build(recipe("A base image"), GUARDED)


@pytest.fixture(scope="session")
def base(first_build: Outcome) -> str:
    assert first_build.returncode == 0, first_build.output
    return GUARDED
