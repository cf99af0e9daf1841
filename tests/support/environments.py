"""Real environments: every supported pip on a real Python, with and without pip-retry-patch.

An environment is a venv that holds one pip and nothing else (*bare*), or that pip, wrapt and the
wheel which is built from this tree (*armed*). Pythons come from pyenv or PATH; those that are not
there come from a Debian sid chroot (`.ci/chroot` makes it), and tests need not know which is which:
`Environment.fresh_dir()` gives directories that both sides see, and a `Path` handed to
`Environment.run` is translated.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

from tests.support import forked
from tests.support.directories import CHROOT, SOURCE, made_once, scratch, store
from tests.support.matrix import NEWEST, label
from tests.support.programs import (
    Argument,
    MissingError,
    Outcome,
    checked,
    finish,
    inside,
    launch,
    machine_settings,
)
from tests.support.supplies import newest_pip, pip_wheel, product, wrapt_wheel

FACTS = "facts.json"  # what a shared environment has in it
WINDOWS = os.name == "nt"


def layout(minor: str, windows: bool = WINDOWS) -> tuple[str, str, str]:
    """Say where a venv has its scripts, its Python and its packages, as `sysconfig` does."""
    if windows:
        return "Scripts", "Scripts/python.exe", "Lib/site-packages"
    return "bin", "bin/python", f"lib/python{minor}/site-packages"


@dataclass(frozen=True)
class Environment:
    """One venv, on this machine or in the chroot."""

    prefix: Path
    root: Path
    pip_version: str
    python_version: str
    armed: bool
    label: str
    strict: bool = True  # a mistake of ours raises
    shared: bool = False  # it stays as it is
    launcher: tuple[str, ...] = ()  # what starts its Python: `ip netns exec …`

    @property
    def python(self) -> Path:
        return self.prefix / layout("")[1]

    @property
    def site_packages(self) -> Path:
        minor = ".".join(self.python_version.split(".")[:2])
        return self.prefix / layout(minor)[2]

    @property
    def strictness(self) -> Mapping[str, Argument]:
        return {"PIP_RETRY_PATCH_STRICT": "1" if self.strict else "0"}

    def fresh_dir(self) -> Path:
        """Make an empty directory that this environment can use; it lives as long as the test."""
        return scratch(self.root)

    def inside(self, path: Path) -> str:
        """Say how this environment calls a path. A file outside of the chroot is copied in."""
        return inside(self.root, path)

    def run(
        self,
        *arguments: Argument,
        env: Mapping[str, Argument] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
        machine: bool = False,
        alone: bool = not hasattr(os, "fork"),
    ) -> Outcome:
        """Run `python -m pip` with these arguments and wait for it.

        A download with a shared environment is forked from a pip that has started, unless it is to
        be `alone`. See `start` for `env`, `cwd` and `machine`. After `timeout` seconds the process
        and its children are killed, and the test fails with what they had printed.
        """
        alone = alone or machine or bool(cwd) or not self.shared or arguments[0] != "download"
        # What is read once, when Python or pip starts, or is cleaned up when Python ends.
        early = ("PYTHON", "TMPDIR", "XDG", "HOME")
        if not alone and not any(name.startswith(early) for name in env or {}):
            return forked.pips_of(self)(*arguments, env=env, timeout=timeout)
        process = self.start("-m", "pip", *arguments, env=env, cwd=cwd, machine=machine)
        return finish(process, timeout)

    def run_python(
        self,
        *arguments: Argument,
        env: Mapping[str, Argument] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
        machine: bool = False,
    ) -> Outcome:
        """Run the interpreter itself; the rest is as in `run`."""
        return finish(self.start(*arguments, env=env, cwd=cwd, machine=machine), timeout)

    def start(
        self,
        *arguments: Argument,
        env: Mapping[str, Argument] | None = None,
        cwd: Path | None = None,
        machine: bool = False,
    ) -> subprocess.Popen[str]:
        """Start the interpreter in a session of its own, with pipes for its output.

        Its environment is clean: nothing of this machine's pip configuration, certificates and
        proxies, an empty HOME and an empty cache. `machine=True` keeps the default index and the
        certificate settings of this machine. `env` is added to that. `cwd` is a fresh directory
        unless given.
        """
        home = self.fresh_dir()
        variables: dict[str, Argument] = {"HOME": home, "XDG_CACHE_HOME": home / "cache"}
        if machine:
            variables.update(machine_settings())
        variables.update(self.strictness, **(env or {}))
        command = [*self.launcher, self.python, *arguments]
        return launch(self.root, command, variables, cwd or self.fresh_dir())


@functools.lru_cache(maxsize=None)
def interpreter(python: str) -> tuple[Path, Path]:
    """Find a Python: the root of its file system, and the interpreter as this machine sees it."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = sorted((pyenv / "versions").glob(f"{python}.*/bin/python{python}"))
    on_path = shutil.which(f"python{python}")
    candidates += [Path(on_path)] if on_path else []
    if python == ".".join(map(str, sys.version_info[:2])):
        name = "python.exe" if WINDOWS else f"bin/python{python}"
        candidates.append(Path(sys.base_prefix) / name)
    for candidate in candidates:
        tried = subprocess.run([str(candidate), "-c", ""], check=False, capture_output=True)
        if tried.returncode == 0:
            return Path("/"), candidate
    if (CHROOT / f"usr/bin/python{python}").exists():
        return CHROOT, CHROOT / f"usr/bin/python{python}"
    raise MissingError(f"no Python {python}: neither in {pyenv}, nor on PATH, nor in {CHROOT}")


@functools.lru_cache(maxsize=None)
def environment(pip: str, python: str, armed: bool) -> Environment:
    """Give the shared environment of a pair. Tests leave it as they found it."""
    version = newest_pip() if pip == NEWEST else pip
    root, _ = interpreter(python)
    kind = f"armed/{os.environ[SOURCE]}" if armed else "bare"
    target = store(root) / kind / f"pip{version}-py{python}"
    with made_once(target) as directory:
        if directory:
            built = build(directory, pip, python, armed)
            facts = {"pip": built.pip_version, "python": built.python_version}
            (directory / FACTS).write_text(json.dumps(facts))
    facts = json.loads((target / FACTS).read_text())
    if armed:
        target.parent.touch()
    return Environment(
        target, root, facts["pip"], facts["python"], armed, label(pip, python), shared=True
    )


def fresh_environment(pip: str, python: str, armed: bool) -> Environment:
    return copy_of(environment(pip, python, armed))


def copy_of(original: Environment) -> Environment:
    prefix = scratch(original.root) / "venv"
    copy(original, prefix)
    return dataclasses.replace(original, prefix=prefix, shared=False)


def copy(original: Environment, prefix: Path) -> None:
    """Copy a venv and lead its scripts here. The times stay, so what is compiled stays valid."""
    unneeded = shutil.ignore_patterns(".done", FACTS, "*.pyc.*")  # what is being compiled now
    shutil.copytree(original.prefix, prefix, symlinks=True, ignore=unneeded, dirs_exist_ok=True)
    was, now = (inside(original.root, path).encode() for path in (original.prefix, prefix))
    for script in (prefix / layout("")[0]).iterdir():
        if script.is_file() and not script.is_symlink() and script.suffix != ".exe":
            script.write_bytes(script.read_bytes().replace(was, now))


def build(prefix: Path, pip: str, python: str, armed: bool) -> Environment:
    """Make a venv with one pip in it and, if armed, the product from its wheel."""
    root, base = interpreter(python)
    version = newest_pip() if pip == NEWEST else pip
    executable = prefix / layout("")[1]
    if armed:
        # To install pip, and to compile it, is what takes time.
        copy(environment(pip, python, armed=False), prefix)
        wheels = wrapt_wheel(python), product().wheel
        checked(root, executable, "-m", "pip", "install", "--quiet", "--no-index", *wheels)
    else:
        checked(root, base, "-m", "venv", "--without-pip", prefix)
        wheel = inside(root, pip_wheel(version))
        checked(root, executable, f"{wheel}/pip", "install", "--quiet", "--no-index", wheel)
    full = checked(root, executable, "-c", "import platform; print(platform.python_version())")
    said = checked(root, executable, "-m", "pip", "--version")
    match = re.match(r"pip (\S+) from (.*) \(python (\S+)\)", said)
    if not match or match.group(1, 3) != (version, python):
        raise MissingError(f"pip {version} on Python {python} was wanted, but it says: {said}")
    if not match[2].startswith(inside(root, prefix)):
        raise MissingError(f"{prefix} has the pip of another environment: {said}")
    return Environment(prefix, root, match[1], full.strip(), armed, label(pip, python))
