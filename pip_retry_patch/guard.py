"""The one function of urllib3 that is wrapped, and what it gives every response: a resumable body.

A `Guard` knows urllib3 (1.25 to 2.x) under any name: as pip vendors it, as a distribution debundles
it, as a program imports it. It does not know pip; hooks.py tells it what is pip's.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import logging
import random
import threading
import time
import urllib.parse
from typing import Any, Callable, Iterator, Mapping, NamedTuple

from pip_retry_patch import body, messages, ranges, resume
from pip_retry_patch.part import Part
from pip_retry_patch.patience import Effort, Patience, next_wait

logger = logging.getLogger("pip_retry_patch")

# urllib3's own order, 1.25 to 2.x. requests passes all of it by keyword; urllib3 itself calls
# urlopen again, by position, when it retries.
_URLOPEN_PARAMETERS = (
    "method",
    "url",
    "body",
    "headers",
    "retries",
    "redirect",
    "assert_same_host",
    "timeout",
)

# A request for the rest is no longer the conditional request that CacheControl may have made:
# to that the answer could be 304.
_NOT_REPEATED = frozenset(
    [
        "range",
        "if-range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
    ]
)

# A request as it was sent, to send it again: through the pool, and with the fields of its header.
Send = Callable[..., Any]
Again = Callable[[Mapping[str, str]], Any]


class _Sent(NamedTuple):
    """One call of urlopen: the pool's own method, what it was asked, and what came."""

    send: Send
    asked: Mapping[str, Any]
    headers: Mapping[str, str]
    response: Any = None
    source: Any = None


class _UnderWay(threading.local):
    """The request that this thread is sending; `pip list --outdated` used to have several."""

    url = ""
    again: Again | None = None
    hashed = False
    capturing = False
    captured: _Sent | None = None


class Guard:
    """Wraps one urllib3.

    :param urllib3: the module, under any name.
    :param error: makes the exception for a Failure and the error that led to it.
    :param announce: shows one line to the user.
    :param always: guard even what is asked with `retries=0`. That is how pip builds the session of
        its self-version check, which must not wait; but it is also what requests does by default.
    """

    def __init__(
        self,
        urllib3: Any,
        patience: Patience,
        error: Callable[[messages.Failure, Exception], Exception],
        announce: Callable[[str], None] = logger.warning,
        always: bool = False,
    ) -> None:
        self.patience = patience
        self.error = error
        self.announce = announce
        self._under_way = _UnderWay()
        self._urllib3 = urllib3
        self._always = always
        self._answered: set[tuple[str, str, int]] = set()

    def wrap(self) -> None:
        """Put this guard in place; once, however often this is called."""
        wrapt = importlib.import_module("wrapt")  # here, so that a pip left alone never pays for it
        pool = self._urllib3.connectionpool.HTTPConnectionPool
        if isinstance(vars(pool)["urlopen"], wrapt.FunctionWrapper):
            own = getattr(vars(pool)["urlopen"], "_self_wrapper", None)
            if getattr(own, "__func__", None) is Guard.urlopen:
                return
        wrapt.wrap_function_wrapper(pool, "urlopen", self.urlopen)

    @contextlib.contextmanager
    def sending(self, url: str, again: Again, hashed: bool) -> Iterator[None]:
        """Say what is sent while this lasts: a request for `url`, whatever redirects follow.

        `again` sends it once more from there, with some fields in its header, and so calls
        urlopen again. `hashed`: what comes will be checked against a hash. Where it is not, only
        proven parts are joined.
        """
        now = self._under_way
        before = now.url, now.again, now.hashed
        now.url, now.again, now.hashed = url, again, hashed
        try:
            yield
        finally:
            now.url, now.again, now.hashed = before

    def urlopen(
        self, wrapped: Send, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`HTTPConnectionPool.urlopen`, whose answer reads from a resumable body."""
        asked = dict(zip(_URLOPEN_PARAMETERS, args), **kwargs)
        headers = asked.get("headers")
        sent = _Sent(wrapped, asked, pool.headers if headers is None else headers)
        if self._under_way.capturing:
            response = wrapped(*args, **kwargs)
            self._under_way.captured = sent._replace(response=response, source=response._fp)
            return response
        preload = asked.get("method") == "GET" and kwargs.get("preload_content", True)
        if preload:
            # urllib3's own convenience for programs (pip never uses it): read after wrapping.
            kwargs = dict(kwargs, preload_content=False)
        patient = self._always or not no_retries(asked.get("retries"))
        try:
            response = wrapped(*args, **kwargs)
        except Exception as error:
            if not patient or not self._is_waited_for(pool, asked, error):
                raise
            try:
                response = self._wait_for_host(sent, pool, args, kwargs, error)
            except resume.GaveUpError as end:
                raise self.error(end.failure, error) from error
            except (self._urllib3.exceptions.HTTPError, http.client.HTTPException, OSError):
                raise
            except Exception:
                logger.debug("pip-retry-patch could not wait for a host", exc_info=True)
                raise error from None
        self._answered.add(_host(pool))
        try:
            if patient:
                self._make_resumable(sent, pool, response)
        except Exception:
            logger.debug("pip-retry-patch could not guard a download", exc_info=True)
        if preload:
            response.data  # noqa: B018 - reads and keeps it
        return response

    # The body ring.

    def _make_resumable(self, sent: _Sent, pool: Any, response: Any) -> None:
        if sent.asked["method"] != "GET" or isinstance(response._fp, body.Body):
            # (urllib3 retries by calling itself: then the inner call has been here before.)
            return
        span = _span(response)
        if span is None:
            return
        start, stop, total = span
        url = _absolute(pool, sent.asked["url"])
        now = self._under_way
        asker = _Asker(self, sent, now.again)
        redirected = now.again is not None and not _same_resource(now.url, url)
        origin = resume.Origin(
            name=messages.name_of(url),
            host=messages.host_of(url),
            ask=asker.ask,
            ask_again=asker.ask_again if redirected else None,
            unreachable=self._is_unreachable,
            announce=self.announce,
            error=self.error,
            patience=self.patience,
            unproven=now.hashed,
        )
        known = ranges.Representation(
            ranges.Validators.of(response.headers), total, ranges.coding_of(response.headers)
        )
        part = _first_part(response)
        response._fp = body.Body(response._fp, part, origin, known, start, stop)

    def capture(self, again: Again, fields: Mapping[str, str]) -> _Sent:
        """Call `again`, and return what its last call of urlopen sent and got, unguarded.

        :raises ConnectionError: it was answered without the network, from a cache.
        """
        now = self._under_way
        now.capturing, now.captured = True, None
        try:
            again(fields)
            if now.captured is None:
                raise ConnectionError("it was answered from a cache")
            return now.captured
        finally:
            now.capturing, now.captured = False, None

    def _is_unreachable(self, error: Exception) -> bool:
        exceptions = self._urllib3.exceptions
        lost = (
            exceptions.NewConnectionError,
            exceptions.ConnectTimeoutError,
            exceptions.ProxyError,
        )
        network = (exceptions.HTTPError, http.client.HTTPException, OSError)
        causes = list(messages.causes(error))
        if any(isinstance(cause, lost) for cause in causes):
            return True
        if any(isinstance(cause, network) for cause in causes):
            return False
        raise error  # a mistake of ours, and nothing to be patient about

    # The request ring: a host that answered before, and cannot be reached now.

    def _is_waited_for(self, pool: Any, asked: Mapping[str, Any], error: Exception) -> bool:
        exceptions = self._urllib3.exceptions
        return (
            isinstance(error, (exceptions.HTTPError, OSError))
            and _host(pool) in self._answered
            and asked["method"] in ("GET", "HEAD")
            # Not inside of urllib3's own retries: when they are used up, it is our turn.
            and not getattr(asked.get("retries"), "history", ())
            and not messages.is_certificate_error(error)
            and self._is_unreachable(error)
        )

    def _wait_for_host(
        self,
        sent: _Sent,
        pool: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        error: Exception,
    ) -> Any:
        url = _absolute(pool, sent.asked["url"])
        name, host = messages.name_of(url), messages.host_of(url)
        began = time.monotonic()
        effort = Effort().was_unreachable(began)
        self.announce(messages.waiting_for_host(name, host, error, self.patience.seconds))
        while True:
            now = time.monotonic()
            wait = next_wait(self.patience, effort, now, random.uniform)
            if wait is None:
                raise resume.GaveUpError(
                    messages.lost_host(name, host, error, effort.unreachable, now - began)
                )
            time.sleep(wait)
            try:
                response = sent.send(*args, **dict(kwargs, **_PROBE))
            except Exception as again:
                if not self._is_unreachable(again):
                    raise
                error = again
                effort = effort.was_unreachable(time.monotonic())
                continue
            if response.status in ranges.BUSY_STATUSES:
                # It is back, but busy: that is pip's own retries again.
                response.close()
                return sent.send(*args, **kwargs)
            return response


# For a request that is ours: no retries of urllib3 (their errors, and their patience, hide what
# happened), and no redirect, which would have to be followed by pip's session.
_PROBE = {"retries": False, "redirect": False}


class _Asker:
    """Sends one request again, for the rest of its answer."""

    def __init__(self, guard: Guard, sent: _Sent, again: Again | None) -> None:
        self._guard = guard
        self._sent = sent
        self._again = again

    def ask(self, fields: Mapping[str, str]) -> Part:
        """Send it to the same host, through the same pool, with the same header but for `fields`.

        So it has the credentials that pip's session chose for that host. A redirect is returned.
        """
        sent = self._sent
        kept = {
            name: sent.headers[name] for name in sent.headers if name.lower() not in _NOT_REPEATED
        }
        asked = dict(sent.asked, headers=dict(kept, **fields), **_PROBE)
        asked.update(preload_content=False, decode_content=False, release_conn=False)
        response = sent.send(**asked)
        return _part(response, response._fp)

    def ask_again(self, fields: Mapping[str, str]) -> Part:
        """Send it from its first URL on, by pip's session, which follows what redirects there are.

        Where it then leads is where `ask` asks from now on.
        """
        assert self._again is not None
        sent = self._guard.capture(self._again, fields)
        self._sent = sent
        return _part(sent.response, sent.source)


def no_retries(retries: Any) -> bool:
    """Whether the request was sent with `retries=0`; with a history, they were used up."""
    return getattr(retries, "total", retries) in (0, False) and not getattr(retries, "history", ())


def _host(pool: Any) -> tuple[str, str, int]:
    return pool.scheme, pool.host, pool.port


def _absolute(pool: Any, url: str) -> str:
    """Return the URL that was asked for; through a plain HTTP proxy it is whole already."""
    if not url.startswith("/"):
        return url
    usual = pool.port in (None, {"http": 80, "https": 443}.get(pool.scheme))
    return f"{pool.scheme}://{pool.host}{'' if usual else f':{pool.port}'}{url}"


def _same_resource(one: str, other: str) -> bool:
    a, b = urllib.parse.urlsplit(one), urllib.parse.urlsplit(other)
    return (a.hostname, a.path, a.query) == (b.hostname, b.path, b.query)


def _span(response: Any) -> tuple[int, int | None, int | None] | None:
    """Return (start, stop, total) in bytes of what `response` brings; None to leave it alone."""
    length = response._fp.length if response._fp is not None else 0
    if length == 0:
        return None
    if response.status == 200:
        return 0, length, length
    if response.status == 206:
        said = ranges.parse_content_range(response.headers.get("content-range"))
        if said is not None and said.first is not None and said.last is not None:
            return said.first, said.last + 1, said.total
    return None


def _first_part(response: Any) -> Part:
    """Return the part of the response that pip holds: it releases the connection of that one."""
    source = response._fp

    def close(reusable: bool) -> None:
        source.close()
        if not reusable and response.connection is not None:
            response.connection.close()
            response.release_conn()

    return Part(response.status, response.headers, source, close)


def _part(response: Any, source: Any) -> Part:
    """Return the part of a response that only we hold."""

    def close(reusable: bool) -> None:
        source.close()
        if not reusable:
            response.close()
        response.release_conn()

    return Part(response.status, response.headers, source, close)
