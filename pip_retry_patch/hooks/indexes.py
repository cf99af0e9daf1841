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
| `index.package_finder.parse_links(page)` | always | to name a page that pip cannot read |
| `exceptions.DistributionNotFound(text)` | always | to add what was not read |
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from typing import TYPE_CHECKING, Any

from pip_retry_patch import names, wording
from pip_retry_patch.fetch.judge import PROXY_REFUSES, media_of
from pip_retry_patch.fetch.pages import oddity
from pip_retry_patch.hooks import compat
from pip_retry_patch.records import record
from pip_retry_patch.wrapping import Calls

if TYPE_CHECKING:
    from pip_retry_patch.hooks.session import Requests

# The indexes that have brought a page, as digests in the environment: a run includes the pips that
# pip runs for what a build needs.
_HEARD = "_PIP_RETRY_PATCH_HEARD"

# What an index answers that does not have the project.
_NOT_THERE = (404, 410)


@record
class Page:
    """A page of an index that pip asks for, and what came of that.

    :param url: where pip asks for it; "" when that has ended.
    :param index: as it is configured.
    :param mirrored: what mirrors call it; None if they have no such page.
    :param mirror: the base URL of the one that brought it; "" if none did.
    :param status: of the last answer; 0 if none came.
    """

    url: str
    index: str
    mirrored: str | None = None
    mirror: str = ""
    status: int = 0
    error: Exception | None = None


class Search(threading.local):
    """What a thread searches: those of `pip list --outdated` (pip 20.2 to 21.3) do it at once.

    `unread`: the indexes that could not be read for the project, and why; None where what
    came is none. `session`: pip's, by which it was asked for. `page`: that was read last.
    """

    def __init__(self) -> None:
        self.project = ""
        self.session: Any = None
        self.page = Page("", "")
        self.unread: dict[str, Any] = {}


class IndexHooks:
    """What stands around pip's search in its indexes."""

    def __init__(self, pip: compat.Pip, requests: Requests) -> None:
        self._pip = pip
        self._requests = requests
        self._strict = pip.settings.indexes == "all"  # no index may be missing
        self._search = requests.search
        # What to tell of a project that is not found, by what could not be read.
        self._lines: dict[str, dict[str, str]] = {}
        # Why a project was not found that pip may do without.
        self._missing: dict[str, Any] = {}

    def create(self, calls: Calls, _: Any, args: Any, kwargs: Any) -> Any:
        """`LinkCollector.create`: only the self-version check asks for an index in any case."""
        collector = calls(*args, **kwargs)
        collector.pip_retry_patch_is_quiet = kwargs.get("suppress_no_index", False)
        return collector

    def fetch(self, calls: Calls, collector: Any, args: Any, kwargs: Any) -> Any:
        """`LinkCollector.fetch_response`: skip an index that pip can do without, but say so."""
        location = args[0] if args else kwargs["location"]
        quiet = getattr(collector, "pip_retry_patch_is_quiet", False)
        url = location.url.split("#", 1)[0]
        indexes = collector.search_scope.index_urls
        places = (*indexes, *collector.search_scope.find_links)
        index = names.base_of(url, places) or url  # as it is configured
        hosts, heard = self._requests.hosts, os.environ.get(_HEARD, "").split()
        hosts.indexes = (*places, *self._pip.settings.mirrors)
        digest = hashlib.sha256(names.redacted(index).encode()).hexdigest()[:16]
        host = hosts.at(index)
        if digest in heard:
            host.answered = host.helped = True
        page = Page(url, index)
        if self._requests.mirrors is not None and indexes[:1] == [index] and not quiet:
            page.mirrored = self._requests.mirrors.page_of(index, url)
        self._search.session, self._search.page = collector.session, page
        try:
            content = calls(*args, **kwargs)
        except Exception:
            if page.error is None:
                raise
            content = None
        finally:
            page.url = ""
        if quiet or location.scheme not in ("http", "https"):
            return content
        if content is not None:
            if host.helped and digest not in heard:
                os.environ[_HEARD] = " ".join([*heard, digest])
            self._look(collector, url, index, content)
            return content
        # pip's own code passes over an error of its own class, and logs it.
        self._note_unread(url, page, index in indexes)
        return None

    def _note_unread(self, url: str, page: Page, is_index: bool) -> None:
        """Note that an index answered with no page, or with nothing; raise where that is an error.

        A page that came as something else (text, JSON with an error) is only told of, too. But a
        link to a file, in place of an index, is answered so as well.

        403 for a project is how some storages say that they do not have it. So it is only told of
        where nobody has it.
        """
        index, status, error = page.index, page.status, page.error
        if error is None and status in _NOT_THERE:
            return
        failure = getattr(error, "failure", None) or self._refused(index, status)
        if error or self._strict or status >= 500 or status == PROXY_REFUSES:
            error = error or self._pip.error(failure, LookupError(url))
            if self._strict:
                raise error
            self._search.unread[index] = error
        elif 200 <= status < 300 and is_index:
            self._search.unread.setdefault(index, None)
        if error or (status and (status != 200 or is_index)):
            line = wording.say("may be unread", index=names.redacted(index), why=failure.why)
            self._note(index, line)

    def _refused(self, index: str, status: int) -> wording.Failure:
        why = wording.answered(status) if status not in (0, 200) else "no page of links came"
        facts: Any = {"index": names.redacted(index), "why": why}
        return wording.failure("index refused", first_contact=True, **facts)

    def _note(self, what: str, line: str) -> None:
        self._lines.setdefault(names.plain(self._search.project), {})[what] = line

    def _look(self, collector: Any, url: str, index: str, page: Any) -> None:
        """Note a page that pip can read, but that is not what an index has, or not all of it."""
        search = self._search
        # Up to pip 22.1 there is only HTML.
        media = media_of({"content-type": getattr(page, "content_type", "text/html")})
        about = page.content, media, page.url, url, search.project
        odd, is_other = oddity(*about, strict=self._strict)
        if not odd:
            return
        self._note(url, f"But {names.name_of(url)} {odd}.")
        # So that the next run asks for it again.
        compat.forget(collector.session, (url, page.url))
        if is_other and index in collector.search_scope.index_urls:
            search.unread.setdefault(index, None)
            if self._strict:
                raise self._pip.error(self._refused(index, 200), LookupError(url))

    def find(self, calls: Calls, finder: Any, args: Any, kwargs: Any) -> Any:
        """`PackageFinder.find_all_candidates`: look at what was found, and what could not be."""
        project = args[0] if args else kwargs["project_name"]
        self._search.project, self._search.unread = project, {}
        found, unread = calls(*args, **kwargs), self._search.unread
        if not unread:
            return found
        scope = finder.search_scope
        places = (*scope.index_urls, *scope.find_links)
        indexes = [names.base_of(each, places) for each in scope.index_urls or scope.find_links]
        errors = [*filter(None, unread.values())]
        hosts = {names.host_of(str(each.link.comes_from or each.link.url)) for each in found}
        hosts -= {""}  # of local files
        # What an index has that has answered before is taken from no other.
        lost = [error for error in errors if not error.failure.first_contact]
        is_missing = not found and bool(lost or all(map(unread.get, indexes)))
        first = [*lost, *errors, None][0]
        if ((lost and hosts) or is_missing) and not self._may_do(project, is_missing):
            raise first
        if is_missing:
            self._missing[names.plain(project)] = first
        for index, error in unread.items():
            facts = {"index": names.redacted(index)}
            if error is not None:
                self._pip.say_once("index unread", index, why=error.failure.why, **facts)
            # Of a further one that did not answer that is enough. And some indexes have no page of
            # links for each project that they do not have.
            if hosts and (error is None or index == indexes[0]):
                facts.update(project=project, places=" and ".join(sorted(hosts)))
                self._pip.say_once("found elsewhere", project if error else index, **facts)
        return found

    def _may_do(self, project: str, is_missing: bool) -> bool:
        """Whether pip may do without what an index has that cannot be read.

        It installs nothing, or needs nothing that is installed.
        """
        import importlib.metadata  # which an older pip does without

        command, hosts = compat.command_of(self._pip.name), self._requests.hosts
        if command == "list":  # of what an index has, if one answers
            return any(hosts.at(index).answered for index in hosts.indexes)
        # Of another program that uses pip's finder nothing is known.
        is_known = command is not None and is_missing
        return is_known and any(importlib.metadata.distributions(name=project))

    def parse(self, calls: Calls, _: Any, args: Any, kwargs: Any) -> Any:
        """`parse_links(page)`: where it fails on a page, pip ends in a traceback."""
        page = args[0]
        try:
            links = list(calls.wrapped(*args, **kwargs))  # so the error is pip's
        except Exception as error:
            name, host = names.name_of(page.url), names.host_of(page.url)
            why = names.clean(names.foreign(str(error)), 120)
            compat.forget(self._search.session, [page.url])
            failure = wording.failure("no page", name=name, host=host, why=why, first_contact=True)
            raise self._pip.error(failure, error) from error
        if self._requests.mirrors is not None:
            self._requests.mirrors.note_links(self._search.page, links)
        return links

    def tell(self, calls: Calls, error: Any, args: Any, kwargs: Any) -> Any:
        """`DistributionNotFound(text)`: it may be in what could not be read."""
        calls(*args, **kwargs)
        text = str(*args[:1])
        # Behind it stands who requires the project.
        found = text.partition(" (from ")[0]
        more, words = [text], {*re.findall(r"[\w-]+", names.plain(found))}
        for project in self._missing.keys() & words:
            raise self._missing[project]
        if found.startswith("ResolutionImpossible"):
            words.update(self._missing, self._lines)  # it names none
        for project in self._lines.keys() & words:
            more += self._lines[project].values()
        error.args = ("\n".join(more),)  # `pip index versions` shows that
