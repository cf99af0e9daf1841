"""An sdist whose build needs a package from the index."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.environments import Environment
from tests.support.fatal import assert_healed, fatal
from tests.support.lab.server import Lab
from tests.support.programs import Argument

BACKEND = """
import zipfile

import demo


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name, info = "project-1.0-py3-none-any.whl", "project-1.0.dist-info/"
    tags = "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as archive:
        archive.writestr("project.py", f"built_with = {demo.__name__!r}")
        archive.write("PKG-INFO", info + "METADATA")
        archive.writestr(info + "WHEEL", tags)
        archive.writestr(info + "RECORD", "")
    return name
"""


def project(folder: Path) -> Path:
    """Make an sdist that needs demo to be built, and nothing else."""
    source = folder / "project-1.0"
    source.mkdir()
    lines = "requires = ['demo']", "build-backend = 'backend'", "backend-path = ['.']"
    (source / "pyproject.toml").write_text("\n".join(["[build-system]", *lines, ""]))
    (source / "backend.py").write_text(BACKEND)
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: project\nVersion: 1.0\n")
    return Path(shutil.make_archive(str(source), "gztar", folder, source.name))


def build(environment: Environment, *arguments: Argument) -> None:
    folder = environment.fresh_dir()
    with Lab([fatal()]) as lab:
        run = environment.run(
            *arguments, "--index-url", lab.index_url, "--verbose", project(folder)
        )
        assert_healed(run, lab)
