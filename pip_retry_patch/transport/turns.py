"""Whose turn it is, where a body may come from more than one source (see elsewhere.py)."""

from __future__ import annotations

from typing import Any, Callable

from pip_retry_patch.policy.retry import Attempts
from pip_retry_patch.transport.origin import Origin

# The first request to a source, and one retry at once.
TRIES = 2


class Turns:
    """Whose turn it is to be asked for the rest of a body.

    Without an `elsewhere` it is always the origin's.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._failed = origin  # whose turn it was when it was interrupted
        self._tries = TRIES
        self._retries = TRIES - 1  # of each source in this round
        self._waiting: list[Origin] | None = None  # whose turn is still to come in this round
        self._late: list[Origin] = []
        self._is_late = False
        self._effort: Any = None  # when the round began: a round counts as one attempt
        self._asked = False
        self._hope = False  # somebody failed in a way that time may change
        self._refused = False  # whose turn it was first answered, and will not answer otherwise

    @property
    def are_shared(self) -> bool:
        """Whether there may be anybody else."""
        return self.origin.elsewhere is not None

    def progressed(self) -> None:
        """What was asked last brought bytes: it is its turn again."""
        self._tries, self._waiting, self._late = TRIES, None, []
        self._retries = TRIES - 1
        self._failed = self.origin
        self._effort = None
        self._asked = self._hope = self._refused = self._is_late = False

    def next(self, attempts: Attempts, announce: Callable[[float], None]) -> bool:
        """Say who is asked next, and wait until then; False if patience has ended."""
        if not self.are_shared:
            return attempts.wait(announce)
        self._hope |= self._asked
        self._asked = True
        if self._effort is None:
            self._effort = attempts.effort
        if self._tries:
            self._tries -= 1
            attempts.effort = self._effort
            attempts.count += 1
            return True
        if self._waiting is None:
            self._waiting = self._others()
        if not self._waiting and not self._late:
            if not self._hope or not attempts.wait(announce):
                return False
            self._hope, self._effort = False, attempts.effort
            self._waiting, self._retries = self._all(), 0
            self._enter()
            return True
        attempts.effort = self._effort
        attempts.count += 1
        self._enter()
        return True

    def _all(self) -> list[Origin]:
        elsewhere = self.origin.elsewhere
        assert elsewhere is not None
        return list(elsewhere.sources())

    def _others(self) -> list[Origin]:
        return [each for each in self._all() if each.url != self.origin.url]

    def _enter(self) -> None:
        self._is_late = not self._waiting
        waiting = self._waiting or self._late
        self.origin, self._tries = waiting.pop(0), self._retries

    def leave(self) -> None:
        """Who was asked will not deliver, however often it is asked."""
        self._tries, self._asked = 0, False
        self._refused |= self.origin.url == self._failed.url

    def defer(self) -> bool:
        """Let the others go before a mirror that can only send all of it; False if none is left."""
        if self.origin.mirror is None or self._is_late:
            return False
        if self._waiting is None:
            self._waiting = self._others()
        if not self._waiting:
            return False
        self._late.append(self.origin)
        self._tries = 0
        return True

    def delivered(self, offset: int, why: str) -> None:
        """Who was asked goes on at `offset`."""
        elsewhere, failed = self.origin.elsewhere, self._failed
        if elsewhere is not None and failed.url != self.origin.url:
            elsewhere.delivered(self.origin, offset, failed, why, down=not self._refused)
