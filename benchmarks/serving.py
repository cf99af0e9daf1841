"""The unreliable index (`tests.support.lab`) in a process of its own.

There it takes neither processor time nor memory from what is measured. Where neither is measured,
`serving_here` saves that process.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import ssl
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.lab.site import Request

METHODS = frozenset({"filename", "requests", "sent", "sha256", "wait_idle"})


class Served:
    """What `Lab` answers to, asked for through a pipe; see there."""

    def __init__(self, pipe: Connection, url: str) -> None:
        self._pipe = pipe
        self.url, self.index_url = url, f"{url}/simple/"

    def _ask(self, method: str, *arguments: Any) -> Any:
        self._pipe.send((method, arguments))
        return self._pipe.recv()

    def filename(self, name: str) -> str:
        return str(self._ask("filename", name))

    def file_url(self, name: str) -> str:
        return f"{self.url}/files/{name}/{self.filename(name)}"

    def sha256(self, name: str) -> str:
        return str(self._ask("sha256", name))

    def size(self, name: str) -> int:
        """The size of the artifact in bytes."""
        return int(self._ask("size", name))

    def sent(self, name: str) -> int:
        return int(self._ask("sent", name))

    def requests(self, name: str) -> list[Request]:
        return list(self._ask("requests", name))

    def wait_idle(self) -> bool:
        return bool(self._ask("wait_idle"))


class Near(Served):
    """The same of a lab in this process."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.url, self.index_url = lab.url, lab.index_url

    def _ask(self, method: str, *arguments: Any) -> Any:
        return _answer(self._lab, method, arguments)


def _answer(lab: Lab, method: str, arguments: Sequence[Any]) -> Any:
    if method == "size":
        return len(lab.wheel(*arguments))
    if method not in METHODS:
        raise ValueError(method)
    return getattr(lab, method)(*arguments)


def _certified(ca_pem: Path | None, address: str = "127.0.0.1") -> ssl.SSLContext | None:
    """A server's TLS settings; the certificate of the authority behind them goes to `ca_pem`."""
    if not ca_pem:
        return None
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(address).configure_cert(context)
    authority.cert_pem.write_to_path(str(ca_pem))
    return context


def _serve(
    pipe: Connection,
    packages: Sequence[Package],
    ca_pem: Path | None,
    rate: int | None,
    address: str,
) -> None:
    context = _certified(ca_pem, address)
    with Lab(packages, tls=context, rate=rate, host=address, address=address) as lab:
        pipe.send(lab.url)
        while (asked := pipe.recv()) is not None:
            pipe.send(_answer(lab, *asked))


@contextlib.contextmanager
def serving_here(packages: Sequence[Package], ca_pem: Path | None = None) -> Iterator[Served]:
    """Serve from this process: starts at once, for parts that measure neither time nor memory."""
    with Lab(packages, tls=_certified(ca_pem)) as lab:
        yield Near(lab)


@contextlib.contextmanager
def serving(
    packages: Sequence[Package],
    ca_pem: Path | None = None,
    rate: int | None = None,
    address: str = "127.0.0.1",
) -> Iterator[Served]:
    """Serve some packages until the block ends.

    :param ca_pem: serve over TLS, and write the authority's certificate there.
    :param rate: bytes per second for each response.
    :param address: where to listen, and what URLs name.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, packages, ca_pem, rate, address), daemon=True
    )
    process.start()
    theirs.close()
    try:
        yield Served(ours, ours.recv())
    finally:
        with contextlib.suppress(OSError):
            ours.send(None)
        process.join(10)
        process.terminate()
