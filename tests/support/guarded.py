"""A urllib3 that is guarded as pip's is, in this process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Iterator, Protocol

import urllib3

from pip_retry_patch import failures
from pip_retry_patch.policy.retry import Patience
from pip_retry_patch.transport import guard

SIZE = 300_000
TIMEOUT = 0.25
UNHURRIED = 10.0  # seconds, for tests in which nothing is silent: other tests keep the machine busy
HASTY = Patience(attempts=4, seconds=2.0, first_limit=0.01, last_limit=0.02)


class GaveUpError(Exception):
    """What the guard under test raises, in pip's place."""

    def __init__(self, failure: failures.Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class Server(Protocol):
    """Serves the files of packages: a `Lab`, or what a test has in its place."""

    @property
    def url(self) -> str: ...

    def filename(self, package: str) -> str: ...


class Copy:
    """A urllib3 of its own, so that what is wrapped here is wrapped nowhere else."""

    def __init__(self, patience: Patience = HASTY, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self.lines: list[str] = []  # what was announced

        def copy(pool: type) -> Any:
            return type(pool.__name__, (pool,), {"urlopen": urllib3.HTTPConnectionPool.urlopen})

        self.pools = {
            "http": copy(urllib3.HTTPConnectionPool),
            "https": copy(urllib3.HTTPSConnectionPool),
        }
        self.guards: dict[str, guard.Guard] = {}
        for scheme, pool in self.pools.items():
            module = SimpleNamespace(
                connectionpool=SimpleNamespace(HTTPConnectionPool=pool),
                exceptions=urllib3.exceptions,
            )
            self.guards[scheme] = guard.Guard(module, patience, self.error, self.lines.append)
            self.guards[scheme].wrap()

    @staticmethod
    def error(failure: failures.Failure, interruption: Exception) -> Exception:
        return GaveUpError(failure)

    def get(self, lab: Server, name: str = "demo", **headers: str) -> urllib3.BaseHTTPResponse:
        scheme, _, rest = lab.url.partition("://")
        host, _, port = rest.partition(":")
        options: dict[str, Any] = {"cert_reqs": "CERT_NONE"} if scheme == "https" else {}
        pool = self.pools[scheme](host, int(port), timeout=self.timeout, **options)
        response: urllib3.BaseHTTPResponse = pool.urlopen(
            "GET",
            f"/files/{name}/{lab.filename(name)}",
            headers={"Accept-Encoding": "identity", **headers},
            retries=urllib3.Retry(3, backoff_factor=0),
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        return response


def read(response: urllib3.BaseHTTPResponse, chunk: int) -> Iterator[bytes]:
    """Read as pip does: `stream` with a chunk size."""
    yield from response.stream(chunk, decode_content=False)
