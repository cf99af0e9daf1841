"""The sources of an index: it and its mirrors, in their order, and how one of them is asked.

A mirror is asked through pip's session, with what pip has for that host: proxies, certificates,
credentials. Nothing of the index's goes there. Of pip, `PipSession.is_secure_origin(link)` is used.
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator, Sequence
from urllib.parse import urljoin, urlsplit

from pip_retry_patch.transport.continuation import host_of
from pip_retry_patch.transport.elsewhere import Breaker

# What a mirror's page may be, and how long it may take: bytes and seconds.
LARGEST_PAGE = 64 << 20
LONGEST_PAGE = 60.0

REDIRECTS = 10

# Sends a request of pip's session: a URL, keyword arguments, and options of `Guard.sending`.
Send = Callable[..., Any]


class Sources:
    """The index, and the mirrors that the user named, as directories' URLs.

    :param link: pip's Link.
    :param now: the reading of a clock, in seconds.
    """

    def __init__(self, mirrors: Sequence[str], link: Any, now: Callable[[], float]) -> None:
        self.index = ""
        self.dropped: set[str] = set()  # what sent other bytes than a hash is of
        self.breaker = Breaker(now)
        self._mirrors = [directory(mirror) for mirror in mirrors]
        self._link = link
        self._now = now
        self._cookies: dict[str, Any] = {}

    def in_order(self) -> list[str]:
        """Return all that may be asked, those that delivered nothing a moment ago at the end."""
        found = [self.index, *(mirror for mirror in self._mirrors if mirror != self.index)]
        kept = [source for source in found if source not in self.dropped]
        return self.breaker.in_order(kept, lambda source: source)

    def page(self, send: Send, session: Any, url: str, kwargs: dict[str, Any]) -> Any:
        """Return a mirror's page, read whole; raise what keeps it from that."""
        until = self._now() + LONGEST_PAGE

        def get(url: str) -> Any:
            options = dict(kwargs, stream=True, allow_redirects=False)
            return send(url, options, brief=True, until=until, method="GET")

        response = self.follow(session, get, url, self.index)
        if response.status_code == 200:
            pieces, size = [], 0
            for piece in response.iter_content(64 * 1024):
                size += len(piece)
                if size > LARGEST_PAGE:
                    response.close()
                    raise ConnectionError("the page is too large")
                pieces.append(piece)
            response._content, response._content_consumed = b"".join(pieces), True
        return response

    def follow(self, session: Any, get: Callable[[str], Any], url: str, original: str) -> Any:
        """Return what a mirror answers, through redirects to where pip would go itself.

        :param get: asks for a URL and follows no redirect.
        :param original: what the mirror stands in for, and is not to lead to.
        """
        may_meet = host_of(url) == host_of(original)
        for _ in range(REDIRECTS):
            if urlsplit(url).scheme not in ("http", "https"):
                raise ConnectionError("it leads to what is not http or https")
            if not may_meet and host_of(url) == host_of(original):
                raise ConnectionError("it leads to the index")
            if not session.is_secure_origin(self._link(url)):
                raise ConnectionError("pip does not trust that host (--trusted-host)")
            with self._own_cookies(session, url):
                response = get(url)
            if not response.is_redirect:
                return response
            response.close()
            url = urljoin(url, response.headers["location"])
        raise ConnectionError("it redirects for ever")

    @contextlib.contextmanager
    def _own_cookies(self, session: Any, url: str) -> Iterator[None]:
        """Let each mirror have cookies of its own: to a jar, all ports of a host are one."""
        before = session.cookies
        session.cookies = self._cookies.setdefault(host_of(url), type(before)())
        try:
            yield
        finally:
            session.cookies = before


def directory(url: str) -> str:
    """Return the URL with one slash at its end."""
    return url.rstrip("/") + "/"
