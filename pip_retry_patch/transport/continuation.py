"""From one run to the next: a request that starts where an earlier run stopped.

A `Continuation` stands beside one request of pip's session. What is kept of the artifact (store/)
is offered with the request, as a Range (offer.py). The answer decides whether it is
used. If so, the kept bytes and the answer's are one body, and the answer is shown as the whole one
that pip asked for.
"""

from __future__ import annotations

import urllib.parse
from typing import Any, Callable, Mapping

from pip_retry_patch import messages
from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.pace import Course
from pip_retry_patch.policy.ranges import Verdict
from pip_retry_patch.policy.representation import (
    Representation,
    Validators,
    is_web_page,
    media_of,
)
from pip_retry_patch.records import NamedTuple
from pip_retry_patch.store.partials import Partial
from pip_retry_patch.store.shelf import Shelf
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
        self._kept = None if fresh else shelf.find()
        self._known: Representation | None = None  # of what is kept, as the host asked sees it
        self._withdrawn = False

    @property
    def is_offered(self) -> bool:
        """Whether what is kept may be offered with a request."""
        return self._kept is not None and not self._withdrawn

    @property
    def is_kept(self) -> bool:
        """Whether anything is kept that a request could go on from."""
        return self._kept is not None

    def withdraw(self) -> None:
        """Offer it no more, until a redirect leads to another server."""
        self._withdrawn = True

    def fields(self, headers: Mapping[str, str], url: str) -> dict[str, str]:
        """Return what to add to the header of a request for `url`; nothing if it has a range.

        There is no If-Range: the hash covers whatever comes, and another host, or another node of
        this one, would only take the validator for a sign that the file has changed.
        """
        if self._kept is None or any(n.lower() == "range" for n in headers):
            return {}
        known = self._kept.header.known
        same_host = self._kept.header.host == host_of(url)
        self._known = known if same_host else known._replace(validators=Validators())
        return {"Range": ranges.range_field(self._kept.size, None)}

    def is_offered_in(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these `headers` has the offer already."""
        if self._kept is None:
            return False
        return headers.get("Range") == ranges.range_field(self._kept.size, None)

    def accept(self, response: Any) -> Accepted | None:
        """Return what is kept if `response`, urllib3's, goes on from there."""
        partial, known = self._kept, self._known
        if partial is None or known is None:
            return None
        answer = ranges.judge(
            known,
            partial.size,
            ranges.Question(partial.size),
            response.status,
            response.headers,
            length=response._fp.length,
            hashed=True,
        )
        total = answer.total if known.total is None else known.total
        if answer.verdict is not Verdict.CONTINUE or total is None:
            return None
        self._kept = None
        if known.validators == Validators():
            known = known._replace(validators=Validators.of(response.headers))
        return Accepted(partial, known._replace(total=total), total, answer.size)

    def settle(self, response: Any) -> bool:
        """Let what is kept give way to an answer that brings the artifact from its start.

        Another answer says nothing about it: the next request offers it again, or the next run.

        :return: whether the artifact came, though the offer had been withdrawn.
        """
        partial, came_at_last = self._kept, False
        if partial is not None:
            if response.status == 200 and not is_web_page(media_of(response.headers)):
                self._kept, came_at_last = None, self._withdrawn
                partial.remove()
            elif 300 <= response.status < 400:
                self._withdrawn = False
        return came_at_last

    def announce(self, accepted: Accepted) -> None:
        """Tell that it goes on."""
        self.continued = accepted.partial.size
        self._announce(messages.continuing(self._name, accepted.partial.size, accepted.total))

    def keep(self, known: Representation, headers: Mapping[str, str], url: str) -> Partial | None:
        """Return where to keep what now arrives from `url`, all of it; None not to keep it."""
        media_type = headers.get("content-type") or ""
        return self._shelf.begin(self._name, known, host_of(url), media_type)

    def end(self) -> None:
        """The request was answered, or failed; an offer that led to nothing waits for the next."""
        if self._kept is not None:
            self._kept.close()


class Accepted(NamedTuple):
    """What an earlier run kept, and the server's answer goes on with.

    `total` is the size of the artifact in bytes, and `size` that of the part by its label.
    """

    partial: Partial
    known: Representation
    total: int
    size: int | None


class Continued:
    """The kept bytes and then those of an answer, as one part (see reissue.Part)."""

    def __init__(self, partial: Partial, part: Part) -> None:
        self.interruption: Exception | None = None
        self.final = True
        self.short = part.short
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


def without_offer(headers: Mapping[str, str]) -> dict[str, str]:
    """Return a request's header without our field."""
    return {name: headers[name] for name in headers if name.lower() != "range"}


def show_as_whole(response: Any, total: int, accepted: Accepted | None) -> None:
    """Let urllib3's response look like the whole one that was asked for (RFC 9110, 15.3.1).

    A 206 need not repeat the fields that the client had with the first part (15.3.7).
    """
    headers = response.headers
    for name in ("Content-Range", "Transfer-Encoding"):
        headers.pop(name, None)
    headers["Content-Length"] = str(total)
    if accepted is not None:
        validators = accepted.known.validators
        for name, value in (
            ("ETag", validators.etag),
            ("Last-Modified", validators.modified),
            ("Content-Type", accepted.partial.header.content_type),
        ):
            if value and name not in headers:
                headers[name] = value
    response.status, response.reason = 200, "OK"
    response.chunked = False
    response.length_remaining = total


def host_of(url: str) -> str:
    """Return scheme, host and port of a URL, in one spelling; "" where it has none."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname else ""
