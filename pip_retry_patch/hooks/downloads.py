"""The file ring's hooks: pip's downloader, which has the link, and its hash check, which has not.

The two know nothing of each other. `mismatch.FileRing` stands around both; here is how each pip
calls them, and what one of its links is.
"""

from __future__ import annotations

import logging
import os
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Iterable, Mapping, Sequence

from pip_retry_patch import failures, names, odd_answers
from pip_retry_patch.hooks.cache import Library, evict, sweep
from pip_retry_patch.hooks.contents import not_the_file
from pip_retry_patch.hooks.mismatch import Download, FileRing, digest_of
from pip_retry_patch.hooks.reporting import Announcer
from pip_retry_patch.policy.representation import coding_of, is_web_page, media_of
from pip_retry_patch.store.shelf import Shelf
from pip_retry_patch.transport.continuation import Continuation
from pip_retry_patch.transport.errors import EarlyEnd, failure_of
from pip_retry_patch.transport.reissue import no_retries
from pip_retry_patch.wrapping.fail_open import Calls, fail_open

logger = logging.getLogger("pip_retry_patch")

if TYPE_CHECKING:
    from pip_retry_patch.hooks.mirrors import Mirrors
    from pip_retry_patch.transport.elsewhere import Elsewhere


class _Expected(threading.local):
    """The digests that pip will check what this thread fetches against, by algorithm."""

    hashes: Mapping[str, Sequence[str]] = MappingProxyType({})


def hashes_of(link: Any, expected: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the digests one of which an artifact must have, by algorithm, in lower case.

    :param expected: what pip will check, where that is known: from the requirements file, or the
        link. A requirement may allow several files; the link then says which one this is.
    """
    expected = {name: [d.lower() for d in digests] for name, digests in expected.items() if digests}
    if link.hash and (not expected or link.hash.lower() in expected.get(link.hash_name, ())):
        return {link.hash_name: [link.hash.lower()]}
    return dict(expected)


class DownloadHooks:
    """What stands around pip's downloader and its hash check.

    :param fetching: lets the session's hook know what it is asked for while that lasts.
    :param mismatch: pip's HashMismatch.
    :param error: makes the exception for a Failure and the error that led to it.
    """

    mirrors: Mirrors | None = None
    record: Callable[..., None] | None = None  # writes to the journal, if there is one

    def __init__(
        self,
        fetching: Callable[[LinkedArtifact, bool], ContextManager[None]],
        announce: Announcer,
        library: Library,
        mismatch: type[Exception],
        error: Callable[[failures.Failure, Exception], Exception],
    ) -> None:
        self.fetching = fetching
        self.error = error
        self._announce = announce
        self._library = library
        self._files = FileRing(announce)
        self._mismatch = mismatch
        self._expected = _Expected()

    @fail_open
    def expect(self, wrapped: Calls, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`get_http_url(link, download, download_dir, hashes)`: what will be checked is known."""
        hashes = args[3] if len(args) > 3 else kwargs.get("hashes")
        self._expected.hashes = getattr(hashes, "_allowed", None) or {}
        try:
            return wrapped(*args, **kwargs)
        finally:
            self._expected.hashes = {}

    @fail_open
    def download(
        self, wrapped: Calls, downloader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`Downloader.__call__(link, location)` of pip 20.3 and later."""
        link, location = args if len(args) == 2 and not kwargs else (None, "")
        artifact = self._artifact(downloader, link, lambda folder: wrapped(link, folder))
        if artifact is None:
            return wrapped(*args, **kwargs)
        return tuple(self._files.download(artifact, location))

    @fail_open
    def download_all(
        self, wrapped: Calls, downloader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterable[Any]:
        """`BatchDownloader.__call__(links, location)`: the same, file by file."""
        if len(args) != 2 or kwargs:
            return wrapped(*args, **kwargs)  # type: ignore[no-any-return]
        links, location = args

        def fetch(link: Any, folder: str) -> Any:
            ((name, result),) = wrapped([link], folder)
            return name, result

        return (self._one(fetch, downloader, (link, location), {}) for link in links)

    @fail_open
    def _one(
        self, wrapped: Calls, downloader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        link, location = args
        name: Any = link

        def fetch(folder: str) -> Any:
            # pip names what it yields by the link, or by its URL (20.3).
            nonlocal name
            name, result = wrapped(link, folder)
            return result

        artifact = self._artifact(downloader, link, fetch)
        if artifact is None:
            return wrapped(link, location)
        download = self._files.download(artifact, location)
        return name, tuple(download)

    def _artifact(
        self, downloader: Any, link: Any, call: Callable[[str], tuple[str, str]]
    ) -> LinkedArtifact | None:
        """Return what the file ring wants to know of a link; None to leave it to pip alone."""
        try:
            session = downloader._session
            adapter = session.get_adapter(link.url_without_fragment)
            if no_retries(getattr(adapter, "max_retries", None)):
                # `--retries 0`: it is fetched once, whatever comes.
                return None
            hashes = hashes_of(link, self._expected.hashes)
            return LinkedArtifact(self, session, link, call, hashes, self._shelf(session, hashes))
        except Exception as why:
            logger.debug("pip-retry-patch cannot guard a download: %r", why)
            return None

    def _shelf(self, session: Any, hashes: Mapping[str, Sequence[str]]) -> Shelf | None:
        try:
            return self._library.shelf(session, hashes)
        except Exception as why:
            logger.debug("pip-retry-patch keeps nothing of a download: %r", why)
            return None

    def leave_room(self, session: Any, announced: int | None = None, fetched: int = 0) -> None:
        """As in Library; never raises."""
        try:
            self._library.leave_room(session, announced, fetched)
        except Exception as why:
            logger.debug("pip-retry-patch leaves what it kept where it is: %r", why)

    def keep(self, artifact: LinkedArtifact, shelf: Shelf, fresh: bool) -> Continuation:
        """Return what is kept of an artifact, for one request."""
        return Continuation(shelf, artifact.name, fresh, self._announce.inform)

    @fail_open
    def check(
        self, wrapped: Calls, hashes: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`Hashes.check_against_path(path)`, after single and batch downloads alike."""
        path = args[0] if args else kwargs["path"]
        return self._files.check(wrapped, path, self._mismatch)


class LinkedArtifact:
    """One of pip's links, as mismatch.Artifact describes it."""

    def __init__(
        self,
        hooks: DownloadHooks,
        session: Any,
        link: Any,
        call: Callable[[str], tuple[str, str]],
        hashes: Mapping[str, Sequence[str]],
        shelf: Shelf | None,
    ) -> None:
        self._hooks = hooks
        self._session = session
        self._call = call
        self._shelf = shelf
        self._urls = {link.url_without_fragment}
        self.hashes = hashes
        self.hashed = bool(hashes)
        self.name = names.name_of(link.url_without_fragment)
        self.host = names.host_of(link.url_without_fragment)
        self.media = self.coding = ""
        self.cached = self.part = False
        self.elsewhere: Elsewhere | None = None  # the other sources of it
        self._before: tuple[str, int] | None = None
        self.announced: int | None = None
        self.continued: int | None = None

    def fetch(self, location: str, fresh: bool) -> Download:
        if fresh and self._hooks.record is not None:
            self._hooks.record("fresh", self.name, self.host)
        with self._hooks.fetching(self, fresh):
            download = Download(*self._call(location))
        self.host = self.elsewhere.brought_by(self.host) if self.elsewhere else self.host
        failure = None
        if not self.hashed:
            about = (self.name, self.host, self.media, self.coding)
            failure = not_the_file(download.path, *about, whole=self.announced is not None)
        if failure is not None:
            self.forget()
            if fresh:
                raise self._hooks.error(failure, EarlyEnd())
            return self.fetch(location, fresh=True)
        # Only now: before, pip may be killed while it puts the file into its cache.
        self.discard()
        self._hooks.leave_room(self._session, fetched=os.path.getsize(download.path))
        return download

    def continuation(self, fresh: bool) -> Continuation | None:
        """Return what stands beside a request for it."""
        try:
            before, self._before = self._before, None
            if before is not None and self._hooks.mirrors is not None:
                return self._hooks.mirrors.going_on_from(before[0], self.name, before[1])
            return None if self._shelf is None else self._hooks.keep(self, self._shelf, fresh)
        except Exception as why:
            logger.debug("pip-retry-patch could not look for what it kept: %r", why)
            return None

    def note(self, response: Any, continuation: Continuation | None) -> None:
        """Take from a response of requests what is told of it later."""
        self.continued = None if continuation is None else continuation.continued
        self.cached = bool(getattr(response, "from_cache", False))
        self.host = names.host_of(response.url)
        length = response.headers.get("content-length") or ""
        self.announced = int(length[:18]) if length.isascii() and length.isdigit() else None
        self.media, self.coding = media_of(response.headers), coding_of(response.headers)
        self.part = response.status_code == 206 and "Range" not in response.request.headers
        self._hooks.leave_room(self._session, announced=self.announced)
        self._urls.update(r.url for r in (*response.history, response))

    def discard(self) -> None:
        # Where a login page came in its place, what is kept is as good as before.
        if self._shelf is not None and not is_web_page(self.media):
            self._shelf.clear()

    def give_back(self) -> bool:
        shelf, self._shelf = self._shelf, None
        if shelf is None or not shelf.give_back():
            return False
        for url in self._urls:
            sweep(self._session, url)
        return True

    def drop_mirrors(self) -> int | None:
        mirrors = self._hooks.mirrors
        return None if mirrors is None else mirrors.drop(self)

    def go_on_from(self, path: str, size: int) -> None:
        self._before = (path, size) if size else None

    def forget(self) -> None:
        self.discard()
        for url in self._urls:
            evict(self._session, url)

    def fits(self, path: str) -> bool:
        return any(digest_of(path, name) in digests for name, digests in self.hashes.items())

    def failure_of(self, error: Exception) -> failures.Failure | None:
        return failure_of(error)

    def without_end(self, size: int) -> Exception:
        return self._hooks.error(odd_answers.no_end(self.name, self.host, size), EarlyEnd())

    def explain(self, mismatch: Any, evidence: str) -> None:
        # Shown by pip at the end, alone or in a list of such errors, by their body().
        told = mismatch.body
        mismatch.body = lambda: told().rstrip("\n") + "\n\n" + evidence
