"""An environment's own pip, asked by the commands: it is run, never guessed about."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple

from pip_retry_patch.arming import links

# Run by the environment's own Python as it starts for pip, with the .pth files that it finds.
_PROBE = """
import importlib.util, json, os, sys
found = {"armed": False, "pip": None, "wrapt": True, "pth": []}
found["python"] = sys.version.split()[0]
if importlib.util.find_spec("pip"):
    import pip
    found["pip"] = pip.__version__
    found["armed"] = "pip_retry_patch" in sys.modules
for folder in sys.path:
    for name in ("pip_retry_patch.pth", "pip_retry_patch_link.pth"):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            found["pth"].append(path)
if found["armed"]:
    try:
        from pip_retry_patch.wrapping.fail_open import import_wrapt
        import_wrapt()
    except Exception:
        found["wrapt"] = False
print(json.dumps(found))
"""

# The same for what is in place once pip has a session.
_DESCRIBE = """
import json, pip
from pip_retry_patch.hooks import report
print(json.dumps(report.describe()))
"""


class UnableError(Exception):
    """A command cannot do its work; the text says why, and what to do."""


class Found(NamedTuple):
    """What an environment's Python says of its pip. `pth`: the files that may have armed it."""

    pip: str
    python: str
    pth: list[str]


def interpreter(path: str) -> str:
    """Return the Python that a path names, as pip's own `--python` takes it (22.3).

    A directory is an environment. A name without a folder that is not here is looked for on PATH.
    Absolute, for it is run in another directory. What does not exist is told when it is run.
    """
    if os.path.isdir(path):
        path = str(links.python_of(Path(path)))
    if not os.path.dirname(path) and not os.path.exists(path):
        return shutil.which(path) or path
    return os.path.abspath(path) if path else ""


def pip_of(python: str, directory: Path, clean: bool = True) -> Found:
    """Ask a Python for its pip. Raises UnableError if that is missing or not armed."""
    if not python:
        raise UnableError("this Python does not know its own executable, so it cannot run pip")
    found = _ask(python, _PROBE, directory, clean)
    if not found["pip"]:
        raise UnableError(f"no pip in this environment; try: {python} -m ensurepip")
    if not found["armed"]:
        does = "does not obey" if found["pth"] else "has neither a link nor"
        raise UnableError(
            f"not armed: this environment {does} a pip_retry_patch.pth, so pip runs as it always "
            "did; install pip-retry-patch into it"
        )
    if not found["wrapt"]:
        raise UnableError(f"wrapt, which it needs, is missing; try: {python} -m pip install wrapt")
    return Found(str(found["pip"]), str(found["python"]), list(found["pth"]))


def describe(python: str) -> tuple[Found, dict[str, Any]]:
    """Let a Python make pip's session, and tell what is in place. Raises UnableError."""
    with temporary_directory() as directory:
        pip = pip_of(python, Path(directory), clean=False)  # or it says why it cannot be asked
        return pip, _ask(python, _DESCRIBE, Path(directory), clean=False)


def _ask(python: str, code: str, directory: Path, clean: bool) -> dict[str, Any]:
    """Run code that prints JSON in its last line. Raises UnableError."""
    output = ""
    try:
        output = run([python, "-c", code], directory, 60, clean=clean).stdout
        found = json.loads(output.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnableError(f"{python} cannot be run: {error}") from None
    except (IndexError, ValueError):
        last = output.strip().splitlines()[-1:] or ["it prints nothing"]
        raise UnableError(f"{python} does not start well: {ascii_line(last[0])}") from None
    if not isinstance(found, dict):
        raise UnableError(f"{python} does not start well: {ascii_line(output)}")
    return found


def run(
    command: list[str],
    directory: Path,
    limit: float,
    env: Mapping[str, str] | None = None,
    clean: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run Python in a directory, with both streams as one.

    :param limit: seconds, after which it is killed and TimeoutExpired raised.
    :param env: what to add to its environment.
    :param clean: keep the user's settings of pip, certificates and proxies away from it.
    """
    variables = dict(os.environ)
    if clean:
        spoils = re.compile(r"PIP_|(REQUESTS|CURL)_CA_BUNDLE$|\w+_PROXY$", re.IGNORECASE)
        variables = {name: text for name, text in variables.items() if not spoils.match(name)}
        variables.update(PIP_CONFIG_FILE=os.devnull, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    variables.update(env or {}, PYTHONIOENCODING="utf-8:backslashreplace")
    return subprocess.run(
        command,
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=limit,
        check=False,
    )


@contextlib.contextmanager
def temporary_directory() -> Iterator[str]:
    """A place for what a command does. Raises UnableError where there is none."""
    try:
        directory = tempfile.mkdtemp(prefix="pip-retry-patch-")
    except OSError as error:
        raise UnableError(f"no temporary directory for the test; set TMPDIR ({error})") from None
    try:
        yield directory
    finally:
        # Windows keeps what a process that is just being killed has open.
        shutil.rmtree(directory, ignore_errors=True)


def ascii_line(text: str) -> str:
    """The text without what could upset a terminal."""
    return "".join(c if c.isprintable() else " " for c in text).encode("ascii", "replace").decode()
