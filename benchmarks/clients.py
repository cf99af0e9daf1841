"""Who downloads: pips with and without us, uv, wget, curl and aria2, and how each is called.

Each is called as its users call it to finish a download over a bad connection: with its own retries
on, as many as `TRIES`, one connection at a time. Only the pips are called as they are, and the
newest once more with the option that lets it try as often.
"""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import directories, environments, matrix, programs
from tests.support.certificates import certificates
from tests.support.lab.packages import payload
from tests.support.lab.server import Lab
from tests.support.programs import Argument

NAME = "demo"  # of every package that they download
# pip on the Python it runs on: one of each way in which pips have met a broken download.
PIPS = (("20.3.4", "3.9"), ("24.0", "3.12"), ("25.3", "3.9"), (matrix.NEWEST, "3.13"))
OURS = (PIPS[1], PIPS[3])
SILENCE = 15  # seconds until a silent server is given up: pip's own default; wget's is 900
TRIES = 25  # so that nobody ends for having counted to five (aria2, pip) or twenty (wget)
SETTINGS: dict[str, Argument] = {"PIP_NO_INPUT": "1", "PIP_RETRY_PATCH_STRICT": "0"}
SETTINGS |= {"UV_NO_CONFIG": "1", "UV_HTTP_RETRIES": str(TRIES), "UV_HTTP_TIMEOUT": str(SILENCE)}
CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "CURL_CA_BUNDLE")

# How an output blames something else than the network; the first that fits.
BLAMES = {
    "traceback": r"Traceback \(most recent call last\)|panicked at",
    "blames hash": r"(?i)DO NOT MATCH THE HASHES|hash mismatch|checksum",
    "not found": r"No matching distribution|No solution found|not found in the package reg",
    "blames package": r"(?i)(wheel|archive|zip|metadata|file)\b.{0,80}\b(invalid|corrupt|bad)"
    r"|(invalid|corrupt|bad)\b.{0,40}\b(wheel|archive|zip|metadata)",
}
NETWORK = re.compile(
    r"(?i)connect|network|timed? ?out|transfer|interrupted|incomplete|stopped at|not enough bytes"
    r"|unreachable|server|status|service unavailable|too many requests|error 50\d|error 429"
    r"|range|request|decod|ssl|tls|got eof"
)
RIGHT, UNCLEAR = "right", "unclear"


@dataclass(frozen=True)
class Client:
    """A client; `command` gives its words for an index and a directory to download to."""

    name: str  # as it stands in tables: "pip 24.0 + patch", "wget 1.21.3"
    command: Callable[[Lab, Path], list[str]]

    def download(
        self,
        lab: Lab,
        ca_pem: Path | None = None,
        prefix: tuple[str, ...] = (),
        limit: float = 60.0,
    ) -> tuple[str, float]:
        """Let it download the lab's package; how that ended, and the seconds of the process.

        :param ca_pem: the authority behind the lab's certificate.
        :param prefix: words to put before the command (`ip netns exec NAME`).
        :param limit: seconds, after which the client is stopped.
        """
        with tempfile.TemporaryDirectory() as scratch:
            home, target = Path(scratch), Path(scratch, "target")
            target.mkdir()
            command: list[Argument] = [*prefix, *self.command(lab, target)]
            env: dict[str, Argument] = {"HOME": home, **SETTINGS}
            if ca_pem:
                env |= dict.fromkeys(CERTIFICATES, ca_pem)
                if self.name.startswith(("wget", "aria2")):
                    command.append(f"--ca-certificate={ca_pem}")
            began = time.monotonic()
            said, code = ended(programs.launch(command, env, home), limit)
            seconds = time.monotonic() - began
            lab.wait_idle()
            return judged(said, code, is_right(target, lab)), seconds


def ended(process: subprocess.Popen[str], limit: float) -> tuple[str, int | None]:
    """What a process printed, and its exit code; None: it was killed after so many seconds."""
    try:
        return "".join(process.communicate(timeout=limit)), process.returncode
    except subprocess.TimeoutExpired:
        programs.kill(process)
        return "".join(process.communicate()), None


def two_at_a_time(run: Callable[..., Any], jobs: Sequence[Any]) -> Iterator[Any]:
    """Run two jobs at a time: for what is no matter of speed, they do not disturb each other."""
    certificates()  # once, before two threads want it at once
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(run, *zip(*jobs))


def judged(output: str, code: int | None, right: bool) -> str:
    """Say how a download ended: one of BLAMES, or what stands below."""
    if code is None:
        return "no end"
    if code == 0:
        return RIGHT if right else "wrong file"
    text = re.sub(r"https?://\S+", "", output)
    for end, pattern in BLAMES.items():
        if re.search(pattern, text):
            return end
    return "gives up" if NETWORK.search(text) else UNCLEAR


def is_right(target: Path, lab: Lab) -> bool:
    """Whether it holds the artifact, or what uv unpacked of it."""
    if (found := target / lab.filename(NAME)).exists():
        return found.read_bytes() == lab.wheel(NAME)
    unpacked = [path.read_bytes() for path in target.rglob("payload.bin")]
    return any(data == payload(f"{NAME}/0", len(data)) for data in unpacked)


def pip_download(lab: Lab, target: Path, *words: Argument) -> list[str]:
    """The words of `python -m pip download`."""
    command = ["-m", "pip", "download", "--no-deps", "--index-url", lab.index_url]
    return [*command, "--dest", str(target), *map(str, words)]


def url(lab: Lab) -> str:
    return f"{lab.url}/files/{NAME}/{lab.filename(NAME)}"


def version(program: str | Path) -> str:
    said = programs.checked(program, "--version")
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else ""


def pip(pip_version: str, python: str, armed: bool, *options: str) -> Client:
    """A pip, with the wheel built from this tree or without it."""
    environment = environments.environment(pip_version, python, armed)

    def command(lab: Lab, target: Path) -> list[str]:
        words = pip_download(lab, target, "--progress-bar=off", *options, NAME)
        return [str(environment.python), *words]

    patch = ["+ patch"] if armed else []
    return Client(" ".join(["pip", environment.pip_version, *patch, *options]), command)


def at_a_terminal(client: Client) -> Client:
    """The same with a terminal of its own, as a person has: its patience is another one."""

    def command(lab: Lab, target: Path) -> list[str]:
        words = shlex.join(client.command(lab, target))
        return ["script", "--quiet", "--return", "--command", words, "/dev/null"]

    return Client(f"{client.name}, a person", command)


def uv() -> Client:
    """The uv of PyPI, installed once into a directory of its own."""
    home = directories.STORE / "wheelhouse" / "uv"
    with directories.made_once(home) as directory:
        if directory:
            programs.ours("pip", "install", "--quiet", "--target", directory, "uv")
    program = str(home / "bin" / "uv")

    def command(lab: Lab, target: Path) -> list[str]:
        words = [program, "pip", "install", "--no-cache", "--no-deps", "--python", sys.executable]
        return [*words, "--default-index", lab.index_url, "--target", str(target), NAME]

    return Client(f"uv {version(program)}", command)


def by_wget(lab: Lab, target: Path) -> list[str]:
    words = ["wget", "--no-verbose", f"--tries={TRIES}", "--waitretry=1", f"--timeout={SILENCE}"]
    words += ["--retry-connrefused", "--retry-on-http-error=429,500,502,503,504"]
    return [*words, f"--directory-prefix={target}", url(lab)]


def curl(lab: Lab, target: Path, *options: str) -> list[str]:
    words = ["curl", "--silent", "--show-error", "--fail", "--location", *options]
    words += ["--connect-timeout", str(SILENCE), "--speed-limit", "1", "--speed-time", str(SILENCE)]
    return [*words, "--output", str(target / lab.filename(NAME)), url(lab)]


def by_curl(lab: Lab, target: Path) -> list[str]:
    # --continue-at changes nothing here: a retry throws away what came before it.
    return curl(lab, target, "--retry", str(TRIES), "--retry-delay", "1", "--retry-all-errors")


def by_curl_in_a_loop(lab: Lab, target: Path) -> list[str]:
    # The usual way to have curl continue.
    words = shlex.join(curl(lab, target, "--continue-at", "-"))
    return ["sh", "-c", f"for n in $(seq {TRIES}); do {words} && exit; sleep 1; done; exit 1"]


def by_aria2(lab: Lab, target: Path) -> list[str]:
    words = ["aria2c", "--console-log-level=error", "--show-console-readout=false"]
    words += [f"--max-tries={TRIES}", "--retry-wait=1", f"--dir={target}"]
    words += [f"--timeout={SILENCE}", f"--connect-timeout={SILENCE}"]
    # The option it has for servers that cannot continue.
    words += ["--always-resume=false", f"--checksum=sha-256={lab.sha256(NAME)}"]
    return [*words, url(lab)]


@functools.lru_cache(maxsize=None)
def everyone() -> list[Client]:
    """All clients: ours first, then the pips alone, then the others."""
    clients = [pip(*pair, armed=True) for pair in OURS] + [pip(*pair, armed=False) for pair in PIPS]
    clients += [pip(*PIPS[-1], False, "--resume-retries", str(TRIES)), uv()]
    clients.append(Client(f"wget {version('wget')}", by_wget))
    clients.append(Client(f"curl {version('curl')} --retry", by_curl))
    clients.append(Client(f"curl {version('curl')} -C - in a loop", by_curl_in_a_loop))
    return [*clients, Client(f"aria2 {version('aria2c')}", by_aria2)]
