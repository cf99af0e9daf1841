"""Each row of docs/infra.md."""

from __future__ import annotations

import os
import shutil
import signal
from functools import partial
from typing import Callable

import pytest

from tests.infra.cases import DEMO, ENDLESS, Case, mistakes, play
from tests.infra.servers import (
    LOGIN,
    devpi,
    dnsmasq,
    haproxy,
    http_server,
    maintained,
    nginx,
    pypiserver,
    sliced,
    socks,
    squid,
)
from tests.support.certificates import SERVER
from tests.support.directories import CHECKOUT
from tests.support.downloads import GAVE_UP, HASH, NO_MATCH, OK, OTHER, TRACEBACK
from tests.support.environments import Environment
from tests.support.lab.packages import Package
from tests.support.matrix import NEWEST
from tests.support.mounts import mounted
from tests.support.scenes import CLIENT, MB, MOVED, SECOND, Scene, Server

DAY = 24 * 3600
FILE = f"files/demo/{DEMO.filename}"
PYTHONS = {"24.0": "3.12", NEWEST: "3.13"}
Strike = Callable[[Scene, Server], object]


# What strikes: a server


def away(seconds: float) -> Strike:
    return lambda scene, server: server.away(seconds)


def one_node_left(scene: Scene, server: Server) -> None:
    one, two, _ = scene.servers
    one.kill()
    two.kill()
    one.start()


def reload(scene: Scene, server: Server) -> None:
    server.send(signal.SIGHUP)


def reset(scene: Scene, server: Server) -> None:
    scene.reset()


def each(step: int, strike: Strike) -> Strike:
    """Strike now, and whenever so many bytes more were sent."""

    def strikes(scene: Scene, server: Server) -> None:
        while True:
            strike(scene, server)
            scene.at(scene.sent() + step)

    return strikes


def down(scene: Scene, server: Server) -> None:
    scene.on_client("ip", "link", "set", "wan", "down")
    scene.sleep(10)
    scene.on_client("ip", "link", "set", "wan", "up")


def moved(scene: Scene, server: Server) -> None:
    scene.on_client("ip", "address", "delete", f"{CLIENT}/24", "dev", "wan")
    scene.on_client("ip", "address", "add", f"{MOVED}/24", "dev", "wan")


def blocked(seconds: float, *rule: str) -> Strike:
    """Have the router obey a rule for some seconds."""

    def strike(scene: Scene, server: Server) -> None:
        with scene.firewall(*rule):
            scene.sleep(seconds)

    return strike


RESETS = ("-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")


def silent_names(scene: Scene, names: Server) -> None:
    names.send(signal.SIGSTOP)
    scene.reset()
    scene.sleep(10)
    names.send(signal.SIGCONT)


def another_address(scene: Scene, names: Server) -> None:
    (scene.folder / "names").write_text(f"{SECOND} index.example\n")
    names.send(signal.SIGHUP)
    blocked(60, "-d", SERVER, *RESETS)(scene, names)


def stopped_while_waiting(scene: Scene, server: Server) -> None:
    server.kill()
    scene.sleep(3)
    assert scene.pip
    scene.pip.send_signal(signal.SIGSTOP)
    scene.sleep(12)
    server.start()
    scene.pip.send_signal(signal.SIGCONT)


def clock_moved(seconds: int) -> Strike:
    def strike(scene: Scene, server: Server) -> None:
        (scene.folder / "clock").write_text(str(seconds))
        server.away(3)

    return strike


# What serves, beside tests/infra/servers.py


def behind(proxy: Callable[[Scene], Server], port: int = 443) -> Callable[[Scene], Server]:
    """An nginx, and then what stands before it, which is struck."""

    def serve(scene: Scene) -> Server:
        nginx(scene, port=port)
        return proxy(scene)

    return serve


def slow_behind_squid(scene: Scene) -> Server:
    squid(scene)
    return nginx(scene, server="limit_rate 4m;", port=80)


def squid_without_names(scene: Scene) -> Server:
    dnsmasq(scene)
    scene.names("127.0.0.1 localhost", "198.18.0.1 proxy.example")
    return squid(scene)


def two_etags(scene: Scene) -> Server:
    server = haproxy(scene)
    os.utime(scene.folder / "two" / FILE, (0, 0))
    return server


def half_a_file(scene: Scene) -> Server:
    server = haproxy(scene)
    os.truncate(scene.folder / "two" / FILE, len(DEMO.wheel()) // 2)
    return server


def without_hashes(scene: Scene) -> Server:
    page = scene.root / "simple" / "demo"
    shutil.rmtree(page)
    shutil.copytree(scene.root / "files" / "demo", page)
    return http_server(scene)


def small_disk(*variables: str) -> Callable[[Scene], Server]:
    """Have pip's directories of these names on a disk where half of the file has room."""

    def serve(scene: Scene) -> Server:
        disk = scene.stack.enter_context(mounted(scene.folder / "disk", "size=4m"))
        for name in variables:
            (disk / name).mkdir()
            scene.env[name] = disk / name
        return nginx(scene)

    return serve


# Not libfaketime: with it, the sleep of Python 3.11 and later ends at once.
CLOCK = """
import os, time
true = time.time
time.time = lambda: true() + float(open(os.environ["CLOCK"]).read())
"""


def clocked(scene: Scene) -> Server:
    (scene.folder / "clock").write_text("0")
    (scene.folder / "sitecustomize.py").write_text(CLOCK)
    scene.env.update(PYTHONPATH=scene.folder, CLOCK=scene.folder / "clock")
    return nginx(scene)


# How both plain pips end, the older first
STUCK, WRONG, NONE = (HASH, GAVE_UP), (HASH, HASH), (NO_MATCH, NO_MATCH)
CRASH = TRACEBACK, TRACEBACK

TRUSTED = ("--trusted-host", "index.example")
STATIC = ("--index-url", "http://index.example:8080/simple/", *TRUSTED)
TUNNEL = ("--proxy", "http://proxy.example:3128")
HTTP = ("--index-url", "http://index.example/simple/", *TRUSTED, *TUNNEL)
PROXY, SOCKS = "The proxy proxy.example:3128", "The proxy proxy.example:1080"
IMPATIENT = {"PIP_RETRY_PATCH_PATIENCE": "10"}
ICMP = ("-j", "REJECT", "--reject-with", "icmp-host-unreachable")
LARGE = ("OUTPUT", "-m", "length", "--length", "1000:", "-j", "DROP")

# A short outage is one for a pip that is in a hurry, and the new pip waits.
hurried = partial(Case, plain=(TRACEBACK, OK), options=("--timeout", "3"))
static = partial(Case, "http.server", options=STATIC, at=2 * MB, wire=1.6)  # read once more
by_http = partial(Case, "squid", options=HTTP, party=PROXY)
refused = partial(Case, "squid", error="The proxy answered, not the host", plain=NONE, within=15)
CASES = [
    Case(
        *("devpi", "a mirror, killed for 45 s", devpi, away(45), (None, GAVE_UP)),
        options=("--index-url", "http://index.example:3141/root/mirror/+simple/", *TRUSTED),
        wire=1.4,  # it has no part of a file that it has not fetched itself
        within=120,  # plain pip tries for some forty seconds
    ),
    Case("pypiserver", "killed for 12 s", pypiserver, away(12), options=STATIC),
    static("no ranges; killed for 12 s", http_server, away(12)),
    static("no ranges, no hashes; killed for 12 s", without_hashes, away(12), (OTHER, OK)),
    # The wire, the routers, the names
    hurried("wire", "down for 10 s", nginx, down),
    hurried("wire", "the client's address changes", nginx, moved, wire=1.1),
    hurried("router", "REJECT by ICMP for 10 s", nginx, blocked(10, *ICMP)),
    Case("router", "REJECT by TCP resets for 10 s", nginx, blocked(10, *RESETS)),
    hurried("router", "DROP for 25 s", nginx, blocked(25, "-j", "DROP")),
    hurried(
        *("router", "MTU black hole over 1,000 bytes for 15 s", nginx, blocked(15, *LARGE)),
        wire=1.6,  # each third request has no Range, for that may be what the network loses
    ),
    Case("DNS", "silent for 10 s after a reset", behind(dnsmasq), silent_names),
    Case("DNS", "another address; the first is gone", behind(dnsmasq), another_address),
    # The machine that pip runs on
    Case("disk", "the cache has 4 MB; a reset", small_disk("PIP_CACHE_DIR"), reset, at=2 * MB),
    Case("disk", "TMPDIR has 4 MB; a reset", small_disk("TMPDIR"), reset, CRASH, at=2 * MB),
    Case(
        *("disk", "the cache and TMPDIR share 4 MB", small_disk("TMPDIR", "PIP_CACHE_DIR")),
        plain=(OTHER, OTHER),
        error="No space left on device",
        party="",
        command=("install", "--target"),
        never=("network failed",),
    ),
    Case(
        *("process", "stopped for 12 s in a wait of at most 8 s", nginx, stopped_while_waiting),
        env={"PIP_RETRY_PATCH_PATIENCE": "8"},
    ),
    Case("clock", "a day forward; then no server for 3 s", clocked, clock_moved(DAY), (None, OK)),
    Case("clock", "a day back; then no server for 3 s", clocked, clock_moved(-DAY), (None, OK)),
    # nginx
    Case("nginx", "killed for 12 s", nginx, away(12)),
    Case("nginx", "reloaded every 2 MB", nginx, each(2 * MB, reload), rate=2 * MB, at=2 * MB),
    Case("nginx", "a maintenance page with status 200 for 6 s", maintained, away(6), WRONG),
    Case(
        *("nginx", "cached slices; the file gets another ETag", sliced),
        strike=lambda scene, server: os.utime(scene.root / FILE, (0, 0)),
        plain=STUCK,
        wire=2.2,  # nginx sends no answer where a cached slice is about to end: up to three replays
    ),
    Case(
        *("nginx", "10 B/s after 3 MB (limit_rate_after)"),
        partial(nginx, server="limit_rate_after 3m; limit_rate 10;"),
        plain=(None, ENDLESS),
        packages=[Package("demo", 5 * MB)],
        within=90,
    ),
    # haproxy, with two nginx behind it that do not agree
    Case(
        "haproxy", "two nodes, two ETags; a reset every 3 MB", two_etags, each(3 * MB, reset), STUCK
    ),
    Case(
        *("haproxy", "one node has half of the file; a reset", half_a_file, reset, WRONG),
        wire=1.6,  # what begins at the node with half of it may have to begin anew
    ),
    Case("haproxy", "one node is killed for good", haproxy, one_node_left),
    # squid and a SOCKS proxy, before an nginx that does not fail
    by_http("http; the server is killed for 6 s", slow_behind_squid, away(6)),
    by_http("http; killed for 12 s", behind(squid, 80), away(12)),
    by_http("CONNECT; killed for 12 s", behind(squid), away(12), options=TUNNEL),
    refused("http; wants a password (407)", behind(partial(squid, rules=LOGIN), 80), options=HTTP),
    refused("CONNECT; wants a password (407)", behind(partial(squid, rules=LOGIN)), options=TUNNEL),
    by_http(
        *("http; the index's name does not resolve", squid_without_names),
        plain=NONE,
        error=PROXY,
        within=40,
    ),
    Case("SOCKS", "killed for 12 s", socks, away(12), party=SOCKS),
    Case(
        *("SOCKS", "killed for good", socks, lambda scene, server: server.kill(), STUCK),
        error=SOCKS,
        party=SOCKS,
        env=IMPATIENT,
        within=40,
    ),
]


@pytest.mark.parametrize(
    ("case", "pip", "python"),
    [
        pytest.param(case, pip, PYTHONS[pip], id=f"{case.where}: {case.fault}, pip {pip}")
        for case in CASES
        for pip, end in zip(PYTHONS, case.plain)
        if end
    ],
)
def test_it_ends_as_the_page_says(
    case: Case, pip: str, armed: Environment, bare: Environment
) -> None:
    alone, guarded = play(case, bare), play(case, armed)
    wrong = [*mistakes(case, alone, guarded)]
    expected = dict(zip(PYTHONS, case.plain))[pip]
    if alone.end != expected:
        wrong.append(f"plain pip did not end with {expected!r}")
    assert not wrong, "\n".join([*wrong, "plain", str(alone), "product", str(guarded)])


def test_the_page_has_each_case() -> None:
    page = (CHECKOUT / "docs" / "infra.md").read_text("utf-8").replace(" ", "")
    assert [case.row for case in CASES if case.row not in page] == []
