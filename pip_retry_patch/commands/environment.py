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
from typing import Any, Iterator, Mapping, Sequence

# Run by the environment's own Python as it starts for pip, with the .pth files that it finds. With
# an argument it tells also what is in place once pip has a session.
_PROBE = """
import importlib.util, json, os, sys
found = {"pip": None, "armed": False, "lacks": "", "python": sys.version.split()[0]}
if importlib.util.find_spec("pip"):
    import pip
    found["pip"] = pip.__version__
names = "pip_retry_patch.pth", "pip_retry_patch_link.pth"
lines = [os.path.join(folder, name) for folder in sys.path for name in names]
found["armed_by"] = [line for line in lines if os.path.isfile(line)]
if found["pip"] and "pip_retry_patch" in sys.modules:
    found["armed"] = True
    sys.path.append(os.path.dirname(os.path.dirname(sys.modules["pip_retry_patch"].__file__)))
    found["lacks"] = "missing"
    try:
        if importlib.util.find_spec("wrapt"):
            from importlib import metadata
            for each in metadata.distributions(name="wrapt"):
                found["lacks"] = "broken (%s)" % each.version
            import wrapt
            wrapt.FunctionWrapper
            found["lacks"] = ""
    except Exception as why:
        found["lacks"] += ": %r" % why
    if sys.argv[1:] and not found["lacks"]:
        from pip_retry_patch.hooks import report
        found.update(report.describe())
print(json.dumps(found))
"""

# The Python of a virtual environment. On Windows that of MSYS2 is a POSIX one in this.
PYTHONS = ("Scripts/python.exe", "bin/python.exe") if os.name == "nt" else ("bin/python",)


class UnableError(Exception):
    """A command cannot do its work; the text says why, and what to do."""


def python_of(environment: Path, places: Sequence[str] = PYTHONS) -> Path:
    """Return where an environment's own Python is, or would be."""
    found = [environment / place for place in places]
    return next((python for python in found if python.exists()), found[0])


def interpreter(path: str) -> str:
    """Return the Python that a path names, as pip's own `--python` takes it (22.3).

    A directory is an environment. A name without a folder that is not here is looked for on PATH.
    Absolute, for it is run in another directory. What does not exist is told when it is run.
    """
    if os.path.isdir(path):
        path = str(python_of(Path(path)))
    if not os.path.dirname(path) and not os.path.exists(path):
        return shutil.which(path) or path
    return os.path.abspath(path) if path else ""


def pip_of(python: str, *more: str) -> dict[str, Any]:
    """Ask a Python for its pip. Raises UnableError if that is missing or not armed.

    :param more: "describe", to tell what is in place with the user's settings.
    """
    if not python:
        raise UnableError("this Python does not know its own executable, so it cannot run pip")
    found: dict[str, Any] = ask([python, "-c", _PROBE, *more], dict, clean=not more)
    if not found["pip"]:
        raise UnableError(f"no pip in this environment; try: {python} -m ensurepip")
    if not found.pop("armed"):
        does = "does not obey" if found["armed_by"] else "has neither a link nor"
        raise UnableError(
            f"not armed: this environment {does} a pip_retry_patch.pth, so pip runs as it always "
            "did; install pip-retry-patch into it"
        )
    lacks = ascii_line(found.pop("lacks"))
    if lacks:
        install = f"{python} -m pip install --force-reinstall wrapt"
        raise UnableError(f"wrapt, which it needs, is {lacks}; try: {install}")
    return found


def describe(python: str) -> dict[str, Any]:
    """Let a Python make pip's session, and tell what is in place. Raises UnableError."""
    return pip_of(python, "describe")


def ask(command: list[str], kind: type, clean: bool = True) -> Any:
    """Run a Python that prints JSON in its last line, and return that. Raises UnableError."""
    output, found = "", None
    try:
        with temporary_directory() as directory, contextlib.suppress(IndexError, ValueError):
            output = run(command, directory, clean=clean).stdout
            found = json.loads(output.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnableError(f"{command[0]} cannot be run: {error}") from None
    if not isinstance(found, kind):
        last = output.strip().splitlines()[-1:] or ["it prints nothing"]
        raise UnableError(f"{command[0]} does not start well: {ascii_line(last[0])}")
    return found


def run(
    command: list[str], directory: Path, env: Mapping[str, str] | None = None, clean: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run Python in a directory, with both streams as one.

    :param env: what to add to its environment.
    :param clean: keep the user's settings of pip, certificates and proxies away from it.
    :raises subprocess.TimeoutExpired: it had to be killed after a minute.
    """
    variables = dict(os.environ)
    if clean:
        spoils = re.compile(r"PIP_|(REQUESTS|CURL)_CA_BUNDLE$|\w+_PROXY$", re.IGNORECASE)
        variables = {name: text for name, text in variables.items() if not spoils.match(name)}
        variables["PIP_CONFIG_FILE"] = os.devnull
    elif "PIP_CONFIG_FILE" in variables:
        variables["PIP_CONFIG_FILE"] = os.path.abspath(variables["PIP_CONFIG_FILE"])
    variables.update(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", **(env or {}))
    variables["PYTHONIOENCODING"] = "utf-8:backslashreplace"
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
        check=False,
    )


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
    """A place for what a command does. Raises UnableError where there is none."""
    try:
        directory = tempfile.mkdtemp(prefix="pip-retry-patch-")
    except OSError as error:
        raise UnableError(f"no temporary directory for the test; set TMPDIR ({error})") from None
    try:
        yield Path(directory)
    finally:
        # Windows keeps what a process that is just being killed has open.
        shutil.rmtree(directory, ignore_errors=True)


def ascii_line(text: str) -> str:
    """The text without what could upset a terminal."""
    return "".join(c if c.isprintable() else " " for c in text).encode("ascii", "replace").decode()


def last_words(output: str) -> str:
    """The line of pip's output that says best why it ended: its last error, or its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or [""]
    errors = [n for n, line in enumerate(lines) if re.match(r"(ERROR|error|[\w.]+Error)\b", line)]
    best = errors[-1] if errors else len(lines) - 1
    line = lines[best]
    if re.fullmatch(r"error: [\w-]+", line):  # the slug of a DiagnosticPipError; its words follow
        line = " ".join([f"{line}:", *lines[best + 1 : best + 2]]).replace("\u00d7 ", "")
    line = ascii_line(line)
    return line if len(line) <= 76 else f"{line[:73]}..."
