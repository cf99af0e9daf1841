"""What stands between pip and its index: the wire, the routers, the names."""

from __future__ import annotations

import signal
import sys

from tests.infra.cases import Script, case
from tests.infra.nginx import nginx
from tests.support.downloads import OK, TRACEBACK
from tests.support.lab.packages import Package
from tests.support.scenes import CLIENT, MB, MOVED, SECOND, SERVER, Scene, Server

HURRIED = ("--timeout", "3")  # so that a short outage is one


def blocked(scene: Scene, seconds: float, *rule: str) -> Script:
    """Have the router obey a rule for some seconds, when 3 MB have passed."""
    nginx(scene)
    yield
    scene.at(3 * MB)
    with scene.firewall(*rule):
        scene.sleep(seconds)


@case("wire", "down for 10 s", TRACEBACK, OK, options=HURRIED)
def test_down(scene: Scene) -> Script:
    nginx(scene)
    yield
    scene.at(3 * MB)
    scene.on_client("ip", "link", "set", "wan", "down")
    scene.sleep(10)
    scene.on_client("ip", "link", "set", "wan", "up")


@case("wire", "the client's address changes", TRACEBACK, OK, options=HURRIED, wire=1.10)
def test_moved(scene: Scene) -> Script:
    nginx(scene)
    yield
    scene.at(3 * MB)
    scene.on_client("ip", "address", "delete", f"{CLIENT}/24", "dev", "wan")
    scene.on_client("ip", "address", "add", f"{MOVED}/24", "dev", "wan")


@case("router", "REJECT by ICMP for 10 s", TRACEBACK, OK, options=HURRIED)
def test_rejected(scene: Scene) -> Script:
    yield from blocked(scene, 10, "-j", "REJECT", "--reject-with", "icmp-host-unreachable")


@case("router", "REJECT by TCP resets for 10 s")
def test_rejected_by_resets(scene: Scene) -> Script:
    yield from blocked(scene, 10, "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")


@case("router", "DROP for 25 s", TRACEBACK, OK, options=HURRIED)
def test_dropped(scene: Scene) -> Script:
    yield from blocked(scene, 25, "-j", "DROP")


@case(
    "router",
    "MTU black hole over 1,000 bytes for 15 s",
    TRACEBACK,
    OK,
    options=HURRIED,
    wire=1.6,  # each third request has no Range, for that may be what the network loses
)
def test_black_hole(scene: Scene) -> Script:
    yield from blocked(scene, 15, "OUTPUT", "-m", "length", "--length", "1000:", "-j", "DROP")


@case(
    "router",
    "resets everything each 250 ms; nine files",
    packages=[Package(f"demo{number}", MB) for number in range(9)],
    rate=2 * MB,
    wire=1.35,  # what is under way at a reset is lost, of each 500 kB as much as the wire holds
)
def test_resets(scene: Scene) -> Script:
    nginx(scene)
    yield
    while True:
        scene.sleep(0.25)
        scene.reset()
        scene.strikes += 1


# --- names -----------------------------------------------------------------------------------

SERVFAIL = """
import socket
here = socket.socket(type=socket.SOCK_DGRAM)
here.bind(("", 53))
while True:
    query, client = here.recvfrom(512)
    here.sendto(query[:2] + b"\\x81\\x82" + query[4:], client)
"""


def dnsmasq(scene: Scene) -> Server:
    """Have names from a server, which reads them from a file."""
    scene.hosts.write_text("127.0.0.1 localhost\n")
    names = scene.folder / "names"
    names.write_text(f"{SERVER} index.example\n")
    return scene.serve(
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file", "--user=root"),
        *("--no-resolv", "--no-hosts", f"--addn-hosts={names}", "--local=/example/"),
        port=53,
    )


@case("DNS", "silent for 10 s after a reset")
def test_silent_names(scene: Scene) -> Script:
    nginx(scene)
    names = dnsmasq(scene)
    yield
    scene.at(3 * MB)
    names.send(signal.SIGSTOP)
    scene.reset()
    scene.sleep(10)
    names.send(signal.SIGCONT)


@case("DNS", "SERVFAIL for 10 s after a reset")
def test_failing_names(scene: Scene) -> Script:
    nginx(scene)
    names = dnsmasq(scene)
    yield
    scene.at(3 * MB)
    names.kill()
    failing = scene.serve(sys.executable, "-c", SERVFAIL, port=53)
    scene.reset()
    scene.sleep(10)
    failing.kill()
    names.start()


@case("DNS", "another address; the first is gone")
def test_another_address(scene: Scene) -> Script:
    nginx(scene)
    names = dnsmasq(scene)
    yield
    scene.at(3 * MB)
    (scene.folder / "names").write_text(f"{SECOND} index.example\n")
    names.send(signal.SIGHUP)
    gone = ("-p", "tcp", "-d", SERVER, "-j", "REJECT", "--reject-with", "tcp-reset")
    with scene.firewall(*gone):
        scene.over.wait()
