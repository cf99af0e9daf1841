"""What pip asks for, where it can be asked for, and what came of one request."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from pip_retry_patch import names, wording
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.hosts import peer_of
from pip_retry_patch.fetch.judge import length_of
from pip_retry_patch.fetch.patience import Patience, retry_after
from pip_retry_patch.fetch.reader import Reader
from pip_retry_patch.records import record


class Kind:
    """What pip asks for."""

    PAGE = "page"  # of an index
    FILE = "file"  # an artifact
    METADATA = "metadata"  # of a wheel (PEP 658)
    OTHER = "other"  # a requirements file, a range of a wheel


class Outcome:
    """What came of one request: an answer, or why there is none.

    :param url: that was asked for. `urls` are those that were answered, redirects first;
        `is_answered`: the last of them is no redirect, and is the answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.urls: list[str] = []
        self.is_answered = False
        self.response: Any = None
        self.error: Exception | None = None
        self.reader: Reader | None = None
        self.answer: Any = None  # the response whose content broke

    @property
    def status(self) -> int:
        return 0 if self.response is None else int(self.response.status_code)

    @property
    def length(self) -> int | None:
        """How many bytes the header says that there are, None where it does not."""
        return length_of(self.response.headers)

    @property
    def retry_after(self) -> float | None:
        """The seconds that it asks for, None where it asks for none, or did not come."""
        return None if self.response is None else retry_after(self.response.headers)

    @property
    def received(self) -> int:
        """Bytes of the content that came, where it broke."""
        return 0 if self.answer is None else int(self.answer.raw.tell())

    @property
    def came_from_cache(self) -> bool:
        """Whether pip's HTTP cache had a part in it."""
        each = (*self.response.history, self.response)
        return any(getattr(response, "from_cache", False) for response in each)

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
        return peer_of(self.last_url, self.error)


@record
class Asking:
    """How a request is sent again.

    :param fields: what its header has from us.
    :param past_caches: pip's HTTP cache neither answers it nor keeps its answer.
    :param fresh: caches on the way are to ask the origin.
    :param slower: by how much its timeouts are longer; or shorter, where it is below 1.
    """

    fields: dict[str, str]
    past_caches: bool = False
    fresh: bool = False
    slower: float = 1.0


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
    is_late: bool = False  # it sends no parts: others are asked first
    end: wording.Failure | None = None  # why it is asked no more


@record
class Job:
    """What pip asks for; made once, never changed.

    :param whole: pip reads it in one piece, and not as it comes.
    :param ranged: pip itself asks for a range.
    :param hashed: pip will check a hash that covers every byte.
    :param fresh: caches on the way are to ask the origin.
    :param error: makes pip's exception of a Failure and of what caused it.
    :param mirrors: returns further sources, the first time that they are needed.
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
    mirrors: Callable[[], Sequence[Source]] = tuple

    @property
    def name(self) -> str:
        """What a user would call it."""
        return names.name_of(self.source.url)
