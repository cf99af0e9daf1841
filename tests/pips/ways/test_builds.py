"""Builds: their requirements are downloaded by pips that pip runs, and heal."""

from __future__ import annotations

import pytest

from tests.support.builds import build, project
from tests.support.environments import Factory
from tests.support.fatal import fatal
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Argument


@pytest.mark.parametrize(
    ("command", "pip", "python"),
    [
        ("wheel", "20.3.4", "3.8"),
        ("install", "21.3.1", "3.9"),
        ("wheel", "24.0", "3.12"),
        ("wheel", NEWEST, "3.13"),
        ("install", NEWEST, "3.13"),
    ],
)
def test_build_requirements_in_an_isolated_environment(
    command: str, pip: str, python: str, armed: Factory
) -> None:
    environment = armed(pip, python)
    target = environment.fresh_dir()
    build(environment, command, "--wheel-dir" if command == "wheel" else "--target", target)
    assert list(target.glob("project-1.0*"))


@pytest.mark.parametrize("feature", ["venv-isolation", "inprocess-build-deps"])
@pairs(("26.1.2", "3.12"), (NEWEST, "3.13"))
def test_build_requirements_in_the_newer_ways(
    feature: str, pip: str, python: str, armed: Factory
) -> None:
    environment = armed(pip, python)
    if feature == "venv-isolation" and pip == "26.1.2":
        run = environment.run("wheel", f"--use-feature={feature}", environment.fresh_dir())
        assert "invalid choice: 'venv-isolation'" in run.output  # it is younger than that
        return
    build(environment, "wheel", f"--use-feature={feature}", "--wheel-dir", environment.fresh_dir())


@pairs((NEWEST, "3.13"))
def test_without_the_patch_a_build_fails(pip: str, python: str, bare: Factory) -> None:
    environment = bare(pip, python)
    folder = environment.fresh_dir()
    with Lab([fatal()]) as lab:
        options: list[Argument] = ["--wheel-dir", folder, "--index-url", lab.index_url]
        assert environment.run("wheel", *options, project(folder)).returncode == 1
