"""Pages of an index that no source delivers, from pip's own HTTP cache, however old.

`retry-patch-stale = on` allows it (RFC 9111 section 4.2.4, RFC 5861 section 4). A page is taken
only whole, only if its `Vary` fits, and not past `no-cache` or `must-revalidate`. Where the index
answers, its answer stands.

Of pip, the adapter of CacheControl is used: its `controller.cache_url(url)` and
`controller.serializer.loads(request, data, body_file)` (without `body_file` up to pip 23.0), its
`build_response(request, response, from_cache)`, and its `cache`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Iterator

from pip_retry_patch import failures, mirror_messages, names
from pip_retry_patch.policy import ranges
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.elsewhere import Breaker
from pip_retry_patch.transport.pages import is_cut

logger = logging.getLogger("pip_retry_patch")

# By which a server forbids it (RFC 9111 section 5.2.2).
_FORBID = frozenset(["no-cache", "no-store", "must-revalidate"])


class _Now(threading.local):
    """The index whose page this thread fetches."""

    index: str | None = None


class StalePages:
    """What pip's cache has of the pages of its indexes.

    :param requests: the package that pip's session is of.
    :param person: somebody sits at the terminal; see `Patience`.
    :param now: the reading of a clock, in seconds.
    :param announce: shows one line to the user.
    """

    def __init__(
        self,
        requests: Any,
        person: bool,
        now: Callable[[], float],
        announce: Callable[[str], None],
    ) -> None:
        self._requests = requests
        self._person = person
        self._breaker = Breaker(now)
        self._announce = announce
        self._now = _Now()
        self._told = False

    @contextlib.contextmanager
    def page(self, index: str) -> Iterator[None]:
        """A page of `index` is fetched while this lasts."""
        before, self._now.index = self._now.index, index
        try:
            yield
        finally:
            self._now.index = before

    def request(
        self, send: Callable[..., Any], session: Any, url: str, kwargs: dict[str, Any]
    ) -> Any:
        """Send a request for a page, and answer it from the cache where no source does.

        :param send: takes the option `brief`, for one that is not waited for.
        """
        index = self._now.index
        entry = None if index is None else self._entry(session, url, kwargs)
        if entry is None or index is None:
            return send()
        if self._breaker.rests(url):
            return entry
        if self._person:
            # Offline from the start: who could wait for two minutes has the page at once.
            try:
                return self._or_entry(send(brief=True), entry, index, url)
            except Exception as error:
                failure = errors.failure_of(error)
                if failure is None:
                    raise
                if failure.note == failures.NO_NETWORK:
                    return self._take(entry, index, url, failure.why)
        try:
            return self._or_entry(send(), entry, index, url)
        except Exception as error:
            failure = errors.failure_of(error)
            if failure is None or errors.is_certificate_error(error):
                raise
            return self._take(entry, index, url, failure.briefly)

    def _or_entry(self, response: Any, entry: Any, index: str, url: str) -> Any:
        status = response.status_code
        if not ranges.is_of_no_help(status):
            return response
        response.close()
        return self._take(entry, index, url, mirror_messages.answers(status))

    def _take(self, entry: Any, index: str, url: str, why: str) -> Any:
        self._breaker.open(url)
        if not self._told:
            self._told = True
            self._announce(mirror_messages.stale(names.redacted(index), why, _age_of(entry)))
        return entry

    def _entry(self, session: Any, url: str, kwargs: dict[str, Any]) -> Any:
        """Return the cache's page as a response of requests; None if there is none to take."""
        try:
            # As pip's session would send it: `Vary` is compared with that.
            request = self._requests.Request("GET", url, headers=kwargs.get("headers"))
            return _cached(session.get_adapter(url), session.prepare_request(request))
        except Exception as why:
            logger.debug("pip-retry-patch could not read pip's cache of a page: %r", why)
            return None


def _cached(adapter: Any, request: Any) -> Any:
    """Return what the cache has for a request, if it may be used; else None."""
    controller = getattr(adapter, "controller", None)
    if controller is None:
        return None  # pip caches what comes from a secure origin only
    key = controller.cache_url(request.url)
    data = adapter.cache.get(key)
    if not data:
        return None
    bodies = [adapter.cache.get_body(key)] if hasattr(adapter.cache, "get_body") else []
    found = controller.serializer.loads(request, data, *bodies)
    if not found:
        return None
    response = adapter.build_response(request, found, from_cache=True)
    length = response.headers.get("content-length")
    control = {part.split("=")[0].strip() for part in _control_of(response).split(",")}
    coded = response.headers.get("content-encoding")
    short = length is not None and not coded and int(length) != len(response.content)
    if response.status_code != 200 or control & _FORBID or short or is_cut(response):
        return None
    return response


def _control_of(response: Any) -> str:
    return (response.headers.get("cache-control") or "").lower()


def _age_of(response: Any) -> float:
    """Return how old a page is, in seconds, by the Date of its header."""
    try:
        made = parsedate_to_datetime(response.headers.get("date") or "").timestamp()
        return max(time.time() - made, 0.0)
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0
