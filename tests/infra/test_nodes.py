"""haproxy, with two nginx behind it that do not agree."""

from __future__ import annotations

import os
import shutil

from tests.infra.cases import DEMO, Script, case
from tests.infra.nginx import nginx
from tests.support.downloads import GAVE_UP, HASH
from tests.support.lab.packages import Package
from tests.support.scenes import MB, Scene, Server

HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
frontend index
    bind :443 ssl crt {folder}/own.pem
    default_backend nodes
backend nodes
    balance roundrobin
    server one 127.0.0.1:8081
    server two 127.0.0.1:8082
"""


def haproxy(scene: Scene) -> tuple[Server, Server]:
    """Start two nodes, whose files are in scene.root and scene.folder/two, and what shares out."""
    two = scene.folder / "two"
    if not two.exists():
        shutil.copytree(scene.root, two)
    nodes = nginx(scene, port=8081), nginx(scene, port=8082, root=two)
    (scene.folder / "haproxy").write_text(HAPROXY.format(folder=scene.folder))
    scene.serve("haproxy", "-db", "-f", str(scene.folder / "haproxy"), port=443)
    return nodes


@case("haproxy", "two nodes, two ETags; a reset every 3 MB", HASH, GAVE_UP)
def test_other_etags(scene: Scene) -> Script:
    shutil.copytree(scene.root, scene.folder / "two")
    os.utime(scene.folder / "two" / "files" / "demo" / DEMO.filename, (0, 0))
    haproxy(scene)
    yield
    for _ in scene.each(3 * MB):
        scene.reset()


@case(
    "haproxy",
    "one node has half of the file; a reset",
    HASH,
    HASH,
    wire=1.6,  # what begins at the node with half of it may have to begin anew
)
def test_half_a_file(scene: Scene) -> Script:
    shutil.copytree(scene.root, scene.folder / "two")
    file = scene.folder / "two" / "files" / "demo" / DEMO.filename
    os.truncate(file, file.stat().st_size // 2)
    haproxy(scene)
    yield
    scene.at(3 * MB)
    scene.reset()


@case("haproxy", "one node is killed for good")
def test_one_node_left(scene: Scene) -> Script:
    nodes = haproxy(scene)
    yield
    scene.at(3 * MB)
    for node in nodes:
        node.kill()
    nodes[0].start()


@case("haproxy", "a reset every 4 MB", HASH, GAVE_UP, packages=[Package("demo", 36 * MB)])
def test_resets(scene: Scene) -> Script:
    haproxy(scene)
    yield
    for _ in scene.each(4 * MB):
        scene.reset()
