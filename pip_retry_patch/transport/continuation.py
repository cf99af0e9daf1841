"""From one run to the next: a request that starts where an earlier run stopped.

A `Continuation` stands beside one request of pip's session. What is kept of the artifact
(store/partials.py) is offered with the request, as Range and If-Range; what the server answers decides
whether it is used. If so, the kept bytes and the answer's are one body, and the answer is shown as
the whole one that pip asked for.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple

from pip_retry_patch import messages
from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.pace import Course
from pip_retry_patch.policy.ranges import Representation, Verdict
from pip_retry_patch.store.partials import Kept, Partial, Shelf
from pip_retry_patch.transport.reissue import Part


class Continuation:
    """What is kept of the artifact that a request asks for.

    :param name: the artifact's, for messages.
    :param fresh: the artifact is wanted past every cache: nothing is offered.
    :param announce: shows one line to the user.
    """

    def __init__(
        self, shelf: Shelf, name: str, fresh: bool, announce: Callable[[str], None]
    ) -> None:
        self.continued: int | None = None  # the offset at which the last answer went on
        self._shelf = shelf
        self._name = name
        self._announce = announce
        self._offered = None if fresh else shelf.find()

    def fields(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return what to add to a request's header; nothing if it asks for a range itself."""
        if self._offered is None or any(name.lower() == "range" for name in headers):
            return {}
        fields = {"Range": ranges.range_field(self._offered.size, None)}
        strong = self._offered.kept.known.validators.strong
        if strong is not None:
            fields["If-Range"] = strong
        return fields

    def is_offered_in(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these `headers` has the offer already."""
        if self._offered is None:
            return False
        return headers.get("Range") == ranges.range_field(self._offered.size, None)

    def accept(self, response: Any) -> Accepted | None:
        """Return what is kept if `response`, urllib3's, goes on from there; None if it does not.

        It is then kept no longer, unless the response is not about the artifact at all, like a
        redirect or an error.
        """
        partial = self._offered
        if partial is None or response.status not in (200, 206, 416):
            return None
        self._offered = None
        known, headers = partial.kept.known, response.headers
        total = known.total
        length = response._fp.length
        answer = ranges.judge(
            known,
            partial.size,
            response.status,
            headers,
            length=length,
            ranged=True,
            expected=None if total is None else total - partial.size,
            unproven=self._shelf.hashed,
        )
        total = answer.total if total is None else total
        if answer.verdict is not Verdict.CONTINUE or total is None:
            partial.remove()
            return None
        return Accepted(partial, known._replace(total=total), total)

    def announce(self, accepted: Accepted) -> None:
        """Tell that it goes on."""
        self.continued = accepted.partial.size
        self._announce(messages.continuing(self._name, accepted.partial.size, accepted.total))

    def keep(self, known: Representation, headers: Mapping[str, str]) -> Partial | None:
        """Return where to keep what now arrives from its first byte; None not to keep it."""
        return self._shelf.begin(Kept(self._name, known, headers.get("content-type") or ""))

    def end(self) -> None:
        """The request was answered, or failed; an offer that led to nothing waits for the next."""
        if self._offered is not None:
            self._offered.close()

    def clear(self) -> None:
        """Remove all that is kept of the artifact."""
        if self._offered is not None:
            self._offered.close()
        self._shelf.clear()


class Accepted(NamedTuple):
    """What an earlier run kept and the server goes on with; `total` is in bytes."""

    partial: Partial
    known: Representation
    total: int


class Continued:
    """The kept bytes and then those of an answer, as one part (see reissue.Part)."""

    def __init__(self, partial: Partial, part: Part) -> None:
        self.interruption: Exception | None = None
        self.close = part.close
        self._partial = partial
        self._part = part
        self._left = partial.size

    def watch(self, course: Course) -> None:
        """As in Part."""
        self._part.watch(course)

    @property
    def finished(self) -> bool:
        """As in Part."""
        return not self._left and self._part.finished

    def read(self, most: int, once: bool = False) -> bytes:
        """As in Part. Where what was kept cannot be read, that is an interruption like another."""
        if self._left:
            try:
                piece = self._partial.read(min(most, self._left))
                if not piece:
                    raise OSError("what was kept cannot be read")
            except Exception as error:
                self.interruption = error
                self._partial.remove()
                return b""
            self._left -= len(piece)
            return piece
        piece = self._part.read(most, once)
        self.interruption = self._part.interruption
        return piece


def show_as_whole(response: Any, accepted: Accepted) -> None:
    """Let urllib3's response look like the whole one that was asked for (RFC 9110, 15.3.1).

    A 206 need not repeat the fields that the client had with the first part (15.3.7).
    """
    headers, kept = response.headers, accepted.partial.kept
    for name in ("Content-Range", "Transfer-Encoding"):
        headers.pop(name, None)
    headers["Content-Length"] = str(accepted.total)
    for name, value in (
        ("ETag", kept.known.validators.etag),
        ("Last-Modified", kept.known.validators.modified),
        ("Content-Type", kept.content_type),
    ):
        if value and name not in headers:
            headers[name] = value
    response.status, response.reason = 200, "OK"
    response.chunked = False
    response.length_remaining = accepted.total
