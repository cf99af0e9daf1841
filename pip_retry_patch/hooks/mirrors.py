"""Mirrors: other indexes that the user declares to have the content of `index-url`.

Only what belongs to `index-url` is ever asked of a mirror: the pages of its projects, and the files
that one of those pages listed. A page comes whole from the first source that delivers it, and pip
resolves its links against that source: the same trust as `--index-url MIRROR`. A file goes on at
the very byte (transport/elsewhere.py), if a hash covers it.

Of pip, `index.collector` and `models.link.Link` are used (see listings.py), and
`network.lazy_wheel.HTTPRangeRequestUnsupported` (20.3).
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
from typing import Any, Callable, Iterator, Sequence
from urllib.parse import urljoin

from pip_retry_patch import failures, messages, mirror_messages, names
from pip_retry_patch.hooks.listings import Listings
from pip_retry_patch.hooks.sources import Send, Sources, directory
from pip_retry_patch.policy import ranges
from pip_retry_patch.policy.retry import Attempts, Effort
from pip_retry_patch.store.prefix import Prefix, PrefixShelf
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.continuation import Continuation
from pip_retry_patch.transport.elsewhere import Elsewhere, Mirror
from pip_retry_patch.transport.guard import Guard
from pip_retry_patch.wrapping.fail_open import fail_open

logger = logging.getLogger("pip_retry_patch")


class _Now(threading.local):
    """What this thread does.

    `fetching`, `listing`: the page of the index that it fetches, or reads, as the rest of its URL.
    `mirrored`: the mirror that this came from.
    """

    fetching: str | None = None
    listing: str | None = None
    mirrored = ""


class Mirrors:
    """Fetches the index's pages and files, and from mirrors what it does not deliver.

    :param pip: the name of the package.
    :param bases: the URLs of the setting.
    :param intended: the index that they are set for, None for whichever pip is told to use.
    :param announce: shows one line to the user.
    """

    def __init__(
        self,
        pip: str,
        bases: Sequence[str],
        intended: str | None,
        guard: Guard,
        announce: Callable[[str], None],
    ) -> None:
        link = importlib.import_module(f"{pip}._internal.models.link").Link
        collector = importlib.import_module(f"{pip}._internal.index.collector")
        self._lazy = importlib.import_module(f"{pip}._internal.network.lazy_wheel")
        self._intended = intended and directory(intended)
        self._guard = guard
        self._announce = announce
        self._sources = Sources(bases, link, guard.clock.now)
        self.listings = Listings(self._sources, collector, link)
        self._now = _Now()
        self._told: set[str] = set()
        self._answered = False  # a page came in this run

    # What belongs to the index.

    @contextlib.contextmanager
    def page(self, index: str, url: str) -> Iterator[None]:
        """A page of `index`, the first of pip's, is fetched from `url` while this lasts."""
        index, now = directory(index), self._now
        now.listing, now.mirrored = None, ""
        if not self._are_for(index):
            yield
            return
        self._sources.index = index
        now.fetching = now.listing = url[len(index) :]
        try:
            yield
        finally:
            now.fetching = None

    def _are_for(self, index: str) -> bool:
        fits = self._intended is None or index == self._intended
        if not fits and index not in self._told:
            self._told.add(index)
            shown = names.redacted(self._intended or "")
            self._announce(mirror_messages.mirrors_of_another_index(shown, names.redacted(index)))
        return fits

    @fail_open
    def links(
        self, wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`parse_links(page)`: note what files belong to the index."""
        found, rest = list(wrapped(*args, **kwargs)), self._now.listing
        if rest is None:
            return found
        if self._now.mirrored:
            found = [link for link in found if link.scheme in ("http", "https")]
        self.listings.note(self._now.mirrored or self._sources.index, rest, found)
        return found

    # Requests.

    def request(
        self,
        send: Send,
        session: Any,
        url: str,
        kwargs: dict[str, Any],
        artifact: Any,
        brief: bool = False,
    ) -> Any:
        """Send a request of pip's, as `send` does, or ask the mirrors.

        :param send: takes a URL and keyword arguments, and options of `Guard.sending` as `options`.
        :param artifact: what is fetched, None for a page.
        :param brief: nothing is waited for.
        """
        now = self._now
        if self.listings.reading:
            return self._sources.page(send, session, url, kwargs)
        if artifact is None and now.fetching is not None:
            return self._page(send, session, url, kwargs, brief)
        if self.listings.page_of(url) is None:
            return send(url, kwargs)
        if artifact is None:
            # A wheel of which pip reads parts (--use-feature=fast-deps): no hash covers them. Told
            # that ranges do not work, pip takes the whole file.
            try:
                return send(url, kwargs, brief=True)
            except Exception as error:
                if errors.failure_of(error) is None:
                    raise
                whole = self._lazy.HTTPRangeRequestUnsupported("the network failed")
                whole.failure = errors.failure_of(error)
                raise whole from error
        if not artifact.hashed:
            return send(url, kwargs)

        def mirrors() -> list[Mirror]:
            return self.listings.mirrors(send, session, url, artifact.hashes, kwargs)

        if artifact.elsewhere is None:
            breaker = self._sources.breaker
            artifact.elsewhere = Elsewhere(url, mirrors, breaker, self._announce)
        return send(url, kwargs, elsewhere=artifact.elsewhere)

    def drop(self, artifact: Any) -> int | None:
        """Ask those no more that brought bytes of an artifact: they are not what its hash is of.

        :return: how many bytes came before theirs; None if no mirror brought any.
        """
        came = [] if artifact.elsewhere is None else artifact.elsewhere.came
        blamed = [(offset, mirror) for offset, mirror in came if mirror is not None]
        if not blamed:
            return None
        artifact.elsewhere.came = []
        bases = list(dict.fromkeys(mirror for _, mirror in blamed))
        self._sources.dropped.update(bases)
        shown = " and ".join(map(names.redacted, bases))
        self._announce(mirror_messages.mirror_dropped(artifact.name, shown))
        return int(blamed[0][0])

    def going_on_from(self, path: str, name: str, size: int) -> Continuation:
        """Return what lets a request go on from the first bytes of a file."""
        shelf: Any = PrefixShelf(Prefix(path, name, size))
        return Continuation(shelf, name, fresh=False, announce=logger.debug)

    # Pages.

    def _page(self, send: Send, session: Any, url: str, kwargs: dict[str, Any], brief: bool) -> Any:
        """Return the page of the first source that delivers it, or what the index leads to."""
        error: Exception | None = None
        attempts: Attempts | None = None
        response, why = None, mirror_messages.RESTS
        while True:
            for base in self._sources.in_order():
                if base == self._sources.index:
                    try:
                        response, error = send(url, kwargs, brief=True), None
                    except Exception as failed:
                        failure = errors.failure_of(failed)
                        if failure is None:
                            raise
                        error, response, why = failed, None, failure.briefly
                        continue
                    status = response.status_code
                    if not ranges.is_of_no_help(status):
                        self._answered = True
                        return response
                    why = mirror_messages.answers(status)
                else:
                    page = self._mirrored_page(send, session, base, kwargs)
                    if page is not None:
                        self._serves(base, why, failed=error is not None or response is not None)
                        return page
            attempts = attempts or self._attempts(error)
            attempts.was_unreachable(False)
            if brief or (error is not None and errors.is_certificate_error(error)):
                break
            if not attempts.count:
                left = messages.for_seconds(attempts.patience.seconds)
                self._announce(mirror_messages.all_sources_failed(names.name_of(url), why, left))
            if not attempts.wait():
                break
        if error is not None:
            raise error
        return response

    def _attempts(self, error: Exception | None) -> Attempts:
        patience = self._guard.patience
        failure = None if error is None else errors.failure_of(error)
        if not self._answered:
            offline = failure is not None and failure.note == failures.NO_NETWORK
            patience = patience.at_first_contact(offline)
        return Attempts(patience, self._guard.clock, Effort())

    def _serves(self, base: str, why: str, failed: bool) -> None:
        self._answered, self._now.mirrored = True, base
        if failed:
            self._sources.breaker.open(self._sources.index)
        if base not in self._told:
            self._told.add(base)
            shown = names.redacted(self._sources.index), names.redacted(base)
            self._announce(mirror_messages.mirror_serves(shown[0], why, shown[1]))

    def _mirrored_page(self, send: Send, session: Any, base: str, kwargs: dict[str, Any]) -> Any:
        try:
            url = urljoin(base, self._now.fetching or "")
            response = self._sources.page(send, session, url, kwargs)
            if response.status_code == 200:
                return response
            why: Any = response.status_code
            response.close()
        except Exception as error:
            why = errors.reason(error)
        logger.debug("the mirror %s does not deliver: %s", names.redacted(base), why)
        return None
