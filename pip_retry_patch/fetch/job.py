"""What pip asks for, and where it can be asked for."""

from __future__ import annotations

import math
from typing import Any, Callable, Sequence

from pip_retry_patch import names, wording
from pip_retry_patch.fetch.outcome import Outcome
from pip_retry_patch.fetch.patience import Patience
from pip_retry_patch.records import record


class Kind:
    """What pip asks for."""

    PAGE = "page"  # of an index
    FILE = "file"  # an artifact
    METADATA = "metadata"  # of a wheel (PEP 658)
    OTHER = "other"  # a requirements file, a range of a wheel


@record
class Asking:
    """How a request is sent again.

    :param fields: what its header has from us.
    :param past_caches: pip's HTTP cache neither answers it nor keeps its answer.
    :param fresh: caches on the way are to ask the origin.
    :param reconnects: not over a connection that has been used: a sick node may be behind it.
    :param slower: by how much its timeouts are longer; or shorter, where it is below 1.
    :param longest: seconds to which a timeout is made longer at most.
    """

    fields: dict[str, str]
    past_caches: bool = False
    fresh: bool = False
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
    mirrors: Callable[[], Sequence[Source]] = tuple
    listed_again: Callable[[], Sequence[Source]] = tuple

    @property
    def name(self) -> str:
        """What a user would call it."""
        return names.name_of(self.source.url)
