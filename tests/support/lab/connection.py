"""One connection to the index: it reads requests, and sends and breaks responses."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from tests.support.lab.answers import Reply
from tests.support.lab.faults import Ending, Fault

if TYPE_CHECKING:
    from tests.support.lab.server import Lab

PIECE = 65536  # the most that goes into one send, and the size of a chunk


def piece_at(rate: float | None) -> int:
    """Return what goes into one send at so many bytes a second."""
    return min(PIECE, max(round(rate / 20), 1)) if rate else PIECE


class Connection:
    """One connection, in its own thread."""

    def __init__(self, host: Lab, accepted: socket.socket) -> None:
        self.host, self.socket = host, accepted
        self.thread = threading.Thread(target=self._run, name="lab connection", daemon=True)
        self._received = b""
        self._number = -1  # of the request that is being answered
        self._slow_rate, self._slow_until = 0.0, 0.0
        self._due = 0.0  # when, at the rate, all should have been sent that was sent

    # What an ending can do to it. Where it returns False, the connection is done.

    def cut(self) -> bool:
        """FIN, on TLS without close_notify."""
        self.socket.close()
        return False

    def finish(self) -> bool:
        """End as a good server does, on TLS with close_notify."""
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.setblocking(False)
            with contextlib.suppress(OSError):  # the peer's own close_notify is not there yet
                self.socket.unwrap()
            # Were the socket closed now, the peer's close_notify would be answered by RST.
            self.socket.settimeout(1)
            socket.socket.shutdown(self.socket, socket.SHUT_WR)
            while socket.socket.recv(self.socket, PIECE):
                pass
        return self.cut()

    def reset(self) -> bool:
        """RST, once all that was sent has reached the peer."""
        self._count(-self._drain())
        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return self.cut()

    def garble(self) -> bool:
        # Past the SSLSocket: the header of a TLS record of application data, and noise.
        socket.socket.sendall(self.socket, b"\x17\x03\x03\x01\x00" + os.urandom(256))
        return True

    def pause(self, seconds: float) -> bool:
        """Send nothing for so long; False: the client left."""
        # The client has nothing to say in mid-body but that it leaves.
        return not select.select([self.socket], [], [], seconds)[0]

    def slow_down(self, rate: float, seconds: float) -> bool:
        self._due = time.monotonic()
        self._slow_rate, self._slow_until = rate, self._due + seconds
        return True

    def _drain(self) -> int:
        """Wait until the peer's system has all that was sent; how many bytes it lacks."""
        if sys.platform != "linux":
            time.sleep(0.05)  # that is long enough on loopback
            return 0
        import fcntl
        import termios

        deadline = time.monotonic() + 5
        while True:
            # SIOCOUTQ, alias TIOCOUTQ: what the peer's system has not acknowledged.
            found = fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, bytes(4))
            left = int.from_bytes(found, sys.byteorder)
            if not left or time.monotonic() > deadline or self.host.closing.is_set():
                return left
            time.sleep(0.001)

    # Its life

    def _run(self) -> None:
        failure = None
        try:
            with contextlib.suppress(OSError):  # with ssl.SSLError: the peer has gone
                self._serve()
        except Exception as error:
            failure = error
        finally:
            self.socket.close()
            self.host.forget(self, failure)

    def _serve(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What waits here was never sent to a client that leaves.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE)
        if self.host.tls:
            how = self.host.handshakes.pop(0) if self.host.handshakes else ""
            if how == "late":
                self.host.closing.wait(3)
            elif how:  # take the client's hello, and let no handshake come of it
                self.socket.recv(PIECE)
                self.pause(60 if how == "stall" else 0)
                return
            self.socket = self.host.tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
            self.socket.do_handshake()
        goes_on = True
        while goes_on:
            request = self._read_request()
            if request is None:
                self.finish()
                return
            method, path, headers = request
            self._number, reply, faults = self.host.take(method, path, headers)
            try:
                goes_on = self._send(method, reply, faults)
            finally:
                self.host.done(self._number)
            if goes_on and headers.get("connection", "").lower() == "close":
                goes_on = self.finish()

    def _read_request(self) -> tuple[str, str, dict[str, str]] | None:
        """Method, path and headers with names in lower case; None: the client has ended."""
        while b"\r\n\r\n" not in self._received:
            more = self.socket.recv(PIECE)
            if not more:
                return None
            self._received += more
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        line, _, fields = head.partition(b"\r\n")
        method, path, _ = line.decode("latin-1").split(" ")
        parsed = http.client.parse_headers(io.BytesIO(fields + b"\r\n\r\n"))
        return method, path, {name.lower(): value for name, value in parsed.items()}

    def _send(self, method: str, reply: Reply | None, faults: tuple[Fault, ...]) -> bool:
        """Send the response, and what strikes in the middle; False: the connection is done."""
        endings = [fault for fault in faults if isinstance(fault, Ending)]
        endings.sort(key=lambda ending: ending.after)
        if reply is None:
            return all(ending.strike(self) for ending in endings) and self.cut()
        has_body = method != "HEAD" and reply.status != 304
        self._send_head(reply, has_body)
        if not has_body:
            return all(ending.strike(self) for ending in endings)

        body, at = reply.body, 0
        self._slow_until, self._due = 0.0, time.monotonic()
        chunked = "Transfer-Encoding" in reply.headers
        for ending in endings:
            at = self._pour(body, at, ending.after, chunked)
            whole = at == len(body) and reply.announced == at
            if not (whole and ending.spares_whole) and not ending.strike(self):
                return False
        self._pour(body, at, len(body), chunked)
        if chunked:
            self.socket.sendall(b"0\r\n\r\n")
        elif reply.announced is None:
            return self.finish()
        return len(body) == reply.announced or chunked or self.cut()

    def _send_head(self, reply: Reply, has_body: bool) -> None:
        headers = {"Date": formatdate(usegmt=True), "Server": "lab", **reply.headers}
        if reply.announced is not None:
            headers["Content-Length"] = str(reply.announced)
        elif has_body and "Transfer-Encoding" not in headers:
            headers["Connection"] = "close"
        reason = http.client.responses.get(reply.status, "Unknown")
        lines = [f"HTTP/1.1 {reply.status} {reason}", *map(": ".join, headers.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode("latin-1"))

    def _pour(self, body: memoryview, at: int, upto: int, chunked: bool) -> int:
        """Send the body from `at` to `upto`, or to its end; where that is.

        A chunk's header announces the whole chunk, even where only a part of it will be sent.
        """
        upto, chunk = min(upto, len(body)), piece_at(self.host.rate)
        while at < upto:
            is_slow = time.monotonic() < self._slow_until
            rate = self._slow_rate if is_slow else self.host.rate
            border = min(at - at % chunk + chunk, len(body))
            stop = min(border, upto, at + piece_at(rate))
            if chunked and at % chunk == 0:
                self.socket.sendall(b"%x\r\n" % (border - at))
            self._send_counted(body[at:stop])
            if chunked and stop == border:
                self.socket.sendall(b"\r\n")
            if rate and stop < len(body):  # else the client may ask for more
                self._due += (stop - at) / rate
                if not self.pause(max(self._due - time.monotonic(), 0)):
                    raise OSError("the client has left")
            at = stop
        return at

    def _send_counted(self, piece: memoryview) -> None:
        # Counted first: the log must be right by the time the client has the bytes.
        self._count(len(piece))
        done = 0
        try:
            while done < len(piece):
                done += self.socket.send(piece[done:])
        finally:
            self._count(done - len(piece))

    def _count(self, sent: int) -> None:
        self.host.update(self._number, sent=sent)
