"""Indexes that cannot be read: which of them pip may do without, and what is said at the end.

pip skips the page of an index that it cannot read, in silence, and goes on with the others. In the
end it says "No matching distribution found", or takes another index's project of that name. Here is
what is wrapped so that it does neither without a word:

| what | since | for |
|---|---|---|
| `index.collector.LinkCollector.create(session, options, suppress_no_index)` | 20.0 | to know \
the self-version check |
| `index.collector.LinkCollector.fetch_page(location)`; `fetch_response` from 22.2 | 20.0 | to \
skip or to fail |
| `index.package_finder.PackageFinder.find_all_candidates(name)` | always | to see what was found |
| `exceptions.DistributionNotFound.__str__()` | always | to add what was not read |
"""

from __future__ import annotations

import contextlib
import logging
import threading
import traceback
from typing import TYPE_CHECKING, Any, Callable, Iterator

from pip_retry_patch import failures, messages, names, odd_answers
from pip_retry_patch.hooks.cache import evict
from pip_retry_patch.hooks.reporting import Announcer
from pip_retry_patch.policy.representation import media_of
from pip_retry_patch.transport.errors import failure_of
from pip_retry_patch.transport.pages import is_login, oddity
from pip_retry_patch.wrapping.fail_open import Calls, fail_open

logger = logging.getLogger("pip_retry_patch")

if TYPE_CHECKING:
    from pip_retry_patch.hooks.mirrors import Mirrors
    from pip_retry_patch.hooks.stale import StalePages

# What an index answers that does not have the project.
_NOT_THERE = (404, 410)
# What no index answers, but a proxy that wants to know who asks (RFC 9110 section 15.5.8).
_OF_PROXY = 407


class _Search(threading.local):
    """The search for one project in this thread.

    `unread`: the indexes that could not be read for it. `logins`: those in whose place something
    else answered. `page`: the URL of the last page that came.
    """

    unread: dict[str, Exception] | None = None
    logins: frozenset[str] = frozenset()
    project = ""
    page = ""


class IndexHooks:
    """What stands around pip's search in its indexes.

    `mirrors` (of the first index) and `stale`: who stands in for an index, where that is set.

    :param error: makes the exception for a Failure and the error that led to it.
    :param last_status: returns the status of the last response that this thread had.
    :param strict: no index may be missing (`retry-patch-indexes = all`).
    """

    mirrors: Mirrors | None = None
    stale: StalePages | None = None

    def __init__(
        self,
        announce: Announcer,
        error: Callable[[failures.Failure, Exception], Exception],
        last_status: Callable[[], int],
        strict: bool,
    ) -> None:
        self._announce = announce
        self._error = error
        self._last_status = last_status
        self._strict = strict
        self._search = _Search()
        self._unread: dict[str, failures.Failure] = {}
        self._skipped: set[str] = set()
        self._told: set[str] = set()  # projects
        self._odd: dict[str, dict[str, str]] = {}  # of each project, pages that may be none

    @fail_open
    def create(self, wrapped: Calls, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`LinkCollector.create`: only the self-version check asks for an index in any case."""
        collector = wrapped(*args, **kwargs)
        if kwargs.get("suppress_no_index"):
            collector.pip_retry_patch_is_quiet = True
        return collector

    @fail_open
    def fetch(
        self, wrapped: Calls, collector: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`LinkCollector.fetch_response`: skip an index that pip can do without, but say so."""
        location = args[0] if args else kwargs["location"]
        quiet = getattr(collector, "pip_retry_patch_is_quiet", False)
        index = _index_of(collector, location.url)
        try:
            with self._fetching(collector, location.url, quiet):
                content = wrapped(*args, **kwargs)
            if location.scheme in ("http", "https") and not quiet:
                if content is None:
                    self._refuse(index, index in collector.search_scope.index_urls)
                else:
                    self._look(collector, location.url, content)
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            if quiet:
                return None
            if self._strict or not failure.first_contact or len(_sources(collector)) < 2:
                raise
            self._skip(index, failure, error)
            return None
        return content

    def _refuse(self, index: str, is_index: bool) -> None:
        """Raise an error where an index answered with no page, and that is no answer.

        Whose page came as something else (text, JSON with an error) is only told of, too. But a
        link to a file, in place of an index, is answered so as well.

        403 for a project is how some storages say that they do not have it. So it is only told of
        where nobody has it.
        """
        status, shown = self._last_status(), _shown(index)
        if status in _NOT_THERE:
            return
        failure = failures.index_refused(shown, status, self._strict)
        if self._strict or status >= 500 or status == _OF_PROXY:
            raise self._error(failure, LookupError(shown))
        if status >= 400 or status in (204, 205) or (status == 200 and is_index):
            self._unread.setdefault(index, failure)

    def _look(self, collector: Any, url: str, page: Any) -> None:
        """Note a page that pip can read, but that is not what an index has, or not all of it."""
        search = self._search
        search.page = page.url
        # Up to pip 22.1 there is only HTML.
        media = media_of({"content-type": getattr(page, "content_type", "text/html")})
        odd = oddity(page.content, media, page.url, url, search.project)
        if not odd:
            return
        self._odd.setdefault(_plain(search.project), {})[names.name_of(url)] = odd
        if not is_login(page.content, page.url, url, search.project):
            return
        for each in (url, page.url):
            evict(collector.session, each)  # so that the next run asks for it again
        index = _index_of(collector, url)
        if index in collector.search_scope.index_urls:
            search.logins |= {index}
            if self._strict:
                shown = _shown(index)
                failure = failures.index_refused(shown, 200, self._strict)
                raise self._error(failure, LookupError(shown))

    @contextlib.contextmanager
    def _fetching(self, collector: Any, url: str, quiet: bool) -> Iterator[None]:
        """Let who stands in for an index know that a page of it is fetched while this lasts."""
        with contextlib.ExitStack() as stack:
            waiting = self.mirrors is not None or self.stale is not None
            indexes: list[str] = collector.search_scope.index_urls if waiting else []
            index = _index_of(collector, url) if indexes and not quiet else ""
            if index in indexes:
                if self.stale is not None:
                    stack.enter_context(self.stale.page(index))
                if self.mirrors is not None and index == indexes[0]:
                    stack.enter_context(self.mirrors.page(index, url))
            yield

    def _skip(self, index: str, failure: failures.Failure, error: Exception) -> None:
        if self._search.unread is not None:
            self._search.unread[index] = error
        if index not in self._skipped:
            self._skipped.add(index)
            self._unread[index] = failure
            self._announce(messages.index_unread(_shown(index), failure.why))

    @fail_open
    def find(
        self, wrapped: Calls, finder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`PackageFinder.find_all_candidates`: look at what was found, and what could not be."""
        search, project = self._search, args[0] if args else kwargs["project_name"]
        before = vars(search).copy()
        vars(search).update(unread={}, logins=frozenset(), project=project, page="")
        try:
            found = wrapped(*args, **kwargs)
            unread, logins = search.unread, search.logins
        except Exception as error:
            self._blame_page(error)
            raise
        finally:
            vars(search).clear()
            vars(search).update(before)
        if not unread and not logins:
            return found
        indexes = finder.search_scope.index_urls or finder.search_scope.find_links
        if not found and unread and all(index in unread for index in indexes):
            raise unread[indexes[0]]
        places = sorted({place for place in map(_place_of, found) if place})
        first = indexes[0] in (unread or ()) or indexes[0] in logins
        if places and first and project not in self._told:
            self._told.add(project)
            self._announce(
                messages.found_elsewhere(project, " and ".join(places), _shown(indexes[0]))
            )
        return found

    def _blame_page(self, error: Exception) -> None:
        """Raise what is to be said where pip's parser failed on a page; pip ends in a traceback."""
        page, frames = self._search.page, traceback.walk_tb(error.__traceback__)
        if page and any(frame.f_code.co_name == "parse_links" for frame, _ in frames):
            name, host = names.name_of(page), names.host_of(page)
            raise self._error(odd_answers.no_index_page(name, host, str(error)), error) from error

    @fail_open
    def tell(self, wrapped: Calls, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`DistributionNotFound.__str__`: it may be in what could not be read."""
        text = wrapped(*args, **kwargs)
        unread = self._unread.items()
        more = [messages.may_be_unread(_shown(index), failure.why) for index, failure in unread]
        plain = _plain(text)
        for project, pages in self._odd.items():
            if project in plain:
                more += [odd_answers.odd_page(page, what) for page, what in pages.items()]
        return "\n".join([text, *more])


def _sources(collector: Any) -> list[str]:
    scope = collector.search_scope
    return [*scope.index_urls, *scope.find_links]


def _index_of(collector: Any, url: str) -> str:
    """Return the index, as it is configured, that the page of a project at `url` is of."""
    fitting = [s for s in _sources(collector) if f"{url}/".startswith(s.rstrip("/") + "/")]
    return max(fitting, key=len, default=url)


def _plain(text: str) -> str:
    """Return `text` with the names of projects in it in one spelling, more or less (PEP 503)."""
    return text.lower().replace("_", "-").replace(".", "-")


def _shown(index: str) -> str:
    """Return the URL of an index without its credentials."""
    return names.clean(names.redacted(index))


def _place_of(candidate: Any) -> str:
    """Return the host of the page that a candidate was found on; "" for a local file."""
    link = candidate.link
    if link.scheme not in ("http", "https"):
        return ""
    page = link.comes_from
    return names.clean(names.host_of(page if isinstance(page, str) else link.url))
