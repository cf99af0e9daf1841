"""What a thread is sending. hooks/session.py tells the guard: urllib3 knows only a URL."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Iterator, Mapping

from pip_retry_patch.transport.continuation import Continuation
from pip_retry_patch.transport.errors import CachedAnswerError
from pip_retry_patch.transport.reissue import Again, Captured

if TYPE_CHECKING:
    from pip_retry_patch.transport.elsewhere import Elsewhere


class UnderWay(threading.local):
    """The request that this thread is sending; `pip list --outdated` used to have several."""

    url = ""
    again: Again | None = None
    hashed = False
    artifact = False
    whole = False
    continuation: Continuation | None = None
    elsewhere: Elsewhere | None = None
    brief = False
    until: float | None = None
    capturing = False
    captured: Captured | None = None

    @property
    def is_brief(self) -> bool:
        """Whether there is another source to ask."""
        return self.brief or self.elsewhere is not None

    @contextlib.contextmanager
    def during(self, **what: Any) -> Iterator[None]:
        before = vars(self).copy()
        vars(self).update(what)
        try:
            yield
        finally:
            vars(self).clear()
            vars(self).update(before)

    def capture(self, again: Again, fields: Mapping[str, str], brief: bool = False) -> Captured:
        """Call `again`, and return what its last call of urlopen sent and got, unguarded.

        :param brief: without the retries of urllib3.
        """
        with self.during(capturing=True, captured=None, brief=brief):
            again(fields)
            if self.captured is None:
                raise CachedAnswerError("it was answered from a cache")
            return self.captured
