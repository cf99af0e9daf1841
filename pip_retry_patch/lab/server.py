"""The unreliable index: on loopback, and it breaks what it serves on a written schedule.

    with Lab([Package("big", size=3_000_000, faults=[Cut(1_000_000), None, Reset(5)])]) as lab:
        ...  # pip download --index-url lab.index_url big
        assert lab.sent("big") == len(lab.wheel("big"))

`selftest` and the tests run pip against it. It speaks HTTP/1.1 from sockets upward, because a
well-kept server library would not send what a bad server sends. It logs what was really sent.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Iterable, Mapping, final
from urllib.parse import urlsplit

from pip_retry_patch.lab.answers import Reply, Representation, accepts_gzip, answer, note, pick
from pip_retry_patch.lab.connection import Connection
from pip_retry_patch.lab.packages import (
    HTML,
    JSON,
    Away,
    Busy,
    Changed,
    Cut,
    Drop,
    Elsewhere,
    Fault,
    Flip,
    Garble,
    Kind,
    OtherETag,
    OtherTotal,
    Overstate,
    Package,
    Redirect,
    Reset,
    Short,
    Stall,
    Unframed,
    Unlabelled,
    Unsatisfiable,
    Whole,
    normalize,
    together,
)

__all__ = [
    "Away",
    "Busy",
    "Changed",
    "Cut",
    "Drop",
    "Elsewhere",
    "Fault",
    "Flip",
    "Garble",
    "Lab",
    "OtherETag",
    "OtherTotal",
    "Overstate",
    "Package",
    "Redirect",
    "Request",
    "Reset",
    "Short",
    "Stall",
    "Unframed",
    "Unlabelled",
    "Unsatisfiable",
    "Whole",
]

YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Request:
    """One request as it was logged."""

    number: int  # from 0, in the order of arrival
    kind: Kind
    package: str  # the normalized name; "" for what belongs to none
    method: str
    path: str  # as it was sent, with the query
    headers: Mapping[str, str]  # names in lower case
    fault: str | None  # the entry of the schedule that struck
    time: float  # time.monotonic() at arrival
    status: int = 0  # 0: no status line was sent
    sent: int = 0  # body bytes handed to the kernel (of a Reset: those that reached the peer)

    @property
    def range(self) -> str | None:
        """The header, if there was one."""
        return self.headers.get("range")

    @property
    def if_range(self) -> str | None:
        """The header, if there was one."""
        return self.headers.get("if-range")


@final
class Lab:
    """The unreliable index. A context manager; `start` and `close` do the same by hand.

    `tls`: a server-side context; the index then speaks HTTPS. `rate`: bytes per second, for each
    response. `host`: the name that stands in `url`. `address`: where to listen; loopback unless a
    client shall come over another link. Requests with an absolute URL, as a plain HTTP proxy gets
    them, are answered too.

    Raises ValueError for two packages of one name, and for `Garble` without TLS.
    """

    def __init__(
        self,
        packages: Iterable[Package],
        *,
        tls: ssl.SSLContext | None = None,
        rate: int | None = None,
        host: str = "127.0.0.1",
        address: str = "127.0.0.1",
    ) -> None:
        self.tls, self.rate, self.host, self.address = tls, rate, host, address
        self.errors: list[Exception] = []  # what went wrong in the lab itself
        self._packages: dict[str, Package] = {}
        for package in packages:
            if package.normalized in self._packages:
                raise ValueError(f"two packages named {package.normalized}")
            entries = [*package.faults, package.forever]
            entries += [*package.page_faults, *package.metadata_faults]
            if tls is None and any(pick(together(entry), Garble) for entry in entries):
                raise ValueError(f"{package.name}: Garble needs TLS")
            self._packages[package.normalized] = package
        self._lock = threading.Condition(threading.RLock())
        self._log: list[Request] = []
        self._busy: set[int] = set()  # the numbers of requests being answered
        self._turns: dict[tuple[str, str], int] = {}
        self._generations = dict.fromkeys(self._packages, 0)
        self._files: dict[tuple[str, int], tuple[bytes, str]] = {}  # wheel and sha256
        self._connections: set[Connection] = set()
        self._closing = threading.Event()
        self._leave_for: float | None = None
        self._left = threading.Event()
        self._port = 0
        self._born = time.time()

    # What a test asks for

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self._port}"

    @property
    def index_url(self) -> str:
        """What pip takes as `--index-url`."""
        return f"{self.url}/simple/"

    @property
    def log(self) -> list[Request]:
        """All requests so far; one that is being answered counts the piece under way."""
        with self._lock:
            return list(self._log)

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
        """The artifact as it is now (see `Changed`)."""
        return self._file(normalize(name))[0]

    def sha256(self, name: str) -> str:
        """The hash of the artifact as it is now, in hexadecimal."""
        return self._file(normalize(name))[1]

    def filename(self, name: str) -> str:
        """The artifact's file name; its path is `/files/NAME/FILENAME`."""
        return self._packages[normalize(name)].filename

    def wait_idle(self, timeout: float = 5.0) -> bool:
        """Wait until no request is being answered; False after `timeout` seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._busy, timeout)

    # Its life

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Build the wheels and listen. Raises OSError where `address` cannot be listened on."""
        for name in self._packages:
            self._file(name)
        self._listener = self._bind()
        self._port = self._listener.getsockname()[1]
        self._listener.listen(100)
        self._bell, self._button = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="lab", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every connection and thread."""
        if not self._port or self._closing.is_set():
            return
        self._closing.set()
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
            if self._closing.is_set():
                return
            if self._bell in ready:
                self._bell.recv(1)
                # Here and not in the thread that answers: select would keep the socket open.
                self._listener.close()
                self._listener = self._bind()
                returns = time.monotonic() + (self._leave_for or 0)
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

    def _leave(self, seconds: float) -> None:
        """Refuse new connections for so long, and end those that are open."""
        self._leave_for = seconds
        self._left.clear()
        self._button.send(b"!")
        self._left.wait(5)
        with self._lock:
            self._hang_up(but=threading.current_thread())

    def _hang_up(self, but: threading.Thread | None = None) -> None:
        for connection in self._connections:
            if connection.thread is not but:
                connection.abandon()

    # What it serves

    def _file(self, name: str) -> tuple[bytes, str]:
        with self._lock:
            key = name, self._generations[name]
            if key not in self._files:
                data = self._packages[name].artifact(key[1])
                self._files[key] = data, hashlib.sha256(data).hexdigest()
            return self._files[key]

    def _take(
        self, method: str, path: str, headers: dict[str, str]
    ) -> tuple[int, Reply | None, tuple[Fault, ...]]:
        """Log a request and decide on its answer."""
        parts = urlsplit(path).path.strip("/").split("/")
        package = self._packages.get(normalize(parts[1])) if len(parts) > 1 else None
        kind: Kind = "other"
        if package and len(parts) == 2 and parts[0] == "simple":
            kind = "page"
        elif package and parts[0] == "files" and parts[2:] == [package.filename]:
            kind = "artifact"
        elif package and parts[0] == "files" and parts[2:] == [f"{package.filename}.metadata"]:
            kind = "metadata" if package.metadata else "other"
        name = package.normalized if package else ""
        faults: tuple[Fault, ...] = ()
        with self._lock:
            if package and method == "GET":
                turn = self._turns.get((name, kind), 0)
                self._turns[name, kind] = turn + 1
                faults = package.faults_of(kind, turn)
                self._generations[name] += pick(faults, Changed) is not None
            number = len(self._log)
            struck = ", ".join(map(repr, faults)) or None
            now = time.monotonic()
            self._log.append(Request(number, kind, name, method, path, headers, struck, now))
            self._busy.add(number)
        if pick(faults, Drop):
            return number, None, faults
        if method not in ("GET", "HEAD"):
            reply = note(405)
        elif package is None or kind == "other":
            reply = note(404) if parts != ["simple"] else self._projects()
        else:
            reply = answer(self._representation(package, kind, headers, number), headers, faults)
        self._update(number, status=reply.status)
        return number, reply, faults

    def _projects(self) -> Reply:
        links = "".join(f'<a href="{name}/">{name}</a>\n' for name in self._packages)
        page = f"<!DOCTYPE html>\n<html><body>\n{links}</body></html>"
        return note(200, {"Content-Type": HTML}, page)

    def _representation(
        self, package: Package, kind: Kind, asked: Mapping[str, str], number: int
    ) -> Representation:
        wheel, digest = self._file(package.normalized)
        content_type = "application/octet-stream"
        if kind == "artifact":
            data = wheel
        elif kind == "metadata":
            data = package.metadata_file()
        else:
            as_json = package.page_format == "json" and JSON in asked.get("accept", "")
            data, content_type = package.page(digest, as_json), JSON if as_json else HTML
        etag = digest[:16] if kind == "artifact" else hashlib.sha256(data).hexdigest()[:16]
        headers = {"Content-Type": content_type}
        if kind == "page":
            headers["Vary"] = "Accept"
        if (package.gzip or package.gzip_varies) and accepts_gzip(asked.get("accept-encoding", "")):
            stamp = number + 1 if package.gzip_varies else 0
            data = gzip.compress(data, 1, mtime=stamp)
            headers["Content-Encoding"] = "gzip"
            etag += f"-gzip-{stamp}"
        if package.max_age is not None and kind != "page":
            headers["Cache-Control"] = f"max-age={package.max_age}"
        age = YEAR - 3600 * self._generations[package.normalized]
        modified = formatdate(self._born - age, usegmt=True)
        return Representation(
            data,
            headers,
            package.ranges,
            package.chunked,
            {"strong": f'"{etag}"', "weak": f'W/"{etag}"'}.get(package.validator),
            modified if package.validator in ("strong", "date") else None,
        )

    def _update(self, number: int, status: int = 0, sent: int = 0) -> None:
        with self._lock:
            old = self._log[number]
            self._log[number] = replace(old, status=status or old.status, sent=old.sent + sent)

    def _done(self, number: int) -> None:
        with self._lock:
            self._busy.discard(number)
            self._lock.notify_all()
