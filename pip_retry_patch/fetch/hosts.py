"""What became of each host in this run: which answered, which helped, which was given up.

A host is *lost* where a request brought no answer, however it ended, and *busy* where its answer
asks for time. *First contact* is a request to a host that has not answered yet. A proxy that fails
stands for the hosts behind it.
"""

from __future__ import annotations

from pip_retry_patch import names, wording
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.judge import BUSY_STATUSES
from pip_retry_patch.fetch.patience import DOUBTS, UNKNOWN_NAME, Clock, Patience
from pip_retry_patch.records import replace


class Hosts:
    """Remembers what became of each host; they are named as in `names.host_of`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.answered: set[str] = set()
        self.helped: set[str] = set()  # with more than that they are busy
        self.busy: set[str] = set()  # until patience ended: they are not waited for again
        self.lost: set[str] = set()  # the same for hosts that never answered
        self.sends_parts: set[str] = set()
        self.refuses_parts: set[str] = set()
        self.may_refuse_parts: set[str] = set()
        self.ignores_if_range: set[str] = set()
        self.doubts = DOUBTS  # pages that may still be asked for once more, as they are of no use
        self._first_contact = 0.0  # seconds that were spent on it

    def note(self, url: str, status: int) -> None:
        """`url` was answered."""
        host = names.host_of(url)
        self.answered.add(host)
        self.lost.discard(host)
        if status not in BUSY_STATUSES:
            self.helped.add(host)
            self.busy.discard(host)

    def rests(self, url: str) -> bool:
        """Whether a host was waited for in vain, and others are asked first."""
        return names.host_of(url) in self.busy or self.is_lost(url)

    def is_lost(self, url: str) -> bool:
        """Whether a host never answered, and was waited for in vain."""
        return names.host_of(url) in self.lost

    def spend(self, seconds: float) -> None:
        """So many seconds were spent in waiting for a host that did not answer in this run."""
        self._first_contact += seconds

    def patience(self, patience: Patience, peer: wording.Peer, error: Exception) -> Patience:
        """Return how much patience there is for a peer that a request was lost on."""
        if peer.key in self.lost:
            return replace(patience, attempts=0, seconds=0.0)
        if peer.key in self.answered or not patience.seconds:
            return patience
        if patience.person and errors.is_offline(error):
            return patience
        left = max(patience.first_contact - self._first_contact, 0.0)
        if errors.is_unknown_name(error):
            left = min(left, UNKNOWN_NAME)
        return replace(patience, seconds=left)
