"""A proxy that scans files: run with the seconds for which it holds one back."""

from __future__ import annotations

import http.server
import sys
import time
import urllib.request


class Scanner(http.server.BaseHTTPRequestHandler):
    """Fetches whole what is asked of it, and scans it, before it answers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kept = {key: value for key, value in self.headers.items() if key in ("Accept", "Range")}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(self.path, headers=kept)) as answer:
            body = answer.read()
        if self.path.endswith(".whl"):
            time.sleep(float(sys.argv[1]))
        self.send_response(answer.status)
        for name in ("Content-Type", "Content-Range", "ETag", "Last-Modified", "Accept-Ranges"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", 3128), Scanner).serve_forever()
