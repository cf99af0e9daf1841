"""What pip asks for, where it can be asked for, and what came of one request.

An answer is read below urllib3.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
import weakref
from typing import Any, Callable, Sequence

from pip_retry_patch import names, wording
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.judge import PROXY_REFUSES, Answer, Question, length_of
from pip_retry_patch.fetch.patience import FLOOR, MOVED, PROGRESS, SLOW, Patience, retry_after
from pip_retry_patch.records import record

# What is read at once, in bytes; and how long it may take to come, in seconds, before less of it is
# handed on. A pip that is killed then loses little, and on a fast link nothing is slower.
LARGE, SOON = 256 * 1024, 0.02

# What answers so by plain http may be the proxy.
_OF_PROXY = (PROXY_REFUSES, 502, 503, 504)

# CacheControl's tee (pip 20.0 to 26.3) hides what an answer reads from under this name.
_BELOW_TEE = "_CallbackFileWrapper__fp"
_TEES_CALLBACK = "_CallbackFileWrapper__callback"
_TEES_COPY = "_CallbackFileWrapper__buf"


class Kind:
    """What pip asks for."""

    PAGE = "page"  # of an index
    FILE = "file"  # an artifact, or its metadata (PEP 658)
    OTHER = "other"  # a requirements file, a range of a wheel


@record
class Asking:
    """How a request is sent again.

    :param fields: what its header has from us.
    :param past_caches: pip's HTTP cache neither answers it nor keeps its answer.
    :param fresh: caches on the way are to ask the origin.
    :param reconnects: not over a connection that has been used: a sick node may be behind it.
    :param in_haste: who does not let it connect soon is not waited for.
    :param slower: by how much its timeout is longer.
    :param longest: seconds to which that is made longer at most.
    """

    fields: dict[str, str]
    past_caches: bool = False
    fresh: bool = False
    in_haste: bool = False
    slower: float = 1.0
    longest: float = math.inf
    reconnects: bool = False


@record
class Source:
    """Where the bytes of a job can be asked for.

    :param send: returns a response of requests, or raises; an Outcome gets the URLs that answered.
    :param mirror: the base URL of the mirror that it is; "" for where pip asks.
    :param serves: is told why a mirror delivers in the place of others, and from which offset on.
    """

    url: str
    send: Callable[[Asking, Outcome], Any]
    mirror: str = ""
    serves: Callable[[str, int], None] | None = None
    vain: int = 0  # requests in vain, in this turn
    end: wording.Failure | None = None  # why it is asked no more


@record
class Job:
    """What pip asks for; made once, never changed.

    :param whole: pip reads it in one piece, and not as it comes.
    :param ranged: pip itself asks for a range.
    :param hashed: pip will check a hash that covers every byte.
    :param fresh: caches on the way are to ask the origin.
    :param parts: after an interruption, only the rest of it is asked for.
    :param error: makes pip's exception of a Failure and of what caused it.
    :param mirrors: returns further sources, the first time that they are needed.
    :param listed_again: reads the page again that lists a file, and returns where it is now.
    :param forget: removes what pip's HTTP cache has of these URLs.
    """

    kind: str
    source: Source
    patience: Patience
    error: Callable[[wording.Failure, Exception], Exception]
    forget: Callable[[Sequence[str]], None]
    whole: bool = False
    ranged: bool = False
    hashed: bool = False
    fresh: bool = False
    parts: bool = True
    mirrors: Callable[[], Sequence[Source]] = tuple
    listed_again: Callable[[], Sequence[Source]] = tuple

    @property
    def name(self) -> str:
        """What a user would call it."""
        return names.name_of(self.source.url)


class Outcome:
    """One request: an answer, or why there is none; and what that is worth.

    :param url: that was asked for. `urls` are those that were answered, redirects first;
        `is_answered`: the last of them is no redirect, and is the answer. `is_cached`: the last of
        them came from pip's HTTP cache; `came_from_cache`: any of them did.
    :param question: what was asked for. `source`: where, None outside of the loop.
    """

    is_answered = is_cached = came_from_cache = False
    is_first_contact = False  # what it was lost on had not answered before
    response: Any = None
    answer: Any = None  # the last response whose header came; its content may break
    error: Exception | None = None
    worth = Answer("")
    why = ""  # it is of no use, in words, where that needs to be said
    timeout = 0.0  # seconds that pip waits for each of its bytes
    stream: Any = None  # http.client's response, once `open` was called
    _broken: Exception | None = None  # what broke the connection behind what was read
    _count = _brought = 0  # bytes, in all and since the pace was good
    _waited = 0.0  # seconds, since the pace was good

    def __init__(self, url: str, question: Any = None, source: Any = None) -> None:
        self.url = url
        self.question: Question = question or Question()
        self.source: Source = source
        self.urls: list[str] = []
        self.asked: list[str] = []  # of them, those that pip's cache did not answer by itself

    @property
    def verdict(self) -> str:
        return self.worth.verdict

    @property
    def status(self) -> int:
        return 0 if self.response is None else int(self.response.status_code)

    @property
    def length(self) -> int | None:
        """How many bytes the header says that there are, None if none does."""
        return None if self.response is None else length_of(self.response.headers)

    @property
    def retry_after(self) -> float | None:
        """The seconds that it asks for, None where it asks for none, or did not come."""
        return None if self.response is None else retry_after(self.response.headers)

    @property
    def trouble(self) -> str:
        """Why it is of no use, in words."""
        if self.why or (self.error is None and self.response is None):
            return self.why
        if self.error is not None:
            return errors.reason(self.error)
        return wording.answered(self.status, self.retry_after)

    @property
    def is_silence(self) -> bool:
        """Whether the read timeout ended it."""
        return self.error is not None and errors.is_silence(self.error)

    @property
    def is_refused_by_proxy(self) -> bool:
        """Whether a proxy that answers does not let it through."""
        if self.error is not None:
            return errors.is_refused_tunnel(self.error)
        return self.status == PROXY_REFUSES and self.peer.proxy != ""

    @property
    def received(self) -> int:
        """Bytes of the content that came, where it broke."""
        return 0 if self.answer is None else int(self.answer.raw.tell())

    @property
    def last_url(self) -> str:
        """Return the URL that answered, or failed to."""
        for cause in errors.causes(self.error) if self.error is not None else ():
            request = getattr(cause, "request", None)
            if request is not None:
                return str(request.url)
        return self.urls[-1] if self.is_answered else self.url

    @property
    def peer(self) -> wording.Peer:
        """Whom the request went to, and what failed of them."""
        if self.error is not None:
            pool, is_proxy = errors.pool_of(self.error), errors.is_of_proxy(self.error)
        else:
            pool = getattr(getattr(self.response, "raw", None), "_pool", None)
            # In the host's name: by plain http nobody can tell.
            is_proxy = self.status in _OF_PROXY and self.last_url.startswith("http:")
        proxy = names.host_of(errors.proxy_of(pool))
        return wording.Peer(names.host_of(self.last_url), proxy, bool(proxy) and is_proxy)

    # Its content.

    @property
    def is_for_urllib3(self) -> bool:
        """Whether it is in chunks of another coding, which only urllib3 takes apart."""
        raw = self.response.raw
        return bool(raw.chunked) and not getattr(raw._fp, "chunked", True)

    def open(self, ragged: bool = False) -> None:
        """Get ready to read the content, before anything is put below the response.

        :param ragged: a TLS connection may end without close_notify.
        """
        source = self.response.raw._fp
        self.stream = self.stream or getattr(source, _BELOW_TEE, source)
        with contextlib.suppress(AttributeError):
            self.stream.fp.raw._sock.suppress_ragged_eofs = ragged

    def read(self, most: int) -> bytes:
        """Return up to `most` bytes; b"" at the end.

        :raises Exception: of the network. StoppedError: the connection brings next to nothing.
        """
        # http.client's `read` loses what it has when it breaks; `read1` is one read of the socket.
        read1, pieces, left, took = self.stream.read1, [], most, 0.0
        began = time.monotonic()
        try:
            while left > 0 and took < SOON and self._broken is None:
                piece = read1(left)
                took = time.monotonic() - began
                if not piece:
                    break
                pieces.append(piece)
                left -= len(piece)
            self._note_pace(most - left, took)
        except Exception as error:
            self._broken = error
        if not pieces and self._broken is not None:
            broken, self._broken = self._broken, None
            raise broken
        return b"".join(pieces)

    def read_whole(self, most: float = math.inf, seconds: float = math.inf) -> None:
        """Read all of the content, of which no trickle lasts for ever.

        :param most: bytes that it may have; `seconds`: that it may take.
        :raises Exception: of the network, as requests raises it.
        """
        if self.response._content_consumed:
            return
        self.open(ragged=True)
        if hasattr(self.stream, "isclosed") and not self.is_for_urllib3:
            self.put_below(_Whole(self, most, time.monotonic() + seconds))
        self.response.content  # noqa: B018 - it is read here

    def _note_pace(self, count: int, took: float) -> None:
        """Only the time of waiting for the network counts: a slow disk is not its fault.

        A read that ends took no longer than a timeout: what is more, the process did not run.
        """
        self._count += count
        self._brought += count
        limit = MOVED if self._count >= PROGRESS else SLOW
        self._waited += min(took, limit / 2)
        if self._brought >= FLOOR * limit:
            self._brought, self._waited = 0, 0.0
        elif self._waited > limit:
            self._broken = errors.StoppedError(self._brought / self._waited)

    def put_below(self, body: Any) -> None:
        """Let the response read from `body`, below CacheControl's tee if there is one."""
        raw = self.response.raw
        if hasattr(raw._fp, _BELOW_TEE):
            setattr(raw._fp, _BELOW_TEE, body)
            if hasattr(raw._fp, _TEES_COPY):
                setattr(raw._fp, _TEES_COPY, _Copy(self, getattr(raw._fp, _TEES_COPY)))
        else:
            raw._fp = body

    def cache_nothing(self) -> None:
        """Let CacheControl's tee forget what it has collected, and collect no more."""
        tee = self.response.raw._fp
        if hasattr(tee, _TEES_CALLBACK):
            setattr(tee, _TEES_CALLBACK, None)
        if hasattr(tee, _TEES_COPY):
            copy: Any = getattr(tee, _TEES_COPY)
            setattr(tee, _TEES_COPY, open(os.devnull, "wb"))  # noqa: SIM115 - the tee closes it
            with contextlib.suppress(OSError):  # what it holds in memory may not fit either
                copy.close()

    def drop(self) -> None:
        """Close the connection, whose end nobody reads, and give it back to its pool.

        To close the response would close what was put below it.
        """
        with contextlib.suppress(Exception):
            self.open()
            self.stream.close()
            if self.response.raw._connection is not None:
                self.response.raw._connection.close()
        with contextlib.suppress(Exception):
            self.response.raw.release_conn()


class Below:
    """What a response of urllib3 reads from in the place of `_source`, http.client's response.

    It shows all of that but `fp`: without that attribute urllib3 leaves the chunked coding to
    http.client, below this.
    """

    _source: Any
    closed: Any

    def isclosed(self) -> bool:
        return bool(self.closed)

    def __getattr__(self, name: str) -> Any:
        if name == "fp" or name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._source, name)


class _Whole(Below):
    """What a response reads from whose content is read at once."""

    def __init__(self, outcome: Outcome, left: float, until: float) -> None:
        self._source, self._left, self._until = outcome.stream, left, until
        self._outcome: Outcome | None = outcome  # until the end, for it holds what holds this

    @property
    def closed(self) -> bool:
        return self._outcome is None

    def read(self, amt: int = LARGE) -> bytes:
        piece = b"" if self._outcome is None else self._outcome.read(amt)
        self._left -= len(piece)
        if self._left < 0 or time.monotonic() > self._until:
            raise ConnectionError("the page is too large, or too slow")
        if not piece and amt:
            self._source.close()
        # http.client closes after the last byte, but also where it breaks.
        if self._source.isclosed() and self._outcome and self._outcome._broken is None:
            self._outcome = None
        return piece


class _Copy:
    """The file that CacheControl's tee collects in. Where a disk does not take it, none is made.

    An error of the tee would be told as the network's.
    """

    def __init__(self, outcome: Outcome, file: Any) -> None:
        self._outcome, self._file = weakref.ref(outcome), file  # it holds what holds this

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError:
            outcome = self._outcome()
            if outcome is not None:
                outcome.cache_nothing()
