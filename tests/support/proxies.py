"""A proxy that cuts connections: what a bad network does to real servers.

It forwards bytes as they are, so that what is cut may well be TLS. One thread serves one
connection, with select, because a reset only leaves a socket that no other thread is reading.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import socketserver
import threading
import time
from collections import Counter

from tests.support.hosts import RESET, listening

CHUNK = 16 * 1024
IDLE_SECONDS = 60  # a connection on which nothing happens is closed, so that no test hangs
SETTLE_SECONDS = 0.2  # a reset throws away what is still under way: let it arrive first


class CuttingConnectProxy:
    """An HTTP proxy whose tunnels, by CONNECT, are cut after so many bytes downstream.

    `after` is in bytes, None never cuts. They are cut by FIN and by RST in turn. Used as a context
    manager; then `port` is known. `downstream` (bytes sent to clients) is counted for each server
    address, `cuts` in all.
    """

    def __init__(self, *, after: int | None = None) -> None:
        self.after = after
        self.cuts = 0
        self.downstream: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> CuttingConnectProxy:
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):  # a peer that left is no error here
                    proxy.serve(self.request)

        self.port = self._stack.enter_context(listening(Handler))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def destination(self, client: socket.socket) -> tuple[str, int] | None:
        """Read the CONNECT request and agree to it (RFC 9110, section 9.3.6)."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = client.recv(1)  # not one byte of what follows belongs to the head
            if not byte:
                return None
            head += byte
        match = re.match(rb"CONNECT ([^ ]+):(\d+) HTTP/1\.[01]\r\n", head)
        if not match:
            client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return None
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return match[1].decode("ascii").strip("[]"), int(match[2])

    def serve(self, client: socket.socket) -> None:
        client.settimeout(IDLE_SECONDS)
        # A small buffer: what was sent but not read when the cut comes is hardly anything.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * CHUNK)
        target = self.destination(client)
        if target is not None:
            with socket.create_connection(target, timeout=IDLE_SECONDS) as server:
                self.forward(client, server, target)

    def limit(self) -> int | None:
        return self.after

    def forward(self, client: socket.socket, server: socket.socket, name: tuple[str, int]) -> None:
        """Copy both ways until one side closes, nothing happens, or the cut is due."""
        sent, after = 0, self.limit()
        while readable := select.select([client, server], [], [], IDLE_SECONDS)[0]:
            if client in readable:
                upstream = client.recv(CHUNK)
                if not upstream:
                    return
                server.sendall(upstream)
            if server in readable:
                data = server.recv(CHUNK if after is None else max(1, min(CHUNK, after - sent)))
                if not data:
                    return
                with self._lock:
                    self.downstream[name] += len(data)
                client.sendall(data)
                sent += len(data)
                if after is not None and sent >= after:
                    self.cut(client)
                    return

    def cut(self, client: socket.socket) -> None:
        with self._lock:
            how = ("fin", "rst")[self.cuts % 2]
            self.cuts += 1
        self.end(client, how)

    def end(self, client: socket.socket, how: str) -> None:
        """End a client's connection by "fin" or "rst"; with "stall" leave that to the client."""
        if how == "rst":
            time.sleep(SETTLE_SECONDS)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            return
        if how == "fin":
            client.shutdown(socket.SHUT_WR)
        # To close a socket with unread input would send RST: read until the client closes too.
        client.settimeout(5 if how == "fin" else IDLE_SECONDS)
        with contextlib.suppress(OSError):
            while client.recv(CHUNK):
                pass
