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
        self._network, self._rate = network, rate
        self._client, self._road, self._veth = f"{name}c", f"{name}r", f"{name}h"
        self.here = f"{network}.1"
        self.prefix = ["ip", "netns", "exec", self._client]

    def make(self) -> None:
        client, road, network = f"ip -n {self._client}", f"ip -n {self._road}", self._network
        bits = round(8 * self._rate * OVERHEAD)
        for command in (
            *(f"ip netns add {namespace}" for namespace in (self._client, self._road)),
            f"ip link add {self._veth} type veth peer name server netns {self._road}",
            f"{road} link add client type veth peer name wifi netns {self._client}",
            f"ip address add {self.here}/30 dev {self._veth}",
            f"{road} address add {network}.2/30 dev server",
            f"{road} address add {network}.5/30 dev client",
            f"ip link set {self._veth} up",
            *(f"{road} link set {end} up" for end in ("server", "client")),
            *(f"{client} link set {end} up" for end in ("lo", "wifi")),
            f"ip route add {network}.4/30 via {network}.2",
            f"tc -n {self._road} qdisc add dev client root tbf"
            f" rate {bits}bit burst 128kb latency 50ms",
        ):
            _run(command)
        self._join()
        self._forward(True)

    def remove(self) -> None:
        """Remove it, whatever there is of it."""
        for words in (
            f"link delete {self._veth}",
            f"netns delete {self._client}",
            f"netns delete {self._road}",
        ):
            subprocess.run(["ip", *words.split()], check=False, stderr=subprocess.DEVNULL)

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
    def unplugged(self) -> Iterator[Callable[[], None]]:
        """The client has no address and no route: a laptop without its wifi.

        Until the end of the block, or until what is yielded is called.
        """
        _run(f"ip -n {self._client} address flush dev wifi")
        waiting = [self._join]
        try:
            yield lambda: waiting.pop()() if waiting else None
        finally:
            if waiting:
                self._join()

    def _join(self) -> None:
        _run(f"ip -n {self._client} address add {self._network}.6/30 dev wifi")
        _run(f"ip -n {self._client} route add default via {self._network}.5")

    def _forward(self, on: bool) -> None:
        # What comes for others, a host that is no router drops without a word (RFC 1122, 3.3.4.2).
        switch = f"echo {int(on)} > /proc/sys/net/ipv4/ip_forward"
        _run(f"ip netns exec {self._road} sh -c", switch)


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


def _run(command: str, *words: str) -> None:
    subprocess.run([*command.split(), *words], check=True, stdin=subprocess.DEVNULL)
