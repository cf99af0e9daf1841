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
from tests.support.environments import Environment, fresh_environment
from tests.support.fatal import assert_healed, downloading, fatal, project
from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Real
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
    environment = fresh_environment(pip, python, armed=True)
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


def zipapp(environment: Environment, folder: Path) -> Path:
    """Make what pip's project offers of this pip."""
    made = folder / "pip.pyz"
    shutil.copyfile(supplies.pip_wheel(environment.pip_version), made)
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("__main__.py", ZIPAPP)
    return made


@pytest.mark.parametrize("how", ["wheel", "zipapp", "get-pip", "ensurepip"])
@pairs(("20.3.4", "3.9"), (NEWEST, "3.13"))
def test_pip_in_a_zip(how: str, armed: Environment) -> None:
    """As itself, as the zipapp that pip's project offers, and as those two run what they carry."""
    folder = armed.fresh_dir()
    wheel = supplies.pip_wheel(armed.pip_version)
    ways: dict[str, list[Argument]] = {
        "wheel": [f"{wheel}/pip"],
        "zipapp": [zipapp(armed, folder)],
        "get-pip": ["-c", BOOTSTRAP, wheel, how],
        "ensurepip": ["-W", "ignore::DeprecationWarning", "-c", BOOTSTRAP, wheel, how],
    }
    with Lab([fatal()]) as lab:
        run = armed.run_python(*ways[how], *downloading(lab, folder))
        assert_healed(run, lab, folder)


@pairs((NEWEST, "3.13"))
def test_a_build_by_the_zipapp(armed: Environment) -> None:
    folder = armed.fresh_dir()
    with Lab([fatal()]) as lab:
        command = "wheel", "--wheel-dir", folder, "--index-url", lab.index_url, "--verbose"
        options = "--use-feature=venv-isolation", project(folder)
        assert_healed(armed.run_python(zipapp(armed, folder), *command, *options), lab)


@pairs((NEWEST, "3.13"))
def test_ensurepip_itself_goes_through(armed: Environment) -> None:
    """It needs no network, and has nothing to do here; nothing of ours shows."""
    run = armed.run_python("-m", "ensurepip", "--upgrade")
    assert (run.returncode, run.stderr) == (0, ""), run.output
    assert "Requirement already satisfied: pip" in run.stdout


# Builds: their requirements are downloaded by pips that pip runs


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


# Installations that replace pip, or the patch, while it is active


@pairs(("24.0", "3.12"))
def test_pip_upgrades_itself_and_is_guarded_before_and_after(pip: str, python: str) -> None:
    environment = fresh_environment(pip, python, armed=True)
    wanted = supplies.newest_pip()
    wheel = supplies.pip_wheel(wanted)
    package = Real("pip", faults=[Cut(500_000), Reset(500_000)], chunked=True, path=wheel)
    with Lab([package, fatal()]) as lab:
        run = environment.run("install", "-U", "--index-url", lab.index_url, "pip")
        assert run.returncode == 0, run.output
        assert len(run.interruptions) == 2, run.output
        assert "Traceback" not in run.output
        assert environment.run("--version").stdout.startswith(f"pip {wanted} ")
        folder = environment.fresh_dir()
        assert_healed(environment.run(*downloading(lab, folder)), lab, folder)


@pairs(("20.3.4", "3.8"), (NEWEST, "3.13"))
def test_the_patch_is_upgraded_while_it_is_active(wheel: Path, pip: str, python: str) -> None:
    environment = fresh_environment(pip, python, armed=True)
    later = upgraded(wheel, environment.fresh_dir())
    faults = [Cut(20_000), Reset(20_000)]
    package = Real("pip-retry-patch", faults=faults, chunked=True, path=later)
    with Lab([package, fatal()]) as lab:
        run = environment.run("install", "-U", "--index-url", lab.index_url, "pip-retry-patch")
        assert run.returncode == 0, run.output
        assert len(run.interruptions) == 2, run.output
        assert all(" waits at " in line for line in run.stderr.splitlines()), run.stderr
        assert "pip-retry-patch==99" in environment.run("list", "--format=freeze").stdout
        folder = environment.fresh_dir()
        assert_healed(environment.run(*downloading(lab, folder)), lab, folder)
    removed = environment.run("uninstall", "--yes", "pip-retry-patch")
    assert (removed.returncode, removed.stderr) == (0, "")
    packages = environment.site_packages
    left = [*packages.glob("*retry*"), *packages.glob("*retry*/**/*")]
    assert not left, [str(path.relative_to(packages)) for path in left]


def upgraded(wheel: Path, folder: Path) -> Path:
    """Give the product's wheel a higher version."""
    version = wheel.name.split("-")[1]
    later = folder / wheel.name.replace(f"-{version}-", "-99-")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(later, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith((".dist-info/METADATA", ".dist-info/RECORD")):
                data = data.replace(f"\nVersion: {version}\n".encode(), b"\nVersion: 99\n")
                data = data.replace(f"-{version}.dist-info".encode(), b"-99.dist-info")
            new.writestr(name.replace(f"-{version}.dist-info/", "-99.dist-info/"), data)
    return later
