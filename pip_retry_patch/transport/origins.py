"""What a thread is sending, and where each answer comes from.

hooks/session.py tells what is sent: urllib3 knows only a URL.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping

from pip_retry_patch import failures, names
from pip_retry_patch.policy.pace import Pace
from pip_retry_patch.policy.retry import BRIEF, NONE, Clock, Patience
from pip_retry_patch.transport.continuation import Continuation
from pip_retry_patch.transport.errors import CachedAnswerError, is_local, is_unreachable
from pip_retry_patch.transport.hosts import host_key, same_resource
from pip_retry_patch.transport.origin import Origin
from pip_retry_patch.transport.reissue import Again, Captured, Ranges, Reissuer, Request, no_retries

if TYPE_CHECKING:
    from pip_retry_patch.transport.elsewhere import Elsewhere


class Sending:
    """A request of pip's session, as long as it is sent; see `UnderWay.sending`."""

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

    def __init__(self, **what: Any) -> None:
        vars(self).update(what)

    @property
    def is_brief(self) -> bool:
        """Whether there is another source to ask."""
        return self.brief or self.elsewhere is not None


class UnderWay(threading.local):
    """What this thread is sending `now`; `pip list --outdated` used to have several threads."""

    now = Sending()

    @contextlib.contextmanager
    def sending(
        self,
        url: str,
        again: Again,
        hashed: bool = False,
        artifact: bool = False,
        continuation: Continuation | None = None,
        whole: bool = False,
        elsewhere: Elsewhere | None = None,
        brief: bool = False,
        until: float | None = None,
    ) -> Iterator[None]:
        """Say what is sent while this lasts: a request for `url`, whatever redirects follow.

        :param again: sends it once more from there, with some fields in its header, and so calls
            urlopen again.
        :param hashed: what comes will be checked against a hash.
        :param artifact: it is a file, not a page.
        :param continuation: what an earlier run kept, and where to keep what comes now.
        :param whole: who reads the body does not notice that it ends early, or ends in a traceback
            then. So it is watched over even with `retries=0`.
        :param elsewhere: other sources of the file.
        :param brief: there is another source to ask, so this one gets one retry.
        :param until: the clock's reading at which the body must have come.
        """
        before, self.now = (
            self.now,
            Sending(
                url=url,
                again=again,
                hashed=hashed,
                artifact=artifact,
                continuation=continuation,
                whole=whole,
                elsewhere=elsewhere,
                brief=brief,
                until=until,
            ),
        )
        try:
            yield
        finally:
            self.now = before
            if continuation is not None:
                continuation.end()

    def capture(self, again: Again, fields: Mapping[str, str]) -> Captured:
        """Call `again`, and return what its last call of urlopen sent and got, unguarded.

        urllib3 does not retry it: it would sleep for Retry-After in silence.
        """
        before = self.now
        self.now = now = Sending(**{**vars(before), "capturing": True, "captured": None})
        try:
            again(fields)
        finally:
            self.now = before
        if now.captured is None:
            raise CachedAnswerError("it was answered from a cache")
        return now.captured


class Origins:
    """Makes origins, and remembers what each host does with requests for a part.

    The parameters are those of the guard.
    """

    def __init__(
        self,
        under_way: UnderWay,
        error: Callable[[failures.Failure, Exception], Exception],
        announce: Callable[[str], None],
        program: bool,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._under_way = under_way
        self._error = error
        self._announce = announce
        self._program = program
        self._clock = clock
        self._pace = pace
        self._ranges: dict[Any, Ranges] = {}
        self.record: Callable[..., None] | None = None  # writes to the journal

    def ranges_of(self, pool: Any) -> Ranges:
        """Return what the host of `pool` does with requests for a part."""
        return self._ranges.setdefault(host_key(pool), Ranges())

    def of(self, request: Request, patience: Patience) -> Origin:
        """Return where the answer to this request comes from, to ask there again."""
        now = self._under_way.now
        again, first_url = now.again, now.url

        def capture(fields: Mapping[str, str]) -> Captured:
            assert again is not None
            return self._under_way.capture(again, fields)

        if self._program and no_retries(request.asked.get("retries")):
            patience = patience._replace(seconds=0.0)
        if now.brief and patience != NONE:
            patience = BRIEF
        reissuer = Reissuer(request, capture)
        redirected = again is not None and not same_resource(first_url, request.url)
        return Origin(
            name=names.name_of(request.url),
            host=names.host_of(request.url),
            ask=reissuer.ask,
            ask_first_url=reissuer.ask_first_url if again is not None else None,
            redirected=redirected,
            unreachable=is_unreachable,
            local=lambda error: is_local(request.pool, error),
            announce=self._announce,
            error=self._error,
            patience=patience,
            clock=self._clock,
            hashed=now.hashed,
            ranges=self.ranges_of(request.pool),
            pace=self._pace,
            url=request.url,
            elsewhere=now.elsewhere,
            until=now.until,
            record=self.record,
        )
