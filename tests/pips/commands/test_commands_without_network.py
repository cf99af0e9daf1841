"""Every command that talks to a server: no traceback of a network error, from any pip."""

from __future__ import annotations

import pytest

from tests.support.downloads import OK, OURS, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import HURRIED, closed_port
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.programs import Argument

SETUP = 'from setuptools import setup\nsetup(name="demo")\n'
PYPROJECT = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


def command(name: str, environment: Environment, lab: Lab, dead: str) -> list[Argument]:
    """Return the arguments of a pip whose network fails at `dead`."""
    target = environment.fresh_dir()
    index: list[Argument] = ["--index-url", lab.index_url]
    no_index: list[Argument] = ["--index-url", f"{dead}/simple/"]
    source = environment.fresh_dir()
    (source / "setup.py").write_text(SETUP)
    (source / "pyproject.toml").write_text(PYPROJECT)
    commands: dict[str, list[Argument]] = {
        "install": ["install", "--target", target, *no_index, "demo"],
        "download": ["download", "--dest", target, *no_index, "demo"],
        "wheel": ["wheel", "--wheel-dir", target, *no_index, "demo"],
        "requirements": ["install", "--target", target, *index, "-r", f"{dead}/r.txt"],
        "constraints": ["install", "--target", target, *index, "-c", f"{dead}/c.txt", "demo"],
        "find-links": ["download", "--no-index", "--find-links", f"{dead}/links/", "demo"],
        "direct": ["download", "--dest", target, *index, f"{dead}/demo-1.0-py3-none-any.whl"],
        "index": ["index", "versions", *no_index, "demo"],
        "lock": ["lock", "--output", target / "pylock.toml", *no_index, "demo"],
        "outdated": ["list", "--outdated", *no_index],
        "build": ["wheel", "--wheel-dir", target, *no_index, source],
    }
    return commands[name]


COMMANDS = [
    *("install", "download", "wheel", "requirements", "constraints", "find-links", "direct"),
    *("index", "lock", "outdated", "build"),
]


@pytest.mark.parametrize("name", COMMANDS)
@old_middle_new
def test_a_command_without_network_ends_in_one_clear_error(
    pip: str, armed: Environment, bare: Environment, name: str
) -> None:
    if (name, pip) in (("index", "20.3.4"), ("lock", "20.3.4"), ("lock", "24.0")):
        return  # `pip index` is there since 21.2, `pip lock` since 25.1
    dead = f"http://127.0.0.1:{closed_port()}"
    with Lab([Package("demo")]) as lab:
        run = armed.run(*command(name, armed, lab, dead), env=HURRIED)
        assert end_of(run) == OURS, run.output
        assert f"{dead.split('/')[2]} cannot be reached (connection refused). Trying" in said(run)
        plain = bare.run(*command(name, bare, lab, dead), env=HURRIED)
        # Plain pip finds nothing out of date where it could not look.
        assert end_of(plain) != OURS and (plain.returncode or name == "outdated")


@old_middle_new
def test_the_self_version_check_stays_silent(armed: Environment, bare: Environment) -> None:
    """`pip list` of local files alone needs no network; only the check does."""
    for environment in (armed, bare):
        links = environment.fresh_dir()
        package = Package("demo", 1000)
        (links / package.filename).write_bytes(package.wheel())
        # The check asks the default index, here one that refuses, even where nothing else does.
        run = environment.run(
            *("install", "--target", environment.fresh_dir(), links / package.filename),
            env={
                "PIP_INDEX_URL": f"http://127.0.0.1:{closed_port()}/simple/",
                "PIP_DISABLE_PIP_VERSION_CHECK": "0",
            },
        )
        assert end_of(run) == OK, run.output
        assert not run.warnings("reached") and not run.warnings("checking"), run.output
        assert not run.stderr.strip() or not environment.armed
