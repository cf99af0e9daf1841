"""A proxy that cuts connections: what a bad network does to real servers.

It forwards bytes as they are, so that what is cut may well be TLS. One thread serves one
connection, with select, because a reset only leaves a socket that no other thread is reading.
"""

from __future__ import annotations

import contextlib
import http.server
import itertools
import select
import socket
import threading
import time
from collections import Counter

from tests.support.hosts import RESET, listening

CHUNK = 16 * 1024
IDLE_SECONDS = 60  # a connection on which nothing happens is closed, so that no test hangs
SETTLE_SECONDS = 0.2  # a reset throws away what is still under way: let it arrive first


class CuttingConnectProxy:
    """An HTTP proxy, a context manager, whose tunnels are cut after so many bytes downstream.

    `downstream` (bytes sent to clients) is counted for each server address, `struck` for each way
    in which a tunnel was ended.

    :param refuses: two of three CONNECTs are answered with 407.
    """

    def __init__(self, after: int | None = None, refuses: bool = False) -> None:
        self._after, self._refuses = after, refuses
        self.struck: Counter[str] = Counter()
        self.downstream: Counter[tuple[str, int]] = Counter()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()

    def fate(self, number: int) -> tuple[str, int | None]:
        """Say how the tunnel of this number ends, and after how many bytes; None: not by us.

        By "fin", by "rst", by "stall": nothing more comes, and the client has to leave; or it does
        not even begin, "drop".
        """
        return ("fin", "rst")[number % 2], self._after

    def __enter__(self) -> CuttingConnectProxy:
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            rbufsize = 0  # not one byte of what follows belongs to the head

            def do_CONNECT(self) -> None:
                with contextlib.suppress(OSError):  # a peer that left is no error here
                    proxy._serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self.url = f"http://127.0.0.1:{self._stack.enter_context(listening(Handler))}"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        client, (host, _, port) = handler.connection, handler.path.rpartition(":")
        number = next(self._numbers)
        if self._refuses and number % 3:
            handler.send_error(407)
            return
        how, after = self.fate(number)
        if how != "drop":
            client.settimeout(IDLE_SECONDS)
            # A small buffer: what was sent but not read when the cut comes is hardly anything.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * CHUNK)
            handler.send_response(200)
            handler.end_headers()
            with socket.create_connection((host, int(port)), timeout=IDLE_SECONDS) as server:
                if not self._forward(client, server, (host, int(port)), after):
                    return
        with self._lock:
            self.struck[how] += 1
        self._end(client, how)

    def _forward(
        self, client: socket.socket, server: socket.socket, name: tuple[str, int], after: int | None
    ) -> bool:
        """Copy both ways until one side closes, nothing happens, or, True, the end is due."""
        sent = 0
        while readable := select.select([client, server], [], [], IDLE_SECONDS)[0]:
            if client in readable:
                upstream = client.recv(CHUNK)
                if not upstream:
                    return False
                server.sendall(upstream)
            if server in readable:
                data = server.recv(CHUNK if after is None else max(1, min(CHUNK, after - sent)))
                if not data:
                    return False
                with self._lock:
                    self.downstream[name] += len(data)
                client.sendall(data)
                sent += len(data)
                if after is not None and sent >= after:
                    return True
        return False

    def _end(self, client: socket.socket, how: str) -> None:
        if how == "rst":
            time.sleep(SETTLE_SECONDS)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif how != "drop":
            if how == "fin":
                client.shutdown(socket.SHUT_WR)
            # To close it with unread input would send RST: read until the client closes too.
            client.settimeout(5 if how == "fin" else IDLE_SECONDS)
            while client.recv(CHUNK):
                pass
