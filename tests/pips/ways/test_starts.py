"""Every way of running pip: whatever starts it, its downloads heal.

What is downloaded here is `fatal`: no plain pip, of any version, gets through it. So that pip ends
well says enough where its output is hidden, as that of the pips that pip itself runs.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from tests.support import environments, programs, supplies
from tests.support.downloads import TRACEBACK, end_of
from tests.support.environments import Environment
from tests.support.fatal import assert_healed, downloading, fatal, project
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Argument

MAIN = pairs(("24.0", "3.12"), (NEWEST, "3.13"))


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), ("25.3", "3.9"), (NEWEST, "3.13"))
def test_no_plain_pip_gets_through(bare: Environment) -> None:
    with Lab([fatal()]) as lab:
        run = bare.run(*downloading(lab, bare.fresh_dir()))
        assert run.returncode != 0
        # And not for another reason: the file was asked for, and its connection broke off.
        assert 1 <= len(lab.requests("demo", "artifact")) <= 2
        assert end_of(run) == TRACEBACK and "IncompleteRead" in run.output


@pairs(("22.3.1", "3.10"), (NEWEST, "3.13"))
def test_the_option_python_guards_the_pip_in_the_other_environment(pip: str, python: str) -> None:
    """There is no pip in the other one, nor anything of ours, and nothing is left there."""
    # The other Python compiles pip and what is ours into this environment, for its own version.
    environment = environments.fresh_environment(pip, python, armed=True)
    folder = environment.fresh_dir()
    _, base = environments.interpreter("3.11")  # another version: wrapt is compiled for this one
    programs.checked(base, "-m", "venv", "--without-pip", folder / "venv")
    with Lab([fatal()]) as lab:
        temporary = environment.fresh_dir()
        index = "--index-url", lab.index_url
        run = environment.run(
            *("--python", folder / "venv", "install", *index, "demo"), env={"TMPDIR": temporary}
        )
        assert_healed(run, lab)
        assert not list(temporary.iterdir())
    listed = environment.run("--python", folder / "venv", "list", "--format=freeze")
    assert listed.stdout.split() == ["demo==1.0"]


@MAIN
def test_switched_off_the_other_pip_is_pips_own(pip: str, armed: Environment) -> None:
    module = "utils.misc" if pip == NEWEST else "build_env"
    show = f"from pip._internal.{module} import get_runnable_pip as g; print(g())"
    off = armed.run_python("-c", show, env={"PIP_RETRY_PATCH": "0"})
    assert Path(off.stdout.strip()).parent.name == "pip", off.output
    on = armed.run_python("-c", show)
    assert Path(on.stdout.strip()).parent.name.startswith("pip-retry-patch-"), on.output


@pytest.mark.parametrize(
    "how", ["-I", "-E", "-B", "-P", "-Wignore", "no-home", "no-bytecode", "--isolated", "-q"]
)
@pairs((NEWEST, "3.13"))
def test_flags_and_variables(how: str, armed: Environment) -> None:
    folder = armed.fresh_dir()
    flags = [how] if how in {"-I", "-E", "-B", "-P", "-Wignore"} else []
    options = [how] if how in {"--isolated", "-q"} else []
    with Lab([fatal()]) as lab:
        command: list[Argument] = [*armed.command, *flags, "-m", "pip"]
        command += [*options, *downloading(lab, folder)]
        variables: dict[str, Argument] = {"HOME": armed.fresh_dir()}
        if how == "no-home":
            variables = {"XDG_CACHE_HOME": armed.fresh_dir()}  # not that of this machine
        if how == "no-bytecode":
            variables["PYTHONDONTWRITEBYTECODE"] = "1"
        process = programs.launch(command, variables, folder)
        said = 0 if how == "-q" else 2
        assert_healed(programs.finish(process, 60), lab, folder, said)


ZIPAPP = 'import runpy\nrunpy.run_module("pip", run_name="__main__")\n'
BOOTSTRAP = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
if sys.argv.pop(1) == "get-pip":
    from pip._internal.cli.main import main
    sys.exit(main(sys.argv[1:]))
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("how", ["wheel", "zipapp", "get-pip", "ensurepip"])
@pairs(("20.3.4", "3.9"), (NEWEST, "3.13"))
def test_pip_in_a_zip(how: str, armed: Environment) -> None:
    """As itself, as the zipapp that pip's project offers, and as those two run what they carry."""
    folder = armed.fresh_dir()
    wheel = supplies.pip_wheel(armed.pip_version)
    ways: dict[str, list[Argument]] = {
        "wheel": [f"{wheel}/pip"],
        "zipapp": [folder / "pip.pyz"],
        "get-pip": ["-c", BOOTSTRAP, wheel, how],
        "ensurepip": ["-W", "ignore::DeprecationWarning", "-c", BOOTSTRAP, wheel, how],
    }
    if how == "zipapp":
        shutil.copyfile(wheel, folder / "pip.pyz")
        with zipfile.ZipFile(folder / "pip.pyz", "a") as archive:
            archive.writestr("__main__.py", ZIPAPP)
    with Lab([fatal()]) as lab:
        run = armed.run_python(*ways[how], *downloading(lab, folder))
        assert_healed(run, lab, folder)


@pairs((NEWEST, "3.13"))
def test_a_build_by_the_zipapp(armed: Environment) -> None:
    folder = armed.fresh_dir()
    shutil.copyfile(supplies.pip_wheel(armed.pip_version), folder / "pip.pyz")
    with zipfile.ZipFile(folder / "pip.pyz", "a") as archive:
        archive.writestr("__main__.py", ZIPAPP)
    with Lab([fatal()]) as lab:
        command: list[Argument] = [
            "wheel",
            "--wheel-dir",
            folder,
            "--index-url",
            lab.index_url,
            "--verbose",
        ]
        command += ["--use-feature=venv-isolation"]
        run = armed.run_python(folder / "pip.pyz", *command, project(folder))
        assert_healed(run, lab)


@pairs((NEWEST, "3.13"))
def test_ensurepip_itself_goes_through(armed: Environment) -> None:
    """It needs no network, and has nothing to do here; nothing of ours shows."""
    run = armed.run_python("-m", "ensurepip", "--upgrade")
    assert (run.returncode, run.stderr) == (0, ""), run.output
    assert "Requirement already satisfied: pip" in run.stdout
