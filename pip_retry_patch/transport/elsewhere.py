"""Another source: where a file goes on that its own host does not deliver.

A file that a hash covers may come from any host that has it: right start and right total suffice,
for the hash is the original's. Each source gets two requests, then it is the next one's turn; when
all have failed, patience goes round among them. No validator of one host is sent to another.

hooks/mirrors.py knows which sources there are, inquiry.py whose turn it is. Here is who brought
what.
"""

from __future__ import annotations

import logging
from typing import Any, Callable, Iterator

from pip_retry_patch import messages, mirror_messages, names
from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.representation import is_web_page, media_of
from pip_retry_patch.policy.retry import Attempts, Patience
from pip_retry_patch.records import NamedTuple
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.continuation import Accepted, Continuation, host_of
from pip_retry_patch.transport.hosts import drop
from pip_retry_patch.transport.inquiry import TRIES
from pip_retry_patch.transport.origin import Origin
from pip_retry_patch.transport.reissue import Again, Captured, Ranges, Reissuer

logger = logging.getLogger("pip_retry_patch")

# What a host answers that does not have the file, or does not give it.
_NOT_HERE = frozenset([403, 404, 410])

# A host that delivered nothing is left alone for so many seconds, where another source is there.
REST = 300.0


class Breaker:
    """The hosts that delivered nothing, each a scheme, a name and a port.

    :param now: the reading of a clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def rests(self, url: str) -> bool:
        """Whether the host of `url` is to be left alone."""
        return self._until.get(host_of(url), 0.0) > self._now()

    def open(self, url: str) -> None:
        """Leave the host of `url` alone for a while."""
        self._until[host_of(url)] = self._now() + REST

    def in_order(self, urls: Any, key: Callable[[Any], str]) -> list[Any]:
        """Return sources in their order, those that rest after the others."""
        return sorted(urls, key=lambda each: self.rests(key(each)))


class Mirror(NamedTuple):
    """A mirror that has the file.

    :param base: the URL by which the user named it.
    :param url: of the file there.
    :param again: asks for it, by pip's session, with some fields in the header.
    """

    base: str
    url: str
    again: Again


class _Answer(NamedTuple):
    """A mirror's response, and what is kept if it goes on with that."""

    mirror: Mirror
    response: Any
    accepted: Accepted | None


class _First:
    """What the file's own host says to the first request for it."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self.asked = False
        self.why, self.down = mirror_messages.RESTS, False  # not asked: it rests no longer for that
        self.response: Any = None
        self.accepted: Accepted | None = None
        self.error: Exception | None = None
        self._ask = ask

    def helps(self) -> bool:
        """Ask it; False for any end that is not the file."""
        self.drop()
        self.asked, self.error = True, None
        try:
            self.response, self.accepted = self._ask()
        except Exception as error:
            failure = errors.failure_of(error)
            if failure is None and not errors.is_network_error(error):
                raise
            self.error, self.down = error, True
            self.why = errors.reason(error) if failure is None else failure.briefly
            return False
        status = self.response.status
        self.why, self.down = mirror_messages.answers(status), ranges.is_of_no_help(status)
        return not self.down and status not in _NOT_HERE

    def drop(self) -> None:
        """End its answer, which nobody will read."""
        response, self.response = self.response, None
        if response is not None:
            drop(response)


class Elsewhere:
    """The other sources of one file, and who brought what of it.

    :param url: where the index says that the file is.
    :param mirrors: returns those that have it, in order of preference. It may ask them for a page.
    :param announce: shows one line to the user.
    """

    def __init__(
        self,
        url: str,
        mirrors: Callable[[], list[Mirror]],
        breaker: Breaker,
        announce: Callable[[str], None],
    ) -> None:
        self.came: list[tuple[int, str | None]] = []  # from which offset on, from which mirror
        self.original: Origin | None = None
        self.capture: Callable[[Again, dict[str, str]], Captured] | None = None
        self._url = url
        self._name = names.name_of(url)
        self._mirrors = mirrors
        self._breaker = breaker
        self._announce = announce
        self._ranges: dict[str, Ranges] = {}
        self._told: set[tuple[str, str]] = set()

    @property
    def rests(self) -> bool:
        """Whether the file's own host delivered nothing a moment ago."""
        return self._breaker.rests(self._url)

    def sources(self) -> list[Origin]:
        """Return all sources, the original first unless its host rests."""
        assert self.original is not None
        mirrors = [self.origin_of(mirror) for mirror in self._mirrors()]
        return self._breaker.in_order([self.original, *mirrors], lambda each: each.url)

    def origin_of(self, mirror: Mirror) -> Origin:
        """Return what to ask a mirror by."""
        assert self.original is not None

        def ask(fields: dict[str, str]) -> Any:
            reissuer = Reissuer(None, lambda more: self._captured(mirror, dict(more)))
            return reissuer.ask_first_url(fields)

        return self.original._replace(
            url=mirror.url,
            host=names.host_of(mirror.url),
            ask=ask,
            ask_first_url=None,
            redirected=False,
            ranges=self._ranges.setdefault(host_of(mirror.url), Ranges()),
            mirror=mirror.base,
        )

    def _captured(self, mirror: Mirror, fields: dict[str, str]) -> Captured:
        assert self.capture is not None
        return self.capture(mirror.again, fields)

    def delivered(self, source: Origin, offset: int, failed: Origin, why: str, down: bool) -> None:
        """Note that `source` goes on at `offset`, where `failed` did not.

        :param down: the host of `failed` is to rest.
        """
        if down:
            self._breaker.open(failed.url)
        self.came.append((offset, source.mirror))
        if source.record is not None:
            source.record("mirror", self._name, source.host, offset, outcome=why)
        told = failed.host, source.host
        if told not in self._told:
            self._told.add(told)
            self._announce(
                mirror_messages.mirror_serves_file(
                    self._name, failed.host, why, source.host, offset
                )
            )

    def brought_by(self, host: str) -> str:
        """Name all who brought bytes; `host` is where the first ones are from, unless noted."""
        hosts = [] if self.came and not self.came[0][0] else [host]
        hosts += [host if mirror is None else names.host_of(mirror) for _, mirror in self.came]
        return " and ".join(dict.fromkeys(hosts))

    # The first answer.

    def first_answer(
        self,
        ask: Callable[[], Any],
        continuation: Continuation | None,
        attempts: Attempts,
        patience_of: Callable[[Exception], Patience],
    ) -> tuple[Any, Accepted | None, Origin | None]:
        """Return a response for pip, what is kept if it goes on with that, and whence it comes.

        :param ask: asks the file's own host, briefly.
        :param continuation: what an earlier run kept.
        :param patience_of: returns the patience there is with the file's own host, by its error.
        :raises Exception: what the file's own host led to, where no source delivers.
        """
        first = _First(ask)
        if not self.rests and first.helps():
            return first.response, first.accepted, None
        while True:
            for mirror, response, accepted in self._answers(continuation):
                source = self.origin_of(mirror)
                offset = 0 if accepted is None else accepted.partial.size
                assert self.original is not None
                self.delivered(source, offset, self.original, first.why, first.down)
                first.drop()
                _disown(response)
                return response, accepted, source
            if not first.asked and first.helps():
                break
            if first.error is not None:
                attempts.patience = patience_of(first.error)
            attempts.was_unreachable(False)
            left = messages.for_seconds(attempts.patience.seconds)
            self._tell_once(mirror_messages.all_sources_failed(self._name, first.why, left))
            if not attempts.wait() or first.helps():
                break
        if first.error is not None:
            raise first.error
        return first.response, first.accepted, None

    def _tell_once(self, line: str) -> None:
        if ("", "") not in self._told:
            self._told.add(("", ""))
            self._announce(line)

    def _answers(self, continuation: Continuation | None) -> Iterator[_Answer]:
        """Ask the mirrors; those that can only send all of it come after the others."""
        late = []
        if continuation is not None and not continuation.is_kept:
            continuation = None
        for mirror in self._mirrors():
            found = self._ask(mirror, continuation)
            if found is not None and continuation is not None and found.accepted is None:
                drop(found.response)
                late.append(mirror)
            elif found is not None:
                yield found
        for mirror in late:
            found = self._ask(mirror, None)
            if found is not None:
                yield found

    def _ask(self, mirror: Mirror, continuation: Continuation | None) -> _Answer | None:
        fields: dict[str, str] = {}
        if continuation is not None:
            fields = continuation.fields({}, mirror.url)
        for _ in range(TRIES):
            try:
                response = self._captured(mirror, fields).response
            except Exception as error:
                logger.debug("%s does not deliver: %s", mirror.url, errors.reason(error))
                if errors.is_certificate_error(error):
                    return None
                continue
            accepted = None if continuation is None else continuation.accept(response)
            page = is_web_page(media_of(response.headers))
            if accepted is not None or (response.status == 200 and not page):
                return _Answer(mirror, response, accepted)
            drop(response)
            if not ranges.is_of_no_help(response.status):
                return None
        return None


def _disown(response: Any) -> None:
    """Take from a mirror's response what pip would take for the original host's.

    CacheControl would ask that by its validators, and requests would give it the cookies back.
    """
    original: Any = getattr(response, "_original_response", None)
    for name in ("ETag", "Last-Modified", "Set-Cookie"):
        response.headers.pop(name, None)
        if original is not None:
            del original.msg[name]
