"""A real pip and real servers, on two machines that a test has for itself.

    network namespace of the client ---veth--- network namespace of the servers

All scenes have the same addresses and names, for nobody else can reach a namespace. The servers'
end of the wire limits what the client receives in a second, and counts it. Needs root, Linux,
iproute2 and iptables.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

from tests.support.certificates import NAMES, SERVER
from tests.support.directories import lasting
from tests.support.lab.packages import Package
from tests.support.programs import Argument, MissingError, succeeding

MB = 1_000_000
SECOND, CLIENT, MOVED = (f"198.18.0.{n}" for n in (2, 8, 9))
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_numbers = itertools.count()


class OverError(Exception):
    """The pip of a scene has ended, and so does the script."""


class Scene:
    """The two machines, their servers, and the files that are served.

    :param rate: the bytes that the client receives in a second.
    """

    def __init__(self, *packages: Package, rate: int = 8 * MB) -> None:
        name = f"i{os.getpid()}n{next(_numbers)}"
        self._client, self._servers = f"{name}c", f"{name}s"
        self.launcher = ("ip", "netns", "exec", self._client)
        self.beside = ("ip", "netns", "exec", self._servers)
        self.packages, self._rate = packages, rate
        self.strikes = 0
        self.over = threading.Event()
        self.env: dict[str, Argument] = {}
        self.pip: subprocess.Popen[str] | None = None
        self.servers: list[Server] = []
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Scene:
        with self.stack:
            self.folder = lasting()
            self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self._lay_wire()
            self.root = self.folder / "root"
            for package in self.packages:
                self.publish(package)
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def _lay_wire(self) -> None:
        for name in (self._client, self._servers):
            self.stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
            etc = Path("/etc/netns", name)  # `ip netns exec` shows its files in /etc
            etc.mkdir(parents=True)
            self.stack.callback(shutil.rmtree, etc, ignore_errors=True)
            names = f"nameserver {SERVER}\noptions timeout:1 attempts:1\n"
            (etc / "resolv.conf").write_text(names)
        self.names("127.0.0.1 localhost", f"{SERVER} {' '.join(NAMES)}")
        self.hosts = Path("/etc/netns", self._client, "hosts")
        peer = ("type", "veth", "peer", "name", "wan", "netns", self._servers)
        run("ip", "link", "add", "wan", "netns", self._client, *peer)
        for name, addresses in ((self._client, (CLIENT,)), (self._servers, (SERVER, SECOND))):
            for address in addresses:
                run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "wan")
            run("ip", "-n", name, "link", "set", "wan", "up")
        shape = ("tbf", "rate", f"{8 * self._rate}bit", "burst", "64kb", "latency", "50ms")
        run("tc", "-n", self._servers, "qdisc", "add", "dev", "wan", "root", *shape)
        # Through a process that is there, the counters of its namespace can be read.
        there = subprocess.Popen([*self.beside, "sleep", "infinity"])
        self.stack.callback(there.wait)
        self.stack.callback(there.kill)
        self._counters = Path("/proc", str(there.pid), "net", "dev")

    def publish(self, package: Package) -> None:
        files, page = self.root / "files" / package.name, self.root / "simple" / package.name
        files.mkdir(parents=True, exist_ok=True)
        page.mkdir(parents=True, exist_ok=True)
        (files / package.filename).write_bytes(package.artifact)
        (files / f"{package.filename}.metadata").write_bytes(package.metadata_file())
        (page / "index.html").write_bytes(package.page(as_json=False))
        (page / "index.json").write_bytes(package.page(as_json=True))

    @contextlib.contextmanager
    def among_servers(self) -> Iterator[None]:
        """Have the sockets that this thread makes be on the servers' machine."""
        setns = ctypes.CDLL(None, use_errno=True).setns
        with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{self._servers}") as there:
            if setns(there.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                setns(here.fileno(), 0)

    def serve(self, *command: str, port: int) -> Server:
        """Start a program with the servers; it is killed when the scene ends."""
        program = shutil.which(command[0], path=PATH)
        if program is None:
            raise MissingError(f"{command[0]} is not installed; .ci/run would do it")
        server = Server(self, (program, *command[1:]), port, self.folder / f"{port}.log")
        self.servers.append(server)
        self.stack.callback(server.kill)
        server.start()
        return server

    def on_servers(self, *command: str) -> str:
        return run(*self.beside, *command)

    def on_client(self, *command: str) -> str:
        return run(*self.launcher, *command)

    def sent(self) -> int:
        """The bytes that were sent to the client so far, with all headers."""
        lines = self._counters.read_text().splitlines()
        (counters,) = (line.split() for line in lines if line.strip().startswith("wan:"))
        return int(counters[9])

    # What a script waits for, and does. Each raises OverError when pip has ended.

    def at(self, offset: int) -> None:
        """Wait until so many bytes were sent. What follows strikes a pip that is reading."""
        while self.sent() < offset:
            self.sleep(0.01)
        self.strikes += 1

    def sleep(self, seconds: float) -> None:
        if self.over.wait(seconds):
            raise OverError

    def names(self, *lines: str) -> None:
        """Replace the names that both ends know without asking."""
        for name in (self._client, self._servers):
            Path("/etc/netns", name, "hosts").write_text("\n".join([*lines, ""]))

    def reset(self) -> None:
        self.on_servers("ss", "--kill", "--no-header", "dst", CLIENT)

    @contextlib.contextmanager
    def firewall(self, *rule: str) -> Iterator[None]:
        """Have a rule for what the servers receive, unless it begins with another chain."""
        chain = () if rule[0] in ("INPUT", "OUTPUT") else ("INPUT",)
        self.on_servers("iptables", "-I", *chain, *rule)
        try:
            yield
        finally:
            self.on_servers("iptables", "-D", *chain, *rule)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """All packets are lost on the way, and nobody is told: a tunnel, a modem without a line."""
        with self.firewall("INPUT", "-j", "DROP"), self.firewall("OUTPUT", "-j", "DROP"):
            yield

    @contextlib.contextmanager
    def unplugged(self) -> Iterator[Callable[[], object]]:
        """The client has no address and no route: a laptop without its wifi.

        Until the end of the block, or until what is yielded is called.
        """
        address = ("address", "replace", f"{CLIENT}/24", "dev", "wan")
        self.on_client("ip", "address", "flush", "dev", "wan")
        try:
            yield lambda: self.on_client("ip", *address)
        finally:
            self.on_client("ip", *address)


class Server:
    """A program in the namespace of the servers. It can be killed and started again."""

    def __init__(self, scene: Scene, command: tuple[str, ...], port: int, log: Path) -> None:
        self._scene, self._command, self._port, self._log = scene, command, port, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        scene = self._scene
        with self._log.open("a") as output:
            self.process = subprocess.Popen(
                [*scene.beside, *self._command],
                env={**os.environ, "PIP_RETRY_PATCH": "0", "PATH": PATH},
                cwd=scene.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not scene.on_servers("ss", "-Hlntu", f"sport = :{self._port}"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise MissingError(f"{self._command[0]} does not serve:\n{self._log.read_text()}")
            time.sleep(0.02)

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it and its children: clients hear no more than what the kernel says."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def away(self, seconds: float) -> None:
        """Kill it, and start it again after so many seconds."""
        self.kill()
        self._scene.sleep(seconds)
        self.start()


def run(*command: str) -> str:
    """Run a command that has to succeed, and return what it prints."""
    return succeeding(command, {**os.environ, "PATH": PATH})
