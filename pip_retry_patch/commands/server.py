"""An unreliable package index on 127.0.0.1, for `selftest` and `status`."""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import socket
import socketserver
import struct
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple, Sequence


class Fault(NamedTuple):
    """What happens to one answer, after so many bytes of its body.

    `kind`: "busy" (it is 503), "cut", "reset", "stall" (silence until the client leaves) or "away"
    (cut, and each connection is closed without an answer for some seconds).
    """

    kind: str
    after: int = 0
    seconds: float = 0.0


class Package(NamedTuple):
    """A package with one wheel.

    :param size: of the payload in the wheel, in bytes.
    :param faults: of the first answers that bring the wheel, `page_faults`: its page, in order.
    """

    name: str
    size: int
    faults: Sequence[Fault] = ()
    page_faults: Sequence[Fault] = ()
    ranges: bool = True
    chunked: bool = False

    @property
    def filename(self) -> str:
        return f"{self.name.replace('-', '_')}-1.0-py3-none-any.whl"

    @property
    def link(self) -> str:
        """The path of the wheel, with its hash."""
        return f"/{self.filename}#sha256={hashlib.sha256(self.wheel()).hexdigest()}"

    def wheel(self) -> bytes:
        """Return the file; it is the same each time."""
        payload = random.Random(self.size).getrandbits(8 * self.size).to_bytes(self.size, "big")
        metadata = f"Metadata-Version: 2.1\nName: {self.name}\nVersion: 1.0\n"
        folder = f"{self.name.replace('-', '_')}-1.0.dist-info"
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            archive.writestr(zipfile.ZipInfo("payload.bin"), payload)
            archive.writestr(zipfile.ZipInfo(f"{folder}/METADATA"), metadata)
            archive.writestr(zipfile.ZipInfo(f"{folder}/WHEEL"), "Wheel-Version: 1.0\n")
        return written.getvalue()


class Server(socketserver.ThreadingTCPServer):
    """Serves a package while it is entered. Raises OSError where it cannot listen.

    `sent`: how many bytes of bodies were sent. `away`: until when nobody is answered.
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # Windows would share the port

    def __init__(self, package: Package) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.index = f"{self.url}/simple/"
        self.package, self.sent, self.away = package, 0, 0.0
        link = f"<a href='{package.link}'>{package.filename}</a>"
        page = f"<!DOCTYPE html>\n<html><body>\n{link}\n</body></html>\n".encode()
        self.answers = {
            f"/simple/{package.name}/": (page, list(package.page_faults)),
            f"/{package.filename}": (package.wheel(), list(package.faults)),
        }

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def verify_request(self, *_: Any) -> bool:
        return time.monotonic() >= self.away

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)  # without the FIN that would come before a reset

    def handle_error(self, *_: Any) -> None:
        pass  # the client has left


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path not in self.server.answers:
            return self.send_error(404)
        package, (data, faults) = self.server.package, self.server.answers[self.path]
        fault = faults.pop(0) if faults else Fault("none", len(data))
        if fault.kind == "busy":
            return self._begin(503, {"Retry-After": int(fault.seconds), "Content-Length": 0})
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and package.ranges else 0
        headers: dict[str, Any] = {"Content-Length": len(data) - start}
        if package.chunked:
            headers = {"Transfer-Encoding": "chunked"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        headers["Content-Type"] = "text/html" if self.path[-1] == "/" else "application/zip"
        self._begin(206 if start else 200, headers)
        piece = data[start : start + fault.after]
        self.server.sent += len(piece)
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if package.chunked else piece)
        if fault.kind != "none":
            self._break_off(fault)
        elif package.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _begin(self, status: int, headers: dict[str, Any]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def _break_off(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind == "stall":
            self.connection.recv(1)  # nothing comes until the client leaves
        if fault.kind == "away":
            self.server.away = time.monotonic() + fault.seconds
        if fault.kind == "reset":
            time.sleep(0.1)  # or the client's system throws away what it has not read yet
            now = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
