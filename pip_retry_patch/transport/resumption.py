"""How an interrupted body goes on: what is asked next, what each answer leads to, and the end.

body.py reads. When its connection breaks it asks a `Resumption` for another `Part` that continues
at the byte where the last one stopped. policy/ranges.py judges each answer, policy/retry.py says
when to try again, and `NEXT_STEP` below says what each verdict leads to.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Callable, Mapping, NamedTuple

from pip_retry_patch import failures, messages
from pip_retry_patch.policy.pace import Pace
from pip_retry_patch.policy.ranges import Representation, Verdict, judge, range_field
from pip_retry_patch.policy.retry import Attempts, Clock, Effort, Patience, retry_after
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.errors import EarlyEnd, GaveUpError, Story
from pip_retry_patch.transport.reissue import PIECE, Part

logger = logging.getLogger("pip_retry_patch")


# What a link answers that has expired, or leads elsewhere by now.
_MOVED = frozenset([301, 302, 303, 307, 308, 401, 403, 404, 410])


class Origin(NamedTuple):
    """Where a body comes from, and what is needed to ask there again.

    :param name: what a user would call the thing, for messages.
    :param host: the server's name, for messages.
    :param ask: sends the same request again with these fields added to its header; returns the
        answer, or raises what the network raised.
    :param ask_first_url: the same, but from the request's first URL; None without a redirect.
    :param unreachable: tells of such an error whether no server was reached.
    :param local: tells of such an error whether the request did not even leave this machine.
    :param announce: shows one line to the user.
    :param error: makes the exception to raise, from a Failure and the interruption.
    :param unproven: see `ranges.judge`.
    :param pace: when a connection has stopped moving.
    """

    name: str
    host: str
    ask: Callable[[dict[str, str]], Part]
    ask_first_url: Callable[[dict[str, str]], Part] | None
    unreachable: Callable[[Exception], bool]
    local: Callable[[Exception], bool]
    announce: Callable[[str], None]
    error: Callable[[failures.Failure, Exception], Exception]
    patience: Patience
    clock: Clock
    unproven: bool
    pace: Pace = Pace()


class Resumption:
    """Brings one body back, as often as it is interrupted.

    :param known: what the first answer said of the representation; its total is filled in when
        a later answer tells it.
    :param start: position of the first byte that the reader asked for.
    :param last: position of the last one where the reader asked for a range that ends before the
        representation does, else None.
    """

    def __init__(self, origin: Origin, known: Representation, start: int, last: int | None) -> None:
        self.known = known
        self.origin = origin
        self.start = start
        self.last = last
        self._attempts: Attempts | None = None
        self._progress_from = start

    def reopen(self, offset: int, interruption: Exception, digest: bytes | None) -> Part | None:
        """Return a part whose next byte is the one at `offset`; None if nothing is missing.

        :param digest: SHA-256 of the bytes from `start` to `offset`, where no strong validator
            vouches for them.
        :raises GaveUpError: patience has ended, or no patience can help.
        """
        attempts = self._count(offset)
        place = messages.Place(self.origin.name, self.origin.host, offset, self.known.total)
        story = Story(place, errors.reason(interruption), attempts, self.origin.announce)
        return _Search(self, offset, digest, attempts, story).run()

    def _count(self, offset: int) -> Attempts:
        """Count the part that was just interrupted: as progress, or as one more vain attempt."""
        origin = self.origin
        if offset - self._progress_from >= origin.patience.progress:
            self._progress_from, self._attempts = offset, None
        if self._attempts is None:
            self._attempts = Attempts(origin.patience, origin.clock, Effort())
        else:
            self._attempts.was_unhelpful(at_once=True)
        return self._attempts


class _Search:
    """The search for a part that continues one interrupted body.

    What is asked next is `_ask` (the link, or once its first URL) and `_ranged` (only the missing
    bytes, or all of it).
    """

    def __init__(
        self,
        body: Resumption,
        offset: int,
        digest: bytes | None,
        attempts: Attempts,
        story: Story,
    ) -> None:
        self._body = body
        self._offset = offset
        self._digest = digest
        self._attempts = attempts
        self._story = story
        self._ask = body.origin.ask
        self._ask_first_url = body.origin.ask_first_url
        # Where a part would need a proof and can have none, no part is asked for.
        self._ranged = body.origin.unproven or body.known.validators.strong is not None

    def run(self) -> Part | None:
        """Ask until a step ends the search."""
        while self._attempts.wait(self._announce_wait):
            part = self._send()
            if part is not None:
                found = NEXT_STEP[self._judge(part)](self, part)
                if found is not ASK_AGAIN:
                    return found  # type: ignore[no-any-return]
        raise GaveUpError(self._story.gave_up())

    def _announce_wait(self, seconds: float) -> None:
        logger.debug("%s: next attempt in %.1f s", self._body.origin.name, seconds)
        self._story.announce_wait()

    def _send(self) -> Part | None:
        """Return the next answer; None if there was none, which is then counted."""
        origin, attempts = self._body.origin, self._attempts
        try:
            part = self._ask(self._fields() if self._ranged else {})
        except Exception as error:
            self._story.trouble = errors.reason(error)
            if errors.is_certificate_error(error):
                raise GaveUpError(self._story.certificate()) from error
            if origin.unreachable(error):
                attempts.was_unreachable(origin.local(error))
            else:
                attempts.was_unhelpful()
            return None
        self._ask = origin.ask
        return part

    def _fields(self) -> dict[str, str]:
        fields = {"Range": range_field(self._offset, self._body.last)}
        strong = self._body.known.validators.strong
        if strong is not None:
            fields["If-Range"] = strong
        return fields

    def _judge(self, part: Part) -> Verdict:
        body, offset = self._body, self._offset
        last = body.last
        if last is None and body.known.total is not None:
            last = body.known.total - 1
        answer = judge(
            body.known,
            offset,
            part.status,
            part.headers,
            length=part.length,
            ranged=self._ranged,
            expected=None if last is None else last - offset + 1,
            unproven=body.origin.unproven,
        )
        if answer.total is not None and body.known.total is None:
            body.known = body.known._replace(total=answer.total)
        return answer.verdict

    # The steps. Each returns what ends the search, or ASK_AGAIN, or raises GaveUpError.

    def resume(self, part: Part) -> Any:
        """Its first byte is the first one missing."""
        self._story.announce(messages.resumed)
        return part

    def replay(self, part: Part) -> Any:
        """It is the same representation from its beginning: read it again up to the offset."""
        return self._read_again(part, None)

    def compare(self, part: Part) -> Any:
        """It may be the same representation: compare its beginning with what was handed on."""
        return self._read_again(part, self._digest)

    def finish(self, part: Part) -> Any:
        """Nothing is missing."""
        part.close(False)
        return None

    def ask_for_all(self, part: Part) -> Any:
        """It cannot be joined on. To ask for all of it is a new question, and waits for nothing."""
        part.close(False)
        self._story.trouble = messages.useless(part.status, Verdict.WHOLE.value)
        if self._ranged:
            self._ranged = False
        else:
            self._attempts.was_unhelpful(at_once=True)
        return ASK_AGAIN

    def wait_for_server(self, part: Part) -> Any:
        """The server asks for time."""
        part.close(False)
        self._story.trouble = messages.busy(part.status)
        self._attempts.was_unhelpful(retry_after(part.headers))
        return ASK_AGAIN

    def ask_first_url(self, part: Part) -> Any:
        """The link is good no longer: its first URL leads to a new one, once."""
        part.close(False)
        if part.status not in _MOVED or self._ask_first_url is None:
            raise GaveUpError(self._story.refused(part.status))
        self._ask, self._ask_first_url = self._ask_first_url, None
        return ASK_AGAIN

    def begin_anew(self, part: Part) -> Any:
        """It is another representation. Only who asked for the body can ask for that one."""
        part.close(False)
        raise GaveUpError(self._story.changed())

    def _read_again(self, part: Part, digest: bytes | None) -> Any:
        self._story.announce(messages.replayed)
        broken = self._skip(part, digest)
        if broken is None:
            return part
        self._story.trouble = errors.reason(broken)
        self._attempts.was_unhelpful(at_once=True)
        return ASK_AGAIN

    def _skip(self, part: Part, digest: bytes | None) -> Exception | None:
        """Read the first `offset` bytes of `part`; return what interrupted that, if anything.

        :raises GaveUpError: they are not the bytes with that `digest`.
        """
        again, start, offset = hashlib.sha256(), self._body.start, self._offset
        position = 0
        while position < offset:
            piece = part.read(min(offset - position, PIECE))
            if not piece:
                part.close(False)
                return part.interruption or EarlyEnd(offset - position)
            if digest is not None:
                again.update(piece[max(start - position, 0) :])
            position += len(piece)
        if digest is not None and again.digest() != digest:
            part.close(False)
            raise GaveUpError(self._story.changed())
        return None


ASK_AGAIN = object()

# The fault table of the design: what each verdict on an answer leads to.
NEXT_STEP: Mapping[Verdict, Callable[[_Search, Part], Any]] = {
    Verdict.CONTINUE: _Search.resume,
    Verdict.REPLAY: _Search.replay,
    Verdict.COMPARE: _Search.compare,
    Verdict.COMPLETE: _Search.finish,
    Verdict.WHOLE: _Search.ask_for_all,
    Verdict.BUSY: _Search.wait_for_server,
    Verdict.REFUSED: _Search.ask_first_url,
    Verdict.CHANGED: _Search.begin_anew,
}
