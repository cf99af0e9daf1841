"""What became of each host in this run: which answered, which helped, which was given up.

A host is *lost* where a request brought no answer, however it ended: refused, reset, closed, not
resolved, timed out, or with a handshake that was cut. It is *busy* where it answers what asks for
time (`ranges.BUSY_STATUSES`). *First contact* is a request to a host that has not answered yet.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Any, Mapping

from pip_retry_patch import failures, messages, names
from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.retry import Patience
from pip_retry_patch.records import NamedTuple
from pip_retry_patch.transport import errors

# A file's 500 is not among them. pip has asked about five times by then: it is a mistake of the
# server's. For a page it is what an index says whose own source is away.
_ASKS_FOR_TIME = ranges.BUSY_STATUSES - {500}


class GivenUp(NamedTuple):
    """A host that was waited for in vain, to get `name`, and what its requests end with."""

    name: str
    failure: failures.Failure
    error: Exception

    def failure_for(self, name: str) -> failures.Failure:
        """Return why something else does not come from there."""
        context = self.failure.context.replace(self.name, name)
        return self.failure._replace(context=context)


class Hosts:
    """Remembers what became of each host. A proxy that fails stands for the hosts behind it."""

    def __init__(self) -> None:
        self._answered: set[Any] = set()
        self._helped: set[Any] = set()  # with more than that it is busy
        self._stays_busy: set[Any] = set()
        self._given_up: dict[Any, GivenUp] = {}

    def note(self, pool: Any, status: int) -> None:
        """The host of `pool` has answered."""
        self._answered.update((host_key(pool), _proxy(pool)))
        if status not in ranges.BUSY_STATUSES:
            self._helped.add(host_key(pool))

    def has_answered(self, pool: Any, error: Exception | None = None) -> bool:
        """Whether the host of `pool`, or the proxy that `error` is of, answered in this run."""
        return self._key(pool, error) in self._answered

    def has_helped(self, pool: Any) -> bool:
        """Whether the host of `pool` answered with more than that it is busy."""
        return host_key(pool) in self._helped

    def give_up(self, pool: Any, name: str, failure: failures.Failure, error: Exception) -> None:
        """Let further requests fail at once, with the same error: the wait is made only once."""
        self._given_up[self._key(pool, error)] = GivenUp(name, failure, error)

    def given_up(self, pool: Any) -> GivenUp | None:
        found = self._given_up.get(host_key(pool))
        return found or self._given_up.get(_proxy(pool)) if self._given_up else None

    def stays_busy(self, pool: Any) -> bool:
        """Whether it was busy until patience ended. It is asked again, but not waited for."""
        return host_key(pool) in self._stays_busy

    def note_busy(self, pool: Any) -> None:
        """The host of `pool` was busy until patience ended."""
        self._stays_busy.add(host_key(pool))

    def _key(self, pool: Any, error: Exception | None) -> Any:
        if error is not None and errors.is_of_proxy(pool, error):
            return _proxy(pool)
        return host_key(pool)

    def patience(self, patience: Patience, pool: Any, error: Exception) -> Patience:
        """Return how much patience there is for a request that failed by `error`."""
        if self.has_answered(pool, error):
            return patience
        return patience.at_first_contact(errors.is_offline(pool, error))


def host_key(pool: Any) -> tuple[str, str, int | None]:
    return pool.scheme, pool.host, pool.port


def _proxy(pool: Any) -> tuple[str, str, int | None] | None:
    proxy = getattr(pool, "proxy", None)
    return None if proxy is None else ("proxy", proxy.host, proxy.port)


def peer_of(pool: Any, url: str, error: Exception | None = None) -> messages.Peer:
    """Name whom a request goes to, and what failed of them."""
    proxy = getattr(pool, "proxy", None)
    name = None if proxy is None else f"{proxy.host}:{proxy.port}"
    is_proxy = error is not None and errors.is_of_proxy(pool, error)
    return messages.Peer(names.host_of(url), name, is_proxy)


def busy_status(first: Any, artifact: bool) -> int:
    """Return the status by which a host asks for time; 0 if it does not.

    :param first: the response, or the error that urllib3 raised after its own retries.
    :param artifact: a file was asked for.
    """
    status = status_of(first)
    return status if status in (_ASKS_FOR_TIME if artifact else ranges.BUSY_STATUSES) else 0


def status_of(first: Any) -> int:
    """Return the status of a response, or the one that ended urllib3's retries; 0 if none did."""
    if not isinstance(first, Exception):
        return int(first.status)
    reason = getattr(first, "reason", None)
    if type(reason).__name__ != "ResponseError":
        return 0
    status = re.search(r"\b\d{3}\b", str(reason))  # "too many 503 error responses"
    return int(status[0]) if status else 0


def part_of(request: Any, response: Any) -> ranges.ContentRange | None:
    """Return which part an answer brings though pip asked for all; None for any other answer."""
    if response.status != 206 or not request.of_pip or request.asked["method"] != "GET":
        return None
    if any(name.lower() == "range" for name in request.headers):
        return None
    return ranges.unasked_part(response.headers, getattr(response._fp, "length", None))


def can_be_repeated(asked: Mapping[str, Any]) -> bool:
    return asked["method"] in ("GET", "HEAD")


def is_retry_of_urllib3(asked: Mapping[str, Any]) -> bool:
    """Whether urllib3 called itself, to retry: the first call judges what comes of that."""
    return bool(getattr(asked.get("retries"), "history", ()))


def drop(response: Any) -> None:
    """End an answer of urllib3's that nobody will read."""
    response.close()
    response.release_conn()


def absolute_url(pool: Any, url: str) -> str:
    """Return the URL that was asked for; through a plain HTTP proxy it is whole already."""
    if not url.startswith("/"):
        return url
    usual = pool.port in (None, {"http": 80, "https": 443}.get(pool.scheme))
    return f"{pool.scheme}://{pool.host}{'' if usual else f':{pool.port}'}{url}"


def same_resource(one: str, other: str) -> bool:
    """Whether two URLs name the same thing on the same host."""
    if one == other:
        return True
    a, b = urllib.parse.urlsplit(one), urllib.parse.urlsplit(other)
    return (a.hostname, a.path, a.query) == (b.hostname, b.path, b.query)
