"""Programs that are an index: devpi, pypiserver, and Python's own http.server."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.infra.cases import Script, away, case
from tests.infra.nginx import nginx
from tests.support.directories import STORE, made_once
from tests.support.downloads import GAVE_UP, OK, OTHER
from tests.support.programs import ours
from tests.support.scenes import Scene

TRUSTED = ("--trusted-host", "index.example")

MIRROR = """
import base64, json, urllib.request

def put(path, token="", **told):
    request = urllib.request.Request("http://127.0.0.1:3141" + path, json.dumps(told).encode())
    request.method = "PUT" if token else "POST"
    request.add_header("Content-Type", "application/json")
    request.add_header("X-Devpi-Auth", base64.b64encode(b"root:" + token.encode()).decode())
    return json.load(urllib.request.urlopen(request))

token = put("/+login", user="root", password="secret")["result"]["password"]
put("/root/mirror", token, type="mirror", mirror_no_project_list=True,
    mirror_url="http://127.0.0.1:8080/simple/")
"""


def devpi_programs() -> Path:
    """Install devpi, once for all runs, in a Python of its own."""
    target = STORE / "tools" / "devpi"
    with made_once(target) as directory:
        if directory:
            ours("venv", directory)
            ours("pip", "--python", directory, "install", "--quiet", "devpi-server")
    return target / "bin"


@case(
    "devpi",
    "a mirror, killed for 45 s",
    None,
    GAVE_UP,
    options=("--index-url", "http://index.example:3141/root/mirror/+simple/", *TRUSTED),
    wire=1.4,  # it has no part of a file that it has not fetched itself
    within=120,
)
def test_devpi(scene: Scene) -> Script:
    programs, data = devpi_programs(), str(scene.folder / "devpi")
    nginx(scene, port=8080)
    told = ("--serverdir", data, "--no-root-pypi", "--root-passwd", "secret")
    scene.on_servers(str(programs / "devpi-init"), *told)
    command = (str(programs / "devpi-server"), "--serverdir", data, "--host", "0.0.0.0")
    server = scene.serve(*command, port=3141)
    scene.on_servers(sys.executable, "-c", MIRROR)
    yield from away(scene, server, 45)  # plain pip tries for some forty seconds


@case(
    "pypiserver",
    "killed for 12 s",
    options=("--index-url", "http://index.example:8080/simple/", *TRUSTED),
)
def test_pypiserver(scene: Scene) -> Script:
    files = str(scene.root / "files" / "demo")
    server = scene.serve(sys.executable, "-m", "pypiserver", "run", "-p", "8080", files, port=8080)
    yield from away(scene, server, 12)


def http_server(scene: Scene) -> Script:
    where = ("-m", "http.server", "8080", "--directory", str(scene.root))
    server = scene.serve(sys.executable, *where, port=8080)
    yield from away(scene, server, 12)


STATIC = ("--index-url", "http://index.example:8080/simple/", *TRUSTED)


@case(
    "http.server",
    "no ranges; killed for 12 s",
    options=STATIC,
    wire=1.6,  # what had arrived is read again
)
def test_http_server(scene: Scene) -> Script:
    yield from http_server(scene)


@case("http.server", "no ranges, no hashes; killed for 12 s", OTHER, OK, options=STATIC, wire=1.6)
def test_http_server_without_hashes(scene: Scene) -> Script:
    page = scene.root / "simple" / "demo"
    shutil.rmtree(page)
    shutil.copytree(scene.root / "files" / "demo", page)
    yield from http_server(scene)
