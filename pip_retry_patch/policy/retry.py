"""When to retry, how long to wait first, and when to give up. No I/O, and no clock of its own.

`Patience` is the policy, `Effort` what was tried so far, `next_wait` the rule that joins them.
`Attempts` is the loop that every retry of this package runs: it is handed a `Clock`, so that the
same code runs in a test or a simulation in which nobody waits.

The defaults, and why:

* The first retry comes at once. Most interruptions are one dropped connection, and the server is
  waiting. Any delay would only be felt.
* After that the wait is drawn evenly between 0 and a limit that doubles (1, 2, 4 ... seconds, at
  most 30). This is called full jitter: ten thousand clients that lost the same server come back
  spread out, not in step. A person at a terminal takes 30 seconds of silence for work.
* The limit is no less than the time that the failed attempt took. Connections that time out all
  end 15 seconds after they began, and a second of jitter would leave them in step. A lone client
  pays for that: it waits 7 seconds on average between attempts that take 15.
* An attempt that does not leave this machine spares no server by waiting. Without wifi the limit
  stays at 2 seconds, so that the download continues soon after the wifi is back. Such attempts do
  not count towards the doubling either, for they tell nothing of the server.
* 8 attempts, for a server that answers but does not help. With the waits between them they take
  about a minute and a half at most. That is long enough for a restart behind a load balancer, and
  short enough that someone still looks when a server that will never help is reported.
* 120 seconds, for a server that cannot be reached: a router restart, a tunnel, wifi that moves.
  A wait that was drawn before they are over is kept to its end, and the attempt after it is the
  last. If it were cut at 120, all who lost the server in one moment would come back in one.
  Any answer ends the seconds, even a 503. From then on only the attempts count, so that a server
  that comes and goes is given up as well.
* 30 seconds, for a server that has not answered in this run. Its name may be mistyped, and a build
  sandbox without a network is meant to fail. Where this machine has no network at all and a person
  sits at it, the wait is the whole 120: wifi comes back.
* 1 second between two attempts to reach a server, for a person. A person is alone, so no server
  suffers from it, and sits there when the server is back. A machine is one of many: it waits for up
  to 30.
* The waits of one request are bounded together, whatever the server asks for with Retry-After: by
  120 seconds, and the last drawn wait. A server that asks for more than what is left is not waited
  for at all. Who sits there learns it at once, with the time that was asked for.
* Both budgets start anew after real progress, which is 64 KiB. If fewer bytes for each attempt
  counted, a server that hands out crumbs could hold pip for ever. Many more would punish a slow
  link.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Callable, Mapping

from pip_retry_patch.records import NamedTuple


class Patience(NamedTuple):
    """The policy. Seconds and bytes; immutable."""

    attempts: int = 8
    seconds: float = 120.0
    first_contact: float = 30.0
    first_limit: float = 1.0
    last_limit: float = 30.0
    local_limit: float = 2.0
    person_limit: float = 1.0
    progress: int = 64 * 1024
    person: bool = False

    @property
    def total(self) -> float:
        """The seconds that all waits together may take, but for the end of the last one.

        Attempts that are drawn from the longest limit wait for half of it. Who allows more of them
        allows that time.
        """
        return max(self.seconds, self.attempts * self.last_limit / 2)

    def at_first_contact(self, offline: bool) -> Patience:
        """Return what holds for a server that has not answered in this run.

        :param offline: this machine has no network at all.
        """
        if self.person and offline:
            return self
        return self._replace(seconds=min(self.seconds, self.first_contact))


# A single wait of more seconds is announced, by whomever it is made.
LONG_WAIT = 3.0

# `--retries 0`: whatever fails is told at once.
NONE = Patience(attempts=0, seconds=0.0)

# There is another source to ask: this one gets one retry, at once.
BRIEF = Patience(attempts=1, seconds=0.0, first_contact=0.0)


class Effort(NamedTuple):
    """What was tried since the last real progress. Immutable: each outcome gives a new one.

    `unhelpful` counts the attempts that a server answered without helping, `unreachable` those
    that reached no server; `lost_at` is the clock's reading at the first of the latter since a
    server was reached, or since this machine has a network again. `local` of them did not leave
    this machine; `is_local`: nor did the last attempt. `took` is how long that was under way until
    it failed, in seconds, where they were spent in waiting for an answer. `waited` are the seconds
    of all waits between the attempts.
    """

    unhelpful: int = 0
    unreachable: int = 0
    lost_at: float | None = None
    local: int = 0
    is_local: bool = False
    took: float = 0.0
    waited: float = 0.0

    def was_unhelpful(self, took: float = 0.0) -> Effort:
        # Whatever it answered, it was reached: the seconds are over, and they count anew if it is
        # lost again. The attempts do not count anew, so that this ends.
        effort = self._replace(unhelpful=self.unhelpful + 1, lost_at=None)
        return effort._replace(is_local=False, took=took)

    def was_unreachable(self, now: float, took: float = 0.0, local: bool = False) -> Effort:
        # While this machine had no network nothing was learnt of the server: its seconds begin now.
        is_back = self.is_local and not local
        lost_at = now if self.lost_at is None or is_back else self.lost_at
        effort = self._replace(unreachable=self.unreachable + 1, lost_at=lost_at)
        return effort._replace(local=self.local + local, is_local=local, took=took)


def next_wait(
    patience: Patience,
    effort: Effort,
    now: float,
    uniform: Callable[[float, float], float],
    retry_after: float | None = None,
) -> float | None:
    """Return the seconds to wait before the next attempt, or None when patience has ended.

    It also has ended where the server asks for more time than is left.

    :param now: the reading, in seconds, of the clock that `effort` was made with.
    :param uniform: draws a number between its two arguments, as `random.uniform` does.
    :param retry_after: the seconds that the server asked for (RFC 9110 section 10.2.3). The drawn
        wait comes on top: everyone else was told the same moment.

    A drawn wait may end after `patience.seconds` are over: by `patience.last_limit` at most, and
    never by more than a third of the seconds.
    """
    if effort.unhelpful >= patience.attempts:
        return None
    left, longest = patience.total - effort.waited, patience.last_limit
    if effort.lost_at is not None:
        left = min(left, patience.seconds + effort.lost_at - now)
        longest = min(longest, patience.seconds / 3)
        if patience.person:
            longest = min(longest, patience.person_limit)
    if left <= 0 or (retry_after is not None and retry_after > left):
        return None
    failures = effort.unhelpful + effort.unreachable - effort.local
    wait = 0.0
    if effort.is_local:
        wait = uniform(0.0, min(patience.local_limit, longest))
    elif failures:
        # Doubling a float a thousand times overflows; the limit is reached long before.
        limit = patience.first_limit * 2 ** min(failures - 1, 32)
        wait = uniform(0.0, min(max(limit, effort.took), longest))
    return wait + max(retry_after or 0.0, 0.0)


class Clock(NamedTuple):
    """What a retry needs of the world: the time, a way to wait, and chance.

    `now` returns seconds, as `time.monotonic` does. `uniform` draws a number between its two
    arguments, as `random.uniform` does.
    """

    now: Callable[[], float]
    sleep: Callable[[float], None]
    uniform: Callable[[float, float], float]


class Attempts:
    """The loop of a retry: ask patience, announce the wait, wait, try, and count what came of it.

        while attempts.wait(announce):
            ...  # try; return if it helped, else:
            attempts.was_unhelpful()  # or was_unreachable()
        ...  # patience has ended

    :param effort: what was tried before the first wait.
    """

    def __init__(self, patience: Patience, clock: Clock, effort: Effort) -> None:
        self.patience = patience
        self.effort = effort
        self.count = 0
        self.asked_to_wait: float | None = None  # by the last answer's Retry-After
        self._clock = clock
        self._began = self._asked_at = clock.now()

    @property
    def is_last(self) -> bool:
        """Whether one more attempt that does not help will be the last."""
        return self.effort.unhelpful >= self.patience.attempts - 1

    @property
    def seconds(self) -> float:
        """The seconds since the first of them."""
        return self._clock.now() - self._began

    def wait(self, announce: Callable[[float], None] | None = None) -> bool:
        """Wait until the next attempt is due; False if patience has ended.

        :param announce: called with the seconds before a wait that is not 0.
        """
        patience, clock = self.patience, self._clock
        wait = next_wait(patience, self.effort, clock.now(), clock.uniform, self.asked_to_wait)
        if wait is None:
            return False
        if wait > 0:
            if announce is not None:
                announce(wait)
            clock.sleep(wait)
            self.effort = self.effort._replace(waited=self.effort.waited + wait)
        self.asked_to_wait = None
        self.count += 1
        self._asked_at = clock.now()
        return True

    def was_unhelpful(self, asked_to_wait: float | None = None, at_once: bool = False) -> None:
        """Count the attempt: a server answered, or took the request, but that did not help.

        :param asked_to_wait: the seconds of its Retry-After.
        :param at_once: the time since `wait` was not spent in waiting for an answer.
        """
        took = 0.0 if at_once else self._clock.now() - self._asked_at
        self.effort = self.effort.was_unhelpful(took)
        self.asked_to_wait = asked_to_wait

    def was_unreachable(self, local: bool) -> None:
        """Count the attempt: it reached no server, and did not leave this machine if `local`."""
        now = self._clock.now()
        self.effort = self.effort.was_unreachable(now, now - self._asked_at, local)
        self.asked_to_wait = None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for (RFC 9110 section 10.2.3), None without one.

    A date is read against the answer's own Date, so that a wrong clock here does not matter. More
    than nine digits are no number of seconds that anyone means.
    """
    value = (headers.get("retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return float(value) if len(value) <= 9 else None
    try:
        at, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date") or "")
        return max((at - now).total_seconds(), 0.0)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
