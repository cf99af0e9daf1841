"""A link between a client and the index that can be shaped, and that can go away.

    client's namespace ---veth--- road's namespace ---veth--- here, where the index listens

The road shapes what goes to the client, and it is what stops forwarding when packets shall be lost
on the way: then nobody is told. Needs root, iproute2, and Linux with namespaces and tbf; without
netem, the link has no delay of its own but that of its queue.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

# What 1448 bytes of a stream are on the wire: TCP with timestamps, IP, Ethernet. tbf counts those.
OVERHEAD = 1514 / 1448
_numbers = itertools.count()


class Link:
    """One link; see `linked`. `here` is this end's address, `prefix` runs a command at the other.

    :param name: unique on this machine, and short: interfaces have up to 15 characters.
    :param network: the three numbers that its addresses begin with.
    """

    def __init__(self, name: str, network: str, rate: int) -> None:
        self._near, self._far = f"{network}.1", f"{network}.5"  # the index, the client's gateway
        self._network, self._rate = network, rate
        self._client, self._road, self._veth = f"{name}c", f"{name}r", f"{name}h"
        self.here = self._near
        self.prefix = ["ip", "netns", "exec", self._client]

    def make(self) -> None:
        client, road, network = ["-n", self._client], ["-n", self._road], self._network
        for namespace in (self._client, self._road):
            _ip("netns", "add", namespace)
        ends = ["name", "server", "netns", self._road]
        _ip("link", "add", self._veth, "type", "veth", "peer", *ends)
        ends = ["name", "wifi", "netns", self._client]
        _ip(*road, "link", "add", "client", "type", "veth", "peer", *ends)
        _ip("address", "add", f"{self._near}/30", "dev", self._veth)
        _ip(*road, "address", "add", f"{network}.2/30", "dev", "server")
        _ip(*road, "address", "add", f"{self._far}/30", "dev", "client")
        _ip("link", "set", self._veth, "up")
        _ip(*road, "link", "set", "server", "up")
        _ip(*road, "link", "set", "client", "up")
        _ip(*client, "link", "set", "lo", "up")
        _ip(*client, "link", "set", "wifi", "up")
        _ip("route", "add", f"{network}.4/30", "via", f"{network}.2")
        self._join()
        self._forward(True)
        bits = round(8 * self._rate * OVERHEAD)
        shape = ["tbf", "rate", f"{bits}bit", "burst", "128kb", "latency", "50ms"]
        _run("tc", *road, "qdisc", "add", "dev", "client", "root", *shape)

    def remove(self) -> None:
        """Remove it, whatever there is of it."""
        for words in (
            ["link", "delete", self._veth],
            ["netns", "delete", self._client],
            ["netns", "delete", self._road],
        ):
            subprocess.run(["ip", *words], check=False, stderr=subprocess.DEVNULL)

    def passed(self) -> int:
        """The bytes that went from here towards the client so far, with their headers."""
        return int(Path(f"/sys/class/net/{self._veth}/statistics/tx_bytes").read_text())

    @contextlib.contextmanager
    def losing(self) -> Iterator[None]:
        """All packets are lost on the way, in silence: a tunnel, a modem without a line."""
        self._forward(False)
        try:
            yield
        finally:
            self._forward(True)

    @contextlib.contextmanager
    def unplugged(self) -> Iterator[None]:
        """The client has no address and no route: a laptop without its wifi."""
        with self.unplugged_until():
            yield

    @contextlib.contextmanager
    def unplugged_until(self) -> Iterator[Callable[[], None]]:
        """The same, until what is yielded is called."""
        _ip("-n", self._client, "address", "flush", "dev", "wifi")
        joined: list[bool] = []

        def join() -> None:
            if not joined:
                joined.append(True)
                self._join()

        try:
            yield join
        finally:
            join()

    def _join(self) -> None:
        client = ["-n", self._client]
        _ip(*client, "address", "add", f"{self._network}.6/30", "dev", "wifi")
        _ip(*client, "route", "add", "default", "via", self._far)

    def _forward(self, on: bool) -> None:
        # What comes for others, a host that is no router drops without a word (RFC 1122, 3.3.4.2).
        switch = f"echo {int(on)} > /proc/sys/net/ipv4/ip_forward"
        _run("ip", "netns", "exec", self._road, "sh", "-c", switch)


@contextlib.contextmanager
def linked(rate: int) -> Iterator[Link]:
    """Make a link that carries `rate` bytes of a TCP stream per second; it is always removed.

    Its addresses are of 198.18.0.0/16, which is kept for benchmarks (RFC 2544).
    """
    number = next(_numbers)
    routes = subprocess.run(["ip", "route"], check=True, capture_output=True, text=True).stdout
    # Others may run meanwhile, and one that was killed has removed nothing.
    numbers = ((os.getpid() + number + step) % 256 for step in range(256))
    network = next(n for n in (f"198.18.{i}" for i in numbers) if f"{n}." not in routes)
    link = Link(f"b{os.getpid()}n{number}", network, rate)
    try:
        link.make()
        yield link
    finally:
        link.remove()


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
