"""One request, asked until its host answers and has time, or patience ends."""

from __future__ import annotations

from typing import Any, Callable

from pip_retry_patch import failures, messages, names
from pip_retry_patch.failures import Tried
from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.retry import (
    BRIEF,
    LONG_WAIT,
    NONE,
    Attempts,
    Clock,
    Effort,
    Patience,
    retry_after,
)
from pip_retry_patch.transport import errors, retries
from pip_retry_patch.transport.errors import GaveUpError
from pip_retry_patch.transport.hosts import (
    Hosts,
    busy_status,
    can_be_repeated,
    drop,
    part_of,
    peer_of,
    status_of,
)
from pip_retry_patch.transport.reissue import PROBE, Request

# So many of urllib3's retries make the first limit of ours 8 seconds. All five of pip's would make
# it 30, and a lone client would wait for 15 of them.
COUNTED = 3


class Asking:
    """One request, asked as often as patience allows.

    :param send: sends it, with these keyword arguments in place of its own.
    """

    def __init__(
        self,
        hosts: Hosts,
        request: Request,
        send: Callable[..., Any],
        patience: Patience,
        clock: Clock,
        announce: Callable[[str], None],
    ) -> None:
        self._hosts = hosts
        self._request = request
        self._pool = request.pool
        self._send = send
        self._patience = patience
        self._clock = clock
        self._announce = announce
        self._name = names.name_of(request.url)
        self._waits = retries.Waits(clock, self._announce_retry)
        self._trouble = ""  # what ended the last attempt
        self._began = clock.now()

    def first(self) -> Any:
        """Send it as pip asked for it, with pip's own retries."""
        request, own = self._request, self._request.asked.get("retries")
        if self._patience == BRIEF:
            return self._first_of_two()
        if self._patience == NONE or not request.of_pip or not hasattr(own, "increment"):
            return self._send()
        return self._send(retries=retries.with_waits(own, self._waits))

    def _first_of_two(self) -> Any:
        """Send it, and at once again where that did not help: others are there to be asked."""
        try:
            response = self._send(**PROBE)
            if not ranges.is_of_no_help(response.status):
                return response
            drop(response)
        except Exception as error:
            if not errors.is_network_error(error) or errors.is_certificate_error(error):
                raise
        self._waits.count += 1
        return self._send(**PROBE)

    def _announce_retry(self, seconds: float, last: Any) -> None:
        error, status = getattr(last, "error", None), getattr(last, "status", None)
        why = messages.busy(status or 0) if error is None else errors.reason(error)
        self._announce(messages.trying_again(self._peer(error), why, seconds))

    def _peer(self, error: Exception | None = None) -> messages.Peer:
        return peer_of(self._pool, self._request.url, error)

    def is_waited_for(self, first: Any) -> bool:
        """Whether what came is not for pip: a host was lost, or is busy.

        :param first: the response, or the error.
        """
        if isinstance(first, Exception) and not errors.is_network_error(first):
            return False
        if self._request.of_pip:
            return isinstance(first, Exception) or bool(self._busy(first))
        # A program that is protected decides for itself what a status means to it, and how long
        # a host may take that was never there.
        return (
            isinstance(first, Exception)
            and not self._busy(first)
            and self._patience != NONE
            and self._hosts.has_answered(self._pool)
            and can_be_repeated(self._request.asked)
            and not errors.is_certificate_error(first)
        )

    def _busy(self, first: Any) -> int:
        return busy_status(first, self._request.artifact) or self._other_part(first)

    def _other_part(self, first: Any) -> int:
        """Return 206 for a part that does not begin as what pip asked for; 0 for all else."""
        part = None if isinstance(first, Exception) else part_of(self._request, first)
        return 206 if part is not None and part.first != 0 else 0

    def again(self, first: Any) -> Any:
        """Ask until the host is there and has time; return its answer.

        urllib3's own retries were used up before. They are not begun again when it is back and
        busy: all others who waited for it would do the same, seven times within 8 seconds.

        :param first: see `is_waited_for`.
        :raises GaveUpError: patience has ended, or cannot help.
        """
        if self._busy(first) or not isinstance(first, Exception):
            return self._wait_for_busy(first)
        self._stop_where_no_wait_helps(first, self._tried(0))
        return self._wait_for_lost(first)

    def _wait_for_lost(self, error: Exception) -> Any:
        patience = self._hosts.patience(self._patience, self._pool, error)
        if not can_be_repeated(self._request.asked):
            patience = NONE
        answered = self._hosts.has_answered(self._pool, error)
        attempts = self._attempts(patience)
        attempts.was_unreachable(errors.is_local(self._pool, error))
        self._trouble = errors.reason(error)
        if patience.attempts and patience.seconds:
            peer, seconds = self._peer(error), patience.seconds
            self._announce(
                messages.waiting_for_host(self._name, peer, self._trouble, seconds, answered)
            )
        return self._ask(attempts, error)

    def _wait_for_busy(self, first: Any) -> Any:
        """Ask until it is not busy any more.

        A host that stays busy is not waited for again: a dead index among others would cost as
        much time for each project that pip looks up.
        """
        wanted = retry_after(getattr(first, "headers", {}))
        self._trouble = messages.busy(self._busy(first), wanted)
        patience = self._patience
        if self._hosts.stays_busy(self._pool) or not can_be_repeated(self._request.asked):
            patience = NONE
        attempts = self._attempts(patience)
        attempts.was_unhelpful(wanted, at_once=True)
        left = patience.attempts - 1
        if left > 0 and (wanted or 0.0) <= patience.total:
            self._announce(messages.waiting_for_busy(self._name, self._peer(), self._trouble, left))
        return self._ask(attempts, None)

    def _attempts(self, patience: Patience) -> Attempts:
        """Return the loop. The waits go on from those of urllib3's retries, which come in step."""
        done = getattr(self._request.asked.get("retries"), "total", None) or 0
        waited = self._waits.seconds
        effort = Effort(unreachable=min(done, COUNTED) if waited else 0, waited=waited)
        return Attempts(patience, self._clock, effort)

    def _ask(self, attempts: Attempts, error: Exception | None) -> Any:
        while attempts.wait(lambda seconds: self._announce_wait(seconds, attempts)):
            try:
                response = self._send(**PROBE)
            except Exception as again:
                if not errors.is_network_error(again):
                    raise
                self._stop_where_no_wait_helps(again, self._tried(attempts.count))
                self._trouble, error = errors.reason(again), again
                attempts.patience = self._hosts.patience(self._patience, self._pool, again)
                attempts.was_unreachable(errors.is_local(self._pool, again))
                continue
            if response.status not in ranges.BUSY_STATUSES and not self._other_part(response):
                return response
            wanted = retry_after(response.headers)
            self._trouble, error = messages.busy(response.status, wanted), None
            self._hosts.note(self._pool, response.status)
            attempts.patience = self._patience
            attempts.was_unhelpful(wanted)
            drop(response)
        raise GaveUpError(self._failure(attempts, error)) from error

    def _announce_wait(self, seconds: float, attempts: Attempts) -> None:
        if attempts.asked_to_wait and seconds > LONG_WAIT:
            self._announce(messages.trying_again(self._peer(), self._trouble, seconds))

    def _tried(self, again: int) -> Tried:
        """Return what was done so far; `again`: how often it was sent after pip's own retries."""
        attempts, seconds = 1 + self._waits.count + again, self._clock.now() - self._began
        return Tried(attempts, seconds, self._patience != NONE)

    def _stop_where_no_wait_helps(self, error: Exception, tried: Tried) -> None:
        """Raise GaveUpError for a refusal that time does not change."""
        answered = self._hosts.has_answered(self._pool, error)
        peer, why = self._peer(error), errors.reason(error)
        status = status_of(error)
        if status:
            # A file's 500: pip has asked about five times.
            helped = self._hosts.has_helped(self._pool)
            failure = failures.busy_host(
                self._name, peer, messages.busy(status), tried, helped=helped
            )
            raise GaveUpError(failure) from error
        if errors.is_certificate_error(error):
            failure = failures.refused_certificate(self._name, peer, why, answered=answered)
        elif errors.is_refused_tunnel(error):
            failure = failures.refused_tunnel(self._name, peer, why, tried, answered=answered)
        else:
            return
        self._give_up(failure, error)
        raise GaveUpError(failure) from error

    def _failure(self, attempts: Attempts, error: Exception | None) -> failures.Failure:
        """Return why it ended, and let further requests to the host know."""
        name, trouble = self._name, self._trouble
        tried, wanted = self._tried(attempts.count), attempts.asked_to_wait
        if error is not None:
            failure = failures.unreachable_host(
                name,
                self._peer(error),
                trouble,
                tried,
                answered=self._hosts.has_answered(self._pool, error),
                offline=errors.is_offline(self._pool, error),
            )
            if not can_be_repeated(self._request.asked):
                failure = failure._replace(setting=None)  # no patience is of use
            self._give_up(failure, error)
            return failure
        if self._patience != BRIEF:
            self._hosts.note_busy(self._pool)
        helped = self._hosts.has_helped(self._pool)
        if wanted is not None and wanted > LONG_WAIT and tried.retries:
            return failures.asks_for_too_long(
                name, self._peer(), trouble, tried, wanted, helped=helped
            )
        return failures.busy_host(name, self._peer(), trouble, tried, helped=helped)

    def _give_up(self, failure: failures.Failure, error: Exception) -> None:
        if self._patience == BRIEF:
            return  # hooks/mirrors.py, or elsewhere.py, knows when all have failed
        if self._request.of_pip and self._patience != NONE and failure.first_contact:
            self._hosts.give_up(self._pool, self._name, failure, error)
