"""Every way of running pip: whatever starts it, its downloads heal.

What is downloaded here is `fatal`: no plain pip, of any version, gets through it. So that pip ends
well says enough where its output is hidden, as that of the pips that pip itself runs.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from pip_retry_patch.lab.faults import Cut, Reset
from pip_retry_patch.lab.packages import Package
from pip_retry_patch.lab.server import Lab
from tests import environments
from tests.conftest import Factory
from tests.environments import NEWEST, Argument, Environment, Outcome, fresh_environment, pairs

SIZE = 1_200_000
NOBODY = 65534
MAIN = pairs(("24.0", "3.12"), (NEWEST, "3.13"))


def fatal(name: str = "demo") -> Package:
    """A package of which the first two answers break off, in a way that ends every plain pip."""
    return Package(name, SIZE, [Cut(SIZE // 3), Reset(SIZE // 4)], chunked=True)


def downloading(lab: Lab, folder: Path) -> list[Argument]:
    """The arguments of `pip download demo`."""
    return ["download", "--no-deps", "--dest", folder, "--index-url", lab.index_url, "demo"]


def assert_healed(run: Outcome, lab: Lab, folder: Path | None = None, said: int = 2) -> None:
    """Assert that both breaks were healed; `folder` is where the file is, with the right bytes."""
    assert run.returncode == 0, run.output
    assert len(run.warnings("was interrupted at")) == said, run.output
    assert len(lab.requests("demo", "artifact")) == 3
    if folder is not None:
        assert (folder / lab.filename("demo")).read_bytes() == lab.wheel("demo")


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), ("25.3", "3.9"), (NEWEST, "3.13"))
def test_no_plain_pip_gets_through(pip: str, python: str, bare: Factory) -> None:
    environment = bare(pip, python)
    with Lab([fatal()]) as lab:
        run = environment.run(*downloading(lab, environment.fresh_dir()))
        assert run.returncode != 0


# Builds

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
    """Build the project, with a build requirement that breaks off twice."""
    folder = environment.fresh_dir()
    with Lab([fatal()]) as lab:
        run = environment.run(
            *arguments, "--index-url", lab.index_url, "--verbose", project(folder)
        )
        assert_healed(run, lab)


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


# Other Pythons


@pairs(("22.3.1", "3.10"), (NEWEST, "3.13"))
def test_the_option_python_guards_the_pip_in_the_other_environment(
    pip: str, python: str, armed: Factory
) -> None:
    """There is no pip in the other one, nor anything of ours, and nothing is left there."""
    environment = armed(pip, python)
    folder = environment.fresh_dir()
    _, base = environments.interpreter("3.11")  # another version: wrapt is compiled for this one
    environments.checked(Path("/"), base, "-m", "venv", "--without-pip", folder / "venv")
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
def test_switched_off_the_other_pip_is_pips_own(pip: str, python: str, armed: Factory) -> None:
    module = "utils.misc" if pip == NEWEST else "build_env"
    show = f"from pip._internal.{module} import get_runnable_pip as g; print(g())"
    off = armed(pip, python).run_python("-c", show, env={"PIP_RETRY_PATCH": "0"})
    assert Path(off.stdout.strip()).parent.name == "pip", off.output
    on = armed(pip, python).run_python("-c", show)
    assert Path(on.stdout.strip()).parent.name.startswith("pip-retry-patch-"), on.output


# Flags and variables


@pytest.mark.parametrize(
    "how", ["-I", "-E", "-B", "-P", "-Wignore", "no-home", "no-bytecode", "--isolated", "-q"]
)
@pairs((NEWEST, "3.13"))
def test_flags_and_variables(how: str, pip: str, python: str, armed: Factory) -> None:
    environment = armed(pip, python)
    folder = environment.fresh_dir()
    flags = [how] if how in {"-I", "-E", "-B", "-P", "-Wignore"} else []
    options = [how] if how in {"--isolated", "-q"} else []
    with Lab([fatal()]) as lab:
        command: list[Argument] = [environment.python, *flags, "-m", "pip"]
        command += [*options, *downloading(lab, folder)]
        variables: dict[str, Argument] = {"HOME": environment.fresh_dir()}
        if how == "no-home":
            variables = {"XDG_CACHE_HOME": environment.fresh_dir()}  # not that of this machine
        if how == "no-bytecode":
            variables["PYTHONDONTWRITEBYTECODE"] = "1"
        process = environments.launch(environment.root, command, variables, folder)
        assert_healed(environments.finish(process, 60), lab, folder)


# From a zip

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
def test_pip_in_a_zip(how: str, pip: str, python: str, armed: Factory) -> None:
    """As itself, as the zipapp that pip's project offers, and as those two run what they carry."""
    environment = armed(pip, python)
    folder = environment.fresh_dir()
    wheel = environments.pip_wheel(environment.pip_version)
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
        run = environment.run_python(*ways[how], *downloading(lab, folder))
        assert_healed(run, lab, folder)


@pairs((NEWEST, "3.13"))
def test_a_build_by_the_zipapp(pip: str, python: str, armed: Factory) -> None:
    environment = armed(pip, python)
    folder = environment.fresh_dir()
    shutil.copyfile(environments.pip_wheel(environment.pip_version), folder / "pip.pyz")
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
        run = environment.run_python(folder / "pip.pyz", *command, project(folder))
        assert_healed(run, lab)


@pairs((NEWEST, "3.13"))
def test_ensurepip_itself_goes_through(pip: str, python: str, armed: Factory) -> None:
    """It needs no network, and has nothing to do here; nothing of ours shows."""
    run = armed(pip, python).run_python("-m", "ensurepip", "--upgrade")
    assert (run.returncode, run.stderr) == (0, ""), run.output
    assert "Requirement already satisfied: pip" in run.stdout


# Installations while the shim is active


@dataclass(frozen=True)
class Real(Package):
    """A real wheel in the index, served with the faults of `Package`."""

    path: Path = Path()

    @property
    def filename(self) -> str:
        return self.path.name

    def artifact(self, generation: int = 0) -> bytes:
        return self.path.read_bytes()


@pairs(("24.0", "3.12"))
def test_pip_upgrades_itself_and_is_guarded_before_and_after(pip: str, python: str) -> None:
    environment = fresh_environment(pip, python, armed=True)
    wanted = environments.newest_pip()
    wheel = environments.pip_wheel(wanted)
    package = Real("pip", faults=[Cut(500_000), Reset(500_000)], chunked=True, path=wheel)
    with Lab([package, fatal()]) as lab:
        run = environment.run("install", "-U", "--index-url", lab.index_url, "pip")
        assert run.returncode == 0, run.output
        assert len(run.warnings("was interrupted at")) == 2, run.output
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
        assert len(run.warnings("was interrupted at")) == 2, run.output
        assert set(run.stderr.splitlines()) == {f"  {line}" for line in run.warnings()}, run.stderr
        assert "pip-retry-patch==99" in environment.run("list", "--format=freeze").stdout
        folder = environment.fresh_dir()
        assert_healed(environment.run(*downloading(lab, folder)), lab, folder)
    removed = environment.run("uninstall", "--yes", "pip-retry-patch")
    assert (removed.returncode, removed.stderr) == (0, "")
    assert not list(environment.site_packages.glob("*retry*"))


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


# Users who are not root. They run in the chroot: a pyenv below root's home is closed to them.


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
    process = environments.launch(
        environment.root, [*change, environment.python, *arguments], env, folder
    )
    return environments.finish(process, 120)


@pytest.mark.parametrize("with_home", [True, False], ids=["home", "no-home"])
@pairs((NEWEST, "3.14"), (NEWEST, "3.15"))
def test_another_user_with_read_only_site_packages(
    with_home: bool, pip: str, python: str, armed: Factory
) -> None:
    environment = armed(pip, python)
    folder = environment.fresh_dir()
    home = environment.fresh_dir() if with_home else None
    with Lab([fatal()]) as lab:
        command = ["-m", "pip", *downloading(lab, folder)]
        assert_healed(as_nobody(environment, *command, folder=folder, home=home), lab, folder)


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
        wheels = [wheel, environments.wrapt_wheel(python)]
        copies = [shutil.copy(path, folder) for path in wheels]
        arguments: list[Argument] = [*user, "--no-index", *(Path(copy) for copy in copies)]
        run = as_nobody(environment, *arguments, folder=folder, home=home)
        assert run.returncode == 0, run.output
    with Lab([fatal()]) as lab:
        arguments = [*user, "--index-url", lab.index_url, "demo"]
        assert_healed(as_nobody(environment, *arguments, folder=folder, home=home), lab)
    assert list((home / ".local/lib").glob("python*/site-packages/demo/payload.bin"))


# Debian's own pip


def test_debians_pip(wheel: Path) -> None:
    """It refuses to touch the system's site (PEP 668), so the shim is in the user's."""
    root = environments.CHROOT
    home, folder = environments.scratch(root), environments.scratch(root)
    pip: list[Argument] = [root / "usr/bin/python3", "-m", "pip"]

    def run(*arguments: Argument) -> Outcome:
        process = environments.launch(root, [*pip, *arguments], {"HOME": home}, folder)
        return environments.finish(process, 120)

    where = run("--version").stdout
    assert "/usr/lib/python3/dist-packages/pip" in where
    python = where.rpartition("python ")[2].strip(" )\n")
    with Lab([fatal()]) as lab:
        assert run(*downloading(lab, folder)).returncode != 0
    install: list[Argument] = ["install", "--user", "--no-index"]
    install += [wheel, environments.wrapt_wheel(python)]
    assert "externally-managed-environment" in run(*install).output
    done = run(*install, "--break-system-packages")
    assert done.returncode == 0, done.output
    with Lab([fatal()]) as lab:
        assert_healed(run(*downloading(lab, folder)), lab, folder)
