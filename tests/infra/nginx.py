"""nginx with the files of a scene, as an index that knows JSON (PEP 691) and metadata (PEP 658)."""

from __future__ import annotations

from pathlib import Path

from tests.support.scenes import Scene, Server

CONFIGURATION = """
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
    ssl_certificate {folder}/own.pem; ssl_certificate_key {folder}/own.pem;
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
    file.write_text(CONFIGURATION.format(folder=scene.folder, port=port, **more))
    errors = str(scene.folder / f"{port}.errors")
    return scene.serve("nginx", "-c", str(file), "-e", errors, port=port)
