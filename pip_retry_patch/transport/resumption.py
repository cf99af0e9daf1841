"""How an interrupted body goes on: what is asked next, what each answer leads to, and the end.

body.py reads. When its connection breaks it asks a `Resumption` for another `Part` that continues
at the byte where the last one stopped. policy/ranges.py judges each answer, policy/retry.py says
when to try again, and `NEXT_STEP` below says what each verdict leads to.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

from pip_retry_patch import messages
from pip_retry_patch.policy import ranges, representation
from pip_retry_patch.policy.pace import Course
from pip_retry_patch.policy.ranges import Question, Verdict
from pip_retry_patch.policy.representation import Representation
from pip_retry_patch.policy.retry import Attempts, Effort, retry_after
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.errors import GaveUpError
from pip_retry_patch.transport.origin import EACH, HandedOn, Interruptions, Origin, Story
from pip_retry_patch.transport.reissue import PIECE, BrokenError, Part
from pip_retry_patch.transport.turns import Turns

# So many vain requests for a part, to a server that never sent one in this run: ask for all of it.
FRUITLESS = 2

# What a link answers that has expired, or that is good for one request only.
_EXPIRED = frozenset([401, 403, 404, 410])


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
        self.turns = Turns(origin)
        self.interruptions = Interruptions()
        self.course: Course | None = None  # by which it is known that a connection has stopped
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
            part = _Search(self, handed_on, attempts, story).run()
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
            origin.record(kind, origin.name, host, offset, total, seconds, outcome, again)

    def ended(self) -> None:
        """The body is whole: say what became of it, if it was interrupted often."""
        so_far = self.interruptions
        offset = self.known.total or 0
        self._record("end", offset, so_far.seconds, "finished", so_far.again)
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


class _Search:
    """The search for a part that continues one interrupted body.

    What is asked next is its state: `_ask` (the link, or once its first URL), `_ranged` (the
    missing bytes, or all of it) and `_conditional` (with If-Range, or Range alone).
    """

    def __init__(
        self, body: Resumption, handed_on: HandedOn, attempts: Attempts, story: Story
    ) -> None:
        self._body = body
        self._handed_on = handed_on
        self._attempts = attempts
        self._story = story
        strong = body.known.validators.strong
        # A part that neither a hash nor a validator speaks for is not worth asking for.
        self._can_join = body.origin.hashed or strong is not None
        self._answer = ranges.Answer(Verdict.WHOLE)
        self._end: GaveUpError | None = None
        self._turn_to(body.turns.origin)

    def _turn_to(self, origin: Origin) -> None:
        """Ask there from now on."""
        self._origin = origin
        self._ask = self._asked = origin.ask
        self._first_url_is_left = origin.ask_first_url is not None
        self._ranged = self._can_join and not origin.ranges.refused
        # Where a hash covers the body, no condition is needed: nodes of one host may disagree on
        # validators, and their parts fit all the same.
        self._conditional = not origin.hashed and not origin.ranges.unconditional
        self._fruitless = 0
        self._withheld = False

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
                self._body.turns.delivered(self._handed_on.offset, self._story.latest)
                return next_step  # type: ignore[no-any-return]
        raise self._end or GaveUpError(self._story.gave_up())

    def _next_turn(self) -> bool:
        turns = self._body.turns
        if not turns.next(self._attempts, self._story.announce_wait):
            return False
        if turns.origin is not self._origin:
            self._turn_to(turns.origin)
        return True

    def _question(self) -> Question:
        first = self._handed_on.offset - len(self._handed_on.tail)
        return Question(first, self._conditional) if self._ranged else Question(None)

    def _send(self, question: Question) -> Part | None:
        """Return the next answer; None if there was none, which is then counted."""
        origin = self._origin
        try:
            part = self._ask(question.fields(self._body.last, self._body.known))
        except Exception as error:
            self._story.trouble = errors.reason(error)
            if errors.is_certificate_error(error):
                raise GaveUpError(self._story.certificate()) from error
            if origin.unreachable(error):
                self._attempts.was_unreachable(origin.local(error))
            else:
                self._attempts.was_unhelpful()
            if errors.was_sent(error):
                self._doubt_ranges()
            return None
        self._asked, self._ask = self._ask, origin.ask
        if self._body.course is not None:
            part.watch(self._body.course)
        return part

    def _judge(self, part: Part, question: Question) -> ranges.Answer:
        body = self._body
        answer = ranges.judge(
            body.known,
            self._handed_on.offset,
            question,
            part.status,
            part.headers,
            length=part.length,
            hashed=body.origin.hashed,
            last=body.last,
        )
        if answer.verdict is Verdict.CHANGED and self._is_web_page(part.read(PIECE, once=True)):
            return ranges.Answer(Verdict.PAGE)
        if answer.total is not None and body.known.total is None:
            body.known = body.known._replace(total=answer.total)
        return answer

    def _is_web_page(self, first_bytes: bytes) -> bool:
        """Whether a body that begins so is one in place of something else."""
        expected = representation.is_web_page(self._body.known.media)
        return not expected and representation.is_web_page("", first_bytes)

    def _doubt_ranges(self) -> None:
        """Take turns: our own Range may bring each answer down. The last attempt has none."""
        sends_parts = self._origin.ranges
        self._fruitless += 1
        self._ranged = self._can_join and not sends_parts.refused and not self._attempts.is_last
        if not sends_parts.proven and self._fruitless % (FRUITLESS + 1) == FRUITLESS:
            self._ranged, self._withheld = False, True

    # The steps. Each returns what ends the search, ASK_NOW or ASK_LATER, or raises GaveUpError.

    def resume(self, part: Part) -> Any:
        """It continues from where it was asked to."""
        sends_parts = self._origin.ranges
        sends_parts.proven, sends_parts.refused = True, False
        sends_parts.unconditional |= not self._conditional and not self._origin.hashed
        if self._answer.size is not None:
            part.limit(self._answer.size, final=self._body.known.total is not None)
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
            self._ask, self._ranged = self._asked, False
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
        """The link leads elsewhere now. pip's session follows it, from the first URL on."""
        part.close(False)
        if self._origin.ask_first_url is None:
            raise GaveUpError(self._story.refused(part.status))
        self._first_url_is_left = False
        return self._ask_first_url()

    def ask_for_new_link(self, part: Part) -> Any:
        """The server will not send it. A link may have expired: its first URL leads to another."""
        part.close(False)
        origin = self._origin
        if not (part.status in _EXPIRED and origin.redirected and self._first_url_is_left):
            raise GaveUpError(self._story.refused(part.status))
        self._first_url_is_left = False
        return self._ask_first_url()

    def begin_anew(self, part: Part) -> Any:
        """It is another representation, which only who asked for the body can ask for."""
        part.close(False)
        raise GaveUpError(self._story.changed())

    def _ask_first_url(self) -> Any:
        assert self._origin.ask_first_url is not None
        self._ask = self._origin.ask_first_url
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
NEXT_STEP: Mapping[Verdict, Callable[[_Search, Part], Any]] = {
    Verdict.CONTINUE: _Search.resume,
    Verdict.REPLAY: _Search.replay,
    Verdict.COMPLETE: _Search.finish,
    Verdict.UNCONDITIONAL: _Search.ask_without_condition,
    Verdict.WHOLE: _Search.ask_for_all,
    Verdict.WITHHELD: _Search.ask_for_all,
    Verdict.PAGE: _Search.wait_for_the_file,
    Verdict.BUSY: _Search.wait_for_server,
    Verdict.ELSEWHERE: _Search.follow,
    Verdict.REFUSED: _Search.ask_for_new_link,
    Verdict.CHANGED: _Search.begin_anew,
}
