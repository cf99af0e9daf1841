"""pip's own retries: the `Retry` of urllib3 that pip made, with three things changed.

* Its waits are drawn. In a fleet that lost one server, the six requests that each pip makes for a
  page would otherwise come in step.
* It does not sleep for Retry-After, which it would do in silence, and for an hour if told so. The
  answer comes to us instead, and hosts.py waits, or says why it does not.
* It does not try a refused certificate again.

A wait that is long is announced when it begins. urllib3 1.25 to 2.x have the methods that are
overridden here; each new `Retry` of a request is made by `new()` of the one before.
"""

from __future__ import annotations

import logging
from typing import Any, Callable

from pip_retry_patch.policy.retry import LONG_WAIT, Clock
from pip_retry_patch.transport import errors

logger = logging.getLogger("pip_retry_patch")


class Waits:
    """What one request's retries have in common.

    :param announce: called with the seconds, and what went wrong, before a long wait.
    """

    def __init__(self, clock: Clock, announce: Callable[[float, Any], None]) -> None:
        self.seconds = 0.0  # of all waits so far
        self.count = 0  # of all retries so far
        self._clock = clock
        self._announce = announce

    def draw(self, usual: float, history: Any) -> float:
        """Return how long to wait, where urllib3 would have waited for `usual` seconds."""
        wait = self._clock.uniform(usual / 2, usual * 3 / 2)
        if wait > LONG_WAIT:
            self._announce(wait, history[-1] if history else None)
        self.seconds += wait
        return wait


_classes: dict[type, type] = {}


def with_waits(retries: Any, waits: Waits) -> Any:
    """Return `retries`, a `Retry` of any urllib3, with its waits drawn by `waits`."""
    base = type(retries)
    if base not in _classes:
        _classes[base] = _class(base)
    made: Any = object.__new__(_classes[base])  # `retries.new()` would look at each attribute
    vars(made).update(vars(retries), respect_retry_after_header=False, waits=waits)
    return made


def _class(base: Any) -> type:
    class Retry(base):  # type: ignore[misc]
        waits: Waits

        def new(self, **changes: Any) -> Any:
            made = super().new(**changes)
            made.waits = self.waits
            return made

        def get_backoff_time(self) -> float:
            usual = super().get_backoff_time()
            try:
                return self.waits.draw(usual, self.history) if usual > 0 else usual
            except Exception as why:
                # urllib3 calls this: nobody else would keep a mistake of ours from pip.
                logger.debug("pip-retry-patch could not draw a wait: %r", why)
                return float(usual)

        def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
            return not has_retry_after and super().is_retry(method, status_code, has_retry_after)

        def increment(self, *args: Any, **named: Any) -> Any:
            error = named.get("error")
            if error is not None and errors.is_certificate_error(error):
                return base.increment(self.new(total=0), *args, **named)
            made = super().increment(*args, **named)
            self.waits.count += 1
            return made

    # pip shows it: "Retrying (Retry(total=4, ...".
    Retry.__qualname__ = Retry.__name__ = base.__name__
    return Retry
