"""What the index serves and remembers: packages, their turns in the schedules, and the log."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Iterable, Mapping, NamedTuple
from urllib.parse import urlsplit

from tests.support.lab.answers import Reply, Representation, accepts_gzip, note
from tests.support.lab.packages import HTML, JSON, Kind, Package, normalize
from tests.support.lab.stages import Fault, Lasting, answer, together

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
        return self.headers.get("range")

    @property
    def if_range(self) -> str | None:
        return self.headers.get("if-range")


class Taken(NamedTuple):
    """A request that was logged, and what is to be sent."""

    number: int
    reply: Reply | None  # None: nothing, not even a status line
    faults: tuple[Fault, ...]


class Site:
    """The packages and the log. Every method may be called from any thread.

    Raises ValueError for two packages of one name.
    """

    def __init__(self, packages: Iterable[Package]) -> None:
        self.packages: dict[str, Package] = {}
        for package in packages:
            if package.normalized in self.packages:
                raise ValueError(f"two packages named {package.normalized}")
            self.packages[package.normalized] = package
        self._lock = threading.Condition(threading.RLock())
        self._log: list[Request] = []
        self._busy: set[int] = set()  # the numbers of requests being answered
        self._turns: dict[tuple[str, str], int] = {}
        self._ends: dict[tuple[str, str, int], float] = {}  # of what lasts
        self._generations = dict.fromkeys(self.packages, 0)
        self._files: dict[tuple[str, int], tuple[bytes, str]] = {}  # artifact and sha256
        self._born = time.time()

    # What is asked about it

    def log(self) -> list[Request]:
        with self._lock:
            return list(self._log)

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no request is being answered; False after `timeout` seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._busy, timeout)

    def file(self, name: str) -> tuple[bytes, str]:
        """An artifact as it is now, and its sha256."""
        with self._lock:
            key = name, self._generations[name]
            if key not in self._files:
                data = self.packages[name].artifact(key[1])
                self._files[key] = data, hashlib.sha256(data).hexdigest()
            return self._files[key]

    # What a connection tells it

    def take(self, method: str, path: str, headers: Mapping[str, str]) -> Taken:
        """Log a request and decide on its answer. `headers`: names in lower case."""
        kind, package = self._locate(path)
        name = package.normalized if package else ""
        faults: tuple[Fault, ...] = ()
        with self._lock:
            if package and method == "GET":
                struck_by = (fault.struck_by(headers) for fault in self._turn(package, kind))
                faults = tuple(fault for fault in struck_by if fault)
                self._generations[name] += any(fault.changes_file for fault in faults)
            number = len(self._log)
            struck = ", ".join(map(repr, faults)) or None
            now = time.monotonic()
            self._log.append(Request(number, kind, name, method, path, headers, struck, now))
            self._busy.add(number)
        if any(fault.silent for fault in faults):
            return Taken(number, None, faults)
        if method not in ("GET", "HEAD"):
            reply = note(405)
        elif package and kind != "other":
            reply = answer(self._representation(package, kind, headers, number), headers, faults)
        else:
            reply = self._projects() if urlsplit(path).path.strip("/") == "simple" else note(404)
        self.update(number, status=reply.status)
        return Taken(number, reply, faults)

    def _turn(self, package: Package, kind: Kind) -> tuple[Fault, ...]:
        """The faults that are due at this GET; one that lasts stays due until its time is over."""
        key, now = (package.normalized, kind), time.monotonic()
        while True:
            turn = self._turns.get(key, 0)
            entry = package.entry(kind, turn)
            if isinstance(entry, Lasting):
                ends = self._ends.setdefault((*key, turn), now + entry.seconds)
                if now < ends:
                    break
                self._turns[key] = turn + 1
            else:
                self._turns[key] = turn + 1
                break
        return together(entry)

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
        top, *rest = urlsplit(path).path.strip("/").split("/")
        package = self.packages.get(normalize(rest[0])) if rest else None
        if package is None:
            return "other", None
        kinds: dict[tuple[str, ...], Kind] = {
            ("simple",): "page",
            ("files", package.filename): "artifact",
        }
        if package.metadata:
            kinds["files", f"{package.filename}.metadata"] = "metadata"
        return kinds.get((top, *rest[1:]), "other"), package

    def _projects(self) -> Reply:
        links = "".join(f'<a href="{name}/">{name}</a>\n' for name in self.packages)
        page = f"<!DOCTYPE html>\n<html><body>\n{links}</body></html>"
        return note(200, {"Content-Type": HTML}, page)

    def _representation(
        self, package: Package, kind: Kind, asked: Mapping[str, str], number: int
    ) -> Representation:
        artifact, digest = self.file(package.normalized)
        content_type = "application/octet-stream"
        if kind == "artifact":
            data = artifact
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
