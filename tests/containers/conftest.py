"""The images that recipes begin with, and where their downloads come from.

`python:3.13-slim` and `debian:stable-slim` are made here, from debootstrap and a Python of this
machine, unless `PIP_RETRY_PATCH_TEST_IMAGES=registry` asks for the real ones. What is added to them
is two variables that name the index. So no recipe is changed, and nothing of this machine gets into
a layer.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import threading
from pathlib import Path
from typing import Iterator

import pytest

from tests.support import environments, images, supplies
from tests.support.directories import CHECKOUT, DEBIAN, scratch
from tests.support.images import Engine
from tests.support.programs import Outcome, checked
from tests.support.recipes import recipe

PYTHON = "3.13"
STANDARD = f"python:{PYTHON}-slim"
GUARDED = "guarded-base"
FROM_REGISTRY = os.environ.get("PIP_RETRY_PATCH_TEST_IMAGES") == "registry"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """What builds and runs images. Where it is missing, the test fails."""
    with contextlib.closing(images.engine()) as made:
        yield made


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an index that breaks nothing: the product, what it needs, and the newest pip."""
    folder = tmp_path_factory.mktemp("index")
    newest = supplies.pip_wheel(supplies.newest_pip())
    wheels = supplies.product().wheel, supplies.wrapt_wheel(PYTHON), newest
    for wheel in wheels:
        project = folder / wheel.name.partition("-")[0].replace("_", "-")
        project.mkdir()
        shutil.copy(wheel, project)
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Its lists of directories are the pages of an index (PEP 503)."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def debian(engine: Engine, index: str) -> str:
    """Debian stable, without a Python."""
    if FROM_REGISTRY:
        pull(engine, "debian:stable-slim", "pristine-debian")
    else:
        checked(CHECKOUT / ".ci/debian", "stable", DEBIAN, "ca-certificates,libffi8")
        tree = scratch() / "debian.tar"
        # As the real one, without what nobody reads in a container.
        left_out = [f"--exclude=./{path}" for path in UNREAD]
        checked("tar", "-C", DEBIAN, *left_out, "-cf", tree, ".")
        engine.make_from(tree, "pristine-debian")
        tree.unlink()
    return engine.offer("debian:stable-slim", "pristine-debian", index)


def pull(engine: Engine, name: str, kept: str) -> None:
    """Have an image of the registry, under a name that no recipe begins with."""
    engine.ask("pull", name)
    engine.ask("tag", name, kept)


UNREAD = (
    *("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*_*"),
    *("usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*"),
)


@pytest.fixture(scope="session")
def python_image(engine: Engine, debian: str, index: str) -> str:
    """A Python in /usr/local, without compiled files, as in the image whose name it has."""
    if FROM_REGISTRY:
        pull(engine, STANDARD, "pristine-python")
    else:
        engine.make(STAND_IN, "pristine-python", context=_python())
    return engine.offer(STANDARD, "pristine-python", index)


STAND_IN = f"""
FROM pristine-debian
COPY bin /usr/local/bin/
COPY lib /usr/local/lib/
RUN ldconfig && ln -s python{PYTHON} /usr/local/bin/python3 && python3 -m ensurepip \\
    && ln -s python3 /usr/local/bin/python && ln -s pip3 /usr/local/bin/pip \\
    && find /usr/local -name __pycache__ -prune -exec rm -r {{}} +
"""


def _python() -> Path:
    _, program = environments.interpreter(PYTHON)
    prefix, copy = program.resolve().parents[1], scratch()
    (copy / "bin").mkdir()
    shutil.copy(program, copy / "bin" / f"python{PYTHON}")
    unneeded = "test", "idlelib", "config-*", "site-packages", "__pycache__", "*.a"
    shutil.copytree(
        prefix / "lib" / f"python{PYTHON}",
        copy / "lib" / f"python{PYTHON}",
        ignore=shutil.ignore_patterns(*unneeded),
    )
    for library in (prefix / "lib").glob("libpython*.so.1.0"):
        shutil.copy(library, copy / "lib")
    return copy


@pytest.fixture(scope="session")
def first_build(engine: Engine, python_image: str) -> Outcome:
    """What came of the recipe of a base image. The image is `guarded-base`."""
    return engine.build(recipe("A base image"), GUARDED)


@pytest.fixture(scope="session")
def base(first_build: Outcome) -> str:
    assert first_build.returncode == 0, first_build.output
    return GUARDED
