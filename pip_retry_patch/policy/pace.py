"""When a connection that still brings bytes has stopped moving. No I/O, and no clock of its own.

A read timeout ends silence, and any byte restarts it. So a connection that falls to a byte a second
would hold pip for hours. But who was slow from the start may have a reason: a gateway that scans a
file for viruses hands out a byte now and then until it has the whole, and then all of it.

The defaults, and why:

* 100 bytes a second is no progress. A wheel of a megabyte would take three hours. The slowest link
  that anyone installs over, a modem of 9600 baud or a satellite phone, brings ten times that.
* A connection is known to be fast once it brought ten times the floor over 5 seconds. From then on
  1 % of the best rate is no progress either, for what brought 10 MB a second and now brings 90 kB
  is a broken path, and a new connection finds another one. Rates are over 5 seconds, so that a
  first burst out of a buffer is not taken for the rate of the link.
* 20 seconds of that, for TCP may need ten to recover from a burst of losses by itself, and wifi
  that moves from one access point to the next a few.
* 5 minutes, for a connection that was slow from its first byte. The scanners that are known take up
  to some minutes for what they hold back.
* The same for a new connection that is no faster than the one that it replaced: then the path is
  what is slow, and more connections only load it. Each further one is left alone for twice as long,
  up to 20 minutes.

Only the time that was spent in waiting for the network counts as slow: a reader that is busy with
something else, a slow disk, is nobody's fault here.
"""

from __future__ import annotations

from pip_retry_patch.records import NamedTuple


class Pace(NamedTuple):
    """The policy. Bytes a second, and seconds; immutable.

    :param floor: what brings less makes no progress.
    :param known_fast: how many times the floor makes a connection a fast one.
    :param share: of the best rate; a fast connection that brings less makes no progress.
    :param slice: over how long a rate is taken.
    :param slow: for how long a fast connection may make no progress.
    :param patience: the same for one that was never fast, and `longest` where it doubles to.
    """

    floor: float = 100.0
    known_fast: float = 10.0
    share: float = 0.01
    slice: float = 5.0
    slow: float = 20.0
    patience: float = 300.0
    longest: float = 1200.0


class Course:
    """How the connections of one body move, one after the other."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._in_vain = 0  # connections in a row that stopped moving and never were fast
        self.connect()

    def connect(self) -> None:
        """A new connection begins."""
        self._best = 0.0
        self._since: float | None = None  # when the slice began that the best rate is taken from
        self._brought = 0  # in it
        self._waited = 0.0  # seconds of waiting in the slice that slowness is measured in
        self._trickled = 0  # bytes in it
        self._slow = 0.0  # seconds of waiting without progress, up to the end of the last slice

    def stopped(self, began: float, ended: float, count: int) -> float | None:
        """Note what one read of the connection brought.

        :param began: and `ended`: the readings, in seconds, of one clock.
        :return: the bytes a second that came lately, if the connection has stopped moving.
        """
        pace = self._pace
        self._since = began if self._since is None else self._since
        self._brought += count
        if ended - self._since >= pace.slice:
            self._best = max(self._best, self._brought / (ended - self._since))
            self._since, self._brought = ended, 0
        self._waited += ended - began
        self._trickled += count
        if self._waited < pace.slice:
            return None
        rate, waited = self._trickled / self._waited, self._waited
        self._waited, self._trickled = 0.0, 0
        fast = self._best >= pace.known_fast * pace.floor
        if rate >= (max(pace.floor, pace.share * self._best) if fast else pace.floor):
            self._slow = 0.0
            self._in_vain = 0 if fast else self._in_vain
            return None
        self._slow += waited
        if self._slow < (pace.slow if fast else self._patience()):
            return None
        self._in_vain = 0 if fast else self._in_vain + 1
        return rate

    def _patience(self) -> float:
        pace = self._pace
        return min(pace.patience * 2.0 ** min(self._in_vain, 32), pace.longest)
