"""Real environments: every supported pip on a real Python, with and without pip-retry-patch.

An environment is a venv that holds one pip and nothing else (*bare*), or that pip, wrapt and the
wheel which is built from this tree (*armed*). Pythons come from pyenv or PATH; those that are not
there come from a Debian sid chroot (`.ci/chroot` makes it), in which this tree and all test
directories have the paths that they have outside: tests need not know which is which.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from tests.support import forked, runs
from tests.support.directories import CHECKOUT, CHROOT, SOURCE, STORE, made_once, scratch
from tests.support.matrix import NEWEST, THIS_PYTHON
from tests.support.programs import (
    Argument,
    MissingError,
    Outcome,
    checked,
    finish,
    launch,
    machine_settings,
)
from tests.support.supplies import newest_pip, pip_wheel, product, wrapt_wheel

FACTS = "facts.json"  # what a shared environment has in it
VERSIONS = "import pip, platform; print(pip.__version__, platform.python_version())"
# Where a venv has its scripts, its Python and its packages.
if os.name == "nt":
    SCRIPTS, PYTHON, PACKAGES = "Scripts", "Scripts/python.exe", "Lib/site-packages"
else:
    SCRIPTS, PYTHON, PACKAGES = "bin", "bin/python", "lib/python{}/site-packages"

# The mounts are seen by nobody else, and end with the process.
ENTER = """
for directory in "$1" "$2"; do
    mkdir -p "$0$directory" && mount --bind "$directory" "$0$directory" || exit
done
mount -t proc proc "$0/proc"
shift 2
exec chroot "$0" env -C "$PWD" "$@"
"""
IN_CHROOT = ("unshare", "--mount", "sh", "-c", ENTER, *map(str, (CHROOT, CHECKOUT, STORE)))


@dataclass(frozen=True)
class Environment:
    """One venv; `launcher` is what starts its Python: in the chroot, or in a network namespace."""

    prefix: Path
    pip_version: str
    python_version: str
    armed: bool
    launcher: tuple[str, ...] = ()
    strict: bool = True  # a mistake of ours raises
    shared: bool = False  # it stays as it is

    @property
    def python(self) -> Path:
        return self.prefix / PYTHON

    @property
    def command(self) -> tuple[Argument, ...]:
        """What starts its Python."""
        return (*self.launcher, self.python)

    @property
    def site_packages(self) -> Path:
        return self.prefix / PACKAGES.format(".".join(self.python_version.split(".")[:2]))

    @property
    def strictness(self) -> Mapping[str, Argument]:
        return {"PIP_RETRY_PATCH_STRICT": "1" if self.strict else "0"}

    def fresh_dir(self) -> Path:
        """Make an empty directory, which lives as long as the test."""
        return scratch()

    def run(
        self,
        *arguments: Argument,
        env: Mapping[str, Argument] | None = None,
        timeout: float = 120,
        alone: bool = not hasattr(os, "fork"),
        **how: Any,
    ) -> Outcome:
        """Run `python -m pip` with these arguments, as `run_python` would.

        A download with a shared environment is forked from a pip that has started, unless it is to
        be `alone`.
        """
        # What is read once, when Python or pip starts, or is cleaned up when Python ends.
        early = ("PYTHON", "TMPDIR", "XDG", "HOME")
        alone = alone or bool(how) or any(name.startswith(early) for name in env or {})
        if not alone and self.shared and arguments[0] == "download":
            return forked.pips_of(self)(*arguments, env=env, timeout=timeout)
        return self.run_python("-m", "pip", *arguments, env=env, timeout=timeout, **how)

    def run_python(self, *arguments: Argument, timeout: float = 120, **how: Any) -> Outcome:
        """Run the interpreter, as `start` does, and wait for it.

        After `timeout` seconds the process and its children are killed, and the test fails with
        what they had printed.
        """
        return finish(self.start(*arguments, **how), timeout)

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
        return launch([*self.command, *arguments], variables, cwd or self.fresh_dir())


@functools.lru_cache(maxsize=None)
def interpreter(python: str) -> tuple[tuple[str, ...], Path]:
    """Find a Python: what starts it, and its path there."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = sorted((pyenv / "versions").glob(f"{python}.*/bin/python{python}"))
    on_path = shutil.which(f"python{python}")
    candidates += [Path(on_path)] if on_path else []
    if python == THIS_PYTHON:
        name = "python.exe" if os.name == "nt" else f"bin/python{python}"
        candidates.append(Path(sys.base_prefix, name))
    for candidate in candidates:
        tried = subprocess.run([str(candidate), "-c", ""], check=False, capture_output=True)
        if tried.returncode == 0:
            return (), candidate
    if (CHROOT / f"usr/bin/python{python}").exists():
        return IN_CHROOT, Path(f"/usr/bin/python{python}")
    raise MissingError(f"no Python {python}: neither in {pyenv}, nor on PATH, nor in {CHROOT}")


@functools.lru_cache(maxsize=None)
def environment(pip: str, python: str, armed: bool) -> Environment:
    """Give the shared environment of a pair. Tests leave it as they found it."""
    version = newest_pip() if pip == NEWEST else pip
    kind = f"armed/{os.environ[SOURCE]}" if armed else "bare"
    target = STORE / kind / f"pip{version}-py{python}"
    with made_once(target) as directory:
        if directory:
            full = build(directory, version, python, armed)
            (directory / FACTS).write_text(json.dumps({"pip": version, "python": full}))
    facts = json.loads((target / FACTS).read_text())
    if armed:
        target.parent.touch()
    runs.note_pip(facts["pip"], facts["python"])
    launcher, _ = interpreter(python)
    return Environment(target, facts["pip"], facts["python"], armed, launcher, shared=True)


def fresh_environment(pip: str, python: str, armed: bool) -> Environment:
    return copy_of(environment(pip, python, armed))


def copy_of(original: Environment, prefix: Path | None = None) -> Environment:
    """Copy a venv and lead its scripts here. The times stay, so what is compiled stays valid."""
    prefix = prefix or scratch() / "venv"
    unneeded = shutil.ignore_patterns(".done", FACTS, "*.pyc.*")  # what is being compiled now
    shutil.copytree(original.prefix, prefix, symlinks=True, ignore=unneeded, dirs_exist_ok=True)
    was, now = str(original.prefix).encode(), str(prefix).encode()
    for script in (prefix / SCRIPTS).iterdir():
        if script.is_file() and not script.is_symlink() and script.suffix != ".exe":
            script.write_bytes(script.read_bytes().replace(was, now))
    return dataclasses.replace(original, prefix=prefix, shared=False)


def new_venv(prefix: Path, python: str) -> Environment:
    """Make a venv without pip."""
    launcher, base = interpreter(python)
    checked(*launcher, base, "-m", "venv", "--without-pip", prefix)
    return Environment(prefix, "none", python, armed=False, launcher=launcher)


def build(prefix: Path, version: str, python: str, armed: bool) -> str:
    """Make a venv with one pip in it and, if armed, the product; return its full version."""
    if armed:
        # To install pip, and to compile it, is what takes time.
        made = copy_of(environment(version, python, armed=False), prefix)
        pip, wheels = ["-m", "pip"], [wrapt_wheel(python), product().wheel]
    else:
        made, wheels = new_venv(prefix, python), [pip_wheel(version)]
        pip = [f"{wheels[0]}/pip"]
    checked(*made.command, *pip, "install", "--quiet", "--no-index", *wheels)
    found, full = checked(*made.command, "-c", VERSIONS).split()
    if found != version or not full.startswith(f"{python}."):
        raise MissingError(f"pip {version} on Python {python} was wanted, not {found} on {full}")
    return full
