"""A client that shows what a lab does on the wire."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from typing import Callable, NamedTuple, TypeVar

from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.lab.stages import Fault

T = TypeVar("T")


class Seen(NamedTuple):
    """What a client saw on the wire."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes  # as it was framed: chunks are not taken apart
    end: str  # "fin", "ragged" (TLS without close_notify), "garbled", "reset", "silence"


class Tls:
    """A client that shows the end of a TLS connection as it came.

    Python's own sockets do not: some versions take the lack of close_notify, or a reset, for a
    proper end.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self.connection = connection
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.patiently(self.tls.do_handshake)
        connection.sendall(self.outgoing.read())

    def patiently(self, operation: Callable[[], T]) -> T:
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                self.connection.sendall(self.outgoing.read())
                received = self.connection.recv(65536)
                if not received:
                    raise ssl.SSLEOFError from None
                self.incoming.write(received)

    def sendall(self, data: bytes) -> None:
        self.tls.write(data)
        self.connection.sendall(self.outgoing.read())

    def recv(self, amount: int) -> bytes:
        try:
            return self.patiently(lambda: self.tls.read(amount))
        except ssl.SSLZeroReturnError:
            return b""


def connect(lab: Lab) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(lab.url.rpartition(":")[2])), timeout=10)


def ask(connection: socket.socket | Tls, target: str, method: str = "GET", **headers: str) -> None:
    fields = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: lab\r\n{''.join(fields)}\r\n".encode())


def read_all(connection: socket.socket | Tls) -> tuple[bytes, str]:
    """Everything up to the end of the connection, and how it ended."""
    received = b""
    while True:
        try:
            more = connection.recv(65536)
        except ssl.SSLEOFError:
            return received, "ragged"
        except ssl.SSLError:
            return received, "garbled"
        except ConnectionResetError:
            return received, "reset"
        except socket.timeout:
            return received, "silence"
        if not more:
            return received, "fin"
        received += more


def look(
    lab: Lab,
    target: str = "",
    *,
    client: ssl.SSLContext | None = None,
    patience: float = 10,
    method: str = "GET",
    **headers: str,
) -> Seen:
    """One request on a connection of its own; the target is the artifact "p" if nothing is said."""
    with connect(lab) as plain:
        plain.settimeout(patience)
        connection = Tls(plain, client) if client else plain
        ask(connection, target or path(lab), method, Connection="close", **headers)
        received, end = read_all(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    status, _, fields = head.partition(b"\r\n")
    parsed = http.client.parse_headers(io.BytesIO(fields + b"\r\n\r\n"))
    return Seen(int(status.split()[1]) if status else 0, parsed, body, end)


def path(lab: Lab, name: str = "p") -> str:
    return f"/files/{name}/{lab.filename(name)}"


def lab_with(*faults: Fault | tuple[Fault, ...] | None, size: int = 150_000) -> Lab:
    return Lab([Package("p", size, faults)])
