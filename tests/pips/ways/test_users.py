"""Users who are not root, and Debian's own pip.

They run in the chroot: a pyenv below root's home is closed to them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support import directories, programs, supplies
from tests.support.environments import IN_CHROOT, Environment, fresh_environment
from tests.support.fatal import assert_healed, downloading, fatal
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Argument, Outcome

NOBODY = 65534


def as_nobody(
    environment: Environment, *arguments: Argument, folder: Path, home: Path | None = None
) -> Outcome:
    """Run a Python with no rights but on `folder` (and `home`)."""
    for path in (folder, home):
        if path is not None:
            os.chown(path, NOBODY, NOBODY)
    change: list[Argument] = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    env: dict[str, Argument] = {"HOME": home} if home else {}
    if not home:
        change += ["env", "-u", "HOME"]
    command = [*environment.launcher, *change, environment.python, *arguments]
    return programs.finish(programs.launch(command, env, folder), 120)


@pytest.mark.parametrize("with_home", [True, False], ids=["home", "no-home"])
@pairs((NEWEST, "3.14"), (NEWEST, "3.15"))
def test_another_user_with_read_only_site_packages(with_home: bool, armed: Environment) -> None:
    folder = armed.fresh_dir()
    home = armed.fresh_dir() if with_home else None
    with Lab([fatal()]) as lab:
        command = ["-m", "pip", *downloading(lab, folder)]
        assert_healed(as_nobody(armed, *command, folder=folder, home=home), lab, folder)


@pytest.mark.parametrize("where", ["site", "user"])
@pairs((NEWEST, "3.14"))
def test_install_user(where: str, wheel: Path, pip: str, python: str) -> None:
    """pip installs to the user's site, and the shim is in the environment's site, or there too."""
    environment = fresh_environment(pip, python, armed=where == "site")
    environment.prefix.parent.chmod(0o755)
    config = environment.prefix / "pyvenv.cfg"
    config.write_text(config.read_text().replace("packages = false", "packages = true"))
    folder, home = environment.fresh_dir(), environment.fresh_dir()
    user: list[Argument] = ["-m", "pip", "install", "--user", "--break-system-packages"]
    if where == "user":
        wheels = [wheel, supplies.wrapt_wheel(python)]
        copies = [shutil.copy(path, folder) for path in wheels]
        arguments: list[Argument] = [*user, "--no-index", *(Path(copy) for copy in copies)]
        run = as_nobody(environment, *arguments, folder=folder, home=home)
        assert run.returncode == 0, run.output
    with Lab([fatal()]) as lab:
        arguments = [*user, "--index-url", lab.index_url, "demo"]
        assert_healed(as_nobody(environment, *arguments, folder=folder, home=home), lab)
    assert list((home / ".local/lib").glob("python*/site-packages/demo/payload.bin"))


def test_debians_pip(wheel: Path) -> None:
    """It refuses to touch the system's site (PEP 668), so the shim is in the user's."""
    home, folder = directories.scratch(), directories.scratch()

    def run(*arguments: Argument) -> Outcome:
        command = [*IN_CHROOT, "/usr/bin/python3", "-m", "pip", *arguments]
        return programs.finish(programs.launch(command, {"HOME": home}, folder), 120)

    where = run("--version").stdout
    assert "/usr/lib/python3/dist-packages/pip" in where
    python = where.rpartition("python ")[2].strip(" )\n")
    with Lab([fatal()]) as lab:
        assert run(*downloading(lab, folder)).returncode != 0
    install: list[Argument] = ["install", "--user", "--no-index"]
    install += [wheel, supplies.wrapt_wheel(python)]
    assert "externally-managed-environment" in run(*install).output
    done = run(*install, "--break-system-packages")
    assert done.returncode == 0, done.output
    with Lab([fatal()]) as lab:
        assert_healed(run(*downloading(lab, folder)), lab, folder)
