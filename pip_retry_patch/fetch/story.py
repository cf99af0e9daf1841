"""What a user is told of one request while it is under way, and what the journal gets."""

from __future__ import annotations

from typing import Any, Callable

from pip_retry_patch import names, wording
from pip_retry_patch.fetch.patience import LONG_WAIT, Attempts
from pip_retry_patch.wording import Place, say
from pip_retry_patch.wrapping import harmless

# Each of so many interruptions of a body has a line; then the 4th, the 8th, the 16th ... has one.
EACH = 3


def no_record(*_: Any, **__: Any) -> None:
    """Stand in for the journal where there is none."""


# A mistake in telling of a download does not end it.
_harmless = harmless("telling of a download")


class Story:
    """Listens to the loop, which obtains one body or one page."""

    def __init__(
        self,
        url: str,
        tell: Callable[[str], None],
        inform: Callable[[str], None],
        record: Callable[..., None],
        restart_bar: Callable[[], None] = lambda: None,
    ) -> None:
        self._host = names.host_of(url)
        self.tell = tell
        self._inform = inform  # of what is in order again
        self._record = record
        self._restart_bar = restart_bar
        self.count = 0  # interruptions
        self.again = 0  # bytes that were fetched twice
        self._waited = 0.0  # seconds, in all of them
        self._said = True  # of this interruption
        self._waits = False  # it was said that it waits
        self._wait = 0.0  # seconds, in this one
        self._place = Place(names.name_of(url), self._host, 0, None)
        self._why = ""

    @_harmless
    def continues(self, place: Place) -> None:
        """What an earlier run received was handed on, and the rest is asked for."""
        self._place, self._why = place, wording.EARLIER_RUN
        self._said = self._waits = False

    @_harmless
    def interrupted(self, place: Place, why: str) -> None:
        """The connection of a body broke."""
        self.count += 1
        self._place, self._why, self._wait = place, why, 0.0
        self._waits = False
        self._said = self.count > EACH and self.count & (self.count - 1) != 0
        self._note("interruption", place.offset, outcome=why)

    @_harmless
    def waits(self, seconds: float, attempts: Attempts, why: str) -> None:
        """The next request for the rest of a body waits."""
        self._wait += seconds
        self._waited += seconds
        # After the first ones a short wait is one more interruption, and counted with them.
        is_told = not self._said and self.count <= EACH
        is_told = is_told or not seconds or self._wait > LONG_WAIT  # 0: after a silence
        if (is_told and not self._waits) or attempts.is_asked_for(seconds):
            self._said = self._waits = True
            self.tell(say("waits", place=self._place, why=why, left=attempts.budget(seconds)))

    @_harmless
    def resumed(self, replayed: bool, told: bool) -> None:
        """The rest of a body comes; `replayed`: after all that came before has come again.

        :param told: a mirror delivers it, and has said so itself.
        """
        if self._wait:
            self._note("wait", self._place.offset, seconds=self._wait, outcome="resumed")
        self._restart_bar()
        told = told or (self._said and not self._waits)
        self._said, self._waits = True, False
        if not told:
            kind = "replayed" if replayed else "resumed" if self.count else "continuing"
            often = f", {self.count} times so far" if self.count > EACH else ""
            self._inform(say(kind, place=self._place, why=self._why, often=often))

    @_harmless
    def ended(self, outcome: str, size: int) -> None:
        """A body that was interrupted has come, or failed."""
        if not self.count:
            return
        if outcome == "finished" and self.count > EACH:
            pause = f", waited {self._waited:.0f} s" if self._waited >= 1 else ""
            twice = names.format_size(self.again) if self.again else "nothing"
            facts = {"count": self.count, "pause": pause, "twice": twice}
            self._inform(say("cut often", place=self._place, **facts))
        self._note("end", size, seconds=self._waited, outcome=outcome, again=self.again)

    def _note(self, kind: str, offset: int, **facts: Any) -> None:
        place = self._place
        self._record(kind, place.name, self._host, offset=offset, total=place.total, **facts)
