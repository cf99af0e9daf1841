"""nginx, as those set it up who run an index."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.infra import signing
from tests.infra.cases import DEMO, ENDLESS, Script, away, case
from tests.infra.nginx import nginx
from tests.support.downloads import GAVE_UP, HASH, OK, OTHER, REFUSED, TRACEBACK
from tests.support.lab.packages import Package
from tests.support.scenes import MB, Scene

BACKEND = "proxy_pass http://127.0.0.1:8080; proxy_buffering off;"


@case("nginx", "killed for 12 s")
def test_killed(scene: Scene) -> Script:
    server = nginx(scene)
    yield from away(scene, server, 12)


@case("nginx", "reloaded every 2 MB", rate=2 * MB)
def test_reloaded(scene: Scene) -> Script:
    server = nginx(scene)
    yield
    for _ in scene.each(2 * MB):
        server.send(signal.SIGHUP)


@case("nginx", "a maintenance page with status 200 for 6 s", HASH, HASH)
def test_maintenance(scene: Scene) -> Script:
    nginx(
        scene,
        server=f"error_page 502 504 =200 /maintenance.html; location /files/ {{ {BACKEND} }}",
    )
    (scene.root / "maintenance.html").write_text("<html><body>Back soon.</body></html>")
    backend = nginx(scene, port=8080)
    yield from away(scene, backend, 6)


SLICES = """location /files/ {
    slice 1m; proxy_cache slices; proxy_cache_valid 200 206 1h;
    proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range;
    proxy_http_version 1.1; proxy_pass http://127.0.0.1:8080;
}"""


def sliced(scene: Scene) -> Path:
    """Serve by slices that nginx caches, and return the path of the file behind it."""
    nginx(scene, f"proxy_cache_path {scene.folder}/slices keys_zone=slices:1m;", SLICES)
    nginx(scene, port=8080)
    return scene.root / "files" / "demo" / DEMO.filename


@case(
    "nginx",
    "cached slices; the file gets another ETag",
    HASH,
    GAVE_UP,
    wire=2.2,  # nginx sends no answer where a cached slice is about to end: up to three replays
)
def test_slices(scene: Scene) -> Script:
    file = sliced(scene)
    yield
    scene.at(3 * MB)
    os.utime(file, (0, 0))


@case(
    "nginx",
    "cached slices; the file is replaced",
    None,
    GAVE_UP,
    error="demo-1.0-py3-none-any.whl stopped at",
    within=120,
    wire=4,  # each whole answer is one of the old version, and breaks where that is not cached
)
def test_slices_of_two_versions(scene: Scene) -> Script:
    sliced(scene)
    yield
    scene.at(3 * MB)
    scene.publish(Package("demo", 9 * MB))


SIGNED = """location /signed/ {
    alias %s/files/; secure_link $arg_md5,$arg_expires;
    secure_link_md5 "$secure_link_expires$uri secret";
    if ($secure_link = "") { return 403; }
    if ($secure_link = "0") { return 410; }
}
location %s { proxy_pass http://127.0.0.1:8081; }"""


def signing_nginx(scene: Scene, where: str) -> Script:
    server = nginx(scene, server=SIGNED % (scene.root, where))
    scene.serve(sys.executable, signing.__file__, str(scene.root), port=8081)
    yield
    scene.at(4 * MB)
    server.away(1)


@case("nginx", "redirects to links that expire after 3 s (secure_link); restarted", rate=MB)
def test_expiring_redirects(scene: Scene) -> Script:
    yield from signing_nginx(scene, "/files/")


@case("nginx", "a page of links that expire after 3 s; restarted", HASH, REFUSED, rate=MB)
def test_expiring_links(scene: Scene) -> Script:
    yield from signing_nginx(scene, "/simple/demo/")


@case("nginx", "a request every 2 s, else 429 (limit_req)", OTHER, OTHER)
def test_limited_requests(scene: Scene) -> Script:
    nginx(
        scene,
        "limit_req_zone $binary_remote_addr zone=one:1m rate=30r/m; limit_req_status 429;",
        "limit_req zone=one;",
    )
    yield


@case(
    "nginx",
    "one connection a client (limit_conn); a lost one counts for 8 s",
    TRACEBACK,
    OK,
    options=("--timeout", "3"),
)
def test_limited_connections(scene: Scene) -> Script:
    nginx(
        scene,
        "limit_conn_zone $binary_remote_addr zone=one:1m; send_timeout 8s;",
        "limit_conn one 1;",
    )
    yield
    scene.at(3 * MB)
    scene.lose_connections()


@case(
    "nginx",
    "10 B/s after 3 MB (limit_rate_after)",
    None,
    ENDLESS,
    packages=[Package("demo", 5 * MB)],
    within=90,
)
def test_limited_rate(scene: Scene) -> Script:
    nginx(scene, server="limit_rate_after 3m; limit_rate 10;")
    yield
