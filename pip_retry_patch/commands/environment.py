"""Another Python's pip, asked by the commands: it is run, never guessed about."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Mapping

from pip_retry_patch import names
from pip_retry_patch.wording import of_system

# Run by the environment's own Python as it starts for pip, with the .pth files that it finds.
_PROBE = """import json, pip, pip_retry_patch
from pip_retry_patch.hooks.report import describe
print(json.dumps({**describe(), "version": pip_retry_patch.__version__}))
"""

PREFIX = "pip-retry-patch-"  # of the directories that pip is run in

# The Python of a virtual environment. On Windows that of MSYS2 is a POSIX one in this.
PYTHONS = ("Scripts/python.exe", "bin/python.exe") if os.name == "nt" else ("bin/python",)


class UnableError(Exception):
    """A command cannot do its work; the text says why, and what to do."""


def told(why: Exception) -> str:
    """Return what a command ends with, in a line."""
    place = f"{why.filename}: " if isinstance(why, OSError) and why.filename else ""
    return names.clean(place + of_system(why) if isinstance(why, OSError) else str(why), 2000)


def python_of(environment: Path) -> Path:
    """Return where an environment's own Python is, or would be."""
    found = [environment / place for place in PYTHONS]
    return next((python for python in found if python.exists()), found[0])


def interpreter(path: str) -> str:
    """Return the Python that a path names, as pip's own `--python` takes it (22.3).

    A directory is an environment, and a name without a folder is looked for on PATH. Absolute, for
    it is run in another directory. What does not exist is told when it is run.
    """
    if os.path.isdir(path):
        path = str(python_of(Path(path)))
    return os.path.abspath(shutil.which(path) or path)


def describe(python: str) -> dict[str, Any]:
    """Let a Python make pip's session, and tell what is in place.

    :raises UnableError: pip or this package is missing there.
    :raises OSError: the Python cannot be run.
    """
    with TemporaryDirectory(prefix=PREFIX) as directory:
        output = run([python, "-c", _PROBE], directory, os.environ).stdout
    last = (output.strip().splitlines() or ["it prints nothing"])[-1]
    try:
        return dict(json.loads(last))
    except ValueError:
        needs = "it needs pip, and pip-retry-patch installed or linked"
        raise UnableError(f"{python} cannot be asked: {names.foreign(last)} ({needs})") from None


def run(
    command: list[str], directory: str, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run Python in a directory, with both streams as one.

    :param env: its environment.
    :raises UnableError: it had to be killed after a minute.
    :raises OSError: it cannot be run.
    """
    variables = {**env, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    variables["PYTHONIOENCODING"] = "utf-8:backslashreplace"
    if "PIP_CONFIG_FILE" in env:
        variables["PIP_CONFIG_FILE"] = os.path.abspath(env["PIP_CONFIG_FILE"])
    try:
        return subprocess.run(
            command,
            cwd=directory,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=60,
        )
    except subprocess.TimeoutExpired:
        raise UnableError(f"{command[0]} had not ended after a minute") from None
