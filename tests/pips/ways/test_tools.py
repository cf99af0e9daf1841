"""Other programs that run pip, other users, and pips of a distribution: their downloads heal too.

As in test_starts.py, no plain pip gets through what is downloaded here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support import directories, programs, supplies
from tests.support.certificates import certificates
from tests.support.environments import IN_CHROOT, Environment, fresh_environment
from tests.support.fatal import SIZE, assert_healed, downloading, fatal
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, newest, pairs
from tests.support.programs import Argument, Outcome


def with_tools(pip: str, python: str, *tools: str) -> Environment:
    """Make an armed environment that holds some tools from the default index too."""
    environment = fresh_environment(pip, python, armed=True)
    house = supplies.wheelhouse(python, *tools)
    environment.run("install", "--no-index", "--find-links", house, *tools).assert_success()
    return environment


# A pip without its own urllib3 and requests


@pytest.mark.parametrize(
    ("urllib3", "pip", "python"), [("1.26.*", "24.0", "3.12"), ("2.*", NEWEST, "3.13")]
)
def test_a_debundled_pip(urllib3: str, pip: str, python: str) -> None:
    """What it finds in place of what it carried may be imported under two names."""
    environment = with_tools(pip, python, f"urllib3=={urllib3}", "requests")
    vendor = environment.site_packages / "pip" / "_vendor"
    for name in ("urllib3", "requests", "idna"):
        shutil.rmtree(vendor / name)
    init = vendor / "__init__.py"
    init.write_text(init.read_text().replace("DEBUNDLED = False", "DEBUNDLED = True"))
    show = "import pip._internal.network.session as s; print(s.urllib3.__version__)"
    assert environment.run_python("-c", show).stdout.startswith(urllib3.rstrip("*"))
    folder = environment.fresh_dir()
    with Lab([fatal()]) as lab:
        assert_healed(environment.run(*downloading(lab, folder)), lab, folder)
    with Lab([fatal()]) as lab:
        run = environment.run(
            *downloading(lab, environment.fresh_dir()), env={"PIP_RETRY_PATCH": "0"}
        )
        assert run.returncode != 0


@newest
def test_beside_pip_system_certs(pip: str, python: str) -> None:
    """It imports pip, and wraps it, from a .pth file of its own at every start."""
    environment = with_tools(pip, python, "pip-system-certs")
    shutil.copyfile(certificates().ca_pem, environment.prefix / "ca.pem")
    folder = environment.fresh_dir()
    with Lab([fatal()], tls=certificates().server) as lab:
        command = downloading(lab, folder)
        run = environment.run(*command, env={"SSL_CERT_FILE": environment.prefix / "ca.pem"})
        assert_healed(run, lab, folder)


@newest
def test_pip_tools(pip: str, python: str) -> None:
    """`pip-compile` has pip in its own process, `pip-sync` starts one."""
    environment = with_tools(pip, python, "pip-tools")
    folder = environment.fresh_dir()
    (folder / "requirements.in").write_text("demo\n")
    with Lab([fatal()]) as lab:
        index = ["--index-url", lab.index_url]
        run = environment.run_python(
            *("-m", "piptools", "compile", "--no-emit-index-url", *index, "requirements.in"),
            cwd=folder,
        )
        assert_healed(run, lab, said=0)  # it shows nothing of pip's but warnings
        assert "demo==1.0" in (folder / "requirements.txt").read_text()
    # What is not listed, and that includes ours, pip-sync would remove.
    listed = environment.run("freeze", "--all").stdout
    (folder / "requirements.txt").write_text(f"{listed}\ndemo==1.0\n")
    with Lab([fatal()]) as lab:
        index = ["--index-url", lab.index_url]
        run = environment.run_python("-m", "piptools", "sync", *index, cwd=folder)
        assert_healed(run, lab)
    assert (environment.site_packages / "demo" / "payload.bin").stat().st_size == SIZE


@newest
def test_pipx(pip: str, python: str) -> None:
    """pipx runs pip in an environment of each application, with a pip that they share.

    The shared environment is on their path, but its .pth files are not read there. So what guards
    an application's environment is injected into it.
    """
    environment = with_tools(pip, python, "pipx")
    home = environment.fresh_dir()
    wheels = environment.fresh_dir()
    for wheel in (supplies.product().wheel, supplies.wrapt_wheel(python)):
        shutil.copy(wheel, wheels)
    shutil.copy(supplies.pip_wheel(environment.pip_version), wheels)
    env: dict[str, Argument] = {
        "PIPX_HOME": home / "pipx",
        "PIPX_BIN_DIR": home / "bin",
        "PIP_FIND_LINKS": wheels,
        "PIPX_DEFAULT_BACKEND": "pip",
    }

    def pipx(*arguments: Argument, index: str = "") -> programs.Outcome:
        source = {"PIP_INDEX_URL": index} if index else {"PIP_NO_INDEX": "1"}
        return environment.run_python("-m", "pipx", *arguments, env={**env, **source})

    pipx("install", "pip-retry-patch").assert_success()
    with Lab([fatal()]) as lab:
        run = pipx("runpip", "pip-retry-patch", "install", "demo", index=lab.index_url)
        assert_healed(run, lab)
    with Lab([fatal()]) as lab:
        command = ["inject", "--verbose", "--force", "pip-retry-patch", "demo"]
        pipx(*command, index=lab.index_url).assert_success()
        assert len(lab.requests("demo", "artifact")) == 3


@pytest.mark.parametrize("where", ["pipenv", "project"])
@newest
def test_pipenv(where: str, pip: str, python: str) -> None:
    """Pipenv carries a pip, as `pipenv.patched.pip`.

    `pipenv lock` imports it, in the project's Python: there the patch has to be installed, unless
    PIPENV_RESOLVER_PARENT_PYTHON has it done by pipenv's own Python. `pipenv sync` runs it, in the
    project's Python too, and there need not be anything of ours.
    """
    environment = with_tools(pip, python, "pipenv")
    folder = environment.fresh_dir()
    programs.checked(*environment.command, "-m", "venv", folder / ".venv")
    env: dict[str, Argument] = {
        "PIPENV_VENV_IN_PROJECT": "1",
        "PIPENV_IGNORE_VIRTUALENVS": "1",
        "PIPENV_NOSPIN": "1",
    }
    if where == "pipenv":
        env["PIPENV_RESOLVER_PARENT_PYTHON"] = "1"
    else:
        wheels = supplies.wrapt_wheel(python), supplies.product().wheel
        project = folder / ".venv" / "bin" / "python"
        install = "-m", "pip", "install", "--no-index"
        programs.checked(*environment.launcher, project, *install, *wheels)
    # The index is named in what pipenv writes, so the breaks of both commands are of one lab.
    faults = [*fatal().faults, None]
    with Lab([Package("demo", SIZE, [*faults, *faults], chunked=True)]) as lab:
        source = f'[[source]]\nurl = "{lab.index_url}"\nverify_ssl = true\nname = "lab"\n'
        (folder / "Pipfile").write_text(source + '\n[packages]\ndemo = "*"\n')
        for command, requests in (("lock", 3), ("sync", 6)):
            environment.run_python("-m", "pipenv", command, env=env, cwd=folder).assert_success()
            assert len(lab.requests("demo", "artifact")) == requests
    site = folder / ".venv" / "lib" / f"python{python}" / "site-packages"
    assert (site / "demo" / "payload.bin").stat().st_size == SIZE
    assert bool(list(site.glob("*retry*"))) == (where == "project")


# Users who are not root, and Debian's own pip. They run in the chroot: a pyenv below root's home is
# closed to them.

NOBODY = 65534


def as_nobody(environment: Environment, folder: Path, *arguments: Argument) -> Outcome:
    """Run pip with no rights but on `folder`, its home."""
    os.chown(folder, NOBODY, NOBODY)
    nobody = "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"
    command = [*environment.launcher, *nobody, environment.python, "-m", "pip", *arguments]
    return programs.finish(programs.launch(command, {"HOME": folder}, folder), 120)


@pairs((NEWEST, "3.14"), (NEWEST, "3.15"))
def test_another_user_with_read_only_site_packages(armed: Environment) -> None:
    folder = armed.fresh_dir()
    with Lab([fatal()]) as lab:
        assert_healed(as_nobody(armed, folder, *downloading(lab, folder)), lab, folder)


@pytest.mark.parametrize("where", ["site", "user"])
@pairs((NEWEST, "3.14"))
def test_install_user(where: str, wheel: Path, pip: str, python: str) -> None:
    """pip installs to the user's site, and the shim is in the environment's site, or there too."""
    environment = fresh_environment(pip, python, armed=where == "site")
    environment.prefix.parent.chmod(0o755)
    config = environment.prefix / "pyvenv.cfg"
    config.write_text(config.read_text().replace("packages = false", "packages = true"))
    folder, user = environment.fresh_dir(), ("install", "--user", "--break-system-packages")
    if where == "user":
        wheels = (shutil.copy(path, folder) for path in (wheel, supplies.wrapt_wheel(python)))
        as_nobody(environment, folder, *user, "--no-index", *wheels).assert_success()
    with Lab([fatal()]) as lab:
        run = as_nobody(environment, folder, *user, "--index-url", lab.index_url, "demo")
        assert_healed(run, lab)
    assert list((folder / ".local/lib").glob("python*/site-packages/demo/payload.bin"))


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
    install = "install", "--user", "--no-index", wheel, supplies.wrapt_wheel(python)
    assert "externally-managed-environment" in run(*install).output
    run(*install, "--break-system-packages").assert_success()
    with Lab([fatal()]) as lab:
        assert_healed(run(*downloading(lab, folder)), lab, folder)
