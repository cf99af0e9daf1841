"""Real servers and proxies, as those set them up who run an index."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
from pathlib import Path

from tests.support.certificates import SERVER, certificates
from tests.support.directories import STORE, made_once
from tests.support.programs import ours
from tests.support.scenes import Scene, Server
from tests.support.supplies import wheelhouse

# An index that knows JSON (PEP 691) and metadata (PEP 658).
NGINX = """
user root; daemon off; pid {folder}/{port}.pid; error_log {folder}/{port}.errors;
worker_processes 1; worker_shutdown_timeout 1s;
events {{}}
http {{
    access_log {folder}/{port}.access;
    default_type application/octet-stream;
    types {{ text/html html; application/vnd.pypi.simple.v1+json json; }}
    map $http_accept $page {{
        default index.html;
        "~application/vnd.pypi.simple.v1.json" index.json;
    }}
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {own}; ssl_certificate_key {own};
    {http}
    server {{
        listen {port}{tls}; root {root};
        location /simple/ {{ try_files $uri$page =404; }}
        {server}
    }}
}}
"""


def nginx(
    scene: Scene, http: str = "", server: str = "", port: int = 443, root: Path | None = None
) -> Server:
    """Serve the files of a scene: on port 443 by TLS, on 80 without, on any other for a proxy.

    What a proxy gets has a limit, so that it cannot have the file before its client has.

    :param http: and `server`: directives, each for the block of that name.
    """
    file = scene.folder / f"{port}.conf"
    tls = " ssl" if port == 443 else ""
    server += "" if port in (80, 443) else "limit_rate 4m;"
    more = {"root": root or scene.root, "http": http, "server": server, "tls": tls}
    more.update(folder=scene.folder, port=port, own=certificates().own_pem)
    file.write_text(NGINX.format(**more))
    errors = str(scene.folder / f"{port}.errors")
    return scene.serve("nginx", "-c", str(file), "-e", errors, port=port)


def maintained(scene: Scene) -> Server:
    """Serve a page for people, with status 200, where the nginx behind is away."""
    backend = "proxy_pass http://127.0.0.1:8080; proxy_buffering off;"
    failing = "error_page 502 504 =200 /maintenance.html;"
    nginx(scene, server=f"{failing} location /files/ {{ {backend} }}")
    (scene.root / "maintenance.html").write_text("<html><body>Back soon.</body></html>")
    return nginx(scene, port=8080)


SLICES = """location /files/ {
    slice 1m; proxy_cache slices; proxy_cache_valid 200 206 1h;
    proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range;
    proxy_http_version 1.1; proxy_pass http://127.0.0.1:8080;
}"""


def sliced(scene: Scene) -> Server:
    """Serve by slices, which nginx caches, of the file behind it."""
    nginx(scene, f"proxy_cache_path {scene.folder}/slices keys_zone=slices:1m;", SLICES)
    return nginx(scene, port=8080)


HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
frontend index
    bind :443 ssl crt {own}
    default_backend nodes
backend nodes
    balance roundrobin
    server one 127.0.0.1:8081
    server two 127.0.0.1:8082
"""


def haproxy(scene: Scene) -> Server:
    """Start two nodes, whose files are in scene.root and scene.folder/two, and what shares out."""
    two = scene.folder / "two"
    shutil.copytree(scene.root, two)
    nginx(scene, port=8081)
    nginx(scene, port=8082, root=two)
    (scene.folder / "haproxy").write_text(HAPROXY.format(own=certificates().own_pem))
    return scene.serve("haproxy", "-db", "-f", str(scene.folder / "haproxy"), port=443)


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
LOGIN = """
auth_param basic program /usr/lib/squid/basic_ncsa_auth /dev/null
acl known proxy_auth REQUIRED
http_access allow known
"""


def squid(scene: Scene, rules: str = "http_access allow all") -> Server:
    file = scene.folder / "squid"
    file.write_text(SQUID.format(rules=rules))
    name = re.sub(r"\W|_", "", scene.folder.name)  # of what it shares in memory
    scene.stack.callback(lambda: [*map(os.unlink, glob.glob(f"/dev/shm/{name}-*"))])
    return scene.serve("squid", "-n", name, "-N", "-d", "1", "-f", str(file), port=3128)


def socks(scene: Scene) -> Server:
    """Start a SOCKS proxy, and give pip what it needs to use one."""
    (wheel,) = wheelhouse("3.12", "PySocks").glob("PySocks-*.whl")
    scene.env.update(PYTHONPATH=wheel, PIP_PROXY="socks5h://proxy.example:1080")
    nginx(scene)
    return scene.serve("microsocks", "-p", "1080", port=1080)


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


def devpi(scene: Scene) -> Server:
    """Have a mirror of the index; devpi is installed once for all runs."""
    target, data = STORE / "tools" / "devpi", str(scene.folder / "devpi")
    with made_once(target) as directory:
        if directory:
            ours("venv", directory)
            ours("pip", "--python", directory, "install", "--quiet", "devpi-server")
    nginx(scene, port=8080)
    told = ("--serverdir", data, "--no-root-pypi", "--root-passwd", "secret")
    scene.on_servers(str(target / "bin" / "devpi-init"), *told)
    command = (str(target / "bin" / "devpi-server"), "--serverdir", data, "--host", "0.0.0.0")
    server = scene.serve(*command, port=3141)
    scene.on_servers(sys.executable, "-c", MIRROR)
    return server


def pypiserver(scene: Scene) -> Server:
    files = str(scene.root / "files" / "demo")
    return scene.serve(sys.executable, "-m", "pypiserver", "run", "-p", "8080", files, port=8080)


def http_server(scene: Scene) -> Server:
    where = ("-m", "http.server", "8080", "--directory", str(scene.root))
    return scene.serve(sys.executable, *where, port=8080)
