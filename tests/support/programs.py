"""Programs that tests start, and how they end."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterable, Mapping, NamedTuple, Union

import pytest

from tests.support.directories import scratch

Argument = Union[str, Path]

TROUBLE = re.compile(
    r"WARNING:|\S+( \(metadata\))? (resumed at|fetches|has changed) |\S+: cut \d+ times"
    r"|.*(hash fits|so it is complete|Starting anew)\.$"
)

# What a process of a test has of this one's environment. On Windows, without the others, no Python
# starts, or it finds no place for its files.
KEPT_VARIABLES: tuple[str, ...] = ("PYTHONWARNINGS", "TZ")
if os.name == "nt":
    KEPT_VARIABLES += ("SYSTEMROOT", "TEMP", "TMP")


class MissingError(Exception):
    """Something that the tests need is not on this machine."""


class Outcome(NamedTuple):
    """What a finished process left."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    def assert_success(self) -> Outcome:
        assert self.returncode == 0, self.output
        return self

    @property
    def interruptions(self) -> list[str]:
        """The lines that tell of one interruption each, or of several.

        Of one that was waited at, that is the last line: that it is over.
        """
        told = re.compile(r"(?:WARNING: )?(\S+(?: \(metadata\))? )(resumed|waits|fetches)([^(]*)")
        over: list[str] = []
        waits: dict[str, str] = {}  # by name and place
        for line in map(str.strip, self.output.splitlines()):  # standard output first
            match = told.match(line)
            if match:
                where = match[1] + re.sub(" at | again ", "", match[3]).strip()
                if match[2] == "waits":
                    waits.setdefault(where, line)
                else:
                    over.append(line)
                    waits[where] = ""
        return [*over, *filter(None, waits.values())]

    @property
    def times_interrupted(self) -> int:
        """How often the one file was interrupted that this run downloaded, as it says itself."""
        told = re.search(r": cut (\d+) times", self.output)
        return int(told[1]) if told else len(self.interruptions)

    def warnings(self, containing: str = "") -> list[str]:
        """The lines with a text that warn, or tell of a file that is in order again."""
        lines = map(str.strip, self.output.splitlines())  # pip indents them
        return [line for line in lines if containing in line and TROUBLE.match(line)]


def launch(
    command: Iterable[Argument],
    env: Mapping[str, Argument],
    cwd: Path,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    """Start a command in a session of its own, with few variables but those of `env`."""
    return subprocess.Popen(
        [*map(str, command)],
        env=variables_of(env),
        cwd=cwd,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def variables_of(env: Mapping[str, Argument]) -> dict[str, str]:
    variables: dict[str, Argument] = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_RETRY_PATCH_STRICT": "1",
        **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
        **env,
    }
    if os.name == "nt" and "HOME" in env:
        variables.update(USERPROFILE=env["HOME"], LOCALAPPDATA=env["HOME"], APPDATA=env["HOME"])
    return {name: str(value) for name, value in variables.items()}


def finish(process: subprocess.Popen[str], timeout: float) -> Outcome:
    """Wait for a process from `launch`; kill its whole session when time is up."""
    began = time.monotonic()
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        if os.name != "nt":
            process.send_signal(signal.SIGABRT)  # PYTHONFAULTHANDLER says what it was doing
            time.sleep(1)
        kill(process)
        stdout, stderr = process.communicate()
        pytest.fail(f"no end after {timeout} s: {process.args!r}\n{stdout}\n{stderr}")
    except BaseException:
        kill(process)
        raise
    return Outcome(process.returncode, stdout, stderr, time.monotonic() - began)


def kill(process: subprocess.Popen[str]) -> None:
    if os.name == "nt":
        subprocess.run(["taskkill", "/f", "/t", "/pid", str(process.pid)], check=False)
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def succeeding(command: Iterable[Argument], env: Mapping[str, str], cwd: Path | None = None) -> str:
    """Run a command that has to succeed, and return its standard output."""
    words = [*map(str, command)]
    done = subprocess.run(
        words,
        check=False,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise MissingError(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def checked(*command: Argument) -> str:
    """Do that with the environment of a test's process."""
    home = scratch()
    return succeeding(command, variables_of({"HOME": home}), home)


def ours(*arguments: Argument, env: Mapping[str, str] | None = None) -> str:
    """Do that with a module, this interpreter and this machine's settings, but never armed."""
    never = {"PIP_RETRY_PATCH": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return succeeding([sys.executable, "-m", *arguments], {**os.environ, **never, **(env or {})})


@functools.lru_cache(maxsize=None)
def machine_settings() -> Mapping[str, str]:
    """Find how this machine reaches its default index, as environment variables.

    Local extras (find-links, other indexes) are left out: what they hold crosses no network.
    """
    certificates = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
    found = {name: os.environ[name] for name in certificates if name in os.environ}
    wanted = r"^(?:\S+)\.(index-url|cert|client-cert|trusted-host)=['\"]?(.*?)['\"]?$"
    # Variables come first, then sections by their names: download, global, install.
    for option, value in re.findall(wanted, ours("pip", "config", "list"), re.MULTILINE):
        found.setdefault(f"PIP_{option.upper().replace('-', '_')}", value)
    return found
