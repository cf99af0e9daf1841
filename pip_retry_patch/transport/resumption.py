"""How an interrupted body goes on: what is asked next, what each answer leads to, and the end.

body.py reads. When its connection breaks it asks a `Resumption` for another `Part` that continues
at the byte where the last one stopped. inquiry.py asks, policy/ranges.py judges each answer,
policy/retry.py says when to try again, and `NEXT_STEP` below what each verdict leads to.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

from pip_retry_patch import messages
from pip_retry_patch.policy.ranges import Verdict
from pip_retry_patch.policy.representation import Representation
from pip_retry_patch.policy.retry import Attempts, Effort, retry_after
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.errors import GaveUpError
from pip_retry_patch.transport.inquiry import Inquiry, Resumed
from pip_retry_patch.transport.origin import EACH, HandedOn, Origin, Story
from pip_retry_patch.transport.reissue import BrokenError, Part


class Search(Inquiry):
    """The search for a part that continues one interrupted body."""

    def run(self) -> Part | None:
        """Ask until a step ends the search."""
        next_step: Any = ASK_LATER
        while next_step is ASK_NOW or self._next_turn():
            next_step = ASK_LATER
            question = self._question()
            try:
                part = self._send(question)
                if part:
                    self._answer = self._judge(part, question)
                    next_step = NEXT_STEP[self._answer.verdict](self, part)
            except GaveUpError as end:
                if not self._body.turns.are_shared:
                    raise
                self._end = self._end or end
                self._body.turns.leave()
                continue
            if next_step not in (ASK_NOW, ASK_LATER):
                # Only now: what any other answer says of a size is not of this representation.
                self._body.known = self._body.known._replace(total=self._total())
                self._body.came_from = self._asked, self._handed_on.offset
                self._body.turns.delivered(self._handed_on.offset, self._story.latest)
                return next_step  # type: ignore[no-any-return]
        raise self._end or GaveUpError(self._story.gave_up())

    # The steps. Each returns what ends the search, ASK_NOW or ASK_LATER, or raises GaveUpError.

    def resume(self, part: Part) -> Any:
        """It continues from where it was asked to."""
        sends_parts = self._origin.ranges
        sends_parts.proven, sends_parts.refused = True, False
        sends_parts.unconditional |= not self._conditional and not self._origin.hashed
        if self._answer.size is not None:
            part.limit(self._answer.size, final=self._total() is not None)
        return self._read_up(part, self._handed_on.overlaps, self._line(messages.resumed))

    def replay(self, part: Part) -> Any:
        """It is the representation from its beginning: read it again up to the offset."""
        if self._withheld and not self._origin.ranges.proven:
            self._origin.ranges.refused = True
        if self._body.turns.defer():
            part.close(False)
            self._attempts.was_unhelpful(at_once=True)
            return ASK_LATER
        self._story.announce(self._line(messages.replayed))
        return self._read_up(part, self._begins_the_same, self._line(messages.replayed))

    def _line(self, line: messages.Line) -> messages.Line | None:
        """Return what is said of the answer; what a mirror brings has a line of its own."""
        return line if self._origin.mirror is None else None

    def finish(self, part: Part) -> Any:
        """Nothing is missing."""
        return part.close(False)

    def ask_without_condition(self, part: Part) -> Any:
        """It ignores the range because of its condition: the 206 itself tells the validator."""
        part.close(False)
        self._conditional = False
        return ASK_NOW

    def ask_for_all(self, part: Part) -> Any:
        """Its part cannot be joined on, or our own fields bring it down: leave them out."""
        part.close(False)
        self._story.trouble = messages.useless(part.status, self._answer.verdict.value)
        self._withheld |= self._answer.verdict is Verdict.WITHHELD
        if self._ranged:
            self._ranged = False
            return ASK_NOW
        self._attempts.was_unhelpful(at_once=True)
        return ASK_LATER

    def wait_for_server(self, part: Part) -> Any:
        """The server asks for time."""
        part.close(False)
        wanted = retry_after(part.headers)
        self._story.trouble = messages.busy(part.status, wanted)
        self._attempts.was_unhelpful(wanted)
        self._ranged &= not self._attempts.is_last
        return ASK_LATER

    def wait_for_the_file(self, part: Part) -> Any:
        """It is a web page in place of the file: somebody may log in to the network meanwhile."""
        part.close(False)
        self._story.web_page_from(part.host)
        self._attempts.was_unhelpful()
        return ASK_LATER

    def follow(self, part: Part) -> Any:
        """The link leads elsewhere now. pip's session follows it, from the first URL on.

        What that itself does not follow, like a redirect without a Location, leads nowhere.
        """
        part.close(False)
        first_url = self._origin.ask_first_url
        if first_url is None or self._asked is first_url:
            raise GaveUpError(self._story.refused(part.status))
        self._ways = [first_url]
        return self._ask_another_way()

    def ask_for_new_link(self, part: Part) -> Any:
        """The server will not send it. A link may have expired: its first URL leads to another."""
        part.close(False)
        self._drop_way(self._story.refused(part.status))
        return self._ask_another_way()

    def begin_anew(self, part: Part) -> Any:
        """It is another representation, which only who asked for the body can ask for.

        A link that has expired may bring anything, so its first URL is asked before.
        """
        part.close(False)
        self._drop_way(self._story.changed())
        return self._ask_another_way()

    def _ask_another_way(self) -> Any:
        self._ask = self._ways[0]
        self._ranged = self._can_join and not self._origin.ranges.refused
        self._withheld = False
        return ASK_NOW

    def _read_up(
        self, part: Part, is_same: Callable[[Part], Any], line: messages.Line | None
    ) -> Any:
        """Return the part once it was read up to the offset, and has proven to be the same."""
        try:
            same = is_same(part)
        except BrokenError as broken:
            part.close(False)
            self._story.trouble = errors.reason(broken.interruption)
            self._attempts.was_unhelpful(at_once=True)
            return ASK_LATER
        if same is None:
            return self.wait_for_the_file(part)
        if not same:
            return self.begin_anew(part)
        self._body.interruptions.again += part.read_again
        self._story.resumed(line)
        return part

    def _begins_the_same(self, part: Part) -> bool | None:
        return self._handed_on.continues(part, self._body.start, self._is_web_page)


ASK_NOW, ASK_LATER = object(), object()

# The fault table of the design: what each verdict on an answer leads to.
NEXT_STEP: Mapping[Verdict, Callable[[Search, Part], Any]] = {
    Verdict.CONTINUE: Search.resume,
    Verdict.REPLAY: Search.replay,
    Verdict.COMPLETE: Search.finish,
    Verdict.UNCONDITIONAL: Search.ask_without_condition,
    Verdict.WHOLE: Search.ask_for_all,
    Verdict.WITHHELD: Search.ask_for_all,
    Verdict.PAGE: Search.wait_for_the_file,
    Verdict.BUSY: Search.wait_for_server,
    Verdict.ELSEWHERE: Search.follow,
    Verdict.REFUSED: Search.ask_for_new_link,
    Verdict.CHANGED: Search.begin_anew,
}


class Resumption(Resumed):
    """Brings one body back, as often as it is interrupted."""

    def __init__(self, origin: Origin, known: Representation, start: int, last: int | None) -> None:
        super().__init__(origin, known, start, last)
        self._attempts: Attempts | None = None
        self._progress_from = start

    def reopen(self, handed_on: HandedOn, interruption: Exception) -> Part | None:
        """Return a part whose next byte is the one at the offset; None if nothing is missing.

        :raises GaveUpError: patience has ended, or no patience can help.
        """
        offset = handed_on.offset
        attempts = self._count(offset)
        place = messages.Place(self.origin.name, self.origin.host, offset, self.known.total)
        why, announce = errors.reason(interruption), self.origin.announce
        story = Story(place, why, attempts, announce, self.interruptions)
        began = self.origin.clock.now()
        self._record("interruption", offset, outcome=why)
        try:
            part = Search(self, handed_on, attempts, story).run()
        except GaveUpError:
            seconds = self.origin.clock.now() - began
            self._record("end", offset, seconds, "failed", self.interruptions.again)
            raise
        seconds = self.origin.clock.now() - began
        self.interruptions.seconds += seconds
        if attempts.effort.waited > 0:
            self._record("wait", offset, seconds, "resumed")
        return part

    def _record(
        self, kind: str, offset: int, seconds: float = 0.0, outcome: str = "", again: int = 0
    ) -> None:
        origin, total = self.origin, self.known.total
        if origin.record is not None:
            host = self.turns.origin.host
            facts = {"offset": offset, "total": total, "seconds": seconds, "outcome": outcome}
            origin.record(kind, origin.name, host, again=again, **facts)

    def ended(self) -> None:
        """The body is whole: say what became of it, if it was interrupted often."""
        so_far = self.interruptions
        self._record("end", self.known.total or 0, so_far.seconds, "finished", so_far.again)
        if so_far.count > EACH:
            self.origin.announce(
                messages.interrupted_often(
                    self.origin.name, so_far.count, so_far.seconds, so_far.again
                )
            )

    def _count(self, offset: int) -> Attempts:
        """Count the part that was just interrupted: as progress, or as one more vain attempt."""
        origin = self.origin
        if offset - self._progress_from >= origin.patience.progress:
            self._progress_from, self._attempts = offset, None
            self.turns.progressed()
        if self._attempts is None:
            self._attempts = Attempts(origin.patience, origin.clock, Effort())
        else:
            self._attempts.was_unhelpful(at_once=True)
        return self._attempts
