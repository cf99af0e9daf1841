"""Downloads that are stopped, and what they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

from tests.support import programs
from tests.support.downloads import Download, command
from tests.support.environments import Environment
from tests.support.lab.server import Lab, Request
from tests.support.programs import Argument

SIZE = 6_000_000
HALF = SIZE // 2
RATE = 4_000_000  # bytes per second, so that hardly anything is under way when a kill strikes
# What the next run may be sent before it has closed the connection of the plain request that it
# begins with.
CLOSED_LATE = 200_000
KEY = f"sha256-{'a' * 32}"  # the name of a kept file
SLACK = 1_500_000  # a kill of a container, or in Wine, takes longer
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows this module is only imported


def start(
    pip: Environment, lab: Lab, cache: Path, *options: Argument, **env: Argument
) -> subprocess.Popen[str]:
    """Start what `Download` runs, with a cache."""
    words = command(lab, pip.fresh_dir(), cache)
    return pip.start("-m", "pip", *words, *options, "demo", env=env)


def wait_for_bytes(process: subprocess.Popen[str], lab: Lab, count: int) -> int:
    """Wait until so many body bytes more were sent; return how many were sent in all."""
    goal = lab.sent("demo") + count
    until(lambda: lab.sent("demo") >= goal, process)
    return lab.sent("demo")


def until(condition: Callable[[], bool], *running: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        for process in running:
            assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def stop(process: subprocess.Popen[str], how: int = KILL) -> str:
    os.kill(process.pid, how)
    outcome = programs.finish(process, 20)
    assert outcome.returncode != 0
    return outcome.output


def kept(cache: Path) -> list[Path]:
    return sorted(file for folder in folders(cache) for file in folder.iterdir())


def folders(cache: Path) -> list[Path]:
    """The folders in which they are; beside each is its lock file."""
    return [path for path in stored(cache) if path.is_dir()]


def stored(cache: Path) -> list[Path]:
    return sorted((cache / "retry-patch").glob("*"))


def left(store: Path, size: int, key: str = KEY, age: float = 0) -> Path:
    """Leave what a killed run would, so many seconds ago; return its folder."""
    folder = store / f"{key}-{os.urandom(4).hex()}"
    folder.mkdir(0o700, parents=True)
    os.chmod(store, 0o700)
    file = folder / "f.whl"
    file.write_bytes(b"x" * size)
    os.utime(file, (time.time() - age,) * 2)
    Path(f"{folder}.lock").touch(0o600)
    return folder


def plain_then_rest(requests: list[Request], *offsets: int) -> None:
    """Assert that a run began with pip's own request, and then asked for the rest from these."""
    ranges = [request.range for request in requests]
    assert ranges == [None, *(f"bytes={offset}-" for offset in offsets)]
    assert [request.status for request in requests] == [200, *[206] * len(offsets)]
    # The validators of another run's answer would mean nothing here, and a hash covers all.
    assert not any("if-range" in request.headers for request in requests)


def interrupted(
    pip: Environment, lab: Lab, cache: Path, count: int = HALF, how: int = KILL
) -> Path:
    """Let a pip be killed in mid-download; return the file that it leaves, if it is armed."""
    process = start(pip, lab, cache)
    wait_for_bytes(process, lab, count)
    stop(process, how)
    return kept(cache)[0] if pip.armed else cache


def continuing(download: Download) -> list[str]:
    lines = map(str.strip, download.run.output.splitlines())
    return [line for line in lines if line.startswith("Continuing demo-1.0")]
