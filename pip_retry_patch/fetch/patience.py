"""When to retry, how long to wait first, and when to give up; and every other budget.

Nothing here has a clock of its own: `Attempts` is handed a `Clock`, so that the same code runs in a
test or a simulation in which nobody waits. docs/architecture.md gives the reasons for Patience.
"""

from __future__ import annotations

import collections
import math
import random
import time
from typing import Any, Callable, Mapping

from pip_retry_patch import names
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.judge import Verdict, is_busy, seconds_between
from pip_retry_patch.records import record, replace

# Real progress: so many bytes beyond the furthest offset renew the budgets of `Patience`.
PROGRESS = 64 * 1024
# No answer is read up to an offset any more after so many bytes were, by the file's size. pip
# itself fetches a file anew five times (since 25.1), and must not be the one that gets it.
READ_AGAIN = 4
# A connection that brings fewer bytes a second than FLOOR has stopped: for MOVED seconds of
# waiting where it had brought more, for SLOW seconds where it was slow from its first byte, for a
# gateway that scans a file hands out a byte now and then.
FLOOR, MOVED, SLOW = 100, 60.0, 300.0
# A name that does not exist may be mistyped.
UNKNOWN_NAME = 10.0
# Seconds of one request that count. In more of them the process may not have run (Ctrl-Z).
LONGEST_REQUEST = 60.0
# A page of a mirror: bytes, and seconds.
LARGEST_PAGE, LONGEST_PAGE = 64 << 20, 60.0
# One look into an archive: seconds, and bytes as they were before compression.
LOOK_SECONDS, LOOK_BYTES = 2.0, 64 << 20
# What a compressed file may decode to: so many times its size, and so many bytes more.
DECODED, DECODED_MORE = 20, 10_000_000
# Requests to a mirror in vain until it is the next one's turn.
TURN = 2
# A 500 says that one URL is broken, not that its host is busy, and a proxy's error may say that a
# host does not exist: so many attempts, as pip's own.
BROKEN_URL = 5
# Pages of no use that are asked for once more, of a host in a run. Some indexes have such a page in
# place of each project that they do not have.
DOUBTS = 3
# Attempts, and seconds of waiting in all, while a whole answer waits that can be read instead; it
# does not wait for ever. And for a host that was waited for in vain.
HAS_ANSWER, WAS_IN_VAIN = (5, 15.0), (1, 1.0)
# Seconds that pip's own retries of a host that cannot be reached take, about.
PIPS_SECONDS = 8.0
# A host that was waited for in vain is asked with this part of pip's timeout to connect, for pip's
# cache may have what is asked for.
HASTY = 0.1
# A single wait of more seconds is announced.
LONG_WAIT = 3.0


@record
class Patience:
    """How long to try. Seconds; immutable.

    :param attempts: retries where a server answers but does not help; 0 with `--retries 0`.
    :param seconds: for a server that cannot be reached. `first_contact`: for the hosts that have
        not answered in this run, together.
    :param least: requests that a server is asked that cannot be reached, however long each takes.
    :param first_limit: of the first wait; it doubles up to `last_limit`, or up to `lost_limit`
        where the server cannot be reached.
    :param local_limit: the longest wait while requests do not leave this machine.
    :param person: somebody waits at a terminal: `person_limit` takes the place of `lost_limit`.
    """

    attempts: int = 8
    seconds: float = 120.0
    first_contact: float = 30.0
    least: int = 3
    first_limit: float = 1.0
    last_limit: float = 30.0
    lost_limit: float = 10.0
    local_limit: float = 2.0
    person_limit: float = 1.0
    person: bool = False

    def limited(self, attempts: int) -> Patience:
        """Return no more of it than so many attempts."""
        return replace(self, attempts=min(self.attempts, attempts))

    def shortened(self, attempts: int, seconds: float) -> Patience:
        """Return no more of it than so many attempts, which wait so many seconds in all."""
        limit = min(self.last_limit, seconds / attempts)
        seconds = min(self.seconds, seconds)
        return replace(self.limited(attempts), seconds=seconds, least=1, last_limit=limit)


class Clock:
    """What a retry needs of the world: the time, a way to wait, and chance.

    Time in which the process did not run (Ctrl-Z, a paused container, a sleeping laptop) does not
    pass: where a wait takes far longer than it was to take, the excess is left out.
    """

    def __init__(self, sleep: Callable[[float], None] | None = None) -> None:
        self._sleep = sleep
        self._left_out = 0.0
        self.uniform: Callable[[float, float], float] = random.uniform

    def now(self) -> float:
        """Return seconds since an arbitrary moment."""
        return time.monotonic() - self._left_out

    def sleep(self, seconds: float) -> None:
        began = self.now()  # by which a stop that another thread has left out is none
        (self._sleep or time.sleep)(seconds)
        self.leave_out(self.now() - began - seconds)

    def leave_out(self, excess: float) -> None:
        """Count no more than a second of what a wait took too long."""
        self._left_out += max(excess - 1.0, 0.0)


class Attempts:
    """What was tried since the last real progress, and when to try again.

    :param patience: how long to try; it may be replaced after each attempt.
    """

    def __init__(self, patience: Patience, clock: Clock) -> None:
        self.patience = patience
        self.count = 0
        self.unhelpful = 0  # attempts that were answered without helping
        self.retry_after: float | None = None  # seconds that the last answer asked for
        self._clock = clock
        self._began = self._asked_at = clock.now()
        self._lost = 0  # attempts that left this machine and reached no server
        self._lost_at: float | None = None  # the clock's reading, while the server is lost
        self._least = 0.0  # seconds that its requests take which come in any case
        self._is_local = False  # the last attempt did not leave this machine
        self.took = self.waited = 0.0  # seconds, of the last attempt and of waits and silences

    def is_asked_for(self, wait: float) -> bool:
        """Whether a server asked for a wait of so many seconds, and it is a long one."""
        return self.retry_after is not None and wait > LONG_WAIT

    def budget(self, wait: float) -> str:
        """Return what is left, in words, before a wait: attempts, or seconds without a server."""
        if self.is_asked_for(wait):
            return f"again in {wait:.0f} s"
        if self.left < math.inf:
            return f"for {max(self.left, wait):.0f} s" if self.left > 0 else "once more"
        left = self.patience.attempts - self.unhelpful + 1
        return f"up to {left} more times" if left != 1 else "once more"

    @property
    def left(self) -> float:
        """The seconds that are left for a server that is lost; without end if none is."""
        if self._lost_at is None:
            return math.inf
        return max(self.patience.seconds, self._least) + self._lost_at - self._clock.now()

    @property
    def seconds(self) -> float:
        """The seconds since the search began."""
        return self._clock.now() - self._began

    def next_wait(self) -> float | None:
        """Return the seconds to wait before the next attempt, None when patience has ended.

        A drawn wait may end after `patience.seconds`: by `patience.lost_limit` at most, and never
        by more than a third of the seconds.
        """
        patience, asked = self.patience, max(self.retry_after or 0.0, 0.0)
        # The seconds that all waits together may take, but for the end of the last one.
        in_all = max(patience.seconds, patience.attempts * patience.last_limit)
        left, longest = min(in_all - self.waited, self.left), patience.last_limit
        if self._lost_at is not None:
            longest = patience.person_limit if patience.person else patience.lost_limit
            longest = min(longest, patience.seconds / 3)
            if self.count < patience.least and patience.seconds:
                left = max(left, 1.0)  # a silence may take longer than all patience
        if self.unhelpful > patience.attempts or left <= 0 or asked > left:
            return None
        # The first retry comes at once.
        failures, limit = self.unhelpful + self._lost - 1, 0.0
        if self._is_local:
            limit = patience.local_limit
        elif failures > 0:
            # Doubling a float a thousand times overflows; the limit is reached long before.
            limit = max(patience.first_limit * 2 ** min(failures - 1, 32), self.took)
        # Added to what was asked for: all other clients were told the same moment.
        return self._clock.uniform(0.0, min(limit, longest)) + asked

    def wait(self, announce: Callable[[float], None]) -> bool:
        """Wait until the next attempt is due; False if patience has ended.

        :param announce: is called with the seconds before the wait, which may be 0.
        """
        wait = self.next_wait()
        if wait is not None:
            announce(wait)
        if wait:
            self._clock.sleep(wait)
            self.waited += wait
        self.retry_after = None
        return wait is not None

    def begin(self) -> None:
        """An attempt begins."""
        self.count += 1
        self._asked_at = self._clock.now()

    def was_unhelpful(
        self, retry_after: float | None = None, at_once: bool = False, silent: bool = False
    ) -> None:
        """Count the attempt: a server answered, or took the request, but that did not help.

        Its seconds begin again if it is lost, its attempts do not.

        :param retry_after: the seconds that it asked for.
        :param at_once: the time since `begin` was not spent in waiting for an answer.
        :param silent: but in waiting for more of it, and in vain.
        """
        took = self._clock.now() - self._asked_at
        self.unhelpful += 1
        self._lost_at, self._is_local, self.retry_after = None, False, retry_after
        self.took = 0.0 if at_once else took
        if silent:
            self.waited += min(took, LONGEST_REQUEST)

    def was_unreachable(self, local: bool) -> None:
        """Count the attempt: it reached no server, and did not leave this machine if `local`.

        While this machine had no network nothing was learnt of the server.
        """
        self.took = self._clock.now() - self._asked_at
        if self._lost_at is None or (self._is_local and not local):
            self._lost_at = self._asked_at
            self._least = self.took * self.patience.least if self.patience.seconds else 0.0
        self._lost += not local
        self._is_local, self.retry_after = local, None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for (RFC 9110 section 10.2.3), None without one.

    A date is read against the answer's own Date, so that a wrong clock here does not matter. More
    than nine digits are no number of seconds that anyone means.
    """
    value = (headers.get("retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return float(value) if len(value) <= 9 else None
    wait = seconds_between(headers.get("date") or "", value)
    return None if wait is None else max(wait, 0.0)


class Host:
    """What became of one host in this run; or of one index, of which a host may have several.

    It is *lost* where a request brought no answer, however it ended, and *busy* where its answer
    asks for time. *First contact* is a request to a host that has not answered yet.

    :ivar answered: it did, once. `helped`: with more than that it is busy.
    :ivar rest: why others are asked first. LOST or BUSY: it was waited for in vain; REPLACED: a
        mirror did its work. An answer ends it.
    :ivar vain: the same of one of its indexes.
    :ivar lost_parts: how often all requests with a range were lost, and one without was not.
    :ivar validates_parts: its parts have the validators of the whole.
    :ivar doubts: pages of it that may still be asked for once more, as they are of no use.
    """

    LOST, BUSY, REPLACED = "lost", "busy", "replaced"

    answered = helped = sends_parts = False
    takes_if_range = validates_parts = True
    lost_parts = 0
    rest = vain = ""
    doubts = DOUBTS


class Hosts:
    """The hosts of this run. A proxy is a host of its own, and so is an index.

    :ivar indexes: their base URLs (`names.base_of`).
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.indexes: tuple[str, ...] = ()
        self._found: dict[str, Host] = collections.defaultdict(Host)  # by base URL or `host_of`
        self.first_contact = 0.0  # seconds that were spent on it

    def at(self, url: str) -> Host:
        """Return the index that a URL is of; or else its host."""
        return self._found[names.base_of(url, self.indexes) or names.host_of(url)]

    def of(self, outcome: Any) -> Host:
        """Return what answered a request, or failed to; `outcome` is one of request.py."""
        peer = outcome.peer
        return self._found[peer.proxy] if peer.is_proxy else self.at(outcome.last_url)

    def note(self, url: str, status: int) -> None:
        """`url` was answered."""
        for host in {self.at(url), self._found[names.host_of(url)]}:
            helps = not is_busy(status, {"retry-after": ""})  # nor does a 413
            host.answered, host.helped = True, host.helped or helps
            if helps or Host.LOST in (host.rest, host.vain):
                host.rest = host.vain = ""

    def give_up(self, outcome: Any, why: str) -> None:
        """Who failed was waited for in vain."""
        host = self.of(outcome) if why == Host.LOST else self.at(outcome.last_url)
        host.rest = self._found[outcome.peer.host].vain = why

    def was_in_vain(self, outcome: Any) -> bool:
        """Whether another index of the same host was waited for in vain."""
        host, all_of_it = self.at(outcome.last_url), self._found[outcome.peer.host]
        return host is not all_of_it and all_of_it.vain != ""

    def patience(self, patience: Patience, outcome: Any) -> Patience:
        """Return how much patience there is, where pip has no byte yet."""
        if outcome.verdict == Verdict.LOST:
            return self._patience_with_lost(patience, outcome)
        if outcome.verdict == Verdict.LASTING:  # pip's own retries would find a node that is right
            is_known = self.of(outcome).rest != ""
            return patience.shortened(*(WAS_IN_VAIN if is_known else (BROKEN_URL, PIPS_SECONDS)))
        if outcome.verdict != Verdict.BUSY:
            return patience
        host, in_vain = self.at(outcome.last_url), self.was_in_vain(outcome)
        is_odd = outcome.peer.is_proxy or outcome.error is not None
        if host.rest == Host.BUSY or (in_vain and not host.helped):
            return patience.shortened(*WAS_IN_VAIN)
        if in_vain:
            return patience.shortened(*HAS_ANSWER)
        is_broken = outcome.status == 500 or (is_odd and not host.helped)
        return patience.limited(BROKEN_URL) if is_broken else patience

    def _patience_with_lost(self, patience: Patience, outcome: Any) -> Patience:
        host = self.of(outcome)
        if host.rest == Host.LOST or not patience.seconds:
            return replace(patience, attempts=0, seconds=0.0)
        if self.was_in_vain(outcome):
            longest = patience.seconds if host.answered else patience.first_contact
            return replace(patience, seconds=min(PIPS_SECONDS, longest))
        if host.answered or (patience.person and errors.is_offline(outcome.error)):
            return patience
        least = min(PIPS_SECONDS, patience.first_contact)  # where others have spent them
        left = max(patience.first_contact - self.first_contact, least)
        if errors.is_unknown_name(outcome.error):
            left = min(left, UNKNOWN_NAME)
        return replace(patience, seconds=left)
