"""Sends a request, waits for a host that is lost or busy, and tells how that ended.

This is where a request of pip's that fails before its answer has begun becomes an error that says
so. What a program asks for (`pip_retry_patch.protect`) keeps the error that urllib3 raised.
"""

from __future__ import annotations

import logging
from typing import Any, Callable, Mapping

from pip_retry_patch import failures, messages, names
from pip_retry_patch.policy.retry import BRIEF, NONE, Clock, Patience
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.asking import Asking
from pip_retry_patch.transport.errors import GaveUpError
from pip_retry_patch.transport.hosts import Hosts, drop, is_retry_of_urllib3
from pip_retry_patch.transport.reissue import Request

logger = logging.getLogger("pip_retry_patch")


class PatientSender:
    """Sends a request of pip's, and waits for its host where that is lost or busy.

    :param error: makes the exception for a Failure and the error that led to it.
    :param announce: shows one line to the user.
    """

    def __init__(
        self,
        patience: Patience,
        clock: Clock,
        error: Callable[[failures.Failure, Exception], Exception],
        announce: Callable[[str], None],
    ) -> None:
        self.record: Callable[..., None] | None = None  # writes to the journal
        self._hosts = Hosts()
        self._patience = patience
        self._clock = clock
        self._error = error
        self._announce = announce

    def send(
        self,
        request: Request,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        patient: bool,
        brief: bool = False,
    ) -> Any:
        """Return the answer, or raise what urllib3 raised, or the error that patience ended with.

        :param args: and `kwargs`, what urlopen was called with.
        :param patient: whether to wait at all.
        :param brief: there is another source to ask: this one gets one retry.
        """
        if is_retry_of_urllib3(request.asked):
            return request.send(*args, **kwargs)
        given_up = self._hosts.given_up(request.pool) if request.of_pip else None
        if given_up is not None:
            failure = given_up.failure_for(names.name_of(request.url))
            raise self._error(failure, given_up.error) from given_up.error
        asking = self._asking(request, args, kwargs, patient, brief)
        first: Any
        try:
            first = asking.first()
        except Exception as error:
            if not asking.is_waited_for(error):
                raise
            first = error
        if not isinstance(first, Exception) and not asking.is_waited_for(first):
            self._note(request, first)
            return first
        began, why = self._clock.now(), ""
        if self.record is not None:
            failed = isinstance(first, Exception)
            why = errors.reason(first) if failed else messages.busy(first.status)
            self._write("interruption", request, 0.0, why)
        end: GaveUpError | None = None
        response: Any = None
        try:
            response = asking.again(first)
        except GaveUpError as gave_up:
            end = gave_up
            self._write("end", request, self._clock.now() - began, "failed")
        if end is not None and isinstance(first, Exception):
            # Raised out here: what a program is given is `first` itself, and no cause of `end`.
            told = self._error(end.failure, first)
            if told is not first:
                told.__cause__ = first
            raise told
        if not isinstance(first, Exception):
            drop(first)
        if end is not None:
            raise self._error(end.failure, end) from end
        self._write("wait", request, self._clock.now() - began, "answered")
        self._note(request, response)
        return response

    def patience_of(self, pool: Any, error: Exception) -> Patience:
        """Return the patience there is with the host of `pool`, which failed by `error`."""
        return self._hosts.patience(self._patience, pool, error)

    def _write(self, kind: str, request: Request, seconds: float, outcome: str) -> None:
        if self.record is not None:
            name, host = names.name_of(request.url), names.host_of(request.url)
            self.record(kind, name, host, seconds=seconds, outcome=outcome)

    def _asking(
        self,
        request: Request,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        patient: bool,
        brief: bool,
    ) -> Asking:
        patience = BRIEF if brief else self._patience if patient else NONE

        def send(**options: Any) -> Any:
            return request.send(*args, **dict(kwargs, **options))

        return Asking(self._hosts, request, send, patience, self._clock, self._announce)

    def _note(self, request: Request, response: Any) -> None:
        try:
            self._hosts.note(request.pool, response.status)
        except Exception as why:
            logger.debug("pip-retry-patch could not note a host: %r", why)
