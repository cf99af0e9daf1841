"""`pip_retry_patch.protect()`: the bodies that a program downloads through requests."""

from __future__ import annotations

import functools
from typing import Any, Callable

from pip_retry_patch.fetch.body import Body
from pip_retry_patch.fetch.exchange import Exchange
from pip_retry_patch.fetch.judge import span_of
from pip_retry_patch.fetch.patience import Hosts, Patience
from pip_retry_patch.fetch.request import Job, Kind, Outcome, Source
from pip_retry_patch.fetch.story import Story, no_record
from pip_retry_patch.hooks.session import repeat
from pip_retry_patch.wrapping import Calls, fail_open, logger, wrap


def protect() -> None:
    """See `pip_retry_patch.protect`. Safe to call again."""
    import requests

    wrapper = getattr(requests.Session.request, "_self_wrapper", None)  # maybe somebody else's
    if not isinstance(getattr(wrapper, "__self__", None), Program):
        wrap(requests, "Session.request", Program().request)


class Program:
    """Guards bodies only: what a status or a host that never answers means, a program decides."""

    def __init__(self) -> None:
        self._hosts = Hosts()

    def request(self, wrapped: Callable[..., Any], session: Any, args: Any, kwargs: Any) -> Any:
        """`requests.Session.request(method, url, **kwargs)`."""
        if len(args) > 2:
            return wrapped(*args, **kwargs)
        given = {**dict(zip(("method", "url"), args)), **kwargs, "stream": True}
        response = fail_open(self._answer)(wrapped, session, (), given)
        if not (kwargs.get("stream") or session.stream):
            response.content  # noqa: B018  (reads it; what it raises is the program's to see)
        return response

    def _answer(self, calls: Calls, session: Any, _: Any, given: Any) -> Any:
        response = calls(**given)
        if not hasattr(response.raw, "_fp"):  # it is not of urllib3: of a `file:` URL, say
            return response
        outcome = Outcome(response.url)  # what was given may be bytes
        outcome.response = response
        body = given.get("data") or given.get("json") or given.get("files")
        is_plain = given["method"].upper() == "GET" and isinstance(body, (bytes, type(None)))
        span = span_of(outcome.status, response.headers, ranged=True)
        # Else it may be a stream, with no end that could be asked for again.
        marks = "content-length", "etag", "last-modified"
        is_file = any(name in response.headers for name in marks)
        if is_file and is_plain and span and span.total != 0 and not outcome.is_for_urllib3:
            job = Job(
                kind=Kind.OTHER,
                source=Source(outcome.url, functools.partial(repeat, calls, session, (), given)),
                patience=Patience(),
                error=lambda _, cause: cause,
                forget=lambda _: None,
                ranged=outcome.status == 206,
            )
            story = Story(outcome.url, logger.info, logger.info, no_record)
            Body(Exchange(job, self._hosts, story), outcome, span)
        return response
