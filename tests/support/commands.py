"""The command as pip installed it, and virtual environments made by an environment."""

from __future__ import annotations

from pathlib import Path

from tests.support.downloads import SIZE, THIRD, downloaded
from tests.support.environments import Environment
from tests.support.lab.faults import Cut
from tests.support.lab.packages import Package
from tests.support.programs import Argument, Outcome

LINK = "pip_retry_patch_link.pth"
# pip, where a test needs an environment to have one, is the one that comes with its Python.


def command(environment: Environment, *arguments: Argument, **env: Argument) -> Outcome:
    script = environment.prefix / "bin" / "pip-retry-patch"
    return environment.run_python(script, *arguments, env=env)


def child(environment: Environment, *options: str, **env: Argument) -> Environment:
    """Make a virtual environment from an environment's own base."""
    prefix = environment.fresh_dir() / "child"
    environment.run_python("-m", "venv", *options, prefix, env=env).assert_success()
    return venv_of(prefix, environment.launcher, environment.python_version)


def venv_of(prefix: Path, launcher: tuple[str, ...], python: str) -> Environment:
    """An environment whose pip came with its Python, or that has none."""
    return Environment(prefix, "", python, armed=False, launcher=launcher)


def heals(environment: Environment) -> bool:
    """Whether a cut download is healed; plain pip does not, or does not with our words."""
    done = downloaded(environment, Package("demo", SIZE, [Cut(THIRD)]))
    if done.warnings:
        done.assert_right()
    return bool(done.warnings)
