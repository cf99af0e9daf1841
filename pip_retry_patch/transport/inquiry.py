"""What is asked for the rest of a body, and of whom: its own host, or where that fails another one.

policy/ranges.py judges the answers.
"""

from __future__ import annotations

from typing import Any, Callable

from pip_retry_patch import failures
from pip_retry_patch.odd_answers import bad_redirect
from pip_retry_patch.policy import ranges, representation
from pip_retry_patch.policy.pace import Course
from pip_retry_patch.policy.ranges import Question, Verdict
from pip_retry_patch.policy.representation import Representation
from pip_retry_patch.policy.retry import Attempts
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.errors import GaveUpError
from pip_retry_patch.transport.origin import HandedOn, Interruptions, Origin, Story
from pip_retry_patch.transport.reissue import PIECE, Part

# So many vain requests for a part, to a server that never sent one in this run: ask for all of it.
FRUITLESS = 2

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
        if not self._tries and self._waiting is None:
            self._waiting = self._others()
        if not (self._tries or self._waiting or self._late):
            if not self._hope or not attempts.wait(announce):
                return False
            self._hope, self._effort = False, attempts.effort
            self._waiting, self._retries = self._all(), 0
            self._enter()
            return True
        attempts.effort = self._effort
        attempts.count += 1
        if self._tries:
            self._tries -= 1
        else:
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


class Resumed:
    """A body that is brought back as often as it is interrupted.

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
        # What was asked last, and the offset at which it went on.
        self.came_from: tuple[Any, int] = (None, start)
        self.course: Course | None = None  # by which it is known that a connection has stopped


class Inquiry:
    """Asks for the missing bytes of a body, one source after the other, and judges the answers.

    What is asked next is its state: `_ask` (the link, or its first URL), `_ranged` (the missing
    bytes, or all of it) and `_conditional` (with If-Range, or Range alone).
    """

    def __init__(
        self, body: Resumed, handed_on: HandedOn, attempts: Attempts, story: Story
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
        self._asked: Any = None
        self._turn_to(body.turns.origin)
        came_from, offset = body.came_from
        if handed_on.offset - offset < body.origin.patience.progress:
            self._asked = came_from  # in vain

    def _turn_to(self, origin: Origin) -> None:
        """Ask there from now on."""
        self._origin = origin
        self._ask = origin.ask
        self._asked = None
        # A link may expire, and its host may go away. Where a redirect led to it, its first URL may
        # lead to another one, so the two take turns.
        self._ways = [origin.ask]
        if origin.redirected and origin.ask_first_url is not None:
            self._ways.append(origin.ask_first_url)
        # Who asks for an overlap with what is there, of a size that no part tells, is never told
        # that nothing is missing. All of the file has an end.
        in_vain = self._attempts.effort.unhelpful > 0 and self._attempts.is_last
        endless = in_vain and self._body.known.total is None
        self._ranged = self._can_join and not origin.ranges.refused and not endless
        # Where a hash covers the body, no condition is needed: nodes of one host may disagree on
        # validators, and their parts fit all the same.
        self._conditional = not origin.hashed and not origin.ranges.unconditional
        self._fruitless = 0
        self._withheld = False

    def _next_turn(self) -> bool:
        turns = self._body.turns
        if not turns.next(self._attempts, self._story.announce_wait):
            return False
        if turns.origin is not self._origin:
            self._turn_to(turns.origin)
        others = [way for way in self._ways if way is not self._asked]
        self._ask = (others or self._ways)[0]
        return True

    def _drop_way(self, failure: failures.Failure) -> None:
        """Ask no more where that was asked; `failure` says why the search ends if none is left."""
        self._ways = [way for way in self._ways if way is not self._asked]
        if not self._ways:
            raise GaveUpError(failure)

    def _question(self) -> Question:
        first = self._handed_on.offset - len(self._handed_on.tail)
        return Question(first, self._conditional) if self._ranged else Question(None)

    def _send(self, question: Question) -> Part | None:
        """Return the next answer; None if there was none, which is then counted."""
        origin = self._origin
        try:
            self._asked = self._ask
            part = self._ask(question.fields(self._body.last, self._body.known))
        except Exception as error:
            if self._ask is origin.ask_first_url and errors.is_bad_redirect(error):
                self._drop_way(bad_redirect(origin.name, origin.host, str(error)))
                self._attempts.was_unhelpful(at_once=True)
                return None
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
        return answer

    def _total(self) -> int | None:
        """The size of the representation, by the answer at last where none was known before."""
        known = self._body.known.total
        return self._answer.total if known is None else known

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
