"""Builds: their requirements are downloaded by pips that pip runs, and heal."""

from __future__ import annotations

import pytest

from tests.support.environments import Environment
from tests.support.fatal import assert_healed, fatal, project
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Argument


def build(environment: Environment, *arguments: Argument) -> None:
    with Lab([fatal()]) as lab:
        options = "--index-url", lab.index_url, "--verbose", project(environment.fresh_dir())
        assert_healed(environment.run(*arguments, *options), lab)


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
def test_build_requirements_in_an_isolated_environment(command: str, armed: Environment) -> None:
    target = armed.fresh_dir()
    build(armed, command, "--wheel-dir" if command == "wheel" else "--target", target)
    assert list(target.glob("project-1.0*"))


@pytest.mark.parametrize("feature", ["venv-isolation", "inprocess-build-deps"])
@pairs(("26.1.2", "3.12"), (NEWEST, "3.13"))
def test_build_requirements_in_the_newer_ways(feature: str, pip: str, armed: Environment) -> None:
    if feature == "venv-isolation" and pip == "26.1.2":
        run = armed.run("wheel", f"--use-feature={feature}", armed.fresh_dir())
        assert "invalid choice: 'venv-isolation'" in run.output  # it is younger than that
        return
    build(armed, "wheel", f"--use-feature={feature}", "--wheel-dir", armed.fresh_dir())


@pairs((NEWEST, "3.13"))
def test_without_the_patch_a_build_fails(bare: Environment) -> None:
    folder = bare.fresh_dir()
    with Lab([fatal()]) as lab:
        options: list[Argument] = ["--wheel-dir", folder, "--index-url", lab.index_url]
        assert bare.run("wheel", *options, project(folder)).returncode == 1
