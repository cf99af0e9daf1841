"""Gives out links that nginx honours for three seconds (secure_link); run with a scene's root."""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import sys
import time
from pathlib import Path


def signed(path: str) -> str:
    expires = int(time.time()) + 3
    digest = hashlib.md5(f"{expires}{path} secret".encode()).digest()
    return f"{path}?md5={base64.urlsafe_b64encode(digest).decode().rstrip('=')}&expires={expires}"


class Signer(http.server.BaseHTTPRequestHandler):
    """Answers /files/… with a redirect to such a link, and /simple/… with a page of such links."""

    def do_GET(self) -> None:
        if self.path.startswith("/files/"):
            self.send_response(302)
            self.send_header("Location", signed(self.path.replace("/files/", "/signed/")))
            self.end_headers()
            return
        page = Path(sys.argv[1], self.path.strip("/"), "index.html").read_text()
        page = re.sub(r' data-\S+="\S+"', "", page)  # a signed link has no metadata beside it
        page = re.sub(r'"/files/([^"#]+)', lambda link: f'"{signed("/signed/" + link[1])}', page)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", 8081), Signer).serve_forever()
