"""The unreliable index: on loopback, and it breaks what it serves on a written schedule.

    with Lab([Package("big", size=3_000_000, faults=[Cut(1_000_000), None, Reset(5)])]) as lab:
        ...  # pip download --index-url lab.index_url big
        assert lab.sent("big") == len(lab.wheel("big"))

`selftest` and the tests run pip against it. It speaks HTTP/1.1 from sockets upward, because a
well-kept server library would not send what a bad server sends. It logs what was really sent.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from typing import Iterable, final

from tests.support.lab.connection import Connection
from tests.support.lab.packages import Kind, Package, normalize
from tests.support.lab.site import Request, Site


@final
class Lab:
    """The unreliable index. A context manager; `start` and `close` do the same by hand.

    `tls`: a server-side context; the index then speaks HTTPS. `rate`: bytes per second, for each
    response. `handshakes`: how the first TLS connections end, one after the other: "cut", "reset",
    "stall", or None where nothing happens. `host`: the name that stands in `url`. `address`: where
    to listen; loopback unless a client shall come over another link. Requests with an absolute URL,
    as a plain HTTP proxy gets them, are answered too.

    Raises ValueError for two packages of one name, and for `Garble` without TLS.
    """

    def __init__(
        self,
        packages: Iterable[Package],
        *,
        tls: ssl.SSLContext | None = None,
        rate: int | None = None,
        handshakes: Iterable[str | None] = (),
        host: str = "127.0.0.1",
        address: str = "127.0.0.1",
    ) -> None:
        self.tls, self.rate, self.host, self.address = tls, rate, host, address
        self._handshakes = list(handshakes)
        self.errors: list[Exception] = []  # what went wrong in the lab itself
        self.site = Site(packages)
        for package in self.site.packages.values():
            if tls is None and package.needs_tls():
                raise ValueError(f"{package.name}: one of its faults needs TLS")
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._leave_for = 0.0
        self._left = threading.Event()
        self._port = 0

    # What a test asks for

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self._port}"

    @property
    def index_url(self) -> str:
        return f"{self.url}/simple/"

    @property
    def log(self) -> list[Request]:
        """All requests so far; one that is being answered counts the piece under way."""
        return self.site.log()

    def requests(self, name: str | None = None, kind: Kind | None = None) -> list[Request]:
        """The requests for one package, of one kind, or both."""
        wanted = None if name is None else normalize(name)
        return [
            request
            for request in self.log
            if wanted in (None, request.package) and kind in (None, request.kind)
        ]

    def sent(self, name: str) -> int:
        """How many body bytes of the artifact were really sent, by all responses together."""
        return sum(request.sent for request in self.requests(name, "artifact"))

    def wheel(self, name: str) -> bytes:
        return self.site.file(normalize(name))[0]

    def sha256(self, name: str) -> str:
        return self.site.file(normalize(name))[1]

    def filename(self, name: str) -> str:
        return self.site.packages[normalize(name)].filename

    def wait_idle(self, timeout: float = 5.0) -> bool:
        """Wait until no request is being answered; False after `timeout` seconds."""
        return self.site.wait_idle(timeout)

    # Its life

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Build the artifacts and listen. Raises OSError where `address` does not allow that."""
        for name in self.site.packages:
            self.site.file(name)
        self._listener = self._bind()
        self._port = self._listener.getsockname()[1]
        self._listener.listen(100)
        self._bell, self._button = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="lab", daemon=True)
        self._thread.start()

    def close(self) -> None:
        if not self._port or self.closing.is_set():
            return
        self.closing.set()
        self._button.send(b"!")
        self._thread.join(5)
        with self._lock:
            threads = [connection.thread for connection in self._connections]
        self._hang_up()
        for thread in threads:
            thread.join(5)
        for each in (self._listener, self._bell, self._button):
            each.close()

    def _bind(self) -> socket.socket:
        """A socket that owns the port; until it listens, connections are refused."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere the option lets others take the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((self.address, self._port))
        return bound

    def _accept(self) -> None:
        returns = 0.0  # when to listen again
        while True:
            watched = [self._bell] if returns else [self._bell, self._listener]
            timeout = max(returns - time.monotonic(), 0) if returns else None
            ready = select.select(watched, [], [], timeout)[0]
            if self.closing.is_set():
                return
            if self._bell in ready:
                self._bell.recv(1)
                # Here and not in the thread that answers: select would keep the socket open.
                self._listener.close()
                self._listener = self._bind()
                returns = time.monotonic() + self._leave_for
                self._left.set()
            elif self._listener in ready:
                with contextlib.suppress(OSError):
                    connection = Connection(self, self._listener.accept()[0])
                    with self._lock:
                        self._connections.add(connection)
                    connection.thread.start()
            elif returns and time.monotonic() >= returns:
                self._listener.listen(100)
                returns = 0.0

    def _hang_up(self, but: threading.Thread | None = None) -> None:
        with self._lock:
            for connection in self._connections:
                if connection.thread is not but:
                    connection.abandon()

    # What a connection asks of it

    def next_handshake(self) -> str | None:
        with self._lock:
            return self._handshakes.pop(0) if self._handshakes else None

    def leave(self, seconds: float) -> None:
        """Refuse new connections for so long, and end those that are open but the caller's."""
        self._leave_for = seconds
        self._left.clear()
        self._button.send(b"!")
        self._left.wait(5)
        self._hang_up(but=threading.current_thread())

    def forget(self, connection: Connection, error: Exception | None) -> None:
        """Take note that a connection has ended; `error`: the lab itself is wrong."""
        if error:
            self.errors.append(error)
        with self._lock:
            self._connections.discard(connection)
