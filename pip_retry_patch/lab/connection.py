"""A connection to the unreliable index (`lab`): reads requests, sends and breaks responses."""

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

from pip_retry_patch.lab.answers import Reply
from pip_retry_patch.lab.packages import Away, Cut, Ending, Fault, Garble, Reset, Stall

if TYPE_CHECKING:
    from pip_retry_patch.lab.server import Lab

ENDINGS = (Cut, Reset, Stall, Garble, Away)
PIECE = 65536  # the most that goes into one send, and the size of a chunk


class Connection:
    """One connection, in its own thread."""

    def __init__(self, lab: Lab, accepted: socket.socket) -> None:
        self.lab, self.socket = lab, accepted
        self.thread = threading.Thread(target=self._run, name="lab connection", daemon=True)
        self._received = b""

    def abandon(self) -> None:
        """Wake the thread, whatever it waits for, and make it end."""
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown: it would let the thread go on in plain text.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            with contextlib.suppress(OSError):  # with ssl.SSLError: the peer has gone
                self._serve()
        except Exception as error:  # the lab is wrong: a test will ask
            self.lab.errors.append(error)
        finally:
            self.socket.close()
            with self.lab._lock:
                self.lab._connections.discard(self)

    def _serve(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.lab.tls:
            self.socket = self.lab.tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
            self.socket.do_handshake()
        while True:
            while b"\r\n\r\n" not in self._received:
                more = self.socket.recv(PIECE)
                if not more:
                    self._fin()
                    return
                self._received += more
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            line, _, fields = head.partition(b"\r\n")
            method, path, _ = line.decode("latin-1").split(" ")
            parsed = http.client.parse_headers(io.BytesIO(fields + b"\r\n\r\n"))
            headers = {name.lower(): value for name, value in parsed.items()}
            number, reply, faults = self.lab._take(method, path, headers)
            try:
                goes_on = self._send(number, method, reply, faults)
            finally:
                self.lab._done(number)
            if not goes_on:
                return
            if headers.get("connection", "").lower() == "close":
                self._fin()
                return

    def _send(
        self, number: int, method: str, reply: Reply | None, faults: tuple[Fault, ...]
    ) -> bool:
        """Send the response, and what strikes in the middle; False: the connection is done."""
        endings = [fault for fault in faults if isinstance(fault, ENDINGS)]
        endings.sort(key=lambda ending: ending.after)
        if reply is None:
            return all(self._strike(number, ending) for ending in endings) and self._cut()
        chunked = "Transfer-Encoding" in reply.headers
        has_body = method != "HEAD" and reply.status != 304
        headers = {"Date": formatdate(usegmt=True), "Server": "lab", **reply.headers}
        if reply.announced is not None:
            headers["Content-Length"] = str(reply.announced)
        elif has_body and not chunked:
            headers["Connection"] = "close"
        reason = http.client.responses.get(reply.status, "Unknown")
        lines = [f"HTTP/1.1 {reply.status} {reason}", *map(": ".join, headers.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode("latin-1"))
        if not has_body:
            return all(self._strike(number, ending) for ending in endings)

        body, at, began = reply.body, 0, time.monotonic()
        for ending in endings:
            at = self._pour(number, body, at, ending.after, chunked, began)
            whole = at == len(body) and reply.announced == at
            if not (whole and isinstance(ending, Stall)) and not self._strike(number, ending):
                return False
        self._pour(number, body, at, len(body), chunked, began)
        if chunked:
            self.socket.sendall(b"0\r\n\r\n")
        elif reply.announced is None:
            return self._fin()
        return len(body) == reply.announced or chunked or self._cut()

    def _pour(
        self, number: int, body: memoryview, at: int, upto: int, chunked: bool, began: float
    ) -> int:
        """Send the body from `at` to `upto`, or to its end; where that is.

        A chunk's header announces the whole chunk, even where only a part of it will be sent.
        """
        rate = self.lab.rate
        piece = min(PIECE, max(rate // 20, 1)) if rate else PIECE
        upto = min(upto, len(body))
        while at < upto:
            border = min(at - at % piece + piece, len(body))
            stop = min(border, upto)
            if chunked and at % piece == 0:
                self.socket.sendall(b"%x\r\n" % (border - at))
            self._send_counted(number, body[at:stop])
            if chunked and stop == border:
                self.socket.sendall(b"\r\n")
            at = stop
            if rate:
                self.lab._closing.wait(max(began + at / rate - time.monotonic(), 0))
        return at

    def _send_counted(self, number: int, piece: memoryview) -> None:
        # Counted first: the log must be right by the time the client has the bytes.
        self.lab._update(number, sent=len(piece))
        done = 0
        try:
            while done < len(piece):
                done += self.socket.send(piece[done:])
        finally:
            self.lab._update(number, sent=done - len(piece))

    # What strikes

    def _strike(self, number: int, ending: Ending) -> bool:
        """Do to the connection what the fault says; False: it is done."""
        if isinstance(ending, Stall):
            # The client has nothing to say in mid-body but that it leaves.
            return not select.select([self.socket], [], [], ending.seconds)[0]
        if isinstance(ending, Cut) and ending.notify:
            return self._fin()
        if isinstance(ending, Reset):
            self.lab._update(number, sent=-self._drain())
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if isinstance(ending, Garble):
            # Past the SSLSocket: the header of a TLS record of application data, and noise.
            socket.socket.sendall(self.socket, b"\x17\x03\x03\x01\x00" + os.urandom(256))
        if isinstance(ending, Away):
            self.lab._leave(ending.seconds)
        return self._cut()

    def _cut(self) -> bool:
        """FIN, on TLS without close_notify."""
        self.socket.close()
        return False

    def _fin(self) -> bool:
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
        return self._cut()

    def _drain(self) -> int:
        """Wait until the peer's system has all that was sent; how many bytes it lacks."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not self.lab._closing.is_set():
            left = unacknowledged(self.socket)
            if not left:
                return 0
            time.sleep(0.001)
        return left


if sys.platform == "linux":
    import fcntl
    import termios

    def unacknowledged(connection: socket.socket) -> int:
        """The number of bytes the peer's system has not acknowledged (SIOCOUTQ, alias TIOCOUTQ)."""
        found = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
        return int(struct.unpack("i", found)[0])

else:

    def unacknowledged(connection: socket.socket) -> int:
        """0 after a moment that is long enough on loopback."""
        time.sleep(0.05)
        return 0
