"""Hosts that are lost or busy: they are waited for (the request ring).

*Lost* is a host that answered, and cannot be reached now. *Busy* is one that answers what asks for
time (`ranges.BUSY_STATUSES`), once pip's own retries are used up. pip has none for 429, 502 (up to
23.3) and 504: it takes one such answer for an index page that is not there.
"""

from __future__ import annotations

import http.client
import logging
import re
from typing import Any, Callable, Mapping, Sequence

from pip_retry_patch import messages
from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.retry import Attempts, Clock, Effort, Patience, retry_after
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.errors import GaveUpError
from pip_retry_patch.transport.reissue import PROBE, Request

logger = logging.getLogger("pip_retry_patch")

# So many of urllib3's retries make the first limit of ours 8 seconds. All five of pip's would make
# it 30, and a lone client would wait for 15 of them.
COUNTED = 3

# 500 is not among them. pip has asked about five times by then: it is a mistake of the server's.
_ASKS_FOR_TIME = ranges.BUSY_STATUSES - {500}


class Hosts:
    """Remembers which hosts answered in this process, and waits for one that does not.

    :param exceptions: the module of the guarded urllib3, and its copies, if there are some.
    :param announce: shows one line to the user.
    """

    def __init__(
        self,
        exceptions: Sequence[Any],
        patience: Patience,
        clock: Clock,
        announce: Callable[[str], None],
    ) -> None:
        self._exceptions = exceptions
        self._patience = patience
        self._clock = clock
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
        causes = list(errors.causes(error))
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
            and not errors.is_certificate_error(error)
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
        busy: all others who waited for it would do the same, seven times within 8 seconds.

        :param error: how the request failed just now.
        :param send: sends it once more, with these keyword arguments.
        :param retries: how many of urllib3's own there were. Those come in step, so the waits
            continue from theirs rather than begin anew.
        :raises GaveUpError: patience has ended.
        :raises Exception: its certificate was refused, or no network is to blame.
        """
        name, host, why = messages.name_of(url), messages.host_of(url), errors.reason(error)
        self._announce(messages.waiting_for_host(name, host, why, self._patience.seconds))
        attempts = self._attempts(retries)
        attempts.was_unreachable(errors.is_local(pool, error))
        return self._ask(pool, url, attempts, why, send)

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
        attempts = self._attempts(retries)
        attempts.was_unhelpful(retry_after(getattr(first, "headers", {})), at_once=True)
        try:
            return self._ask(pool, url, attempts, trouble, send)
        except GaveUpError:
            self._stays_busy.add(_host(pool))
            raise

    def _attempts(self, retries: int) -> Attempts:
        return Attempts(self._patience, self._clock, Effort(unreachable=min(retries, COUNTED)))

    def _ask(
        self, pool: Any, url: str, attempts: Attempts, trouble: str, send: Callable[..., Any]
    ) -> Any:
        while attempts.wait():
            try:
                response = send(**PROBE)
            except Exception as again:
                if errors.is_certificate_error(again):
                    raise
                trouble = errors.reason(again)
                if self.is_unreachable(again):
                    attempts.was_unreachable(errors.is_local(pool, again))
                else:
                    attempts.was_unhelpful()
                continue
            if response.status not in ranges.BUSY_STATUSES:
                return response
            trouble = messages.busy(response.status)
            attempts.was_unhelpful(retry_after(response.headers))
            drop(response)
        effort = attempts.effort
        tell = messages.busy_host if effort.lost_at is None else messages.lost_host
        name, host = messages.name_of(url), messages.host_of(url)
        count = effort.unreachable + effort.unhelpful
        raise GaveUpError(tell(name, host, trouble, count, attempts.seconds))


class PatientSender:
    """Sends a request of pip's, and waits for its host where that is lost or busy.

    :param error: makes the exception for a Failure and the error that led to it.
    """

    def __init__(
        self,
        hosts: Hosts,
        error: Callable[[messages.Failure, Exception], Exception],
        announce: Callable[[str], None],
    ) -> None:
        self._hosts = hosts
        self._error = error
        self._announce = announce

    def send(
        self, request: Request, args: tuple[Any, ...], kwargs: Mapping[str, Any], patient: bool
    ) -> Any:
        """Return the answer, or raise what urllib3 raised, or the error that patience ended with.

        :param args: and `kwargs`, what urlopen was called with.
        :param patient: whether to wait at all.
        """
        first: Any
        try:
            first = request.send(*args, **kwargs)
        except Exception as error:
            if not patient or not self._is_waited_for(request, error):
                raise
            response = self._wait(request, args, kwargs, error)
            if response is None:
                raise
        else:
            response = first
            if patient and self._is_waited_for(request, first):
                later = self._wait(request, args, kwargs, first)
                if later is not None:
                    drop(first)
                    response = later
        try:
            self._hosts.note(request.pool, response.status)
        except Exception as why:
            logger.debug("pip-retry-patch could not note a host: %r", why)
        return response

    def _is_waited_for(self, request: Request, first: Any) -> bool:
        """Whether to ask again later; `first` is the response that came, or the error."""
        pool, asked = request.pool, request.asked
        if isinstance(first, Exception) and self._hosts.is_lost(pool, asked, first):
            return True
        # A program that is protected decides for itself what a status means to it.
        return request.of_pip and self._hosts.is_busy(pool, asked, first)

    def _wait(
        self, request: Request, args: tuple[Any, ...], kwargs: Mapping[str, Any], first: Any
    ) -> Any:
        """Return what comes once the host is there again, and has time.

        None where pip is to have what came first. That is so of a host that did nothing but say
        that it is busy: one of several indexes, which pip can do without.
        """
        hosts, pool = self._hosts, request.pool
        lost = False
        try:

            def send(**options: Any) -> Any:
                return request.send(*args, **dict(kwargs, **options))

            lost = isinstance(first, Exception) and hosts.is_lost(pool, request.asked, first)
            wait = hosts.wait_for_lost if lost else hosts.wait_for_busy
            retries = getattr(request.asked.get("retries"), "total", None) or 0
            counted = retries if isinstance(first, Exception) else 0
            return wait(pool, request.url, first, send, counted)
        except GaveUpError as end:
            error = first if isinstance(first, Exception) else end
            if lost or request.needed or hosts.has_helped(pool):
                raise self._error(end.failure, error) from error
            self._announce(messages.without(end.failure))
        except Exception as again:
            if hosts.is_network_error(again):
                raise
            logger.debug("pip-retry-patch could not wait for a host: %r", again)
        return None


def drop(response: Any) -> None:
    """End an answer of urllib3's that nobody will read."""
    response.close()
    response.release_conn()


def _is_our_turn(asked: Mapping[str, Any]) -> bool:
    """Whether a request can be repeated, and is no retry of urllib3's own, which come first."""
    retries = getattr(asked.get("retries"), "history", ())
    return asked["method"] in ("GET", "HEAD") and not retries


def _host(pool: Any) -> tuple[str, str, int]:
    return pool.scheme, pool.host, pool.port
