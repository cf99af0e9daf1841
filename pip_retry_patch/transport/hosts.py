"""Hosts that are lost or busy: they are waited for (the request ring).

*Lost* is a host that answered, and cannot be reached now. *Busy* is one that answers what asks for
time (`ranges.BUSY_STATUSES`), once pip's own retries are used up. pip has none for 429, 502 (up to
23.3) and 504: it takes one such answer for an index page that is not there.
"""

from __future__ import annotations

import errno
import http.client
import random
import re
import socket
import time
from typing import Any, Callable, Mapping, Sequence

from pip_retry_patch import messages
from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.retry import Effort, Patience, next_wait, retry_after
from pip_retry_patch.transport import resumption as resume
from pip_retry_patch.transport.reissue import PROBE


class Hosts:
    """Remembers which hosts answered in this process.

    :param exceptions: the module of the guarded urllib3, and its copies, if there are some.
    :param announce: shows one line to the user.
    """

    def __init__(
        self, exceptions: Sequence[Any], patience: Patience, announce: Callable[[str], None]
    ) -> None:
        self._exceptions = exceptions
        self._patience = patience
        self._announce = announce
        self._answered: set[tuple[str, str, int]] = set()
        self._helped: set[tuple[str, str, int]] = set()  # with more than that it is busy
        self._stays_busy: set[tuple[str, str, int]] = set()

    def _classes(self, *names: str) -> tuple[type[Exception], ...]:
        return tuple(getattr(module, name) for module in self._exceptions for name in names)

    def note(self, pool: Any, status: int) -> None:
        """The host of `pool` has answered."""
        self._answered.add(_host(pool))
        if status not in ranges.BUSY_STATUSES:
            self._helped.add(_host(pool))

    def has_helped(self, pool: Any) -> bool:
        """Whether the host of `pool` answered with more than that it is busy."""
        return _host(pool) in self._helped

    def is_network_error(self, error: Exception) -> bool:
        """Whether urllib3 or the system raised it, and no mistake of ours."""
        of_urllib3 = self._classes("HTTPError")
        return isinstance(error, (*of_urllib3, http.client.HTTPException, OSError))

    def is_unreachable(self, error: Exception) -> bool:
        """Whether no server was reached. Raises `error` where no network is to blame."""
        lost = self._classes("NewConnectionError", "ConnectTimeoutError", "ProxyError")
        causes = list(messages.causes(error))
        if any(isinstance(cause, lost) for cause in causes):
            return True
        if any(isinstance(cause, Exception) and self.is_network_error(cause) for cause in causes):
            return False
        raise error  # a mistake of ours, and nothing to be patient about

    def is_lost(self, pool: Any, asked: Mapping[str, Any], error: Exception) -> bool:
        """Whether a request that failed by `error` may help when its host is back."""
        return (
            isinstance(error, (*self._classes("HTTPError"), OSError))
            and _host(pool) in self._answered
            and _is_our_turn(asked)
            and not messages.is_certificate_error(error)
            and self.is_unreachable(error)
        )

    def is_busy(self, pool: Any, asked: Mapping[str, Any], first: Any) -> bool:
        """Whether a request that brought `first` may help when its host has more time.

        :param first: the response, or the error that urllib3 raised after its own retries.
        """
        return (
            self._patience.attempts > 1
            and self._busy_status(first) in _ASKS_FOR_TIME
            and _host(pool) not in self._stays_busy
            and _is_our_turn(asked)
        )

    def _busy_status(self, first: Any) -> int:
        """Return the status that a response has, or that ended urllib3's retries; else 0."""
        if not isinstance(first, Exception):
            return int(first.status)
        reason = getattr(first, "reason", None)
        if not isinstance(reason, self._classes("ResponseError")):
            return 0
        status = re.search(r"\b\d{3}\b", str(reason))  # "too many 503 error responses"
        return int(status[0]) if status else 0

    def wait_for_lost(
        self, pool: Any, url: str, error: Exception, send: Callable[..., Any], retries: int = 0
    ) -> Any:
        """Ask again until the host of `pool` is back, and not busy.

        urllib3's own retries were used up before. They are not begun again when it is back and
        busy: everyone else who waited for it would do the same, seven times within 8 seconds.

        :param error: how the request failed just now.
        :param send: sends it once more, with these keyword arguments.
        :param retries: how many of urllib3's own there were. Those come in step, so that the waits
            go on from theirs rather than begin anew.
        :raises resume.GaveUpError: patience has ended.
        :raises Exception: its certificate was refused, or no network is to blame.
        """
        name, host = messages.name_of(url), messages.host_of(url)
        self._announce(messages.waiting_for_host(name, host, error, self._patience.seconds))
        effort = Effort(unreachable=min(retries, COUNTED))
        effort = effort.was_unreachable(time.monotonic(), local=is_local(pool, error))
        return self._ask(pool, url, effort, messages.reason(error), None, send)

    def wait_for_busy(
        self, pool: Any, url: str, first: Any, send: Callable[..., Any], retries: int = 0
    ) -> Any:
        """Ask again until the host of `pool` is not busy any more; see `wait_for_lost`.

        A host that stays busy is not waited for again: a dead index among others would cost as
        much time for each project that pip looks up.

        :param first: see `is_busy`.
        """
        name, host = messages.name_of(url), messages.host_of(url)
        trouble = messages.busy(self._busy_status(first))
        more = self._patience.attempts - 1
        self._announce(messages.waiting_for_busy(name, host, trouble, more))
        asked_to_wait = retry_after(getattr(first, "headers", {}))
        try:
            effort = Effort(unreachable=min(retries, COUNTED)).was_unhelpful()
            return self._ask(pool, url, effort, trouble, asked_to_wait, send)
        except resume.GaveUpError:
            self._stays_busy.add(_host(pool))
            raise

    def _ask(
        self,
        pool: Any,
        url: str,
        effort: Effort,
        trouble: str,
        asked_to_wait: float | None,
        send: Callable[..., Any],
    ) -> Any:
        name, host = messages.name_of(url), messages.host_of(url)
        began = time.monotonic()
        while True:
            now = time.monotonic()
            wait = next_wait(self._patience, effort, now, random.uniform, asked_to_wait)
            if wait is None:
                attempts = effort.unreachable + effort.unhelpful
                tell = messages.busy_host if effort.lost_at is None else messages.lost_host
                raise resume.GaveUpError(tell(name, host, trouble, attempts, now - began))
            time.sleep(wait)
            asked_to_wait = None
            asked_at = time.monotonic()
            try:
                response = send(**PROBE)
            except Exception as again:
                if messages.is_certificate_error(again):
                    raise
                trouble = messages.reason(again)
                now = time.monotonic()
                if self.is_unreachable(again):
                    effort = effort.was_unreachable(now, now - asked_at, is_local(pool, again))
                else:
                    effort = effort.was_unhelpful(now - asked_at)
                continue
            if response.status not in ranges.BUSY_STATUSES:
                return response
            trouble = messages.busy(response.status)
            asked_to_wait = retry_after(response.headers)
            effort = effort.was_unhelpful(time.monotonic() - asked_at)
            response.close()
            response.release_conn()


# So many of urllib3's retries make the first limit of ours 8 seconds. All five of pip's would make
# it 30, and who is alone would wait for 15 of them.
COUNTED = 3

# Not 500, which pip has asked about five times by then: that is a mistake of the server's own.
_ASKS_FOR_TIME = ranges.BUSY_STATUSES - {500}


def _is_our_turn(asked: Mapping[str, Any]) -> bool:
    """Whether a request can be repeated, and is no retry of urllib3's own, which come first."""
    retries = getattr(asked.get("retries"), "history", ())
    return asked["method"] in ("GET", "HEAD") and not retries


# Not EHOSTUNREACH, which is also what a whole fleet gets that shares a network with the server
# while that one machine is away.
_NO_NETWORK = frozenset([errno.ENETUNREACH, errno.ENETDOWN])
_NO_NAME = frozenset([socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_NONAME])


def is_local(pool: Any, error: Exception) -> bool:
    """Whether a request through `pool` failed by `error` before it left this machine."""
    causes = list(messages.causes(error))
    if any(isinstance(cause, socket.gaierror) and cause.errno in _NO_NAME for cause in causes):
        return True
    if not any(isinstance(cause, OSError) and cause.errno in _NO_NETWORK for cause in causes):
        return False
    if "_socks_options" in pool.conn_kw:
        return False  # its names are for the proxy to resolve, and for nobody else to hear of
    # Of a host's several addresses, urllib3 tells what the last one brought. On a machine without
    # IPv6 that is this error even while the server refuses on IPv4.
    peer = getattr(pool, "proxy", None) or pool
    return not _has_route(peer.host, peer.port)


def _has_route(host: str, port: int | None) -> bool:
    """Whether packets to one of its addresses could leave. UDP's connect sends none to find out."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    for family, kind, protocol, _, address in addresses:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                return True
        except OSError:
            continue
    return False


def _host(pool: Any) -> tuple[str, str, int]:
    return pool.scheme, pool.host, pool.port
