"""What the index's pages list, and where the mirrors have it.

Of pip, its parser is used: `index.collector.parse_links(page)`, and what makes a page of a URL,
`_get_index_content(link, session)` (22.2; `_get_html_page` before).
"""

from __future__ import annotations

import logging
import posixpath
import threading
from typing import Any, Callable, Iterable, Mapping, Sequence
from urllib.parse import unquote, urljoin, urlsplit

from pip_retry_patch import names
from pip_retry_patch.hooks.cache import past_caches
from pip_retry_patch.hooks.sources import Send, Sources
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.continuation import host_of
from pip_retry_patch.transport.elsewhere import Mirror

logger = logging.getLogger("pip_retry_patch")

_METADATA = ".metadata"  # PEP 658


class _Now(threading.local):
    """Whether this thread reads a source's page to find a file."""

    reading = False


class Listings:
    """The files that belong to the index, by URL, and each source's pages.

    :param collector: pip's `index.collector`.
    :param link: pip's Link.
    """

    def __init__(self, sources: Sources, collector: Any, link: Any) -> None:
        self._sources = sources
        self._collector = collector
        self._link = link
        self._now = _Now()
        self._pages: dict[str, str] = {}  # of each file, as the rest of the page's URL
        self._files: dict[tuple[str, str], dict[str, Any]] = {}

    @property
    def reading(self) -> bool:
        """Whether a source's page is being read to find a file."""
        return self._now.reading

    def note(self, source: str, page: str, links: list[Any]) -> None:
        """A page of the index lists these, as `source` has it."""
        self._pages.update((link.url_without_fragment, page) for link in links)
        self._files[source, page] = _by_name(links)

    def page_of(self, url: str) -> str | None:
        """Return the page that listed a file, or the file whose metadata it is; else None."""
        return self._pages.get(_without_metadata(url))

    def mirrors(
        self,
        send: Send,
        session: Any,
        url: str,
        hashes: Mapping[str, Sequence[str]],
        kwargs: dict[str, Any],
    ) -> list[Mirror]:
        """Return the sources that have the file of this name, and list no other hash for it.

        :param send: and `kwargs`: how pip asked for `url`.
        """
        sources, page = self._sources, self._pages[_without_metadata(url)]
        name = posixpath.basename(unquote(urlsplit(_without_metadata(url)).path))
        suffix = _METADATA if url.endswith(_METADATA) else ""
        found = []
        for base in sources.in_order():
            if sources.breaker.rests(base) and (base, page) not in self._files:
                continue
            link = self._files_of(session, base, page).get(name)
            if link is None or not (suffix or _may_have(link, hashes)):
                continue
            there = link.url_without_fragment + suffix
            # A mirror may list the index's own files. Then it serves pages only.
            borrows = host_of(there) == host_of(url) and host_of(base) != host_of(sources.index)
            if there != url and not borrows:
                again = self._again(send, session, there, url, kwargs)
                found.append(Mirror(base, there, again))
        return sources.breaker.in_order(found, lambda mirror: mirror.url)

    def _again(
        self, send: Send, session: Any, url: str, original: str, kwargs: dict[str, Any]
    ) -> Callable[[Mapping[str, str]], Any]:
        def again(fields: Mapping[str, str]) -> Any:
            headers = dict(past_caches(kwargs.get("headers")), **fields)
            options = dict(kwargs, headers=headers, stream=True, allow_redirects=False)

            def get(to: str) -> Any:
                return send(to, options, plain=True)

            return self._sources.follow(session, get, url, original)

        return again

    def _files_of(self, session: Any, base: str, page: str) -> dict[str, Any]:
        """Return the links of a source's page by file name."""
        if (base, page) not in self._files:
            collector = self._collector
            read = getattr(collector, "_get_index_content", None) or collector._get_html_page
            self._now.reading = True
            try:
                content = read(self._link(urljoin(base, page)), session=session)
                if content is None:
                    return {}
                self._files[base, page] = _by_name(collector.parse_links(content))
            except Exception as error:
                # What is no page to pip, or one that its parser fails on, lists nothing.
                logger.debug("cannot read %s: %s", names.redacted(base), errors.reason(error))
                return {}
            finally:
                self._now.reading = False
        return self._files[base, page]


def _by_name(links: Iterable[Any]) -> dict[str, Any]:
    """Return links by file name, but for what is no http or https link."""
    return {link.filename: link for link in links if link.scheme in ("http", "https")}


def _without_metadata(url: str) -> str:
    return url[: -len(_METADATA)] if url.endswith(_METADATA) else url


def _may_have(link: Any, hashes: Mapping[str, Sequence[str]]) -> bool:
    """Whether a link lists no other digest than one of these."""
    listed = getattr(link, "_hashes", None) or {link.hash_name: link.hash}
    return all(
        str(digest).lower() in hashes[name] for name, digest in listed.items() if name in hashes
    )
