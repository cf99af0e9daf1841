"""Who is measured: pips with and without us, uv, wget, curl and aria2, and how each is called.

Each is called as its users call it to finish a download over a bad connection: with its own retries
on, as many as `TRIES`, one connection at a time. Only the pips are called as they are, and the
newest once more with the option that lets it try as often. What differs from the defaults is
written here and nowhere else.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from benchmarks.serving import Served
from tests.support import directories, environments, matrix, programs
from tests.support.lab.packages import payload as made

# Debian's packages by the program that is called.
DEBIAN = {"wget": "wget", "curl": "curl", "aria2c": "aria2", "ip": "iproute2"}
# pip on the Python it runs on: one of each way in which pips have met a broken download.
PIPS = (("20.3.4", "3.9"), ("24.0", "3.12"), ("25.3", "3.9"), (matrix.NEWEST, "3.13"))
OURS = tuple(pair for pair in PIPS if pair[0] in ("24.0", matrix.NEWEST))
# So that no client waits for a silent server for hours: wget's default is 900 s, curl's none.
SILENCE = 15  # seconds; pip's own default
# So that nobody ends for having counted to five (aria2, pip) or twenty (wget).
TRIES = 25


@dataclass(frozen=True)
class Outcome:
    """How one client's download of one artifact ended."""

    end: str  # "right", "wrong file", "traceback", "blames hash", "not found", "gives up", "no end"
    returncode: int | None  # None: it was stopped when its time was up
    output: str  # standard output and error
    seconds: float  # of the whole process
    sent: int  # body bytes of the artifact that the server sent
    size: int  # of the artifact

    @property
    def ratio(self) -> float:
        """Bytes on the wire by the size of the file; 1 is perfect."""
        return self.sent / self.size


@dataclass(frozen=True)
class Peer:
    """A client. `command` gives the words for an artifact and an empty directory to put it in.

    `env` is added to its environment variables.
    """

    name: str  # as it stands in tables: "pip 24.0 + patch", "wget 1.21.3"
    command: Callable[[Served, str, Path], list[str]]
    armed: bool = False
    env: Mapping[str, str] = field(default_factory=dict)

    def environ(self, directory: Path, ca_pem: Path | None = None) -> dict[str, str]:
        """The environment variables of the process: none of this machine's settings."""
        kept = ("PATH", "LANG", "LC_ALL")
        env = {name: os.environ[name] for name in kept if name in os.environ}
        env |= {"HOME": str(directory), "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1"}
        env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_NO_CONFIG": "1"}
        env |= {"UV_HTTP_RETRIES": str(TRIES), "UV_HTTP_TIMEOUT": str(SILENCE)}
        if ca_pem:
            env |= {"PIP_CERT": str(ca_pem), "SSL_CERT_FILE": str(ca_pem)}
            env |= {"CURL_CA_BUNDLE": str(ca_pem)}
        return env | dict(self.env)

    def download(
        self,
        served: Served,
        package: str,
        directory: Path,
        ca_pem: Path | None = None,
        prefix: list[str] | None = None,
        limit: float = 120,
    ) -> Outcome:
        """Let it download one package's artifact.

        :param directory: empty; the home of the process too.
        :param prefix: words to put before the command (`ip netns exec NAME`).
        :param limit: seconds, after which the client is stopped.
        """
        target = directory / "target"
        target.mkdir()
        command = [*(prefix or []), *self.command(served, package, target)]
        if ca_pem and "wget" in command[len(prefix or [])]:
            command.append(f"--ca-certificate={ca_pem}")
        if ca_pem and "aria2c" in command[len(prefix or [])]:
            command.append(f"--ca-certificate={ca_pem}")
        before, began = served.sent(package), time.monotonic()
        output, code = run(command, self.environ(directory, ca_pem), directory, limit)
        seconds = time.monotonic() - began
        served.wait_idle()
        end = judged(output, code, target, served, package)
        sent = served.sent(package) - before
        return Outcome(end, code, output, seconds, sent, served.size(package))


def run(
    command: list[str], env: Mapping[str, str], directory: Path, limit: float
) -> tuple[str, int | None]:
    """Run a client, with a hard end; return what it printed and its exit code."""
    with subprocess.Popen(
        command,
        env=dict(env),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            return process.communicate(timeout=limit)[0], process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            return process.communicate()[0], None


def judged(output: str, code: int | None, target: Path, served: Served, package: str) -> str:
    """Say in two words how a download ended. What counts is the file, not the exit code alone."""
    if code is None:
        return "no end"
    if code == 0:
        found = [path for path in target.rglob("*") if path.name == served.filename(package)]
        if found:
            digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
        else:  # uv unpacks it
            found = list(target.rglob("payload.bin"))
            digest = ""
        if not found:
            return "no file"
        right = digest == served.sha256(package) if digest else unpacked_right(found[0], package)
        return "right" if right else "wrong file"
    for words, end in (
        ("Traceback (most recent call last)", "traceback"),
        ("DO NOT MATCH THE HASHES", "blames hash"),
        ("Hash mismatch", "blames hash"),
        ("No matching distribution", "not found"),
        ("No solution found", "not found"),
    ):
        if words in output:
            return end
    return "gives up"


def unpacked_right(payload: Path, package: str) -> bool:
    """Whether what was unpacked is what the lab's wheel of that name holds."""
    data = payload.read_bytes()
    return data == made(f"{package}/0", len(data))


def install() -> None:
    """Install the peers that are not there: Debian's, as root. uv comes with `everyone`.

    :raises processes.ProcessError: one could not be installed.
    """
    missing = [package for tool, package in DEBIAN.items() if not shutil.which(tool)]
    if missing:
        processes.install(processes.ROOT, *missing)


def uv() -> Path:
    """The uv of PyPI, installed once into an environment of its own."""
    target = directories.STORE / "wheelhouse" / "uv"
    with directories.made_once(target) as directory:
        if directory:
            programs.ours("pip", "install", "--quiet", "--target", directory, "uv")
    return target / "bin" / "uv"


def version(command: list[str]) -> str:
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else ""


def pip(pip_version: str, python: str, armed: bool, *options: str) -> Peer:
    """A pip, with the wheel built from this tree or without it."""
    environment = environments.environment(pip_version, python, armed)

    def command(served: Served, package: str, target: Path) -> list[str]:
        words = [str(environment.python), "-m", "pip", "download", "--no-deps"]
        words += ["--progress-bar=off", "--index-url", served.index_url]
        return [*words, *options, "--dest", str(target), package]

    name = " ".join(["pip", environment.pip_version, *(["+ patch"] if armed else []), *options])
    return Peer(name, command, armed)


def at_a_terminal(peer: Peer) -> Peer:
    """The same peer with a terminal of its own, as a person has: its patience is another one."""

    def command(served: Served, package: str, target: Path) -> list[str]:
        words = shlex.join(peer.command(served, package, target))
        return ["script", "--quiet", "--return", "--command", words, os.devnull]

    return Peer(f"{peer.name}, at a terminal", command, peer.armed)


def other_installers() -> list[Peer]:
    """Who else installs from an index: uv."""
    uv_program = str(uv())

    def by_uv(served: Served, package: str, target: Path) -> list[str]:
        words = [uv_program, "pip", "install", "--no-cache", "--no-deps", "--python"]
        words += [sys.executable, "--default-index", served.index_url]
        return [*words, "--target", str(target), package]

    return [Peer(f"uv {version([uv_program, '--version'])}", by_uv)]


def everyone() -> list[Peer]:
    """All peers: ours first, then the pips alone, then the others."""

    def by_wget(served: Served, package: str, target: Path) -> list[str]:
        # It continues by itself.
        words = ["wget", "--no-verbose", f"--tries={TRIES}", "--waitretry=1"]
        words += [f"--timeout={SILENCE}", "--retry-connrefused"]
        words += ["--retry-on-http-error=429,500,502,503,504"]
        return [*words, f"--directory-prefix={target}", served.file_url(package)]

    def curl(served: Served, package: str, target: Path) -> list[str]:
        words = ["curl", "--silent", "--show-error", "--fail", "--location"]
        words += ["--connect-timeout", str(SILENCE)]
        words += ["--speed-limit", "1", "--speed-time", str(SILENCE)]
        words += ["--output", str(target / served.filename(package))]
        return [*words, served.file_url(package)]

    def by_curl(served: Served, package: str, target: Path) -> list[str]:
        # --continue-at changes nothing here: a retry throws away what came before it.
        options = ["--retry", str(TRIES), "--retry-delay", "1", "--retry-all-errors"]
        return [*curl(served, package, target), *options]

    def by_curl_in_a_loop(served: Served, package: str, target: Path) -> list[str]:
        # The usual way to have curl continue: until curl -C - ...; do sleep 1; done
        words = shlex.join([*curl(served, package, target), "--continue-at", "-"])
        loop = f"for n in $(seq {TRIES}); do {words} && exit; sleep 1; done; exit 1"
        return ["sh", "-c", loop]

    def by_aria2(served: Served, package: str, target: Path) -> list[str]:
        words = ["aria2c", "--console-log-level=error", "--show-console-readout=false"]
        words += [f"--max-tries={TRIES}", "--retry-wait=1", f"--dir={target}"]
        words += [f"--timeout={SILENCE}", f"--connect-timeout={SILENCE}"]
        # The option it has for servers that cannot continue.
        words += ["--always-resume=false", f"--checksum=sha-256={served.sha256(package)}"]
        return [*words, served.file_url(package)]

    peers = [pip(*pair, armed=True) for pair in OURS] + [pip(*pair, armed=False) for pair in PIPS]
    peers.append(pip(*PIPS[-1], False, "--resume-retries", str(TRIES)))
    peers += other_installers()
    peers.append(Peer(f"wget {version(['wget', '--version'])}", by_wget))
    curls = f"curl {version(['curl', '--version'])}"
    peers += [Peer(f"{curls} --retry", by_curl), Peer(f"{curls} -C - in a loop", by_curl_in_a_loop)]
    peers.append(Peer(f"aria2 {version(['aria2c', '--version'])}", by_aria2))
    return peers
