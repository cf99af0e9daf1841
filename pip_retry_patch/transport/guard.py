"""The one function of urllib3 that is wrapped, and what it gives every response: a resumable body.

A `Guard` knows urllib3 (1.25 to 2.x) under any name: as pip vendors it, as a distribution debundles
it, as a program imports it. It does not know pip: hooks/session.py tells it what is pip's.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import random
import sys
import threading
import time
from typing import Any, Callable, Iterator, Mapping

from pip_retry_patch import failures, messages
from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.pace import Pace
from pip_retry_patch.policy.retry import NONE, Clock, Patience
from pip_retry_patch.transport import header
from pip_retry_patch.transport.body import Body
from pip_retry_patch.transport.continuation import Accepted, Continuation, Continued, show_as_whole
from pip_retry_patch.transport.errors import CachedAnswerError, is_local, is_unreachable
from pip_retry_patch.transport.reissue import (
    Again,
    Captured,
    Reissuer,
    Request,
    Send,
    absolute_url,
    drop,
    first_part,
    same_resource,
)
from pip_retry_patch.transport.resumption import Origin
from pip_retry_patch.transport.sender import PatientSender
from pip_retry_patch.wrapping.fail_open import Calls, fail_open, import_wrapt

logger = logging.getLogger("pip_retry_patch")

# urllib3's own order, 1.25 to 2.x. requests passes all of it by keyword. urllib3 itself calls
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

SYSTEM_CLOCK = Clock(time.monotonic, time.sleep, random.uniform)
PACE = Pace()


class _UnderWay(threading.local):
    """The request that this thread is sending; `pip list --outdated` used to have several."""

    url = ""
    again: Again | None = None
    hashed = False
    artifact = False
    whole = False
    continuation: Continuation | None = None
    capturing = False
    captured: Captured | None = None


class Guard:
    """Wraps one urllib3.

    :param urllib3: the module, under any name.
    :param error: makes the exception for a Failure and the error that led to it.
    :param announce: shows one line to the user.
    :param always: have patience even with what is asked with `retries=0`, as requests does by
        default. pip means it: `--retries 0`, and the session of its self-version check.
    """

    def __init__(
        self,
        urllib3: Any,
        patience: Patience,
        error: Callable[[failures.Failure, Exception], Exception],
        announce: Callable[[str], None] = logger.warning,
        always: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        pace: Pace = PACE,
    ) -> None:
        self.patience = patience
        self._pace = pace
        self.clock = clock
        self._error = error
        self._announce = announce
        self._under_way = _UnderWay()
        self._urllib3 = urllib3
        self._always = always
        self._sender = PatientSender(patience, clock, error, announce)

    def wrap(self) -> None:
        """Put this guard in place; once, however often this is called."""
        wrapt = import_wrapt()
        for connectionpool in _copies(self._urllib3, "connectionpool"):
            pool = connectionpool.HTTPConnectionPool
            if isinstance(vars(pool)["urlopen"], wrapt.FunctionWrapper):
                own = getattr(vars(pool)["urlopen"], "_self_wrapper", None)
                if getattr(own, "__func__", None) is Guard.urlopen:
                    continue
            wrapt.wrap_function_wrapper(pool, "urlopen", self.urlopen)
        for connection in _copies(self._urllib3, "connection"):
            header.install(connection)

    @contextlib.contextmanager
    def sending(
        self,
        url: str,
        again: Again,
        hashed: bool = False,
        artifact: bool = False,
        continuation: Continuation | None = None,
        whole: bool = False,
    ) -> Iterator[None]:
        """Say what is sent while this lasts: a request for `url`, whatever redirects follow.

        :param again: sends it once more from there, with some fields in its header, and so calls
            urlopen again.
        :param hashed: what comes will be checked against a hash. Where it is not, only proven
            parts are joined.
        :param artifact: it is a file, not a page.
        :param continuation: what an earlier run kept, and where to keep what comes now.
        :param whole: who reads the body does not notice that it ends early, or ends in a traceback
            then. So it is watched over even with `retries=0`.
        """
        now = self._under_way
        before = vars(now).copy()
        vars(now).update(
            url=url,
            again=again,
            hashed=hashed,
            artifact=artifact,
            continuation=continuation,
            whole=whole,
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

    @fail_open
    def _open(
        self, wrapped: Calls, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        now = self._under_way
        asked = dict(zip(_URLOPEN_PARAMETERS, args), **kwargs)
        headers = asked.get("headers")
        headers = pool.headers if headers is None else headers
        url = absolute_url(pool, asked["url"])
        request = Request(pool, wrapped, asked, headers, url, bool(now.url), now.artifact)
        if now.capturing:
            response = wrapped(*args, **kwargs)
            now.captured = Captured(request, response, response._fp)
            return response
        continuation = now.continuation
        if continuation is not None and continuation.is_offered_in(headers):
            # urllib3 retries by calling itself: the outer call judges the answer.
            return wrapped(*args, **kwargs)
        if asked.get("method") == "GET" and kwargs.get("preload_content", True):
            kwargs = dict(kwargs, preload_content=False)
        patient = self._always or not no_retries(asked.get("retries"))
        offered = _offer(continuation, request, kwargs) if patient else {}
        response = self._sender.send(request, args, dict(kwargs, **offered), patient)
        accepted = None
        if offered:
            wrapped.answers.clear()  # whatever goes wrong now, this is no answer to pip's request
            accepted = _accept(continuation, response)
            if accepted is None and response.status in (206, 416):
                # Not what was asked for: pip gets the plain answer to its own request.
                drop(response)
                response = self._sender.send(request, args, kwargs, patient)
        try:
            if patient or now.whole:
                self._make_resumable(request, response, accepted, patient)
        except Exception as why:
            logger.debug("pip-retry-patch could not guard a download: %r", why)
            if accepted is not None:
                accepted.partial.remove()
                drop(response)
                response = self._sender.send(request, args, kwargs, patient)
        return response

    def _make_resumable(
        self, request: Request, response: Any, accepted: Accepted | None, patient: bool
    ) -> None:
        """Let a response read from a `Body`, if its body can be continued at all."""
        if request.asked["method"] != "GET" or isinstance(response._fp, Body):
            # urllib3 retries by calling itself: then the inner call has been here before.
            return
        # A 206 that was accepted need not say where it starts. What pip sees is always the whole.
        length = response._fp.length if response._fp is not None else 0
        span = ranges.span_of(response.status, response.headers, length)
        if accepted is not None:
            span = ranges.Span(0, accepted.total, accepted.total)
        if span is None:
            return
        start, stop, total = span
        continuation = self._under_way.continuation
        known = ranges.Representation(
            ranges.Validators.of(response.headers), total, ranges.coding_of(response.headers)
        )
        partial = None
        if accepted is None and continuation is not None and response.status == 200:
            partial = continuation.keep(known, response.headers)
        origin = self._origin(request, self.patience if patient else NONE)
        # Only now, when little is left that can fail: it changes what it reads from.
        part: Any = first_part(response)
        if accepted is not None:
            partial, known = accepted.partial, accepted.known
            part = Continued(partial, part)
        response._fp = Body(response._fp, part, origin, known, start, stop, partial)
        if accepted is not None and continuation is not None:
            show_as_whole(response, accepted)
            continuation.announce(accepted)

    def _origin(self, request: Request, patience: Patience) -> Origin:
        """Return where the answer to this request comes from, to ask there again."""
        now = self._under_way
        again, first_url = now.again, now.url

        def capture(fields: Mapping[str, str]) -> Captured:
            assert again is not None
            return self._capture(again, fields)

        reissuer = Reissuer(request, capture)
        redirected = again is not None and not same_resource(first_url, request.url)
        return Origin(
            name=messages.name_of(request.url),
            host=messages.host_of(request.url),
            ask=reissuer.ask,
            ask_first_url=reissuer.ask_first_url if redirected else None,
            unreachable=is_unreachable,
            local=lambda error: is_local(request.pool, error),
            announce=self._announce,
            error=self._error,
            patience=patience,
            clock=self.clock,
            unproven=now.hashed,
            pace=self._pace,
        )

    def _capture(self, again: Again, fields: Mapping[str, str]) -> Captured:
        """Call `again`, and return what its last call of urlopen sent and got, unguarded.

        :raises CachedAnswerError: it was answered without the network, from a cache.
        """
        now = self._under_way
        now.capturing, now.captured = True, None
        try:
            again(fields)
            if now.captured is None:
                raise CachedAnswerError("it was answered from a cache")
            return now.captured
        finally:
            now.capturing, now.captured = False, None


def protect() -> None:
    """Guard the urllib3 that this program imports. See `pip_retry_patch.protect`."""
    urllib3 = importlib.import_module("urllib3")
    Guard(urllib3, Patience(), error=lambda _, interruption: interruption, always=True).wrap()


def _offer(
    continuation: Continuation | None, request: Request, kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments that offer what is kept of the artifact; none if nothing is."""
    if continuation is None or request.asked["method"] != "GET" or "headers" not in kwargs:
        return {}
    try:
        fields = continuation.fields(request.headers)
        return {"headers": dict(request.headers, **fields)} if fields else {}
    except Exception as why:
        logger.debug("pip-retry-patch could not offer what it kept: %r", why)
        return {}


def _accept(continuation: Continuation | None, response: Any) -> Accepted | None:
    try:
        return None if continuation is None else continuation.accept(response)
    except Exception as why:
        logger.debug("pip-retry-patch could not use what it kept: %r", why)
        return None


def _copies(urllib3: Any, submodule: str) -> list[Any]:
    """Return a submodule of `urllib3`, once for each time that its file was executed.

    Where a distribution debundled pip, `pip._vendor.urllib3` is another name for the package, but
    an import of `pip._vendor.urllib3.connectionpool` executes that file again; what was imported
    last is the package's attribute, and requests may well use the other one.
    """
    names = [name for name, module in list(sys.modules.items()) if module is urllib3]
    found = [sys.modules.get(f"{name}.{submodule}") for name in names]
    copies = [getattr(urllib3, submodule, None), *found]
    return list({id(module): module for module in copies if module is not None}.values())


def no_retries(retries: Any) -> bool:
    """Whether the request was sent with `retries=0`; with a history, they were used up."""
    return getattr(retries, "total", retries) in (0, False) and not getattr(retries, "history", ())
