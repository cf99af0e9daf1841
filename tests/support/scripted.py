"""A server that sends, for each request in turn, exactly the bytes that a test wrote."""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
from typing import Any, Callable, Mapping, NamedTuple

ETAG = '"v1"'


class Answer(NamedTuple):
    """What is sent for one request, and whether the connection stays open behind it."""

    data: bytes
    stays: bool = False


# Given the fields of a request's header, with names in lower case.
Script = Callable[[Mapping[str, str]], Answer]


def fields_of(incoming: Any) -> dict[str, str]:
    """Read the header of a request behind its first line; the names are in lower case."""
    lines = iter(incoming.readline, b"\r\n")
    pairs = (line.decode("latin-1").strip().split(": ", 1) for line in lines)
    return {name.lower(): value for name, value in pairs}


class Scripted:
    """Answers the n-th request by the n-th script, later ones by the last. A context manager.

    `requests` are the fields of their headers, `connections` how many were made.
    """

    def __init__(self, *scripts: Script) -> None:
        self.requests: list[dict[str, str]] = []
        self.connections = 0
        self._scripts = scripts
        self._server: Any = None

    def __enter__(self) -> Scripted:
        scripted = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                scripted.connections += 1
                with contextlib.suppress(OSError):
                    while scripted.answer(self.rfile, self.wfile):
                        pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, incoming: Any, outgoing: Any) -> bool:
        """Answer one request; False at the end of the connection."""
        if not incoming.readline():
            return False
        fields = fields_of(incoming)
        self.requests.append(fields)
        script = self._scripts[min(len(self.requests), len(self._scripts)) - 1]
        answer = script(fields)
        outgoing.write(answer.data)
        return answer.stays

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def filename(self, package: str) -> str:
        return f"{package}-1.0-py3-none-any.whl"


def asked_from(fields: Mapping[str, str]) -> int:
    """Return the position of the first byte that a request asks for."""
    asked = re.fullmatch(r"bytes=(\d+)-", fields.get("range", ""))
    return int(asked[1]) if asked else 0


def sending(
    data: bytes, framing: str, cut: int | None = None, headers: Mapping[str, str] | None = None
) -> Script:
    """Return a script that sends `data` from where it is asked for.

    :param framing: "length", "chunked", "close" (it ends with the connection), or "starred": by its
        length, and as a part of a file of a size that is not told.
    :param cut: so many bytes of the body are sent, and then the connection ends.
    :param headers: other fields; an empty one is left out.
    """

    def script(fields: Mapping[str, str]) -> Answer:
        first, total = asked_from(fields), len(data)
        shown = {"ETag": ETAG, **(headers or {})}
        shown = {name: value for name, value in shown.items() if value}
        if first >= total:
            return Answer(head(416, {"Content-Range": f"bytes */{total}", "Content-Length": "0"}))
        body = data[first:]
        ranged = "range" in fields
        if ranged:
            size = "*" if framing == "starred" else str(total)
            shown["Content-Range"] = f"bytes {first}-{total - 1}/{size}"
        if framing in ("length", "starred"):
            shown["Content-Length"] = str(len(body))
        elif framing == "chunked":
            shown["Transfer-Encoding"] = "chunked"
        else:
            shown["Connection"] = "close"
        sent = body if cut is None else body[:cut]
        if framing == "chunked":
            pieces = [sent[at : at + 7000] for at in range(0, len(sent), 7000)]
            sent = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            sent += b"0\r\n\r\n" if cut is None else b"1000\r\n"
        stays = cut is None and framing != "close"
        return Answer(head(206 if ranged else 200, shown) + sent, stays)

    return script


def refusing(status: int, headers: Mapping[str, str] | None = None) -> Script:
    """Return a script that answers `status`, and nothing else."""
    return lambda _: Answer(head(status, {"Content-Length": "0", **(headers or {})}), stays=True)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
