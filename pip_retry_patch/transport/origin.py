"""What a body comes from, and what its reader has of it: what is needed to ask for the rest."""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Callable

from pip_retry_patch import failures, messages
from pip_retry_patch.policy.pace import Pace
from pip_retry_patch.policy.retry import LONG_WAIT, NONE, Attempts, Clock, Patience
from pip_retry_patch.records import NamedTuple
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.reissue import Part, Ranges

logger = logging.getLogger("pip_retry_patch")

_TOO_LATE = "it did not come to its end in time"

# Where no hash covers a body, a part is asked for from so many bytes before the offset, and they
# are compared with those that were handed on. A validator alone is a claim: two files of one size
# that were written in the same second have the same one on many servers.
OVERLAP = 4 * 1024


class Origin(NamedTuple):
    """Where a body comes from, and what is needed to ask there again.

    :param name: what a user would call the thing, for messages.
    :param host: the server's name, for messages.
    :param ask: sends the same request again with these fields added to its header; returns the
        answer, or raises what the network raised.
    :param ask_first_url: the same, but from the request's first URL on, by way of whatever
        redirects there are now; None if nobody can do that.
    :param redirected: whether the link is another one than the first URL.
    :param unreachable: tells of such an error whether no server was reached.
    :param local: tells of such an error whether the request did not even leave this machine.
    :param announce: shows one line to the user.
    :param error: makes the exception to raise, from a Failure and the interruption.
    :param hashed: see `ranges.judge`.
    :param pace: when a connection has stopped moving.
    :param ranges: remembers whether the host sends parts.
    :param url: of the thing there.
    :param mirror: the base URL of the mirror that this is; None for the original source.
    :param elsewhere: the other sources (elsewhere.py), if there are any.
    :param until: the clock's reading at which the body must have come; None for any time.
    :param record: writes to the journal (`store.journal.Journal.note`), if there is one.
    """

    name: str
    host: str
    ask: Callable[[dict[str, str]], Part]
    ask_first_url: Callable[[dict[str, str]], Part] | None
    redirected: bool
    unreachable: Callable[[Exception], bool]
    local: Callable[[Exception], bool]
    announce: Callable[[str], None]
    error: Callable[[failures.Failure, Exception], Exception]
    patience: Patience
    clock: Clock
    hashed: bool
    ranges: Ranges
    pace: Pace = Pace()
    url: str = ""
    mirror: str | None = None
    elsewhere: Any = None
    until: float | None = None
    record: Callable[..., None] | None = None

    def check_time(self) -> None:
        """Raise an error where the body should have come by now."""
        if self.until is not None and self.clock.now() > self.until:
            late = errors.EarlyEnd()
            raise self.error(failures.broken_request(self.name, self.host, _TOO_LATE), late)


class HandedOn(NamedTuple):
    """What a reader has of a body: all bytes up to `offset`.

    :param digest: SHA-256 of them, and `tail`, the last of them (up to OVERLAP). None and empty
        where a hash covers the body: then there is no need to compare.
    """

    offset: int
    digest: bytes | None = None
    tail: bytes = b""

    def overlaps(self, part: Part) -> bool:
        """Read the tail from a part that begins with it; False if it does not.

        :raises BrokenError: the part was interrupted.
        """
        return b"".join(part.again(len(self.tail))) == self.tail

    def continues(
        self, part: Part, start: int, is_something_else: Callable[[bytes], bool]
    ) -> bool | None:
        """Read all up to the offset from a part that begins with it; False if it does not.

        :param start: how many bytes come before the first one that was handed on.
        :param is_something_else: tells it by the first bytes; the rest is not read, and None is
            returned.
        :raises BrokenError: the part was interrupted.
        """
        digest, position = hashlib.sha256(), 0
        for piece in part.again(self.offset):
            if not position and is_something_else(piece):
                return None
            if self.digest is not None:
                digest.update(piece[max(start - position, 0) :])
            position += len(piece)
        return self.digest is None or digest.digest() == self.digest


# Each of so many interruptions of a body has a line; then each tenth of it has one.
EACH = 3


class Interruptions:
    """How often one body was interrupted, and which of that a user is told.

    `seconds`: for how long it stood still. `again`: bytes of it that were fetched twice.
    """

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.again = 0
        self._tenth = -1

    def has_line(self, offset: int, total: int | None) -> bool:
        """Count one more; return whether it has a line of its own."""
        self.count += 1
        if total:
            tenth = offset * 10 // total
            # What is interrupted in its last tenth has its last line soon.
            is_new = self._tenth < tenth < 9
        else:
            tenth, is_new = 0, self.count & (self.count - 1) == 0
        told = self.count <= EACH or is_new
        if told:
            self._tenth = max(self._tenth, tenth)
        return told


class Story:
    """What there is to tell of one interruption: a line when it heals, a Failure when it does not.

    :param why: what interrupted the body. `trouble` is what ended the last attempt since then.
    :param announce: shows one line to the user.
    :param so_far: the interruptions of this body, with this one.
    """

    def __init__(
        self,
        place: messages.Place,
        why: str,
        attempts: Attempts,
        announce: Callable[[str], None],
        so_far: Interruptions | None = None,
    ) -> None:
        self.trouble: str | None = None
        self._web_page_host = ""
        self._place = place
        self._why = why
        self._attempts = attempts
        self._announce = announce
        self._so_far = so_far or Interruptions()
        self._announced = not self._so_far.has_line(place.offset, place.total)
        self._waits = False
        self._waited = 0.0

    @property
    def latest(self) -> str:
        """What went wrong last."""
        return self.trouble or self._why

    def announce(self, line: Callable[[messages.Place, str], str] | None) -> None:
        """Show `line`, unless this interruption already had its one line."""
        if line is not None and not self._announced:
            self._announced = True
            self._announce(line(self._place, self._why))

    def resumed(self, line: messages.Line | None) -> None:
        """Say that it goes on, by `line` if nothing was said of this interruption."""
        count = self._so_far.count
        if self._waits and line is not None:
            self._waits = False
            self._announce(messages.goes_on(self._place))
        elif line is messages.resumed and count > EACH:
            self.announce(lambda place, why: messages.resumed_again(place, count))
        else:
            self.announce(line)

    def announce_wait(self, seconds: float) -> None:
        """Say what is waited for; a long wait that the server asked for has its own line."""
        logger.debug("%s: next attempt in %.1f s", self._place.name, seconds)
        self._waited += seconds
        # After the first ones a short wait is one more interruption, and counted with them.
        is_told = not self._announced and self._so_far.count <= EACH
        if self._announced and self._attempts.asked_to_wait and seconds > LONG_WAIT:
            peer, trouble = messages.Peer(self._place.host), self.trouble or self._why
            self._announce(messages.trying_again(peer, trouble, seconds))
        elif not self._waits and (is_told or self._waited > LONG_WAIT):
            patience, effort = self._attempts.patience, self._attempts.effort
            left = messages.up_to_attempts(patience.attempts - effort.unhelpful)
            if effort.lost_at is not None:
                left = messages.for_seconds(patience.seconds)
            self._announced = self._waits = True
            self._announce(messages.waiting(self._place, self.latest, left))

    def web_page_from(self, host: str) -> None:
        """Note that the last attempt brought a web page in place of the file."""
        self.trouble, self._web_page_host = messages.WEB_PAGE, host

    def gave_up(self) -> failures.Failure:
        attempts = self._attempts
        if self.trouble == messages.WEB_PAGE:
            return failures.web_page(
                self._place, self._why, self._web_page_host, attempts.count, attempts.seconds
            )
        return failures.gave_up(
            self._place,
            self._why,
            self.trouble,
            attempts.count,
            attempts.seconds,
            unreachable=attempts.effort.unhelpful < attempts.patience.attempts,
            retries=attempts.patience != NONE,
        )

    def refused(self, status: int) -> failures.Failure:
        return failures.refused(self._place, self._why, status)

    def certificate(self) -> failures.Failure:
        return failures.certificate(self._place, self._why, self.trouble or "")

    def changed(self) -> failures.Failure:
        return failures.changed(self._place, self._why)
