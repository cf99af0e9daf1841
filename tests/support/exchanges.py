"""Real answers of requests that come from no network, and the loop that asks for them.

An answer is a `requests.Response` around urllib3's around http.client's, which reads what a test
wrote instead of a socket. Nobody waits: the clock is virtual.
"""

from __future__ import annotations

import http.client
import io
import socket
from types import SimpleNamespace
from typing import Any, Callable, Iterable, Mapping

import requests
import urllib3
from urllib3.exceptions import MaxRetryError, NewConnectionError, ReadTimeoutError

from pip_retry_patch import wording
from pip_retry_patch.fetch.body import Body
from pip_retry_patch.fetch.exchange import Exchange
from pip_retry_patch.fetch.judge import span_of
from pip_retry_patch.fetch.patience import Clock, Hosts, Patience
from pip_retry_patch.fetch.request import Asking, Job, Kind, Outcome, Source
from pip_retry_patch.fetch.story import Story
from pip_retry_patch.records import replace

URL = "https://files.example/demo-1.0-py3-none-any.whl"
MIRROR = "https://mirror.example/demo-1.0-py3-none-any.whl"
RESET = ConnectionResetError(104, "Connection reset by peer")
ETAG = '"v1"'


class VirtualClock(Clock):
    """Time passes when somebody waits; the longest wait is drawn each time."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.waits: list[float] = []
        self.uniform = lambda low, high: high

    def now(self) -> float:
        return self.seconds - self._left_out

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds


class _Wire(io.RawIOBase):
    """Pieces of bytes as they arrive; an exception among them is raised."""

    def __init__(self, pieces: Iterable[bytes | BaseException]) -> None:
        self._pieces = iter([piece for piece in pieces if piece != b""])
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._rest or next(self._pieces, b"")
        if isinstance(piece, BaseException):
            raise piece
        taken, self._rest = piece[: len(buffer)], piece[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def response(
    *pieces: bytes | BaseException,
    status: int = 200,
    url: str = URL,
    length: int | None = None,
    framed: str = "length",
    **headers: str,
) -> requests.Response:
    """Return an answer of which only the header has been read.

    :param pieces: its body as it arrives, and what breaks it.
    :param framed: "length", "chunks", "broken chunks" (without the last one), or "close".
    :param length: its Content-Length, where that is not the length of its pieces.
    """
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    body = list(pieces)
    if framed == "length":
        size = sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        fields["Content-Length"] = str(size if length is None else length)
    elif framed.endswith("chunks"):
        fields["Transfer-Encoding"] = "chunked"
        body = [b"%x\r\n%b\r\n" % (len(p), p) if isinstance(p, bytes) else p for p in pieces if p]
        body += [b"0\r\n\r\n"] if framed == "chunks" else []
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    wire = [f"HTTP/1.1 {status} OK\r\n{head}\r\n".encode("latin-1"), *body]
    connection: Any = SimpleNamespace(makefile=lambda *_, **__: io.BufferedReader(_Wire(wire)))
    source = http.client.HTTPResponse(connection, method="GET")
    source.begin()
    raw = urllib3.HTTPResponse(
        body=source,
        headers=dict(source.headers),
        status=status,
        preload_content=False,
        decode_content=False,
        original_response=source,
        request_method="GET",
    )
    request = requests.Request("GET", url).prepare()
    return requests.adapters.HTTPAdapter().build_response(request, raw)


def whole(body: bytes, **options: Any) -> requests.Response:
    """Return a 200 with an ETag."""
    return response(body, **{"etag": ETAG, **options})


def part(body: bytes, first: int, stop: int | None = None, **options: Any) -> requests.Response:
    """Return a 206 with the bytes of `body` from `first` on."""
    last = (len(body) if stop is None else stop) - 1
    label = f"bytes {first}-{last}/{len(body)}"
    options = {"etag": ETAG, "content_range": label, "status": 206, **options}
    return response(body[first : last + 1], **options)


def busy(status: int = 503, retry_after: str = "") -> requests.Response:
    fields: dict[str, Any] = {"retry_after": retry_after} if retry_after else {}
    return response(b"busy", status=status, **fields)


def refused(url: str = URL, why: Exception | None = None) -> Exception:
    """Return why no connection was made, as requests raises it."""
    nobody: Any = None
    failed = MaxRetryError(nobody, "/", NewConnectionError(nobody, "refused"))
    error = requests.ConnectionError(failed)
    error.request = requests.Request("GET", url).prepare()
    error.__cause__ = why or ConnectionRefusedError(111, "Connection refused")
    return error


def unknown_name() -> Exception:
    return refused(why=socket.gaierror(socket.EAI_NONAME, "Name or service not known"))


def silent() -> Exception:
    nobody: Any = None
    return requests.ReadTimeout(ReadTimeoutError(nobody, "/", "Read timed out."))


class Cut:
    """A request that was answered, and whose content broke."""

    def __init__(self, error: Exception, status: int = 200) -> None:
        self.error, self.status = error, status


class GaveUpError(Exception):
    """What stands for pip's error of a Failure."""

    def __init__(self, failure: wording.Failure, cause: Exception) -> None:
        super().__init__(failure.message)
        self.failure, self.cause = failure, cause


class World:
    """One job, and what each of its sources does in turn.

    :param does: what pip's own source does: an answer, an error, or what a function makes of a
        request; the last of it, if it is no answer, for ever.
    :param mirrors: the same for each mirror.
    """

    def __init__(
        self, *does: Any, mirrors: Mapping[str, list[Any]] | None = None, **job: Any
    ) -> None:
        self.hosts = Hosts()
        self.hosts.clock = self.clock = VirtualClock()
        self.lines: list[str] = []
        self.records: list[tuple[Any, ...]] = []
        self.forgotten: list[str] = []
        self.asked: list[tuple[str, Asking, float]] = []  # the URL, how, and when
        self.mirrors_asked_for = 0
        others = [self._source(url, url, todo) for url, todo in (mirrors or {}).items()]

        def sources() -> list[Source]:
            self.mirrors_asked_for += 1
            return others

        url = job.pop("url", URL)
        defaults: dict[str, Any] = {
            "kind": Kind.FILE,
            "whole": False,
            "ranged": False,
            "hashed": True,
            "fresh": False,
            "patience": Patience(),
            "error": GaveUpError,
            "mirrors": sources,
            "forget": self.forgotten.extend,
        }
        self.job = Job(source=self._source(url, "", list(does)), **{**defaults, **job})
        self.exchange = self.exchange_of(self.job)

    def exchange_of(self, job: Job) -> Exchange:
        tell = self.lines.append

        def record(*facts: Any, **more: Any) -> None:
            self.records.append((*facts, more))

        story = Story(job.source.url, tell, tell, record)
        return Exchange(job, self.hosts, story)

    def another(self, *does: Any, url: str = URL, **changes: Any) -> Exchange:
        """Return the exchange of a further request of the same run."""
        return self.exchange_of(
            replace(self.job, source=self._source(url, "", list(does)), **changes)
        )

    def _source(self, url: str, mirror: str, does: list[Any]) -> Source:
        def send(asking: Asking, outcome: Outcome) -> Any:
            self.asked.append((url, asking, self.clock.seconds))
            outcome.timeout = 15.0
            is_endless = len(does) == 1 and not isinstance(does[0], requests.Response)
            assert does, "it was asked more often than the test has answers"
            done = does[0] if is_endless else does.pop(0)
            if callable(done) and not isinstance(done, type):
                done = done(asking)
            if isinstance(done, Cut):
                outcome.urls.append(url)
                outcome.asked.append(url)
                outcome.is_answered, outcome.answer = True, whole(b"", status=done.status)
                raise done.error
            if isinstance(done, Exception):
                raise done
            done.url = url
            outcome.urls.append(url)
            outcome.is_answered, outcome.answer = True, done
            outcome.is_cached = outcome.came_from_cache = getattr(done, "from_cache", False)
            outcome.asked += [] if outcome.is_cached else [url]
            return done

        def serves(why: str, offset: int) -> None:
            self.lines.append(f"{mirror} serves from {offset} on: {why}")

        return Source(url, send, mirror, serves if mirror else None)

    def obtain(self) -> Outcome:
        return self.exchange.obtain()

    def start(self, written: Callable[[], str | None] | None = None, **kept: Any) -> Any:
        """Obtain a first answer and put a Body below it."""
        outcome = self.obtain()
        span = span_of(outcome.status, outcome.response.headers, self.job.ranged)
        assert span is not None
        self.body = Body(self.exchange, outcome, span, written=written, **kept)
        return outcome.response

    def read(self, piece: int = 4096, **options: Any) -> bytes:
        """Return what pip reads: a first answer, and all of its body."""
        return b"".join(self.start(**options).raw.stream(piece, decode_content=False))

    def resting(self) -> dict[str, str]:
        return {name: host.rest for name, host in self.hosts._found.items() if host.rest}

    @property
    def urls(self) -> list[str]:
        return [url for url, _, _ in self.asked]

    @property
    def ranges(self) -> list[str | None]:
        return [asking.fields.get("Range") for _, asking, _ in self.asked]

    @property
    def moments(self) -> list[float]:
        return [moment for _, _, moment in self.asked]


def serving(body: bytes, **options: Any) -> Callable[[Asking], requests.Response]:
    """Return a server that answers each Range with that part of a file, and else with all."""

    def answer(asking: Asking) -> requests.Response:
        wanted = asking.fields.get("Range")
        if wanted is None:
            return whole(body, **options)
        first, _, last = wanted.partition("=")[2].partition("-")
        return part(body, int(first), int(last) + 1 if last else None, **options)

    return answer
