"""Mirrors: other indexes that the user declares to have the content of `index-url`.

Only what belongs to `index-url` is ever asked of a mirror: the pages of its projects, and the files
that one of those pages listed. A page comes whole from the first source that delivers it, and pip
resolves its links against that source: the same trust as `--index-url MIRROR`. A file continues at
the very byte, if a hash covers it.

A mirror is asked through pip's session, with what pip has for that host: proxies, certificates,
credentials. Nothing of the index's goes there, and its answers are not cached.

Of pip, `index.collector` (`parse_links`; `_make_index_content`, before 22.2 `_make_html_page`),
`models.link.Link` and `PipSession.is_secure_origin(link)` are used.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Iterable, Mapping, Sequence
from urllib.parse import urljoin, urlsplit

from pip_retry_patch import names, wording
from pip_retry_patch.fetch.patience import LARGEST_PAGE, LONGEST_PAGE, Hosts
from pip_retry_patch.fetch.request import Asking, Outcome, Source
from pip_retry_patch.hooks import compat
from pip_retry_patch.hooks.indexes import Page
from pip_retry_patch.hooks.session import copy_of, repeat
from pip_retry_patch.records import replace
from pip_retry_patch.wrapping import Calls

_METADATA = ".metadata"  # PEP 658

# Asks a mirror: its URL, how, and the outcome to fill.
Ask = Callable[[str, Asking, Outcome], Any]
Hashes = Mapping[str, Sequence[str]]


class Mirrors:
    """The mirrors of one index, and what belongs to it."""

    def __init__(self, pip: compat.Pip, hosts: Hosts) -> None:
        self._pip, self._hosts = pip, hosts
        self._bases = [_directory(base) for base in pip.settings.mirrors]
        # Those of a file are for the index that the files name, or else for pip's default. Those of
        # the environment are for whichever index pip is told to use (None), if it names none.
        intended = pip.settings.mirrored
        if intended == "":
            intended = pip.module("models.index").PyPI.simple_url
        self._intended = intended and _directory(intended)
        self._index = ""
        self._dropped: set[str] = set()  # they sent other bytes than a hash is of
        self._listed: dict[str, Page] = {}  # the pages that list a file, by its URL
        self._files: dict[tuple[str, str], dict[str, Any]] = {}  # of a mirror's page, by name

    def page_of(self, index: str, url: str) -> str | None:
        """Return what is behind the base URL of an index in the URL of its page.

        None if mirrors have no such page, for they are another index's.

        :param index: the first of those that pip is told to use.
        """
        base = _directory(index)
        if self._intended in (None, base):
            self._index = base
            return url[len(base) :]
        intended, index = names.redacted(self._intended or ""), names.redacted(base)
        self._pip.say_once("mirrors of another", base, intended=intended, index=index)
        return None

    def note_links(self, page: Page, links: Iterable[Any]) -> None:
        """A page that pip has read lists these files."""
        if page.mirrored is not None:
            self._listed.update((link.url_without_fragment, page) for link in links)

    def drop(self, url: str, brought: Sequence[str]) -> bool:
        """Ask mirrors no more that sent other bytes of a file than its hash is of.

        :param brought: those that did, beside the one whose page lists the file at `url`.
        :return: whether there was any.
        """
        listed = self._listed.get(url, Page("", ""))
        dropped = {*brought, listed.mirror} - {"", self._index, *self._dropped}
        if dropped:
            self._dropped |= dropped
            shown = " and ".join(sorted(map(names.redacted, dropped)))
            name = names.name_of(url)
            self._pip.announce(wording.say("mirror dropped", mirrors=shown, name=name))
        return bool(dropped)

    def sources(self, ask: Ask, url: str, page: str | None, hashes: Hashes) -> list[Source]:
        """Return where else something can be asked for that pip asks for at `url`.

        :param ask: `Mirrors.ask` for pip's request.
        :param page: as `page_of` returned it, None for what is no page of the index.
        :param hashes: of a file, {} where none is known.
        """
        unwanted = {self._index, *self._dropped}
        bases = [base for base in self._bases if base not in unwanted]
        if page is not None:
            return [self._page_at(ask, base, page) for base in bases]
        listed = self._listed.get(_without_metadata(url))
        if not hashes or listed is None or listed.mirrored is None:
            return []
        if listed.mirror:  # the file is that mirror's, too
            bases = [self._index, *(base for base in bases if base != listed.mirror)]
        found = (self._file_of(ask, base, listed.mirrored, url, hashes) for base in bases)
        return [source for source in found if source is not None]

    def in_place_of(self, source: Source, ask: Ask, hashes: Hashes) -> Source:
        """Return where the index has a file, if the mirror whose page pip has is asked no more."""
        listed, found = self._listed.get(source.url), None
        if listed is not None and listed.mirrored is not None and listed.mirror in self._dropped:
            found = self._file_of(ask, self._index, listed.mirrored, source.url, hashes)
        return source if found is None else Source(found.url, found.send)

    # Pages.

    def _page_at(self, ask: Ask, base: str, page: str) -> Source:
        there = urljoin(base, page)

        def get(asking: Asking, outcome: Outcome) -> Any:
            outcome.response = ask(there, asking, outcome)
            outcome.read_whole(LARGEST_PAGE, LONGEST_PAGE)
            return outcome.response

        serves = functools.partial(self._serves, urljoin(self._index, page), base)
        return Source(there, get, base, serves)

    def _serves(self, url: str, mirror: str, why: str, offset: int) -> None:
        """Tell that a mirror delivers what pip asks for at `url`."""
        name, host = names.name_of(url), names.host_of(url)
        so_far = f" after {names.format_size(offset)}" if offset else ""
        facts = {"name": name, "host": host, "mirror": names.redacted(mirror), "why": why}
        self._pip.say_once("mirror serves", mirror, so_far=so_far, **facts)
        self._pip.record("mirror", name, names.host_of(mirror), offset=offset, outcome=why)

    def _links_of(self, ask: Ask, base: str, page: str) -> dict[str, Any]:
        """Return the files of a mirror's page by name; nothing where it cannot be read."""
        if (base, page) not in self._files:
            source = self._page_at(ask, base, page)
            get = functools.partial(source.send, Asking({}), Outcome(source.url))
            collector = self._pip.module("index.collector")
            read = functools.partial(compat.links_on, collector, source.url, get)
            self._files[base, page] = read() or read()  # most connections break but once
        return self._files[base, page]

    # Files.

    def _file_of(self, ask: Ask, base: str, page: str, url: str, hashes: Hashes) -> Source | None:
        """Return where a mirror has a file, if its page lists no other hash for it."""
        listed = _without_metadata(url)
        link = self._links_of(ask, base, page).get(names.name_of(listed))
        if link is None:
            return None
        suffix, digest = url[len(listed) :], str(link.hash).lower()
        there = link.url_without_fragment + suffix
        is_other = not suffix and digest not in hashes.get(link.hash_name, [digest])
        if is_other or there == url:  # a mirror may list the index's own files
            return None
        serves = functools.partial(self._serves, url, base)
        return Source(there, functools.partial(ask, there), base, serves)

    def ask(
        self, calls: Calls, session: Any, kwargs: Any, url: str, asking: Asking, outcome: Outcome
    ) -> Any:
        """Send a request of pip's session without anything of the index's, and with no cache."""

        def get_adapter(url: str) -> Any:
            # requests calls this before each request, for the target of a redirect as well.
            if urlsplit(url).scheme not in ("http", "https"):
                raise ConnectionError("it leads to what is not http or https")
            if not session.is_secure_origin(self._pip.module("models.link").Link(url)):
                raise ConnectionError("pip does not trust that host (--trusted-host)")
            return session.get_adapter(url)

        stranger = copy_of(session)
        stranger.get_adapter = get_adapter
        stranger.cookies = type(session.cookies)()  # to a jar, all ports of a host are one
        # By calls of its own: what a mirror answers is never what pip is left with.
        own, asking = Calls(calls.wrapped), replace(asking, past_caches=True)
        answer = repeat(own, stranger, ("GET", url), dict(kwargs, stream=True), asking, outcome)
        self._hosts.note(url, answer.status_code)
        return answer


def _directory(url: str) -> str:
    return url.rstrip("/") + "/"


def _without_metadata(url: str) -> str:
    return url[: -len(_METADATA)] if url.endswith(_METADATA) else url
