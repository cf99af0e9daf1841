"""The one function of urllib3 that is wrapped, and what it gives every response: a resumable body.

A `Guard` knows urllib3 (1.25 to 2.x) under any name: as pip vendors it, as a distribution debundles
it, as a program imports it. It does not know pip; hooks.py tells it what is pip's.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import urllib.parse
from typing import Any, Callable, Iterator, Mapping

from pip_retry_patch import messages
from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.retry import Patience
from pip_retry_patch.transport import body
from pip_retry_patch.transport import resumption as resume
from pip_retry_patch.transport.continuation import Accepted, Continuation, Continued, show_as_whole
from pip_retry_patch.transport.hosts import Hosts, is_local
from pip_retry_patch.transport.reissue import Again, Asker, Send, Sent, first_part
from pip_retry_patch.wrapping import fail_open as wrapping
from pip_retry_patch.wrapping.fail_open import Calls, careful

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


class _UnderWay(threading.local):
    """The request that this thread is sending; `pip list --outdated` used to have several."""

    url = ""
    again: Again | None = None
    hashed = False
    needed = False
    continuation: Continuation | None = None
    capturing = False
    captured: Sent | None = None


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
        self._error = error
        self._announce = announce
        self._under_way = _UnderWay()
        self._urllib3 = urllib3
        self._always = always
        self._hosts = Hosts(_copies(urllib3, "exceptions"), patience, announce)

    def wrap(self) -> None:
        """Put this guard in place; once, however often this is called."""
        wrapt = wrapping.wrapt()
        for connectionpool in _copies(self._urllib3, "connectionpool"):
            pool = connectionpool.HTTPConnectionPool
            if isinstance(vars(pool)["urlopen"], wrapt.FunctionWrapper):
                own = getattr(vars(pool)["urlopen"], "_self_wrapper", None)
                if getattr(own, "__func__", None) is Guard.urlopen:
                    continue
            wrapt.wrap_function_wrapper(pool, "urlopen", self.urlopen)

    @contextlib.contextmanager
    def sending(
        self,
        url: str,
        again: Again,
        hashed: bool = False,
        needed: bool = False,
        continuation: Continuation | None = None,
    ) -> Iterator[None]:
        """Say what is sent while this lasts: a request for `url`, whatever redirects follow.

        `again` sends it once more from there, with some fields in its header, and so calls
        urlopen again. `hashed`: what comes will be checked against a hash. Where it is not, only
        proven parts are joined. `needed`: pip cannot do without it. `continuation`: what an
        earlier run kept, and where to keep what comes now.
        """
        now = self._under_way
        before = vars(now).copy()
        vars(now).update(
            url=url, again=again, hashed=hashed, needed=needed, continuation=continuation
        )
        try:
            yield
        finally:
            vars(now).clear()
            vars(now).update(before)
            if continuation is not None:
                continuation.end()

    def urlopen(
        self, wrapped: Send, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`HTTPConnectionPool.urlopen`, whose answer reads from a resumable body."""
        response = self._open(wrapped, pool, args, kwargs)
        if kwargs.get("preload_content", True):
            # urllib3's own convenience for programs (pip never uses it): read after wrapping.
            response.data  # noqa: B018 - reads and keeps it
        return response

    @careful
    def _open(
        self, wrapped: Calls, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        asked = dict(zip(_URLOPEN_PARAMETERS, args), **kwargs)
        headers = asked.get("headers")
        sent = Sent(wrapped, asked, pool.headers if headers is None else headers)
        if self._under_way.capturing:
            response = wrapped(*args, **kwargs)
            self._under_way.captured = sent._replace(response=response, source=response._fp)
            return response
        if self._is_offered(sent):
            # urllib3 retries by calling itself: the outer call judges the answer.
            return wrapped(*args, **kwargs)
        if asked.get("method") == "GET" and kwargs.get("preload_content", True):
            kwargs = dict(kwargs, preload_content=False)
        patient = self._always or not no_retries(asked.get("retries"))
        offered = self._offer(sent, kwargs) if patient else {}
        response = self._send(sent, pool, args, dict(kwargs, **offered), patient)
        accepted = None
        if offered:
            wrapped.answers.clear()  # whatever goes wrong now, this is no answer to pip's request
            accepted = self._accept(response)
            if accepted is None and response.status in (206, 416):
                # Not what was asked for: pip gets the plain answer to its own request.
                _drop(response)
                response = self._send(sent, pool, args, kwargs, patient)
        try:
            if patient:
                self._make_resumable(sent, pool, response, accepted)
        except Exception as why:
            logger.debug("pip-retry-patch could not guard a download: %r", why)
            if accepted is not None:
                accepted.partial.remove()
                _drop(response)
                response = self._send(sent, pool, args, kwargs, patient)
        return response

    def _send(
        self, sent: Sent, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any], patient: bool
    ) -> Any:
        """Send it, and wait for its host if that is lost or busy."""
        try:
            response = sent.send(*args, **kwargs)
            status = response.status
        except Exception as error:
            if not patient or not self._is_waited_for(pool, sent.asked, error):
                raise
            response = self._wait(sent, pool, args, kwargs, error)
            if response is None:
                raise
            status = response.status
        else:
            if patient and self._is_waited_for(pool, sent.asked, response):
                later = self._wait(sent, pool, args, kwargs, response)
                if later is not None:
                    _drop(response)
                    response = later
        try:
            self._hosts.note(pool, status)
        except Exception as why:
            logger.debug("pip-retry-patch could not note a host: %r", why)
        return response

    def _is_waited_for(self, pool: Any, asked: Mapping[str, Any], first: Any) -> bool:
        """Whether to ask again later; `first` is the response that came, or the error."""
        if isinstance(first, Exception) and self._hosts.is_lost(pool, asked, first):
            return True
        # (A program that is protected decides for itself what a status means to it.)
        return bool(self._under_way.url) and self._hosts.is_busy(pool, asked, first)

    def _wait(
        self, sent: Sent, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any], first: Any
    ) -> Any:
        """Return what comes once the host is there again, and has time.

        None where pip is to have what came first. That is so of a host that did nothing but say
        that it is busy: one of several indexes, which pip can do without.
        """
        try:
            url = _absolute(pool, sent.asked["url"])

            def send(**options: Any) -> Any:
                return sent.send(*args, **dict(kwargs, **options))

            lost = isinstance(first, Exception) and self._hosts.is_lost(pool, sent.asked, first)
            wait = self._hosts.wait_for_lost if lost else self._hosts.wait_for_busy
            retries = getattr(sent.asked.get("retries"), "total", None) or 0
            return wait(pool, url, first, send, retries if isinstance(first, Exception) else 0)
        except resume.GaveUpError as end:
            error = first if isinstance(first, Exception) else end
            if lost or self._under_way.needed or self._hosts.has_helped(pool):
                raise self._error(end.failure, error) from error
            self._announce(messages.without(end.failure))
        except Exception as again:
            if self._hosts.is_network_error(again):
                raise
            logger.debug("pip-retry-patch could not wait for a host: %r", again)
        return None

    # From an earlier run.

    def _offer(self, sent: Sent, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that offer what is kept of the artifact; none if nothing is."""
        continuation = self._under_way.continuation
        if continuation is None or sent.asked["method"] != "GET" or "headers" not in kwargs:
            return {}
        try:
            fields = continuation.fields(sent.headers)
            return {"headers": dict(sent.headers, **fields)} if fields else {}
        except Exception as why:
            logger.debug("pip-retry-patch could not offer what it kept: %r", why)
            return {}

    def _is_offered(self, sent: Sent) -> bool:
        """Whether the request has the offer in its header already."""
        continuation = self._under_way.continuation
        return continuation is not None and continuation.is_offered_in(sent.headers)

    def _accept(self, response: Any) -> Accepted | None:
        continuation = self._under_way.continuation
        try:
            return None if continuation is None else continuation.accept(response)
        except Exception as why:
            logger.debug("pip-retry-patch could not use what it kept: %r", why)
            return None

    # The body ring.

    def _make_resumable(
        self, sent: Sent, pool: Any, response: Any, accepted: Accepted | None
    ) -> None:
        if sent.asked["method"] != "GET" or isinstance(response._fp, body.Body):
            # (urllib3 retries by calling itself: then the inner call has been here before.)
            return
        # (A 206 that was accepted need not say where it starts. What pip sees is always the whole.)
        span = _span(response) if accepted is None else (0, accepted.total, accepted.total)
        if span is None:
            return
        start, stop, total = span
        url = _absolute(pool, sent.asked["url"])
        now = self._under_way
        again, continuation = now.again, now.continuation

        def capture(fields: Mapping[str, str]) -> Sent:
            assert again is not None
            return self._capture(again, fields)

        asker = Asker(sent, capture)
        redirected = again is not None and not _same_resource(now.url, url)
        origin = resume.Origin(
            name=messages.name_of(url),
            host=messages.host_of(url),
            ask=asker.ask,
            ask_again=asker.ask_again if redirected else None,
            unreachable=self._hosts.is_unreachable,
            local=lambda error: is_local(pool, error),
            announce=self._announce,
            error=self._error,
            patience=self.patience,
            unproven=now.hashed,
        )
        known = ranges.Representation(
            ranges.Validators.of(response.headers), total, ranges.coding_of(response.headers)
        )
        partial = None
        if accepted is None and continuation is not None and response.status == 200:
            partial = continuation.keep(known, response.headers)
        # Only now, when little is left that can fail: it changes what it reads from.
        part: Any = first_part(response)
        if accepted is not None:
            partial, known = accepted.partial, accepted.known
            part = Continued(partial, part)
        response._fp = body.Body(response._fp, part, origin, known, start, stop, partial)
        if accepted is not None and continuation is not None:
            show_as_whole(response, accepted)
            continuation.announce(accepted)

    def _capture(self, again: Again, fields: Mapping[str, str]) -> Sent:
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


def _copies(urllib3: Any, submodule: str) -> list[Any]:
    """Return a submodule of `urllib3`, once for each time that its file was executed.

    Where a distribution debundled pip, `pip._vendor.urllib3` is another name for the package, but
    an import of `pip._vendor.urllib3.connectionpool` executes that file again; what was imported
    last is the package's attribute, and requests may well use the other one.
    """
    names = [name for name, module in list(sys.modules.items()) if module is urllib3]
    found = [sys.modules.get(f"{name}.{submodule}") for name in names]
    copies = [getattr(urllib3, submodule), *(module for module in found if module is not None)]
    return list({id(module): module for module in copies}.values())


def _drop(response: Any) -> None:
    """End an answer that nobody will read."""
    response.close()
    response.release_conn()


def no_retries(retries: Any) -> bool:
    """Whether the request was sent with `retries=0`; with a history, they were used up."""
    return getattr(retries, "total", retries) in (0, False) and not getattr(retries, "history", ())


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
