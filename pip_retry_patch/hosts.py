"""Hosts that answered, and cannot be reached now: they are waited for (the request ring)."""

from __future__ import annotations

import errno
import http.client
import random
import socket
import time
from typing import Any, Callable, Mapping, Sequence

from pip_retry_patch import messages, ranges, resume
from pip_retry_patch.asker import PROBE
from pip_retry_patch.patience import Effort, Patience, next_wait, retry_after


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

    def _classes(self, *names: str) -> tuple[type[Exception], ...]:
        return tuple(getattr(module, name) for module in self._exceptions for name in names)

    def note(self, pool: Any) -> None:
        """The host of `pool` has answered."""
        self._answered.add(_host(pool))

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

    def is_waited_for(self, pool: Any, asked: Mapping[str, Any], error: Exception) -> bool:
        """Whether a request that failed by `error` may help when its host is back."""
        return (
            isinstance(error, (*self._classes("HTTPError"), OSError))
            and _host(pool) in self._answered
            and asked["method"] in ("GET", "HEAD")
            # Not inside of urllib3's own retries: when they are used up, it is our turn.
            and not getattr(asked.get("retries"), "history", ())
            and not messages.is_certificate_error(error)
            and self.is_unreachable(error)
        )

    def wait_for(
        self,
        pool: Any,
        url: str,
        error: Exception,
        send: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Send a request again until it is answered, by more than that the server is busy.

        urllib3's own retries were used up before. They are not begun again when the host is back
        and busy: everyone else who waited for it would do the same, seven times within 8 seconds.

        :param error: how it failed just now.
        :raises resume.GaveUpError: patience has ended.
        :raises Exception: its certificate was refused, or no network is to blame.
        """
        name, host = messages.name_of(url), messages.host_of(url)
        began = time.monotonic()
        effort = Effort().was_unreachable(began, local=is_local(pool, error))
        trouble = messages.reason(error)
        asked_to_wait: float | None = None
        self._announce(messages.waiting_for_host(name, host, error, self._patience.seconds))
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
                response = send(*args, **dict(kwargs, **PROBE))
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
