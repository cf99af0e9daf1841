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
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, newest, pairs
from tests.support.programs import Argument


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


@pairs(("24.0", "3.12"), (NEWEST, "3.13"))
def test_switched_off_the_other_pip_is_pips_own(pip: str, armed: Environment) -> None:
    module = "utils.misc" if pip == NEWEST else "build_env"
    show = f"from pip._internal.{module} import get_runnable_pip as g; print(g())"
    for switch, folder in (("0", "pip/"), ("1", "pip-retry-patch-")):
        found = armed.run_python("-c", show, env={"PIP_RETRY_PATCH": switch})
        assert f"/{folder}" in found.stdout, found.output


# How its Python is started, what pip is told, and its variables: without HOME it has none.
FLAGS: dict[str, tuple[list[Argument], list[Argument], dict[str, Argument]]] = {
    **{flag: ([flag], [], {"HOME": ""}) for flag in ("-I", "-E", "-B", "-P", "-Wignore")},
    **{option: ([], [option], {"HOME": ""}) for option in ("--isolated", "-q")},
    "no-bytecode": ([], [], {"HOME": "", "PYTHONDONTWRITEBYTECODE": "1"}),
    "no-home": ([], [], {"XDG_CACHE_HOME": ""}),  # not that of this machine
}


@pytest.mark.parametrize("how", FLAGS)
@newest
def test_flags_and_variables(how: str, armed: Environment) -> None:
    folder, (flags, options, variables) = armed.fresh_dir(), FLAGS[how]
    env = {name: value or armed.fresh_dir() for name, value in variables.items()}
    with Lab([fatal()]) as lab:
        words = *armed.command, *flags, "-m", "pip", *options, *downloading(lab, folder)
        run = programs.finish(programs.launch(words, env, folder), 60)
        assert_healed(run, lab, folder, 0 if how == "-q" else 2)


ZIPAPP = 'import runpy\nrunpy.run_module("pip", run_name="__main__")\n'
BOOTSTRAP = """
import runpy, sys, types
sys.path.insert(0, sys.argv.pop(1))
if sys.argv.pop(1) == "get-pip":
    from pip._internal.cli.main import main
    words, streams = sys.argv[1:], sys.stderr
    # As programs have it that embed Python.
    sys.stderr = types.SimpleNamespace(write=streams.write, flush=streams.flush)
    del sys.argv
    sys.exit(main(words))
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


@newest
def test_ensurepip_itself_goes_through(armed: Environment) -> None:
    """It needs no network, and has nothing to do here; nothing of ours shows."""
    run = armed.run_python("-m", "ensurepip", "--upgrade")
    assert (run.returncode, run.stderr) == (0, ""), run.output
    assert "Requirement already satisfied: pip" in run.stdout


# Builds: their requirements are downloaded by pips that pip runs

VENV, INPROCESS = (f"--use-feature={name}" for name in ("venv-isolation", "inprocess-build-deps"))


@pytest.mark.parametrize(
    ("way", "pip", "python"),
    [
        (["wheel", "--wheel-dir"], "20.3.4", "3.8"),
        (["install", "--target"], "21.3.1", "3.9"),
        (["wheel", "--wheel-dir"], "24.0", "3.12"),
        (["wheel", INPROCESS, "--wheel-dir"], "26.1.2", "3.12"),
        (["wheel", "--wheel-dir"], NEWEST, "3.13"),
        (["install", "--target"], NEWEST, "3.13"),
        (["wheel", INPROCESS, "--wheel-dir"], NEWEST, "3.13"),
        (["wheel", VENV, "--wheel-dir"], NEWEST, "3.13"),
        (["zipapp", "wheel", VENV, "--wheel-dir"], NEWEST, "3.13"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_build_requirements(way: list[str], armed: Environment, bare: Environment) -> None:
    target, sources = armed.fresh_dir(), armed.fresh_dir()
    pip: list[Argument] = ["-m", "pip"]
    if way[0] == "zipapp":
        pip, way = [zipapp(armed, sources)], way[1:]
    source = project(sources)
    for environment in (bare, armed):
        with Lab([fatal()]) as lab:
            words: list[Argument] = [*way, target, "--index-url", lab.index_url]
            run = environment.run_python(*pip, *words, "--verbose", source)
        assert run.returncode == 1 or environment.armed
    assert_healed(run, lab)
    assert list(target.glob("project-1.0*"))


@pytest.mark.parametrize(
    ("name", "pip", "python"),
    [
        ("pip", "24.0", "3.12"),
        ("pip-retry-patch", "20.3.4", "3.8"),
        ("pip-retry-patch", NEWEST, "3.13"),
    ],
)
def test_an_upgrade_goes_through_and_pip_is_guarded_before_and_after(
    name: str, wheel: Path, pip: str, python: str
) -> None:
    environment = fresh_environment(pip, python, armed=True)
    folder, packages = environment.fresh_dir(), environment.site_packages
    version, file = "99", upgraded(wheel, folder)
    if name == "pip":
        version, file = supplies.newest_pip(), supplies.pip_wheel(supplies.newest_pip())
    package = Package(name, faults=[Cut(20_000), Reset(20_000)], chunked=True, path=file)
    with Lab([package, fatal()]) as lab:
        run = environment.run("install", "-U", "--index-url", lab.index_url, name)
        assert run.returncode == 0 and len(run.interruptions) == 2, run.output
        assert all(" waits at " in line for line in run.stderr.splitlines()), run.stderr
        assert f"{name}=={version}" in environment.run("list", "--format=freeze").stdout
        assert_healed(environment.run(*downloading(lab, folder)), lab, folder)
    removed = environment.run("uninstall", "--yes", "pip-retry-patch")
    assert (removed.returncode, removed.stderr) == (0, "")
    left = [*packages.glob("*retry*"), *packages.glob("*retry*/**/*")]
    assert not left, [str(path.relative_to(packages)) for path in left]


def upgraded(wheel: Path, folder: Path) -> Path:
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
