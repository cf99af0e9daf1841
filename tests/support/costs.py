"""What one process costs: its instructions, which a busy machine does not disturb; time; memory.

callgrind counts what the process executes in user space. With a fixed hash seed, compiled files and
paths of one length, two counts of the same differ by next to nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from tests.support import directories, programs

ROOT = Path("/")
# A chroot has no /proc, which valgrind needs; it gets one that nobody else sees.
ENTER = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
# A process begins as a copy of the one that starts it, and its peak with it: so a small one starts
# what is measured, whose last line of output then says what it cost.
LAUNCHER = """
import json, os, sys, time
began = time.monotonic()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.monotonic() - began
print()
print(json.dumps([status, usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss]))
"""
Command = Sequence["str | Path"]


class ProcessError(Exception):
    """A process failed; the text is what it said."""


class Cost(NamedTuple):
    """What a process took: CPU (user and system) and wall time in seconds, peak memory in KiB."""

    cpu: float
    wall: float
    peak: int


def spend(command: Command, env: Mapping[str, str | Path], cwd: Path) -> Cost:
    """Run a command that has to succeed, and return what it cost.

    :param env: all of its environment variables, but for PATH.
    :raises ProcessError: it failed.
    """
    line = [sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, command)]
    variables = {"PATH": "/usr/bin:/bin", **{name: str(value) for name, value in env.items()}}
    said = _run(line, env=variables, cwd=cwd).stdout
    status, *cost = json.loads(said.splitlines()[-1])
    if status:
        raise ProcessError(f"{' '.join(line)} failed:\n{said}")
    return Cost(*cost)


def environ_of_pip(home: Path) -> dict[str, str | Path]:
    """Environment variables with which a pip does nothing but what it is told to."""
    quiet = {"PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {"HOME": home, "LANG": "C.UTF-8", **quiet}


def download(directory: Path, index_url: str, *words: str | Path) -> list[str | Path]:
    """The words of `pip download`, with everything it writes in `directory`."""
    command: list[str | Path] = ["download", "--quiet", "--no-deps"]
    command += ["--dest", directory / "dest", "--cache-dir", directory / "cache"]
    return [*command, "--index-url", index_url, *words]


def instructions(
    root: Path, command: Command, env: Mapping[str, str | Path], cwd: Path, limit: float = 900
) -> int:
    """Run a command that has to succeed, and return how many instructions it executed.

    :param root: of the file system that the command belongs to; see `tests.environments`.
    :param env: all of its environment variables, but for PATH and the hash seed.
    :param limit: seconds that it may take.
    :raises ProcessError: it failed.
    """
    install_valgrind(root)

    def seen(value: str | Path) -> str:
        return programs.inside(root, value) if isinstance(value, Path) else value

    variables = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", **env}
    line = ["/usr/bin/env", "-i", "-C", seen(cwd)]
    line += [f"{name}={seen(value)}" for name, value in variables.items()]
    line += ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *map(seen, command)]
    if root != ROOT:
        line = ["unshare", "--mount", "sh", "-c", ENTER, str(root), *line]
    result = _run(line, timeout=limit)
    counted = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode or not counted:
        raise ProcessError(f"{' '.join(line)} failed:\n{result.stdout}{result.stderr}")
    return int(counted[1])


def install_valgrind(root: Path) -> None:
    """Install it below `root` with its own apt, unless it is there; needs to be root."""
    with FileLock(f"{directories.STORE}/valgrind.lock"):
        if (root / "usr/bin/valgrind").exists():
            return
        below = [] if root == ROOT else ["chroot", str(root)]
        for words in (["update"], ["install", "-y", "--no-install-recommends", "valgrind"]):
            # A mirror may lag behind; what it has is signed all the same.
            command = [*below, "apt-get", "-qq", "-o", "Acquire::Check-Valid-Until=false", *words]
            if _run(command).returncode:
                raise ProcessError(f"{' '.join(command)} failed")


def _run(line: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    pipes = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 900}
    return subprocess.run(line, check=False, **{**pipes, **options})  # type: ignore[call-overload,no-any-return]
