"""The unreliable index: on loopback, and it breaks what it serves on a written schedule.

    with Lab([Package("big", size=3_000_000, faults=[Cut(1_000_000), None, Reset(5)])]) as lab:
        ...  # pip download --index-url lab.index_url big
        assert lab.sent("big") == len(lab.wheel("big"))

It speaks HTTP/1.1 from sockets upward, because a well-kept server library would not send what a bad
server sends. It logs what was really sent.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import socket
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Callable, ContextManager, Iterable, Mapping
from urllib.parse import urlsplit

from tests.support.lab.answers import Reply, Representation, note
from tests.support.lab.connection import Connection
from tests.support.lab.faults import Fault, answer
from tests.support.lab.packages import HTML, JSON, Kind, Package

YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Request:
    """One request as it was logged, in the order of arrival."""

    kind: Kind
    package: str  # its name; "" for what belongs to none
    method: str
    path: str  # as it was sent, with the query
    headers: Mapping[str, str]  # names in lower case
    fault: str | None  # the entry of the schedule that struck
    time: float  # time.monotonic() at arrival
    status: int = 0  # 0: no status line was sent
    sent: int = 0  # body bytes handed to the kernel (of a Reset: those that reached the peer)

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


class Lab:
    """The unreliable index, a context manager. Requests with an absolute URL are answered too.

    :param tls: a server-side context; the index then speaks HTTPS.
    :param rate: bytes per second, for each response.
    :param handshakes: how the first TLS connections end, one after the other: "cut" or "stall"; or
        begin, "late".
    :param host: where it listens, within `place`.
    """

    def __init__(
        self,
        packages: Iterable[Package],
        *,
        tls: ssl.SSLContext | None = None,
        rate: int | None = None,
        handshakes: Iterable[str] = (),
        host: str = "127.0.0.1",
        place: Callable[[], ContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        # Copies, whose artifacts are forgotten with the lab.
        self.packages = {package.name: replace(package) for package in packages}
        self.tls, self.rate, self.host = tls, rate, host
        self._errors: list[Exception] = []  # what went wrong in the lab itself
        self.closing = threading.Event()
        self._place, self._port = place, 0
        self.handshakes = list(handshakes)  # those to come
        self._connections: set[Connection] = set()
        self._away = 0.0  # for how many seconds connections shall be refused
        self._left = threading.Event()
        self._lock = threading.Condition(threading.RLock())
        self._log: list[Request] = []
        self._busy: set[int] = set()  # the numbers of requests being answered
        self._turns: Counter[tuple[str, str]] = Counter()
        self._modified = time.time() - YEAR

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
        with self._lock:
            return list(self._log)

    def requests(self, name: str, kind: Kind | None = None) -> list[Request]:
        """The requests for a package, all or those of one kind."""
        return [r for r in self.log if r.package == name and kind in (None, r.kind)]

    def sent(self, name: str) -> int:
        """How many body bytes of the artifact were really sent, by all responses together."""
        return sum(request.sent for request in self.requests(name, "artifact"))

    def wheel(self, name: str) -> bytes:
        return self.packages[name].artifact

    def sha256(self, name: str) -> str:
        return self.packages[name].sha256

    def filename(self, name: str) -> str:
        return self.packages[name].filename

    def wait_idle(self) -> bool:
        """Wait until no request is being answered; False after five seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._busy, 5.0)

    # Its life

    def __enter__(self) -> Lab:
        for package in self.packages.values():
            assert package.sha256, "made before a client waits for it"
        self._listener = self._bind()
        self._port = self._listener.getsockname()[1]
        self._listener.listen(100)
        self._thread = threading.Thread(target=self._accept, name="lab", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, raised: object, *_: object) -> None:
        self.closing.set()
        self._thread.join(5)
        with self._lock:
            threads = [connection.thread for connection in self._connections]
        self._hang_up()
        for thread in threads:
            thread.join(5)
        self._listener.close()
        assert raised or not self._errors, self._errors

    def _bind(self) -> socket.socket:
        """A socket that owns the port; until it listens, connections are refused."""
        with self._place():
            bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere the option lets others take the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((self.host, self._port))
        bound.settimeout(0.02)
        return bound

    def _accept(self) -> None:
        while not self.closing.is_set():
            if self._away:
                # First, where that can be: another process may take a port that nobody has.
                bound = self._bind() if os.name == "posix" else None
                self._listener.close()
                self._listener = bound or self._bind()
                self._left.set()
                self.closing.wait(self._away)
                self._away = 0.0
                self._listener.listen(100)
            with contextlib.suppress(OSError):
                connection = Connection(self, self._listener.accept()[0])
                with self._lock:
                    self._connections.add(connection)
                connection.thread.start()

    def _hang_up(self) -> None:
        """Wake all threads but the caller's, whatever they wait for, and make them end."""
        with self._lock:
            for connection in self._connections:
                if connection.thread is not threading.current_thread():
                    with contextlib.suppress(OSError):
                        # Not SSLSocket.shutdown: it would let the thread go on in plain text.
                        socket.socket.shutdown(connection.socket, socket.SHUT_RDWR)

    # What a connection asks of it, and tells

    def leave(self, seconds: float) -> None:
        """Refuse new connections for so long, and end those that are open but the caller's."""
        self._left.clear()
        self._away = seconds
        self._left.wait(5)
        self._hang_up()

    def forget(self, connection: Connection, error: Exception | None) -> None:
        """Take note that a connection has ended; `error`: the lab itself is wrong."""
        with self._lock:
            self._errors += [error] if error else []
            self._connections.discard(connection)

    def take(
        self, method: str, path: str, headers: Mapping[str, str]
    ) -> tuple[int, Reply | None, tuple[Fault, ...]]:
        """Log a request, whose headers have names in lower case, and decide on its answer.

        Returns its number, the answer (None: nothing, not even a status line), and what strikes.
        """
        kind, package = self._locate(path)
        name = package.name if package else ""
        faults: tuple[Fault, ...] = ()
        with self._lock:
            if package and method == "GET":
                due = package.struck_by(kind, self._turns[name, kind])
                self._turns[name, kind] += 1
                faults = tuple(filter(None, (fault.struck_by(headers) for fault in due)))
                if any(fault.changes_file for fault in faults):
                    package = replace(package, generation=package.generation + 1)
                    self.packages[name] = package
            number = len(self._log)
            struck = ", ".join(map(repr, faults)) or None
            now = time.monotonic()
            self._log.append(Request(kind, name, method, path, headers, struck, now))
            self._busy.add(number)
        if any(fault.silent for fault in faults):
            return number, None, faults
        if package and kind != "other":
            reply = answer(self._representation(package, kind, headers, number), headers, faults)
        else:
            reply = note(404)
        self.update(number, status=reply.status)
        return number, reply, faults

    def update(self, number: int, status: int = 0, sent: int = 0) -> None:
        with self._lock:
            old = self._log[number]
            self._log[number] = replace(old, status=status or old.status, sent=old.sent + sent)

    def done(self, number: int) -> None:
        with self._lock:
            self._busy.discard(number)
            self._lock.notify_all()

    # What stands where

    def _locate(self, path: str) -> tuple[Kind, Package | None]:
        """What a path leads to, and the package that its second part names."""
        where = urlsplit(path).path.rstrip("/")
        package = self.packages.get(where.split("/")[2]) if where.count("/") > 1 else None
        if package is None:
            return "other", None
        file = f"/files/{package.name}/{package.filename}"
        kinds: dict[str, Kind] = {f"/simple/{package.name}": "page", file: "artifact"}
        if package.metadata:
            kinds[f"{file}.metadata"] = "metadata"
        return kinds.get(where, "other"), package

    def _representation(
        self, package: Package, kind: Kind, asked: Mapping[str, str], number: int
    ) -> Representation:
        content_type = "application/octet-stream"
        if kind == "artifact":
            data = package.artifact
        elif kind == "metadata":
            data = package.metadata_file()
        else:
            as_json = package.page_format == "json" and JSON in asked.get("accept", "")
            data, content_type = package.page(as_json), JSON if as_json else HTML
        etag = package.sha256 if kind == "artifact" else hashlib.sha256(data).hexdigest()
        headers = {"Content-Type": content_type}
        if kind == "page":
            headers["Vary"] = "Accept"
        elif package.max_age is not None:
            headers["Cache-Control"] = f"max-age={package.max_age}"
        if package.gzip and "gzip" in asked.get("accept-encoding", ""):
            data = gzip.compress(data, 1, mtime=number + 1)
            headers["Content-Encoding"] = "gzip"
            etag += f"-{number}"
        modified = formatdate(self._modified + 3600 * package.generation, usegmt=True)
        return Representation(
            data,
            headers,
            package.ranges,
            package.chunked,
            {"strong": f'"{etag}"', "weak": f'W/"{etag}"'}.get(package.validator),
            modified if package.validator in ("strong", "date") else None,
        )
