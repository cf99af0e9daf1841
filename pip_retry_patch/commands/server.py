"""An unreliable package index on 127.0.0.1, for `selftest` and `status`."""

from __future__ import annotations

import collections
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
    (cut, and no connection is taken for some seconds).
    """

    kind: str
    after: int = 0
    seconds: float = 0.0


class Package(NamedTuple):
    """A package with one wheel.

    :param size: of the payload in the wheel, in bytes.
    :param faults: of the first answers that bring the wheel, `page_faults`: its page, in order.
    :param forever: the fault of each further answer that brings the wheel.
    """

    name: str
    size: int
    faults: Sequence[Fault] = ()
    page_faults: Sequence[Fault] = ()
    forever: Fault | None = None
    ranges: bool = True
    chunked: bool = False

    @property
    def filename(self) -> str:
        return f"{self.name.replace('-', '_')}-1.0-py3-none-any.whl"

    def wheel(self) -> bytes:
        """Return the file; it is the same each time."""
        written, info = io.BytesIO(), f"{self.name.replace('-', '_')}-1.0.dist-info"
        payload = random.Random(self.size).getrandbits(8 * self.size).to_bytes(self.size, "big")
        metadata = f"Metadata-Version: 2.1\nName: {self.name}\nVersion: 1.0\n"
        with zipfile.ZipFile(written, "w") as archive:
            archive.writestr(zipfile.ZipInfo("payload.bin"), payload)
            archive.writestr(zipfile.ZipInfo(f"{info}/METADATA"), metadata)
            archive.writestr(zipfile.ZipInfo(f"{info}/WHEEL"), "Wheel-Version: 1.0\n")
        return written.getvalue()


class Server(socketserver.ThreadingTCPServer):
    """Serves packages while it is entered. Raises OSError where it cannot listen.

    `sent`: how many bytes of a body were sent, by path.
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # Windows would share the port

    def __init__(self, packages: Sequence[Package]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.sent: collections.Counter[str] = collections.Counter()
        self.links: dict[str, str] = {}  # the path of each wheel, with its hash
        self.answers: dict[str, tuple[Package, bytes, list[Fault]]] = {}
        for package in packages:
            path, wheel = f"/{package.filename}", package.wheel()
            link = self.links[package.name] = f"{path}#sha256={hashlib.sha256(wheel).hexdigest()}"
            page = f"<!DOCTYPE html>\n<html><body>\n<a href='{link}'>{package.filename}</a>\n"
            self.answers[path] = package, wheel, list(package.faults)
            self.answers[f"/simple/{package.name}/"] = (
                package._replace(ranges=False, forever=None),
                f"{page}</body></html>\n".encode(),
                list(package.page_faults),
            )

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def leave(self, seconds: float) -> None:
        """Refuse connections for some seconds."""
        self.__exit__()
        threading.Timer(seconds, self._return).start()

    def _return(self) -> None:
        self.socket = socket.socket()
        self.server_bind()
        self.server_activate()
        self.__enter__()

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)  # without the FIN that would come before a reset

    def handle_error(self, *_: Any) -> None:
        pass  # the client has left


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: Any

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path not in self.server.answers:
            return self.send_error(404)
        package, data, faults = self.server.answers[self.path]
        fault = faults.pop(0) if faults else package.forever
        status, start, stop = 200, 0, len(data)
        headers = {"Content-Type": "text/html" if self.path[-1] == "/" else "application/zip"}
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if fault and fault.kind == "busy":
            status, stop, headers["Retry-After"] = 503, 0, str(int(fault.seconds))
        elif found and package.ranges and int(found[1]) < len(data):
            status, start, stop = 206, int(found[1]), min(int(found[2] or stop) + 1, stop)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        headers["Accept-Ranges"] = "bytes" if package.ranges else "none"
        if package.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(stop - start)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault:
            stop = min(stop, start + fault.after)
        for at in range(start, stop, 1 << 15):
            piece = data[at : min(at + (1 << 15), stop)]
            self.server.sent[self.path] += len(piece)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if package.chunked else piece)
        if fault and fault.kind != "busy":
            return self._strike(fault)
        if package.chunked:
            self.wfile.write(b"0\r\n\r\n")
        return None

    def _strike(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind == "stall":
            self.connection.recv(1)  # nothing comes until the client leaves
        if fault.kind == "away":
            self.server.leave(fault.seconds)
        if fault.kind == "reset":
            time.sleep(0.1)  # or the client's system throws away what it has not read yet
            now = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
