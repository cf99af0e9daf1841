"""How an interrupted body goes on: the attempts, what each brings, and the end of patience.

body.py reads; when its connection breaks it asks a `Resumption` for another `Part` that goes on at
the byte where the last one stopped. What may be joined on is decided in ranges.py, when to try
again in patience.py; this module carries both out.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from typing import Callable, NamedTuple

from pip_retry_patch import messages
from pip_retry_patch.policy.ranges import Representation, Verdict, judge, range_field
from pip_retry_patch.policy.retry import Effort, Patience, next_wait, retry_after
from pip_retry_patch.transport.parts import PIECE, Part

logger = logging.getLogger("pip_retry_patch")


# What a link answers that has expired, or leads elsewhere by now.
_MOVED = frozenset([301, 302, 303, 307, 308, 401, 403, 404, 410])


class Origin(NamedTuple):
    """Where a body comes from, and what is needed to ask there again.

    :param name: what a user would call the thing, for messages.
    :param host: the server's name, for messages.
    :param ask: sends the same request again with these fields added to its header; returns the
        answer, or raises what the network raised.
    :param ask_again: the same, but from the request's first URL; None if there was no redirect.
    :param unreachable: tells of such an error whether no server was reached.
    :param local: tells of such an error whether the request did not even leave this machine.
    :param announce: shows one line to the user.
    :param error: makes the exception to raise, from a Failure and the interruption.
    :param unproven: see `ranges.judge`.
    """

    name: str
    host: str
    ask: Callable[[dict[str, str]], Part]
    ask_again: Callable[[dict[str, str]], Part] | None
    unreachable: Callable[[Exception], bool]
    local: Callable[[Exception], bool]
    announce: Callable[[str], None]
    error: Callable[[messages.Failure, Exception], Exception]
    patience: Patience
    unproven: bool


class GaveUpError(Exception):
    """The download cannot go on; `failure` says why in a user's words."""

    def __init__(self, failure: messages.Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class Resumption:
    """Brings one body back, as often as it is interrupted.

    :param known: what the first answer said of the representation; its total is filled in when
        a later answer tells it.
    :param start: position of the first byte that the reader asked for.
    :param last: position of the last one where the reader asked for a range that ends before the
        representation does, else None.
    """

    def __init__(self, origin: Origin, known: Representation, start: int, last: int | None) -> None:
        self.known = known
        self._origin = origin
        self._start = start
        self._last = last
        self._attempt: _Interruption | None = None
        self._effort = Effort()
        self._effort_from = start

    def reopen(self, offset: int, interruption: Exception, digest: bytes | None) -> Part | None:
        """Return a part whose next byte is the one at `offset`; None if nothing is missing.

        :param digest: SHA-256 of the bytes from `start` to `offset`, where no strong validator
            vouches for them.
        :raises GaveUpError: patience has ended, or no patience can help.
        """
        origin = self._origin
        attempt = self._attempt = self._count(offset, interruption)
        # Where a part would have to be proven and cannot be, none is asked for.
        ranged = origin.unproven or self.known.validators.strong is not None
        ask, ask_again = origin.ask, origin.ask_again
        asked_to_wait: float | None = None
        while True:
            now = time.monotonic()
            wait = next_wait(origin.patience, self._effort, now, random.uniform, asked_to_wait)
            if wait is None:
                raise GaveUpError(attempt.gave_up(now, self._effort))
            if wait > 0:
                attempt.announce_wait(self._effort)
                logger.debug("%s: next attempt in %.1f s", origin.name, wait)
                time.sleep(wait)
            asked_to_wait = None
            attempt.count += 1
            asked_at = time.monotonic()
            try:
                part = ask(self._fields(offset) if ranged else {})
            except Exception as error:
                attempt.trouble = messages.reason(error)
                if messages.is_certificate_error(error):
                    raise GaveUpError(attempt.certificate()) from error
                now = time.monotonic()
                if origin.unreachable(error):
                    took, local = now - asked_at, origin.local(error)
                    self._effort = self._effort.was_unreachable(now, took, local)
                else:
                    self._effort = self._effort.was_unhelpful(now - asked_at)
                continue
            verdict = self._judge(part, offset, ranged)
            if verdict is Verdict.CONTINUE:
                attempt.announce(messages.resumed)
                return part
            if verdict in (Verdict.REPLAY, Verdict.COMPARE):
                attempt.announce(messages.replayed)
                broken = self._replay(
                    part, offset, digest if verdict is Verdict.COMPARE else None, attempt
                )
                if broken is None:
                    return part
                attempt.trouble = messages.reason(broken)
                self._effort = self._effort.was_unhelpful()
                continue
            part.close(False)
            if verdict is Verdict.COMPLETE:
                return None
            if verdict is Verdict.CHANGED:
                raise GaveUpError(attempt.changed())
            ask = origin.ask
            if verdict is Verdict.REFUSED and part.status in _MOVED and ask_again is not None:
                # The link was good for a while only: its index gives another one, once.
                ask, ask_again = ask_again, None
                continue
            if verdict is Verdict.REFUSED:
                raise GaveUpError(attempt.refused(part.status))
            if verdict is Verdict.BUSY:
                attempt.trouble = messages.busy(part.status)
                asked_to_wait = retry_after(part.headers)
                self._effort = self._effort.was_unhelpful(time.monotonic() - asked_at)
                continue
            attempt.trouble = messages.useless(part.status, verdict.value)
            if ranged:
                # To ask for all of it is a new question: neither waited for nor counted.
                ranged = False
            else:
                self._effort = self._effort.was_unhelpful()

    def _count(self, offset: int, interruption: Exception) -> _Interruption:
        """Count the part that was just interrupted: as progress, or as one more vain attempt."""
        earlier = self._attempt
        if offset - self._effort_from >= self._origin.patience.progress:
            self._effort, self._effort_from = Effort(), offset
            earlier = None
        elif earlier is not None:
            self._effort = self._effort.was_unhelpful()
        return _Interruption(self._origin, offset, self.known.total, interruption, earlier)

    def _fields(self, offset: int) -> dict[str, str]:
        fields = {"Range": range_field(offset, self._last)}
        if self.known.validators.strong is not None:
            fields["If-Range"] = self.known.validators.strong
        return fields

    def _judge(self, part: Part, offset: int, ranged: bool) -> Verdict:
        last = self._last
        if last is None and self.known.total is not None:
            last = self.known.total - 1
        answer = judge(
            self.known,
            offset,
            part.status,
            part.headers,
            length=part.length,
            ranged=ranged,
            expected=None if last is None else last - offset + 1,
            unproven=self._origin.unproven,
        )
        if answer.total is not None and self.known.total is None:
            self.known = self.known._replace(total=answer.total)
        return answer.verdict

    def _replay(
        self, part: Part, offset: int, digest: bytes | None, attempt: _Interruption
    ) -> Exception | None:
        """Read the first `offset` bytes of `part` again; return what interrupted that, if anything.

        :raises GaveUpError: they are not the bytes with that `digest`.
        """
        again = hashlib.sha256()
        position = 0
        while position < offset:
            piece = part.read(min(offset - position, PIECE))
            if not piece:
                part.close(False)
                return part.interruption or messages.EarlyEnd(offset - position)
            if digest is not None:
                again.update(piece[max(self._start - position, 0) :])
            position += len(piece)
        if digest is not None and again.digest() != digest:
            part.close(False)
            raise GaveUpError(attempt.changed())
        return None


class _Interruption:
    """What there is to tell of one interruption: a line when it heals, a Failure when it does not.

    `count` attempts were made since the last real progress, the last of which failed by `trouble`.

    :param earlier: the interruption before, if it came with no real progress in between.
    """

    def __init__(
        self,
        origin: Origin,
        offset: int,
        total: int | None,
        error: Exception,
        earlier: _Interruption | None,
    ) -> None:
        self.count: int = earlier.count if earlier else 0
        self.trouble: str | None = None
        self._origin = origin
        self._place = messages.Place(origin.name, origin.host, offset, total)
        self._why = messages.reason(error)
        self._since: float = earlier._since if earlier else time.monotonic()
        self._announced = False

    def announce(self, line: Callable[[messages.Place, str], str]) -> None:
        """Show `line`, unless this interruption already had its one line."""
        if not self._announced:
            self._announced = True
            self._origin.announce(line(self._place, self._why))

    def announce_wait(self, effort: Effort) -> None:
        patience = self._origin.patience
        left = messages.up_to_attempts(patience.attempts - effort.unhelpful)
        if effort.lost_at is not None:
            left = messages.about_seconds(patience.seconds)
        self.announce(lambda place, why: messages.waiting(place, why, self.trouble, left))

    def gave_up(self, now: float, effort: Effort) -> messages.Failure:
        unreachable = effort.unhelpful < self._origin.patience.attempts
        return messages.gave_up(
            self._place,
            self._why,
            self.trouble,
            self.count,
            now - self._since,
            unreachable=unreachable,
        )

    def refused(self, status: int) -> messages.Failure:
        return messages.refused(self._place, self._why, status)

    def certificate(self) -> messages.Failure:
        return messages.certificate(self._place, self._why, self.trouble or "")

    def changed(self) -> messages.Failure:
        return messages.changed(self._place, self._why)
