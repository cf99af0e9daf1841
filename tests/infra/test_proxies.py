"""squid, a SOCKS proxy, and a proxy that scans, before an nginx that does not fail."""

from __future__ import annotations

import glob
import os
import re
import sys

from tests.infra import holding
from tests.infra.cases import Script, away, case
from tests.infra.nginx import nginx
from tests.infra.test_link import dnsmasq
from tests.support.downloads import GAVE_UP, HASH, NO_MATCH, OTHER, TRACEBACK
from tests.support.scenes import MB, Scene, Server
from tests.support.supplies import wheelhouse

SQUID = """
http_port 3128
visible_hostname proxy.example
pid_filename none
cache_effective_user proxy
cache_log /dev/null
access_log none
cache deny all
pinger_enable off
{rules}
"""
ALL = "http_access allow all"
LOGIN = """
auth_param basic program /usr/lib/squid/basic_ncsa_auth /dev/null
acl known proxy_auth REQUIRED
http_access allow known
"""
TUNNEL = ("--proxy", "http://proxy.example:3128")
HTTP = ("--index-url", "http://index.example/simple/", "--trusted-host", "index.example", *TUNNEL)
PROXY = "The proxy proxy.example:3128"
THROUGH = "index.example through the proxy proxy.example:3128"  # either may be slow


def squid(scene: Scene, rules: str = ALL) -> Server:
    file = scene.folder / "squid"
    file.write_text(SQUID.format(rules=rules))
    name = re.sub(r"\W|_", "", scene.folder.name)  # of what it shares in memory
    scene.stack.callback(lambda: [*map(os.unlink, glob.glob(f"/dev/shm/{name}-*"))])
    return scene.serve("squid", "-n", name, "-N", "-d", "1", "-f", str(file), port=3128)


@case("squid", "http; the server is killed for 6 s", options=HTTP, party=PROXY)
def test_server_behind_squid(scene: Scene) -> Script:
    server = nginx(scene, server="limit_rate 4m;", port=80)
    squid(scene)
    yield from away(scene, server, 6)


@case("squid", "http; killed for 12 s", options=HTTP, party=PROXY)
def test_squid_killed(scene: Scene) -> Script:
    nginx(scene, port=80)
    proxy = squid(scene)
    yield from away(scene, proxy, 12)


@case("squid", "CONNECT; killed for 12 s", options=TUNNEL, party=PROXY)
def test_tunnel_killed(scene: Scene) -> Script:
    nginx(scene)
    proxy = squid(scene)
    yield from away(scene, proxy, 12)


@case(
    "squid",
    "http; wants a password (407)",
    NO_MATCH,
    NO_MATCH,
    options=HTTP,
    error="The proxy answered, not the host",
    within=15,
)
def test_password(scene: Scene) -> Script:
    nginx(scene, port=80)
    squid(scene, LOGIN)
    yield


@case(
    "squid",
    "CONNECT; wants a password (407)",
    NO_MATCH,
    NO_MATCH,
    options=TUNNEL,
    error="The proxy answered, not the host",
    within=15,
)
def test_password_of_a_tunnel(scene: Scene) -> Script:
    nginx(scene)
    squid(scene, LOGIN)
    yield


@case(
    "squid",
    "http; the index's name does not resolve",
    NO_MATCH,
    NO_MATCH,
    options=HTTP,
    error=PROXY,
    party=PROXY,
    within=40,
)
def test_unknown_name(scene: Scene) -> Script:
    dnsmasq(scene)
    scene.names("127.0.0.1 localhost", "198.18.0.1 proxy.example")
    squid(scene)
    yield


# --- SOCKS -----------------------------------------------------------------------------------


def socks(scene: Scene) -> Server:
    """Start a SOCKS proxy, and give pip what it needs to use one."""
    (wheel,) = wheelhouse("3.12", "PySocks").glob("PySocks-*.whl")
    scene.env.update(PYTHONPATH=wheel, PIP_PROXY="socks5h://proxy.example:1080")
    nginx(scene)
    return scene.serve("microsocks", "-p", "1080", port=1080)


@case("SOCKS", "killed for 12 s", party="The proxy proxy.example:1080")
def test_socks_killed(scene: Scene) -> Script:
    proxy = socks(scene)
    yield from away(scene, proxy, 12)


@case(
    "SOCKS",
    "killed for good",
    HASH,
    GAVE_UP,
    error="The proxy proxy.example:1080",
    party="The proxy proxy.example:1080",
    env={"PIP_RETRY_PATCH_PATIENCE": "10"},
    within=40,
)
def test_socks_gone(scene: Scene) -> Script:
    proxy = socks(scene)
    yield
    scene.at(3 * MB)
    proxy.kill()


# --- a proxy that scans ----------------------------------------------------------------------


@case(
    "scanner",
    "holds the file for 5 s; --timeout is 2",
    TRACEBACK,
    OTHER,
    options=(*HTTP, "--timeout", "2"),
    party=THROUGH,
)
def test_held(scene: Scene) -> Script:
    nginx(scene, port=80)
    scene.serve(sys.executable, holding.__file__, "5", port=3128)
    yield


@case(
    "scanner",
    "holds the file for a minute; --timeout is 2",
    TRACEBACK,
    OTHER,
    options=(*HTTP, "--timeout", "2"),
    error="--timeout",
    party=THROUGH,
    env={"PIP_RETRY_PATCH_PATIENCE": "10"},
)
def test_held_for_long(scene: Scene) -> Script:
    nginx(scene, port=80)
    scene.serve(sys.executable, holding.__file__, "60", port=3128)
    yield
