"""A request is issued again for the rest of its answer, and each answer is a `Part` of one body.

The request goes through the same pool of urllib3 with the same header, so proxies, certificates and
credentials are what pip's session chose for that host.
"""

from __future__ import annotations

import http.client
import logging
import sys
import time
from typing import Any, Callable, Iterator, Mapping

from pip_retry_patch import messages, names
from pip_retry_patch.policy.pace import Course
from pip_retry_patch.policy.representation import is_web_page, media_of
from pip_retry_patch.records import NamedTuple
from pip_retry_patch.transport.errors import EarlyEnd, StoppedError

logger = logging.getLogger("pip_retry_patch")

# A request as it was sent, to send it again: through the pool, and with the fields of its header.
Send = Callable[..., Any]
Again = Callable[[Mapping[str, str]], Any]

# A request of ours has no retries of urllib3, which hide what happened, and follows no redirect:
# that is for pip's session to do.
PROBE = {"retries": False, "redirect": False}

# A request for the rest is no longer the conditional request that CacheControl may have made:
# to that the answer could be 304.
_NOT_REPEATED = frozenset(
    ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]
)

# Bytes asked of a connection at once where the reader named no number; as pip does since 25.1.
PIECE = 256 * 1024


class Part:
    """One answer's bytes, read so that an error takes none of them with it.

    :param response: what http.client made of it, of which nothing has been read yet.
    :param close: ends it and gives its connection back, `True` if that can serve again.
    :param host: whose answer it is, for messages.

    `final`: its end is the end of the representation, where nothing else tells that. `short`: why
    it may end before that.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        response: http.client.HTTPResponse,
        close: Callable[[bool], None],
        host: str = "",
    ) -> None:
        self.host = host
        self.final, self.short = True, messages.CLOSED_EARLY
        self.status = status
        self.headers = headers
        self.close = close
        self.interruption: Exception | None = None
        self._course: Course | None = None
        self._stopped: Exception | None = None
        self._response: Any = response
        self._left: int | None = None
        self.read_again = 0  # bytes of it that its reader had
        self._trap_errors()

    def limit(self, size: int, final: bool = True) -> None:
        """Bring no more than `size` bytes, whatever the server sends."""
        self._left, self.final = size, final

    def watch(self, course: Course) -> None:
        """Let a connection that has stopped moving end it, if the server can go on from there."""
        if self.status == 206 or (self.headers.get("accept-ranges") or "").lower() == "bytes":
            course.connect()
            self._course = course

    def _trap_errors(self) -> None:
        """Let an error of the socket show as the end of its stream, and keep the error.

        `HTTPResponse.read(n)` asks the socket until it has n bytes, in C, and when one call
        fails it loses what those before had brought. At the end of a stream it returns them.
        The other way, to join many calls of read1, costs a tenth of a download.
        """
        raw = getattr(self._response.fp, "raw", None)
        if raw is None:
            return
        readinto = raw.readinto

        def trapped(buffer: Any) -> Any:
            course = self._course
            try:
                if course is None:
                    return readinto(buffer)
                if self._stopped is not None:
                    raise self._stopped
                began = time.monotonic()
                count = readinto(buffer)
                self._note_pace(course, began, count or 0)
                return count
            except OSError as error:
                self.interruption = error
                return 0

        raw.readinto = trapped

    def _note_pace(self, course: Course, began: float, count: int) -> None:
        try:
            rate = course.stopped(began, time.monotonic(), count)
            if rate is not None:
                self._stopped = StoppedError(rate)  # after what it brought just now
        except Exception as why:
            logger.debug("pip-retry-patch lost sight of the pace of a download: %r", why)
            self._course = None

    @property
    def length(self) -> int | None:
        """The bytes of the body that were not read yet; None if no Content-Length told them."""
        length: int | None = self._response.length
        return length

    @property
    def finished(self) -> bool:
        """Whether the body was read to an end that leaves nothing on its connection."""
        return self.interruption is None and (self.length == 0 or self._response.isclosed())

    def read(self, most: int, once: bool = False) -> bytes:
        """Return up to `most` bytes; none at the end, or if `interruption` is set then.

        `once`: what one call of the socket brings. So it is always for a body in chunks, of which
        http.client would lose what it holds of a chunk that is cut.
        """
        response = self._response
        if self._left is not None:
            most = min(most, self._left)
            if not most:
                return b""
        try:
            piece = bytes(
                response.read1(most) if once or self.length is None else response.read(most)
            )
            if self._left is not None:
                self._left -= len(piece)
            return piece
        except (http.client.HTTPException, OSError) as error:
            self.interruption = self.interruption or error
            return b""

    def again(self, count: int) -> Iterator[bytes]:
        """Yield exactly `count` bytes, in pieces. Raises BrokenError if they do not come."""
        while count > 0:
            piece = self.read(min(count, PIECE))
            if not piece:
                raise BrokenError(self.interruption or EarlyEnd(count))
            count -= len(piece)
            self.read_again += len(piece)
            yield piece


class BrokenError(Exception):
    """A part was interrupted while it was read up to the offset."""

    def __init__(self, interruption: Exception) -> None:
        super().__init__(str(interruption))
        self.interruption = interruption


class Ranges:
    """What a host does with requests for a part, as far as this run has seen.

    `proven`: it sends parts. `refused`: it answers such requests by what a plain request does not
    get. `unconditional`: it sends parts only to a Range that has no If-Range beside it.
    """

    def __init__(self) -> None:
        self.proven = False
        self.refused = False
        self.unconditional = False


class Request(NamedTuple):
    """One call of urlopen.

    :param send: the pool's own method.
    :param asked: what that was asked, by the names of its parameters.
    :param headers: the fields of its header.
    :param url: absolute.
    :param of_pip: pip's session sent it, not a program of which only urllib3 is guarded.
    :param artifact: it is for a file, not for a page.
    """

    pool: Any
    send: Send
    asked: Mapping[str, Any]
    headers: Mapping[str, str]
    url: str
    of_pip: bool = False
    artifact: bool = False


class Captured(NamedTuple):
    """A request that pip's session sent, and what came: urllib3's response, and its source."""

    request: Request
    response: Any
    source: Any


class Reissuer:
    """Sends one request again, for the rest of its answer.

    :param request: None where only `ask_first_url` will be called.
    :param capture: lets pip's session send its own request once more, with some fields, and
        returns the call of urlopen that this led to.
    """

    def __init__(
        self, request: Request | None, capture: Callable[[Mapping[str, str]], Captured]
    ) -> None:
        self._request = request
        self._capture = capture

    def ask(self, fields: Mapping[str, str]) -> Part:
        """Send it to the same host, through the same pool, with the same header but for `fields`.

        So it has the credentials that pip's session chose for that host. A redirect is returned.
        """
        request = self._request
        assert request is not None
        kept = {
            name: request.headers[name]
            for name in request.headers
            if name.lower() not in _NOT_REPEATED
        }
        asked = dict(request.asked, headers=dict(kept, **fields), **PROBE)
        asked.update(preload_content=False, decode_content=False, release_conn=False)
        response = request.send(**asked)
        return _part(request, response, response._fp)

    def ask_first_url(self, fields: Mapping[str, str]) -> Part:
        """Send it from its first URL on, by pip's session, which follows what redirects there are.

        Where it then leads is where `ask` asks from now on, unless it leads to a web page.
        """
        captured = self._capture(fields)
        if captured.response.status in (200, 206) and not is_web_page(
            media_of(captured.response.headers)
        ):
            self._request = captured.request
        return _part(captured.request, captured.response, captured.source)


def first_part(response: Any) -> Part:
    """Return the part of the response that pip holds: it releases the connection of that one."""
    source = response._fp

    def close(reusable: bool) -> None:
        source.close()
        if not reusable and response.connection is not None:
            response.connection.close()
            response.release_conn()

    return Part(response.status, response.headers, source, close)


def _part(request: Request, response: Any, source: Any) -> Part:
    """Return the part of a response that only we hold."""

    def close(reusable: bool) -> None:
        source.close()
        if not reusable:
            response.close()
        response.release_conn()

    host = names.host_of(request.url)
    return Part(response.status, response.headers, source, close, host)


def copies(urllib3: Any, submodule: str) -> list[Any]:
    """Return a submodule of `urllib3`, once for each time that its file was executed.

    Where a distribution debundled pip, `pip._vendor.urllib3` is another name for the package, but
    an import of `pip._vendor.urllib3.connectionpool` executes that file again; what was imported
    last is the package's attribute, and requests may well use the other one.
    """
    names = [name for name, module in list(sys.modules.items()) if module is urllib3]
    found = [sys.modules.get(f"{name}.{submodule}") for name in names]
    copies = [getattr(urllib3, submodule, None), *found]
    return list({id(module): module for module in copies if module is not None}.values())


def no_retries(retries: Any) -> bool:
    """Whether the request was sent with `retries=0`; with a history, they were used up."""
    return getattr(retries, "total", retries) in (0, False) and not getattr(retries, "history", ())
