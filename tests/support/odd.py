"""An index on loopback that answers exactly what a test says, byte by byte."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
from typing import Callable, Iterator, Mapping, Sequence, Union

from tests.support.hosts import listening
from tests.support.lab.packages import Package

DEMO = Package("demo", 30_000)
WHEEL = DEMO.wheel()
METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
JSON = "application/vnd.pypi.simple.v1+json"

# What is sent for one request: given its fields and "target", or always the same.
Answer = Union[bytes, Callable[[Mapping[str, str]], bytes]]


def reply(
    status: int = 200,
    body: bytes = b"",
    media: str = "text/html",
    length: int | None = None,
    **fields: str,
) -> bytes:
    """Return an answer; an underscore in the name of a field stands for a hyphen."""
    shown = {"Content-Type": media, "Content-Length": str(len(body) if length is None else length)}
    shown.update({name.replace("_", "-"): value for name, value in fields.items()})
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in shown.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


def part(first: int, last: int, of: bytes, media: str = "text/html", **fields: str) -> bytes:
    told = f"bytes {first}-{last}/{len(of)}"
    return reply(206, of[first : last + 1], media, None, Content_Range=told, **fields)


def asked_from(fields: Mapping[str, str]) -> int:
    return int(fields.get("range", "bytes=0-")[6:].partition("-")[0])


def starting(size: int, of: bytes, **fields: str) -> Answer:
    """Return what sends the first `size` bytes of something, and the rest where that is asked."""

    def answer(asked: Mapping[str, str]) -> bytes:
        first = asked_from(asked)
        return part(first, (len(of) if "range" in asked else size) - 1, of, **fields)

    return answer


def half(asked: Mapping[str, str]) -> bytes:
    """Return the first half of the wheel, which is all that comes of it; or what is asked for."""
    if "range" in asked:
        return part(asked_from(asked), len(WHEEL) - 1, WHEEL, "", ETag='"file"')
    return reply(200, WHEEL[: len(WHEEL) // 2], "", len(WHEEL), ETag='"file"')


def page(hashed: bool = True, metadata: bool = False, query: str = "") -> bytes:
    """Return the page of `demo`; its link has a query."""
    digest = f"#sha256={hashlib.sha256(WHEEL).hexdigest()}" if hashed else ""
    told = f"sha256={hashlib.sha256(METADATA).hexdigest()}" if hashed else "true"
    more = f' data-core-metadata="{told}" data-dist-info-metadata="{told}"' if metadata else ""
    link = f'<a href="/files/{DEMO.filename}{query}{digest}"{more}>{DEMO.filename}</a>'
    return f"<!DOCTYPE html><html><body>{link}</body></html>".encode()


class Odd:
    """An index with one project, `demo`.

    :param answers: for "page", "file" and "metadata": what is sent for the first request, for the
        second and so on, the last one for all that follow. What is left out is answered rightly.

    `asked`: what was asked for, in order.
    """

    def __init__(self, answers: Mapping[str, Sequence[Answer]], port: int) -> None:
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{port}"
        self.index_url = f"{self.url}/simple/"
        self._answers = answers

    def answer(self, kind: str, fields: Mapping[str, str]) -> bytes:
        self.asked.append(kind)
        answers = self._answers[kind]
        answer = answers[min(self.asked.count(kind), len(answers)) - 1]
        return answer if isinstance(answer, bytes) else answer(fields)


@contextlib.contextmanager
def odd_index(hashed: bool = True, **answers: Sequence[Answer]) -> Iterator[Odd]:
    """Serve an index on a port of loopback while this lasts.

    :param hashed: its page has hashes.
    :param answers: as `Odd` takes them. If metadata is among them, the page says that it is there.
    """
    right: dict[str, Sequence[Answer]] = {
        "page": [reply(200, page(hashed, "metadata" in answers))],
        "file": [reply(200, WHEEL, "application/zip")],
        "other": [reply(404)],
    }
    right.update(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fields = {"target": self.path, **{k.lower(): v for k, v in self.headers.items()}}
            kind = "page" if self.path.partition("?")[0] == "/simple/demo/" else "other"
            if self.path.startswith("/files/"):
                kind = "metadata" if self.path.endswith(".metadata") else "file"
            with contextlib.suppress(OSError):
                self.wfile.write(served.answer(kind, fields))

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as port:
        served = Odd(right, port)
        yield served
