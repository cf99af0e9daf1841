"""`pip_retry_patch.protect()`: the bodies that a program downloads through requests."""

from __future__ import annotations

import functools
import logging
from typing import Any

from pip_retry_patch import names
from pip_retry_patch.fetch.body import Body
from pip_retry_patch.fetch.exchange import Exchange
from pip_retry_patch.fetch.judge import media_of, span_of
from pip_retry_patch.fetch.patience import Hosts, Patience
from pip_retry_patch.fetch.request import Job, Kind, Outcome, Source
from pip_retry_patch.fetch.story import Story, no_record
from pip_retry_patch.hooks.session import repeat
from pip_retry_patch.wrapping import Calls, fail_open, wrap

logger = logging.getLogger("pip_retry_patch")


def protect() -> None:
    """See `pip_retry_patch.protect`. Safe to call again."""
    import requests

    if not hasattr(requests.Session.request, "_self_wrapper"):
        wrap(requests, "Session.request", Program().request)


class Program:
    """Guards bodies only: what a status or a host that never answers means, a program decides."""

    def __init__(self) -> None:
        self._hosts = Hosts()

    @fail_open
    def request(self, calls: Calls, session: Any, args: Any, kwargs: Any) -> Any:
        """`requests.Session.request(method, url, **kwargs)`."""
        kwargs = dict(kwargs)
        missing = ("method", "url")[len(args) :]
        args = (*args, *(kwargs.pop(name) for name in missing if name in kwargs))
        body = kwargs.get("data") or kwargs.get("json") or kwargs.get("files")
        if len(args) != 2 or args[0].upper() != "GET" or not isinstance(body, (bytes, type(None))):
            return calls(*args, **kwargs)
        outcome = Outcome(args[1])
        outcome.response = response = calls(*args, **dict(kwargs, stream=True))
        span = span_of(outcome.status, response.headers)
        if span is not None and outcome.length != 0 and not _is_endless(response.headers):
            send = functools.partial(repeat, calls, session, args, dict(kwargs, stream=True))
            self._guard(Source(args[1], send), outcome, span)
        if not kwargs.get("stream"):
            try:
                response.content  # noqa: B018  (reads it)
            except Exception as error:
                calls.errors.append(error)  # the program's to see
                raise
        return response

    def _guard(self, source: Source, outcome: Outcome, span: Any) -> None:
        job = Job(
            kind=Kind.OTHER,
            source=source,
            patience=Patience(),
            error=lambda _, cause: cause,
            forget=lambda _: None,
            ranged=outcome.status == 206,
        )
        story = Story(job.name, names.host_of(source.url), logger.info, logger.info, no_record)
        exchange = Exchange(job, self._hosts, story)
        Body(exchange, outcome, span)


def _is_endless(headers: Any) -> bool:
    """Whether a body is no file with an end that could be asked for again, but a stream."""
    is_file = any(name in headers for name in ("content-length", "etag", "last-modified"))
    return media_of(headers) == "text/event-stream" or not is_file
