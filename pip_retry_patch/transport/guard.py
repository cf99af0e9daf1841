"""The one function of urllib3 that is wrapped, and what it gives every response: a resumable body.

A `Guard` knows urllib3 (1.25 to 2.x) under any name: as pip vendors it, as a distribution debundles
it, as a program imports it. It does not know pip: hooks/session.py tells it what is pip's.
"""

from __future__ import annotations

import functools
import importlib
import logging
import random
import time
from typing import Any, Callable, Mapping

from pip_retry_patch import failures, messages
from pip_retry_patch.policy import ranges, representation
from pip_retry_patch.policy.pace import Pace
from pip_retry_patch.policy.retry import NONE, Attempts, Clock, Effort, Patience
from pip_retry_patch.transport import header
from pip_retry_patch.transport.body import Body
from pip_retry_patch.transport.continuation import Accepted, Continuation, Continued, show_as_whole
from pip_retry_patch.transport.errors import failure_of
from pip_retry_patch.transport.hosts import absolute_url, drop, part_of
from pip_retry_patch.transport.offer import Offer, retried
from pip_retry_patch.transport.origin import Origin
from pip_retry_patch.transport.origins import Origins, UnderWay
from pip_retry_patch.transport.reissue import (
    PROBE,
    Captured,
    Request,
    Send,
    copies,
    first_part,
    no_retries,
)
from pip_retry_patch.transport.sender import PatientSender
from pip_retry_patch.wrapping.fail_open import COMPILED, Calls, fail_open, harden, wrap

logger = logging.getLogger("pip_retry_patch")

# urllib3's own order, 1.25 to 2.x. requests passes all of it by keyword. urllib3 itself calls
# urlopen again, by position, when it retries.
_URLOPEN_PARAMETERS = (
    *("method", "url", "body", "headers", "retries", "redirect"),
    *("assert_same_host", "timeout"),
)

SYSTEM_CLOCK = Clock(time.monotonic, time.sleep, random.uniform)
PACE = Pace()


class Guard:
    """Wraps one urllib3.

    :param urllib3: the module, under any name.
    :param error: makes the exception for a Failure and the error that led to it.
    :param announce: shows one line to the user.
    :param program: the urllib3 is a program's own. Then bodies are healed even where a request has
        `retries=0`, which is the default of requests; but no host is waited for.
    """

    def __init__(
        self,
        urllib3: Any,
        patience: Patience,
        error: Callable[[failures.Failure, Exception], Exception],
        announce: Callable[[str], None] = logger.warning,
        program: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        pace: Pace = PACE,
    ) -> None:
        self.record: Callable[..., None] | None = None
        self.patience = patience
        self.clock = clock
        self.error = error
        self._announce = announce
        self._under_way = UnderWay()
        self.sending = self._under_way.sending
        self._urllib3 = urllib3
        self._program = program
        self._sender = PatientSender(patience, clock, error, announce)
        self._origins = Origins(self._under_way, error, announce, program, clock, pace)

    def record_by(self, record: Callable[..., None]) -> None:
        """Let what happens be written to a journal (`store.journal.Journal.note`)."""
        self.record = self._sender.record = self._origins.record = record

    def wrap(self) -> None:
        """Put this guard in place, and take away one that was there before.

        Test runners let pip be imported twice, and two guards would heal each other's work.
        """
        harden(logger)
        for connectionpool in copies(self._urllib3, "connectionpool"):
            pool = connectionpool.HTTPConnectionPool
            found = vars(pool)["urlopen"]
            earlier = getattr(getattr(found, "_self_wrapper", None), "__self__", None)
            if type(earlier).__module__ == __name__:
                pool.urlopen = found.__wrapped__
            wrap(pool, "urlopen", self.urlopen, self._program or COMPILED)
        for connection in copies(self._urllib3, "connection"):
            header.install(connection)

    def urlopen(
        self, wrapped: Send, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`HTTPConnectionPool.urlopen`, whose answer reads from a resumable body."""
        response = self._open(wrapped, pool, args, kwargs)
        if kwargs.get("preload_content", True):
            response.data  # noqa: B018 - reads and keeps it, as urllib3 does for programs
        return response

    @fail_open
    def _open(
        self, wrapped: Calls, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        now = self._under_way.now
        asked = dict(zip(_URLOPEN_PARAMETERS, args), **kwargs)
        for name in ("headers", "retries"):
            if asked.get(name) is None:
                asked[name] = getattr(pool, name)  # as urllib3 does
        headers = asked["headers"]
        url = absolute_url(pool, asked["url"])
        request = Request(pool, wrapped, asked, headers, url, bool(now.url), now.artifact)
        if now.capturing:
            response = wrapped(*args, **dict(kwargs, **PROBE))
            now.captured = Captured(request, response, response._fp)
            return response
        continuation = now.continuation
        if continuation is not None and continuation.is_offered_in(headers):
            # urllib3 retries by calling itself: the outer call judges the answer.
            return wrapped(**retried(continuation, request))
        if asked.get("method") == "GET" and kwargs.get("preload_content", True):
            kwargs = dict(kwargs, preload_content=False)
        waits = not no_retries(asked["retries"])
        patient, elsewhere, origin = waits or self._program, now.elsewhere, None
        if elsewhere is not None and waits:
            # The others are asked where this one has nothing, and this one is not asked for long.
            elsewhere.original = self._origins.of(request, self.patience)
            elsewhere.capture = self._under_way.capture
            ask = functools.partial(self._ask, wrapped, request, args, kwargs, continuation, True)
            attempts = Attempts(self.patience, self.clock, Effort())
            patience_of = functools.partial(self._sender.patience_of, pool)
            response, accepted, origin = elsewhere.first_answer(
                ask, continuation, attempts, patience_of
            )
        else:
            offered = continuation if patient else None
            response, accepted = self._ask(wrapped, request, args, kwargs, offered, waits)
        sends_parts = self._origins.ranges_of(pool)
        try:
            if continuation is not None and accepted is None and continuation.settle(response):
                sends_parts.refused = not sends_parts.proven
            if patient or now.whole or part_of(request, response) is not None:
                self._make_resumable(request, response, accepted, patient, origin)
        except Exception as why:
            logger.debug("pip-retry-patch could not guard a download: %r", why)
            if accepted is not None:
                accepted.partial.remove()
                drop(response)
                response = self._sender.send(request, args, kwargs, waits)
        return response

    def _ask(
        self,
        wrapped: Calls,
        request: Request,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        continuation: Continuation | None,
        waits: bool,
    ) -> tuple[Any, Accepted | None]:
        """Return the answer of the request's own host, and what is kept if that goes on with it."""
        response, accepted, brief = None, None, self._under_way.now.is_brief
        if continuation is not None:
            sends_parts = self._origins.ranges_of(request.pool)
            offer = Offer(continuation, request, self._sender, sends_parts, brief)
            try:
                response, accepted = offer.ask(args, kwargs)
            except Exception as error:
                if wrapped.raised(error) or failure_of(error) is not None:
                    raise
                logger.debug("pip-retry-patch could not offer what it kept: %r", error)
                continuation.withdraw()
            wrapped.forget()  # the answers to an offer are none to pip's own request
        if response is None:
            response = self._sender.send(request, args, kwargs, waits, brief)
        return response, accepted

    def _make_resumable(
        self,
        request: Request,
        response: Any,
        accepted: Accepted | None,
        patient: bool,
        origin: Origin | None,
    ) -> None:
        """Let a response read from a `Body`, if its body can be continued at all."""
        if request.asked["method"] != "GET" or isinstance(response._fp, Body):
            # urllib3 retries by calling itself: then the inner call has been here before.
            return
        # A 206 that was accepted need not say where it starts: pip sees the whole.
        length = response._fp.length if response._fp is not None else 0
        span = ranges.span_of(response.status, response.headers, length)
        size = None  # of a part that pip is to see more of
        if accepted is not None:
            span, size = ranges.Span(0, accepted.total, accepted.total), accepted.size
        elif response.status == 206:
            unasked = part_of(request, response)
            if unasked is not None and unasked.first == 0 and unasked.last is not None:
                # It goes on as if its connection had been cut where it ends.
                span, size = ranges.Span(0, unasked.total, unasked.total), unasked.last + 1
        if span is None or (self._program and representation.is_endless(response.headers)):
            return
        start, stop, total = span
        continuation = self._under_way.now.continuation
        known = representation.Representation.of(response.headers, total)
        partial = None
        came = response.status == 200 or size is not None
        came = came and not representation.is_web_page(known.media)
        if accepted is None and continuation is not None and came:
            url = request.url if origin is None else origin.url
            partial = continuation.keep(known, response.headers, url)
        if origin is None:
            origin = self._origins.of(request, self.patience if patient else NONE)
        # Only now, when little can fail: it changes what it reads from.
        part: Any = first_part(response)
        if size is not None:
            part.limit(size)
        if accepted is not None:
            partial, known = accepted.partial, accepted.known
            part = Continued(partial, part)
        elif size is not None:
            part.short = messages.ONLY_A_PART
        response._fp = Body(
            *(response._fp, part, origin, known, start, stop, partial), shows_file=self._program
        )
        if total is not None and (accepted is not None or size is not None):
            show_as_whole(response, total, accepted)
        if accepted is not None and continuation is not None:
            continuation.announce(accepted)


def protect() -> None:
    """Guard the urllib3 that this program imports. See `pip_retry_patch.protect`."""
    urllib3 = importlib.import_module("urllib3")
    Guard(urllib3, Patience(), error=lambda _, interruption: interruption, program=True).wrap()
