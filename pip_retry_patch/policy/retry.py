"""When to try again, how long to wait first, and when to stop. Pure policy: no I/O, no clock.

The defaults, and why:

* The first retry comes at once. Most interruptions are a single dropped connection, and the
  server is waiting; any delay would only be felt.
* After that the wait is drawn evenly between 0 and a limit that doubles (1, 2, 4 … seconds, at
  most 30): "full jitter". Ten thousand clients that lost the same server come back spread out,
  not in step. 30 seconds is as long as a person at a terminal takes silence for work.
* The limit is no less than the time that the failed attempt took. Connections that time out all
  end 15 seconds after they began, and a second of jitter would leave them in step. Who is alone
  pays for that with a wait of 7 seconds on average between attempts that take 15.
* Where an attempt does not leave this machine, no server is spared by waiting: without wifi the
  limit stays at 2 seconds, so that the download goes on at once when it is back. Such attempts do
  not count towards the doubling either, for they tell nothing of the server.
* 8 attempts, for a server that answers but does not help. With the waits between them that is
  about a minute and a half at most: long enough for a restart behind a load balancer, short enough
  that a server which will never help is reported while someone still looks.
* 120 seconds, for a server that cannot be reached: a router restart, a tunnel, wifi that moves.
  A wait that was drawn before they are over is kept to its end, and the attempt after it is the
  last: were it cut at 120, everyone who lost the server in one moment would come back in one.
  They end with any answer, if only a 503; from then on the attempts count, and only those, so that
  a server that comes and goes is given up as well.
* Both budgets start anew after real progress, which is 64 KiB. Fewer bytes for each attempt would
  let a server that hands out crumbs hold pip for ever; much more would punish a slow link.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Callable, Mapping, NamedTuple


class Patience(NamedTuple):
    """The policy. Seconds and bytes; immutable."""

    attempts: int = 8
    seconds: float = 120.0
    first_limit: float = 1.0
    last_limit: float = 30.0
    local_limit: float = 2.0
    progress: int = 64 * 1024


class Effort(NamedTuple):
    """What was tried since the last real progress. Immutable: each outcome gives a new one.

    `unhelpful` counts the attempts that a server answered without helping, `unreachable` those
    that reached no server; `lost_at` is the clock's reading at the first of the latter since a
    server was reached. `local` of them did not leave this machine; `is_local`: nor did the last
    attempt. `took` is how long that was under way until it failed, in seconds, where they were
    spent in waiting for an answer.
    """

    unhelpful: int = 0
    unreachable: int = 0
    lost_at: float | None = None
    local: int = 0
    is_local: bool = False
    took: float = 0.0

    def was_unhelpful(self, took: float = 0.0) -> Effort:
        # Whatever it answered, it was reached: the seconds are over, and count anew if it is lost
        # again. The attempts do not, so that this ends.
        effort = self._replace(unhelpful=self.unhelpful + 1, lost_at=None)
        return effort._replace(is_local=False, took=took)

    def was_unreachable(self, now: float, took: float = 0.0, local: bool = False) -> Effort:
        lost_at = now if self.lost_at is None else self.lost_at
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

    :param now: the reading, in seconds, of the clock that `effort` was made with.
    :param uniform: draws a number between its two arguments, as `random.uniform` does.
    :param retry_after: the seconds that the server asked for (RFC 9110 section 10.2.3). They are
        waited for, up to what is left of `patience.seconds`, and the drawn wait comes on top:
        everyone else was told the same moment.

    A drawn wait may end after `patience.seconds` are over: by `patience.last_limit` at most, and
    never by more than the seconds themselves.
    """
    if effort.unhelpful >= patience.attempts:
        return None
    left, longest = patience.seconds, patience.last_limit
    if effort.lost_at is not None:
        left += effort.lost_at - now
        if left <= 0:
            return None
        longest = min(longest, patience.seconds)
    failures = effort.unhelpful + effort.unreachable - effort.local
    wait = 0.0
    if effort.is_local:
        wait = uniform(0.0, min(patience.local_limit, longest))
    elif failures:
        # Doubling a float a thousand times overflows; the limit is reached long before.
        limit = patience.first_limit * 2 ** min(failures - 1, 32)
        wait = uniform(0.0, min(max(limit, effort.took), longest))
    if retry_after is not None:
        wait += min(max(retry_after, 0.0), left)
    return wait


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for (RFC 9110 section 10.2.3), None without one.

    A date is read against the answer's own Date, so that a wrong clock here does not matter.
    """
    value = (headers.get("retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        at, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date") or "")
        return max((at - now).total_seconds(), 0.0)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
