"""The one loop that asks, judges, waits and asks again.

A first answer, the rest of a body, what an earlier run kept, a page and a mirror differ in the
`Job`, in what pip has already (a `Body`), and in nothing else.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pip_retry_patch import names, wording
from pip_retry_patch.fetch import errors, pages
from pip_retry_patch.fetch import patience as budget
from pip_retry_patch.fetch.judge import (
    GONE_FOR_GOOD,
    PROXY_REFUSES,
    Answer,
    Question,
    Verdict,
    another,
    is_busy,
    is_web_page,
    judge,
    media_of,
    question_for,
    strong_validator,
)
from pip_retry_patch.fetch.patience import Attempts, Host, Hosts
from pip_retry_patch.fetch.request import LARGE, Asking, Job, Kind, Outcome, Source
from pip_retry_patch.fetch.story import Story
from pip_retry_patch.records import replace
from pip_retry_patch.wrapping import logger

if TYPE_CHECKING:
    from pip_retry_patch.fetch.body import Body

_USED = (Verdict.USE, Verdict.CONTINUE, Verdict.REPLAY, Verdict.COMPLETE)

# What comes next when an answer is of no use: the next request at once, after a wait, or none.
_AT_ONCE, _LATER, _OVER = "at once", "later", "over"

# Kinds of failures: what was waited for, what answered, and what `--retries 0` is a hint for.
_UNREACHABLE = "lost", "no answer", "unreachable", "offline", "proxy unreachable"
_WAITED_FOR = "gave up", "cut page", "busy", *_UNREACHABLE
_ANSWERED = "busy", "unreadable", "asks for too long"
_OF_RETRIES = {*_WAITED_FOR, *_ANSWERED, "not tried"}


class Exchange:
    """One request of pip's, over as many requests of ours as it takes."""

    def __init__(self, job: Job, hosts: Hosts, story: Story) -> None:
        self.job = job
        self.story = story
        self.mirrors: list[str] = []  # that brought some of it, by their base URLs
        self.host = names.host_of(job.source.url)  # that brought the last answer
        # An answer that pip has already, which is read if the rest of what was kept does not come.
        self.spare: Outcome | None = None
        self._hosts = hosts
        self._sources = [job.source]
        self._has_all_sources = not job.patience.attempts
        self._attempts = Attempts(job.patience, hosts.clock)
        self._mark = 0  # the offset from which progress counts
        self._listed_at = -budget.PROGRESS  # the offset at which the page was read again
        self._may_be_cached = False  # what is asked for again
        self._silences = 0  # requests and bodies that the read timeout ended, since progress
        self._offset = 0  # that pip has; no byte comes while it is asked for more
        self._fruitless = 0  # requests that brought no answer, for which our Range may be to blame
        self._is_part = self._sent_parts = False  # what is read, and what its host did before
        self._first_answers = pages.FirstAnswers(job, hosts, story.tell)

    def obtain(self, body: Body | None = None, why: Exception | None = None) -> Outcome:
        """Return an answer whose next byte is the one that is wanted.

        :param body: what pip has already; None for a first answer.
        :param why: what interrupted it; None for a first answer, and where an earlier run ended.
        :raises Exception: no answer is of help, and patience ended (made by `job.error`); or
            Restart.
        """
        self._begin(body, why)
        step = _LATER if why is not None else _AT_ONCE
        while True:
            if step == _LATER and not self._attempts.wait(self._announce):
                step = _OVER
            if step != _OVER:
                source = self._turn()
                question = self._question(source)
            elif self.spare is not None:
                source, question = self._sources[0], Question()
                source.end = None
            else:
                return self._give_up()
            self._attempts.begin()
            outcome = self._ask(source, question)
            outcome.worth = self._judge(outcome)
            is_used = outcome.verdict in _USED
            if not is_used or self._attempts.count > 1:
                came, where = outcome.status or outcome.trouble, names.redacted(outcome.last_url)
                logger.debug("Attempt %d, %s: %s", self._attempts.count, where, came)
            if is_used:
                self._use(outcome)
                return outcome
            outcome.drop()
            self._latest = outcome
            if not (source.mirror or self._is_spare(outcome)):
                self._last = outcome
            step = self._next(outcome)

    def _begin(self, body: Body | None, why: Exception | None) -> None:
        self._body, self._why = body, why
        before, self._offset = self._offset, 0 if body is None else body.offset
        # What came last of all, and of pip's own source. The interruption is the first.
        self._latest = self._last = Outcome(self.job.source.url, source=self.job.source)
        self._last.error = why
        if self._is_part and self._offset == before:  # without a byte it is no answer either
            self._fruitless += 1
            self._hosts.at(self._sources[0].url).sends_parts = self._sent_parts
        else:
            self._fruitless = 0
        self._doubted = self._announced = False
        if body is None:
            return
        if body.offset - self._mark >= budget.PROGRESS:
            self._mark, self._silences = body.offset, 0
            self._attempts = Attempts(self.job.patience, self._hosts.clock)
            for source in self._sources:
                source.vain = 0
        else:
            self._attempts.patience = self.job.patience  # not what a first answer had
            self._sources[0].vain += why is not None
        self._silences += self._latest.is_silence
        if why is None:
            self.story.continues(body.place())
        else:
            self._attempts.was_unhelpful(at_once=True, silent=self._latest.is_silence)
            self.story.interrupted(body.place(), self._latest.trouble)

    @property
    def _slower(self) -> float:
        """By how much a timeout is longer than pip's, after what was silent."""
        return min(2.0**self._silences, 4.0)

    # Whom to ask, and for what.

    def _all_sources(self) -> list[Source]:
        if not self._has_all_sources:
            self._has_all_sources = True
            self._sources += self.job.mirrors()
        return [source for source in self._sources if source.end is None]

    def _turn(self) -> Source:
        """Return whom to ask: the first one that was not asked in vain, or the first one."""

        def comes_later(source: Source) -> tuple[bool, bool]:
            return source.vain >= budget.TURN, self._hosts.at(source.url).rest != ""

        sources = [source for source in self._sources if source.end is None]
        if any(any(comes_later(source)) for source in sources):
            sources = self._all_sources()
        return min(sources, key=comes_later)

    def _question(self, source: Source) -> Question:
        body, host, latest = self._body, self._hosts.at(source.url), self._latest
        if body is None or _refuses_part(latest) or not self.job.parts or host.lost_parts > 1:
            return Question()
        attempts = self._attempts
        is_last = attempts.unhelpful >= attempts.patience.attempts and latest.verdict
        if not host.sends_parts and (is_last or self._may_be_our_range):
            return Question()
        # Without a validator the part overlaps by more.
        known = body.known if host.validates_parts else replace(body.known, validator="")
        return question_for(known, body.start, body.offset, body.last, host.takes_if_range)

    @property
    def _may_be_our_range(self) -> bool:
        """Whether it is time to find out if our own Range is what brings each answer down."""
        return self._fruitless % 3 == 2

    def _ask(self, source: Source, question: Question) -> Outcome:
        spare = self.spare
        if spare is not None and question.first is None and source is self._sources[0]:
            self.spare = None
            return spare
        outcome, host = Outcome(source.url, question, source), self._hosts.at(source.url)
        again, latest = self._body is not None, self._latest.verdict
        # A cache whose origin is away refuses to ask it, and has the file. Some gateways always do.
        self._may_be_cached |= latest in (Verdict.BUSY, Verdict.REFUSED, Verdict.WITHHELD)
        asking = Asking(
            fields=question.fields(),
            past_caches=again,
            fresh=self.job.fresh or ((again or self._doubted) and not self._may_be_cached),
            reconnects=self.job.fresh or latest != "",
            in_haste=host.rest == Host.LOST,
            slower=self._slower,
            longest=self._attempts.left,
        )
        clock = self._hosts.clock
        began = clock.now()
        try:
            try:
                outcome.response = source.send(asking, outcome)
            finally:
                clock.leave_out(clock.now() - began - budget.LONGEST_REQUEST)
            if self.job.whole:
                outcome.read_whole()
        except Exception as error:
            outcome.response, outcome.error = None, error
            broken = outcome.answer if outcome.is_answered else None
            if broken is not None and broken.status_code >= 400 and errors.is_network_error(error):
                # Its status came, and nobody needs its page: pip would not get to know of a 404.
                broken._content, outcome.response, outcome.error = b"", broken, None
        # Who only leads to where nobody answers, or who is busy, has not helped.
        came = outcome.response is not None or outcome.is_answered
        for url in outcome.asked if came and outcome.status != PROXY_REFUSES else ():
            self._hosts.note(url, outcome.status)
        if outcome.response is None:
            heard_of = self._hosts.of(outcome), self._hosts.at(outcome.last_url)
            is_known = self._has_helped(outcome) or any(host.answered for host in heard_of)
            outcome.is_first_contact = not is_known
        elif outcome.peer.proxy:
            self._hosts.note(f"//{outcome.peer.proxy}", 0)  # it answers, too
        return outcome

    # What an answer is worth.

    def _judge(self, outcome: Outcome) -> Answer:
        self._silences += outcome.is_silence
        body, response = self._body, outcome.response
        # pip's cache, which keeps redirects, may have led to where nothing is any more.
        is_stale = outcome.came_from_cache and (
            outcome.error is not None
            or outcome.status >= 400
            or (self.job.whole and pages.is_short(response))
        )
        if body is None and is_stale and self._may_doubt:
            return Answer(Verdict.DOUBTED)
        if outcome.error is not None:
            return Answer(self._judge_error(outcome, outcome.error))
        if body is None:
            others = outcome.status >= 400 and len(self._all_sources()) > 1
            return Answer(self._first_answers.judge(outcome, others, self._may_doubt))
        answer = judge(body.known, body.offset, outcome.question, outcome.status, response.headers)
        if answer.verdict in (Verdict.CONTINUE, Verdict.REPLAY, Verdict.CHANGED):
            return self._read_up(body, outcome, answer)
        if answer.verdict == Verdict.PAGE:
            is_web = is_web_page(media_of(response.headers))
            outcome.why = wording.WEB_PAGE if is_web else wording.TEXT
        elif answer.verdict not in (Verdict.BUSY, Verdict.REFUSED):
            outcome.why = f"the server answered {outcome.status}, but {answer.verdict}"
        return answer

    @property
    def _may_doubt(self) -> bool:
        """Whether an answer that may be another one is asked for once more."""
        return self.job.patience.attempts > 0 and not self._doubted

    def _judge_error(self, outcome: Outcome, error: Exception) -> str:
        if not errors.is_network_error(error):
            is_redirect = bool(outcome.urls) and not outcome.is_answered
            if not is_redirect or not errors.is_bad_redirect(error):
                raise error  # what the user set wrong, or a mistake of ours
            return Verdict.DOUBTED if self._body is None else Verdict.PAGE  # as below
        if outcome.is_answered:
            return Verdict.CUT
        if errors.is_unreadable(error):
            return Verdict.BUSY
        if errors.certificate_trouble(error) or errors.is_lasting_tls(error):
            # In the middle of a body it is a stranger as who sends a web page, and may go again.
            return Verdict.LASTING if self._body is None else Verdict.PAGE
        if not outcome.is_refused_by_proxy:
            return Verdict.LOST
        # A proxy that has let requests through may do so again.
        return Verdict.BUSY if self._hosts.at(f"//{outcome.peer.proxy}").helped else Verdict.LASTING

    def _read_up(self, body: Body, outcome: Outcome, answer: Answer) -> Answer:
        """Read an answer up to the offset, and return whether it is the same one so far.

        Of another one only the first bytes are read: it may be a web page.
        """
        outcome.open()
        position = (outcome.question.first or 0) if answer.verdict == Verdict.CONTINUE else 0
        reads = position < body.offset and answer.verdict != Verdict.CHANGED
        limit = budget.READ_AGAIN * (body.known.total or body.offset)
        if reads and self.story.again >= limit and not self._is_spare(outcome):
            outcome.why = wording.NO_HELP
            return Answer(Verdict.LASTING)
        try:
            while position < body.offset:
                piece = outcome.read(min(LARGE, body.offset - position))
                if not (position or is_web_page(body.known.media)) and is_web_page("", piece):
                    outcome.why = wording.WEB_PAGE
                    return Answer(Verdict.PAGE)
                if answer.verdict == Verdict.CHANGED:
                    return answer
                if not piece:
                    raise errors.EarlyEnd()
                skipped = max(body.start - position, 0)
                if not body.is_same(position + skipped, piece[skipped:]):
                    return another(body.known, outcome.question)
                position += len(piece)
                self.story.again += len(piece)
        except Exception as error:
            if not errors.is_network_error(error):
                raise
            outcome.why = errors.reason(error)
            return Answer(Verdict.CUT)
        return answer

    def _is_spare(self, outcome: Outcome) -> bool:
        """Whether it is pip's first answer, which has waited."""
        return self._body is not None and outcome is self._body.first

    def _use(self, outcome: Outcome) -> None:
        """Note what an answer that is used tells of its source."""
        source, before, last = outcome.source, self._latest, self._last
        if source is not self._sources[0]:
            self._sources.remove(source)
            self._sources.insert(0, source)
            replaced = [s.url for s in self._sources if s.mirror and s.vain >= budget.TURN]
            if source.serves is not None:
                self.mirrors.append(source.mirror)
                source.serves(last.trouble or wording.RESTS, self._offset)
                if last.verdict != Verdict.REFUSED:  # one file that is missing is only that
                    replaced.append(last.url)
            for host in map(self._hosts.at, replaced):
                host.rest = host.rest or Host.REPLACED
        self.host, is_told = names.host_of(outcome.response.url), source.mirror != ""
        if self._body is None:
            if before.verdict == Verdict.LOST and before.is_first_contact:
                self._hosts.first_contact += self._attempts.seconds
            if before.verdict == Verdict.CUT:
                self.story.resumed(replayed=True, told=is_told)
            if self.job.whole and self.story.count:
                self.story.ended("finished", len(outcome.response.content))
            return
        if self.spare is not None:
            self.spare.drop()
            self.spare = None
        host = self._hosts.at(source.url)
        self._is_part = outcome.verdict == Verdict.CONTINUE
        if self._is_part:
            self._sent_parts, host.sends_parts = host.sends_parts, True
        elif self._may_be_our_range and not (self._is_spare(outcome) or host.sends_parts):
            host.lost_parts += 1  # once may be by chance
        self.story.resumed(replayed=outcome.verdict == Verdict.REPLAY, told=is_told)

    # What comes next, and the end.

    def _next(self, outcome: Outcome) -> str:
        """Count an answer that is of no use, and say when to ask again."""
        verdict, source, job = outcome.verdict, outcome.source, self.job
        host = self._hosts.at(source.url)
        if verdict == Verdict.UNCONDITIONAL:
            host.takes_if_range = False
            return _AT_ONCE
        if _refuses_part(outcome):
            if verdict == Verdict.WHOLE and not strong_validator(outcome.response.headers):
                host.validates_parts = False
            return _AT_ONCE
        if self.spare is not None and outcome.is_silence and not source.mirror:
            return _OVER  # the server's only worker may be busy with what waits
        is_refusal = verdict == Verdict.LASTING and outcome.error is not None
        if is_refusal and self._body is None and len(self._all_sources()) == 1:
            self._count(outcome)  # another node of the host may be set right
            return _LATER
        if verdict in (Verdict.DOUBTED, Verdict.LASTING) and self._may_doubt:
            self._doubted = True
            if verdict == Verdict.DOUBTED:
                job.forget([job.source.url, *outcome.urls])
            return _AT_ONCE
        is_refused = verdict == Verdict.REFUSED and not source.mirror
        if is_refused and self._first_answers.usable is not None:
            return _OVER
        if is_refused and self._offset - self._listed_at >= budget.PROGRESS:
            self._listed_at = self._offset
            self._sources += job.listed_again()
        if is_refused and self._body is not None and outcome.status != GONE_FOR_GOOD:
            source.vain = budget.TURN  # only a node of the host may lack what has begun to come
        elif verdict in (Verdict.REFUSED, Verdict.CHANGED, Verdict.LASTING, Verdict.DOUBTED):
            source.end = self._failure(outcome)
            return _AT_ONCE if self._all_sources() else _OVER
        source.vain += 1
        others = self._all_sources()
        if len(others) > 1:
            if any(other.vain < budget.TURN for other in others):
                return _AT_ONCE
            for other in others:
                other.vain = budget.TURN - 1
        # A mirror says nothing of how long pip's own source is waited for.
        is_own = not source.mirror or all(other.mirror for other in others)
        self._count(outcome if is_own else self._last)
        return _LATER

    def _count(self, outcome: Outcome) -> None:
        attempts, patience, verdict = self._attempts, self.job.patience, outcome.verdict
        is_cut = verdict == Verdict.CUT
        if self._body is None:
            patience = self._hosts.patience(patience, outcome)
        elif verdict == Verdict.REFUSED:
            patience = patience.limited(budget.BROKEN_URL)
        if self.spare is not None or self._first_answers.usable is not None:
            patience = patience.shortened(*budget.HAS_ANSWER)
        attempts.patience = patience
        if verdict == Verdict.LOST and outcome.error is not None:
            self._fruitless += errors.was_sent(outcome.error)
            attempts.was_unreachable(errors.is_local(outcome.error))
            return
        # Of a part that broke within its overlap no byte is new.
        self._fruitless += is_cut and outcome.status == 206
        if self._body is None and is_cut:
            place = wording.Place(self.job.name, self.host, outcome.received, None)
            self.story.interrupted(place, outcome.trouble)
        attempts.was_unhelpful(outcome.retry_after, at_once=is_cut, silent=outcome.is_silence)

    def _announce(self, seconds: float) -> None:
        """Tell of a wait before the next request, or of a silence that has taken its time."""
        attempts, latest, last = self._attempts, self._latest, self._last
        logger.debug("%s: %s; next attempt in %.1f s", self.job.name, latest.trouble, seconds)
        is_long = seconds or latest.is_silence or attempts.took > budget.LONG_WAIT
        if not is_long or latest.verdict == Verdict.LASTING:  # its waits are short
            return
        if self._body is not None or latest.verdict == Verdict.CUT:
            self.story.waits(seconds, attempts, latest.trouble)
            return
        if self._announced and not attempts.is_asked_for(seconds):
            return
        self._announced = True
        kind, any_more = "busy", " any more" if self._hosts.of(last).answered else ""
        if any(source.mirror for source in self._sources):
            kind = "all failed"
        elif last.verdict == Verdict.LOST and last.error is not None:
            kind = self._kind_of_failure(last)
        left = attempts.budget(seconds) + ("; Ctrl-C stops." if attempts.patience.person else ".")
        facts = {"name": self.job.name, "any_more": any_more, "peer": last.peer}
        self.story.tell(wording.say(kind, left=left, why=latest.trouble, **facts))

    def _give_up(self) -> Outcome:
        """Return an answer that pip knows how to tell, or raise what the search ends with."""
        last, usable = self._last, self._first_answers.usable
        if usable is not None:
            self._use(usable)
            return usable
        # Of the source that was asked last where pip asks: its page may have led elsewhere.
        failure = last.source.end or self._failure(last)
        self.story.ended("failed", self._offset)
        if self._body is not None:
            error = self.job.error(failure, self._why or errors.EarlyEnd())
            if failure.changed:
                error = self._restart(failure, error)
            if error is self._why:
                raise error
            raise error from self._why
        is_refused = last.status >= 400 and last.status != PROXY_REFUSES
        if is_refused and not is_busy(last.status, last.response.headers):
            return last
        if last.verdict in (Verdict.CUT, Verdict.DOUBTED, Verdict.WHOLE):
            raise self.job.error(failure, errors.EarlyEnd()) from last.error
        # A host that is waited for in vain is waited for only once in a run.
        if last.verdict == Verdict.BUSY and last.status != 500:
            self._hosts.give_up(last, Host.BUSY)
        elif last.error and self.job.patience.attempts:
            if last.is_first_contact:
                self._hosts.first_contact += self._attempts.seconds
            self._hosts.give_up(last, Host.LOST)
        cause = last.error or LookupError(last.url)
        raise self.job.error(failure, cause) from cause

    def changed(self, body: Body) -> Exception:
        """Return what tells that another version came, which is longer."""
        failure = wording.failure("changed", place=body.place(), why=wording.CLOSED_EARLY)
        return self._restart(failure, self.job.error(failure, errors.EarlyEnd()))

    def _restart(self, failure: wording.Failure, error: Exception) -> Exception:
        """Return what begins a file anew; where nobody would, what its user sees."""
        return error if self.job.kind == Kind.OTHER else errors.Restart(failure, error)

    # Why it was all in vain.

    def _failure(self, outcome: Outcome) -> wording.Failure:
        """Return why the last request was of no help."""
        body, attempts, error = self._body, self._attempts, outcome.error
        kind, peer, trouble = self._kind_of_failure(outcome), outcome.peer, outcome.trouble
        place = wording.Place(self.job.name, peer.host, outcome.received, None)
        why, where, last = trouble, outcome.last_url, ""
        if body is not None:
            place, why = body.place(), trouble or wording.EARLIER_RUN
            if self._why is not None and kind != "proxy refuses":
                why, of_proxy = errors.reason(self._why), f"{peer}: " if peer.is_proxy else ""
                last = f" (last: {of_proxy}{trouble})" if outcome.verdict and trouble else ""
        elif kind == "bad redirect" and isinstance(error, ValueError):
            why, where = pages.BAD_REDIRECT, outcome.answer.headers.get("location", "")
        is_first = outcome.is_first_contact
        if kind in (*_ANSWERED, "proxy refuses"):
            is_first = outcome.status == 500 or not self._has_helped(outcome)  # 500 is of one URL
        return wording.failure(
            kind,
            self._longer(kind, outcome),
            host=peer.host,
            peer=peer,
            place=place,
            why=why,
            trouble=trouble,
            last=last,
            where=names.redacted(where),
            status=outcome.status,
            seconds=outcome.retry_after or 0.0,
            tried=wording.tried(attempts.count, attempts.seconds),
            now=time.strftime("%Y-%m-%d %H:%M"),
            first_contact=is_first,
            retries=self.job.patience.attempts > 0 or kind not in _OF_RETRIES,
        )

    def _kind_of_failure(self, outcome: Outcome) -> str:
        """Return what `wording.failure` calls it."""
        attempts, error, verdict = self._attempts, outcome.error, outcome.verdict
        if self._body is not None and not self.job.patience.attempts:
            return "not tried"
        if outcome.is_refused_by_proxy:
            return "proxy refuses"
        if self._body is not None:
            if verdict in (Verdict.CHANGED, Verdict.REFUSED):
                return "changed" if verdict == Verdict.CHANGED else "refused"
            is_stranger = verdict == Verdict.PAGE or (verdict == Verdict.LASTING and error)
            return "stranger" if is_stranger else "gave up"
        if verdict == Verdict.CUT:
            return "cut page"
        if error is not None and not errors.is_network_error(error):
            return "bad redirect"
        if verdict == Verdict.LASTING and error is not None:
            return errors.certificate_trouble(error) or "bad TLS"
        if error is None or verdict == Verdict.BUSY:
            asks = (outcome.retry_after or 0.0) > budget.LONG_WAIT
            if asks and attempts.unhelpful <= attempts.patience.attempts:
                return "asks for too long"
            return "unreadable" if error and not self._has_helped(outcome) else "busy"
        if errors.is_offline(error):
            return "offline"
        if outcome.peer.is_proxy:
            return "proxy unreachable"
        if errors.was_sent(error):
            return "no answer"
        return "unreachable" if outcome.is_first_contact else "lost"

    def _has_helped(self, outcome: Outcome) -> bool:
        """Whether who was asked has, or who failed: a redirect may have led elsewhere."""
        return any(self._hosts.at(url).helped for url in (outcome.url, outcome.last_url))

    def _longer(self, kind: str, outcome: Outcome) -> tuple[str, str] | None:
        """Return the setting that ended the wait, and a longer value; None where it is no help."""
        patience, attempts, error = self.job.patience, self._attempts, outcome.error
        if kind == "asks for too long":
            seconds = attempts.waited + 2 * (outcome.retry_after or 0.0)
            return "retry-patch-patience", f"{seconds:.0f}"
        is_of_url = kind == "busy" and outcome.status == 500
        if kind not in _WAITED_FOR or is_of_url or outcome.why == wording.NO_HELP:
            return None
        if outcome.is_silence and outcome.timeout:
            return "--timeout", f"{self._slower * outcome.timeout:.0f}"
        if outcome.verdict != Verdict.LOST and attempts.unhelpful > attempts.patience.attempts:
            return "retry-patch-attempts", "50"
        if self._body is not None or not outcome.is_first_contact:
            return "retry-patch-patience", "600"
        if error is not None and errors.is_unknown_name(error):
            return None
        is_waited_for = patience.person and error is not None and errors.is_offline(error)
        return f"retry-patch-{'patience' if is_waited_for else 'first-contact'}", "600"


def _refuses_part(outcome: Outcome) -> bool:
    """Whether an answer to our Range says that it may be of use without one."""
    is_useless = outcome.verdict in (Verdict.WITHHELD, Verdict.WHOLE)
    return is_useless and outcome.question.first is not None
