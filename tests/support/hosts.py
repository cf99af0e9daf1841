"""What the tests of hosts, indexes and commands share: pips in a hurry, and servers that refuse."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from typing import Any, Iterator, Mapping

from tests.support.environments import Environment
from tests.support.programs import Argument, Outcome

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
HURRIED: Mapping[str, Argument] = {
    "PIP_RETRY_PATCH_PATIENCE": "3",
    "PIP_RETRY_PATCH_FIRST_CONTACT": "2",
    "PIP_RETRY_PATCH_ATTEMPTS": "3",
    "PIP_RETRIES": "1",
    "PIP_TIMEOUT": "1",
    "PIP_NO_CACHE_DIR": "1",
    "NO_COLOR": "1",
}


def download(environment: Environment, *arguments: Argument, **env: Any) -> Outcome:
    """Run `pip download --no-deps` in a hurry."""
    command = "download", "--no-deps", "--dest", environment.fresh_dir(), *arguments
    return environment.run(*command, env={**HURRIED, **env}, timeout=60)


@contextlib.contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """Serve on a port of loopback: read a request, answer it and close; None resets."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.recv(4096)
                if answer is None:
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                else:
                    self.request.sendall(answer)

    with listening(Handler) as port:
        yield port


@contextlib.contextmanager
def listening(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """Serve on a port of loopback while this lasts: each connection in a thread of its own."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Let no thread's error fill a test's output."""

        def shutdown_request(self, request: Any) -> None:
            """Close without the shutdown() that would turn a prepared reset into a FIN."""
            request.close()

    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


def indexes(first: str, *extra: str) -> list[str]:
    """The options that name one index, and others beside it."""
    return ["--index-url", first, *(word for url in extra for word in ("--extra-index-url", url))]


def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def dead_index() -> str:
    return f"http://127.0.0.1:{closed_port()}/simple/"
