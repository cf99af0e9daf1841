"""The command `selftest`: this environment's own pip against an unreliable index on 127.0.0.1."""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import socketserver
import threading
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Mapping, NamedTuple, Sequence

from pip_retry_patch import names
from pip_retry_patch.commands.environment import PREFIX, UnableError, describe, run, told

# What each test downloads.
NAME = "selftest"
FILE = f"{NAME}-1.0-py3-none-any.whl"


class Fault(NamedTuple):
    """What happens to one answer, after so many bytes of its body.

    `kind`: "busy" (it is 503), "cut" or "stall" (silence until the client leaves).
    """

    kind: str
    after: int = 0


class Package(NamedTuple):
    """What its one wheel is, and what happens to it.

    :param size: of the payload in the wheel, in bytes.
    :param faults: of the first answers that bring the wheel, `page_faults`: its page, in order.
    """

    size: int
    faults: Sequence[Fault] = ()
    page_faults: Sequence[Fault] = ()
    ranges: bool = True
    chunked: bool = False

    @property
    def link(self) -> str:
        """The path of the wheel, with its hash."""
        return f"/{FILE}#sha256={hashlib.sha256(self.wheel()).hexdigest()}"

    def wheel(self) -> bytes:
        """Return the file; it is the same each time."""
        payload = random.Random(self.size).getrandbits(8 * self.size).to_bytes(self.size, "big")
        metadata = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n"
        folder = f"{NAME}-1.0.dist-info"
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            archive.writestr(zipfile.ZipInfo("payload.bin"), payload)
            archive.writestr(zipfile.ZipInfo(f"{folder}/METADATA"), metadata)
            archive.writestr(zipfile.ZipInfo(f"{folder}/WHEEL"), "Wheel-Version: 1.0\n")
        return written.getvalue()


class Server(socketserver.ThreadingTCPServer):
    """Serves a package while it is entered. Raises OSError where it cannot listen.

    `sent`: how many bytes of bodies were sent.
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # Windows would share the port

    def __init__(self, package: Package) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.index = f"{self.url}/simple/"
        self.package, self.sent = package, 0
        link = f"<a href='{package.link}'>{FILE}</a>"
        page = f"<!DOCTYPE html>\n<html><body>\n{link}\n</body></html>\n".encode()
        self.answers = {
            f"/simple/{NAME}/": (page, list(package.page_faults)),
            f"/{FILE}": (package.wheel(), list(package.faults)),
        }

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        pass  # the client has left


class _Handler(socketserver.StreamRequestHandler):
    """One request of a client."""

    server: Any

    def handle(self) -> None:
        lines = [*iter(lambda: self.rfile.readline().decode().strip(), "")]
        package, path = self.server.package, lines[0].split()[1]
        data, faults = self.server.answers[path]
        gets = lines[0].startswith("GET")  # `--use-feature=fast-deps` asks for the size first
        fault = faults.pop(0) if faults and gets else Fault("none", len(data))
        asked = re.search(r"^range: bytes=(\d+)-", "\n".join(lines), re.IGNORECASE | re.MULTILINE)
        start = int(asked[1]) if asked and package.ranges else 0
        piece = data[start : start + fault.after]
        self.server.sent += len(piece)
        status, length = "200 OK", f"Content-Length: {len(data) - start}"
        if start:
            status = f"206 Partial\r\nContent-Range: bytes {start}-{len(data) - 1}/{len(data)}"
        if fault.kind == "busy":
            status, length = "503 Busy", "Retry-After: 1\r\nContent-Length: 0"
        elif package.chunked and gets:
            length = "Transfer-Encoding: chunked"
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            piece += b"0\r\n\r\n" if fault.kind == "none" else b""
        media = "text/html" if path.endswith("/") else "application/zip"
        head = f"HTTP/1.1 {status}", length, f"Content-Type: {media}", "Connection: close", "", ""
        self.wfile.write("\r\n".join(head).encode() + piece)
        if fault.kind == "stall":
            self.connection.recv(1)  # nothing comes until the client leaves


# Those of the user's variables that would change what pip does.
_SPOILS = re.compile(r"PIP_|(REQUESTS|CURL)_CA_BUNDLE$|\w+_PROXY$", re.IGNORECASE)

_CUT = Fault("cut", 900_000)
# The one that is never served again: a mirror has the rest of the file.
_LOST = Package(2_000_000, [_CUT, *[Fault("busy")] * 99])
PLAN = {
    "connection cut once": Package(2_000_000, [_CUT]),
    "connection cut 20 times": Package(3_000_000, [Fault("cut", 140_000)] * 20),
    "server falls silent": Package(2_000_000, [Fault("stall", 900_000)]),
    "no range requests, cut": Package(1_800_000, [_CUT], ranges=False),
    "chunked, cut": Package(2_000_000, [_CUT], chunked=True),
    "cut, then 503 twice": Package(2_000_000, [_CUT, Fault("busy"), Fault("busy")]),
    "index page cut": Package(100_000, page_faults=[Fault("cut", 100)]),
    "host dies, a mirror goes on": _LOST,
}
# By what pip says when it gives up without us: the same in two words.
_ENDS = {
    "Error: ": "traceback",
    "DO NOT MATCH THE HASHES": "blames hash",
    "No matching distribution": "not found",
    "incomplete-download": "gives up",
    "": "error",
}


def selftest(python: str, compare: bool) -> int:
    """Break downloads on purpose and see this pip finish them.

    Starts an unreliable package index on this machine (127.0.0.1, no other traffic), lets this
    environment's own pip download from it, fault by fault, and compares the files with the
    originals. Takes about 15 seconds; writes only to a temporary directory. Exit code 0: every
    fault was healed; 1: not.

    :param compare: whether to lead pip through each fault without us first.
    :raises UnableError: the test cannot be made.
    """
    found, failed = describe(python), 0
    plan = dict(PLAN)
    if found["pip"] < "20.3":  # in these no file continues from a mirror
        plan.popitem()
    print("pip {pip} on Python {python}, against an unreliable index on 127.0.0.1".format(**found))
    column = f"{'plain pip':15}" if compare else ""
    print(f"\n{'':29}{column}result    time   bytes fetched / size")
    for title, package in plan.items():
        print(f"{title:29}", end="", flush=True)
        if compare:
            problem, _ = attempt(python, package, PIP_RETRY_PATCH="0")
            end = next(end for words, end in _ENDS.items() if words in problem)
            print(f"{end if problem else 'ok':15}", end="", flush=True)
        began = time.monotonic()
        problem, ratio = attempt(python, package)
        figures = f"{time.monotonic() - began:6.1f} s   {ratio:5.2f} x"
        print(f"FAILED {figures}\n    {problem}" if problem else f"healed {figures}", flush=True)
        failed += bool(problem)
    if failed:
        print(f"\n{failed} of {len(plan)} faults were not healed: pip-retry-patch does not do its")
        print("work with this pip. Please report this output, and that of status.")
        return 1
    print(f"\nAll {len(plan)} faults were healed; every file is what the index has.")
    return 0


def attempt(python: str, package: Package, **settings: str) -> tuple[str, float]:
    """Let pip download a package from an index of its own, without the user's settings.

    :return: what went wrong, "" where nothing did; and the bytes sent divided by the file's size.
    """
    env = {name: text for name, text in os.environ.items() if not _SPOILS.match(name)}
    with Server(package) as index, Server(package._replace(faults=())) as mirror:
        if package is _LOST:
            settings["PIP_RETRY_PATCH_MIRRORS"] = mirror.index
        env.update(settings, PIP_CONFIG_FILE=os.devnull)
        problem = download(python, package, ["--timeout=2", "--index-url", index.index, NAME], env)
    return problem, (index.sent + mirror.sent) / len(package.wheel())


def download(
    python: str, package: Package, arguments: Sequence[str], env: Mapping[str, str]
) -> str:
    """Let pip download a package, and compare the file with the original.

    :param arguments: of `pip download`, to add. `env`: as `run` takes it.
    :return: what went wrong, in a line; "" where the right file came.
    """
    command = [python, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--dest=.", *arguments]
    try:
        with TemporaryDirectory(prefix=PREFIX) as directory:
            pip = run(command, directory, env)
            if pip.returncode:
                return last_words(pip.stdout) or f"exit {pip.returncode}"
            right = Path(directory, FILE).read_bytes() == package.wheel()
        return "" if right else "the file differs from the index's"
    except (OSError, UnableError) as why:
        return told(why)


def last_words(output: str) -> str:
    """Return the line of pip's output that says why it ended: its last error, or its last line."""
    # A DiagnosticPipError has its slug in a line of its own.
    output = re.sub(r"^(error: [\w-]+)\s+\u00d7 ", r"\1: ", output, flags=re.MULTILINE)
    lines = [line.strip() for line in output.splitlines() if line.strip()] or [""]
    errors = [line for line in lines if re.match(r"(ERROR|error|[\w.]+Error)\b", line)]
    return names.clean(names.foreign((errors or lines)[-1]), 76)
