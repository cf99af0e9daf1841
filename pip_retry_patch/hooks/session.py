"""The one place that touches pip: what is wrapped, and what differs between pips.

`install` runs when pip makes its first network session. By then the urllib3 that pip will use is
loaded, under whatever name: vendored, or the system's where a distribution debundled pip. What is
wrapped, and which pips have it:

| what | since | why |
|---|---|---|
| `session.urllib3`'s `HTTPConnectionPool.urlopen` | 19.3 | the body ring, and hosts that go away |
| `network.session.PipSession.request` | 19.3 | the request ring |
| `network.download.Downloader.__call__(link, location)` | 20.3 | the file ring |
| `network.download.BatchDownloader.__call__(links, location)` | 20.3 to 25.1 | the same |
| `utils.hashes.Hashes.check_against_path(path)` | always | the same |
| `commands.cache.CacheCommand.purge_cache(options, args)` | 20.1 | partials are purged too |
| `build_env.get_runnable_pip()`, `utils.misc.get_runnable_pip()` | 22.3, 26.2 | subprocesses |

Besides these, `exceptions.HashMismatch` is used. What pip says of itself is read in pips.py.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import random
import threading
import time
from typing import Any, Callable, Iterable, Iterator, Mapping

from pip_retry_patch import __version__, messages
from pip_retry_patch.arming import runner as lending
from pip_retry_patch.hooks import mismatch as artifacts
from pip_retry_patch.hooks.configuration import Library, error_maker, read_settings
from pip_retry_patch.hooks.reporting import Announcer
from pip_retry_patch.policy.retry import Effort, Patience, next_wait
from pip_retry_patch.store import locks as holding
from pip_retry_patch.store import partials
from pip_retry_patch.transport.continuation import Continuation
from pip_retry_patch.transport.guard import Guard, no_retries
from pip_retry_patch.wrapping import fail_open as wrapping
from pip_retry_patch.wrapping.fail_open import Calls, careful

logger = logging.getLogger("pip_retry_patch")

_VERBOSE = 15  # the level of `pip -v` since 21.1; before, that is DEBUG

# What is wrapped in pip's own modules, and by which method of `_Rings`.
WRAPPED = (
    ("network.session", "PipSession.request", "request"),
    ("network.download", "Downloader.__call__", "download"),
    ("network.download", "BatchDownloader.__call__", "download_all"),
    ("utils.hashes", "Hashes.check_against_path", "check"),
)


def install(session: Any) -> None:
    """Guard the pip that `session`, its `network.session` module, belongs to.

    Whatever this raises, the caller lets pip go on unguarded.
    """
    pip = session.__name__[: -len("._internal.network.session")]
    found = read_settings(pip)
    if not found.enabled:
        return
    patience = Patience(attempts=found.attempts, seconds=found.patience)
    announce = Announcer(found.complaints)
    guard = Guard(session.urllib3, patience, error_maker(pip), announce)
    guard.wrap()
    _Rings(pip, guard, announce, Library(pip, found)).wrap()
    version = getattr(importlib.import_module(pip), "__version__", "")
    logger.log(_VERBOSE, "pip-retry-patch %s guards %s %s", __version__, pip, version)


def install_purge(commands: Any) -> None:
    """Let `pip cache purge` empty the store too; `commands` is the module of `pip cache`."""
    pip = commands.__name__[: -len("._internal.commands.cache")]
    found = read_settings(pip)
    if not found.enabled:
        return
    library = Library(pip, found)

    def purge_cache(
        wrapped: Callable[..., Any], command: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return wrapped(*args, **kwargs)
        except Exception:
            # "No matching packages" of pip 20 is no reason to leave ours; wrong arguments are.
            if len(args) < 2 or args[1]:
                args = ()
            raise
        finally:
            if args:
                purge(args[0].cache_dir)

    def purge(cache_dir: str | None) -> None:
        try:
            directory = library.directory(cache_dir)
            count, size = holding.purge(directory) if directory else (0, 0)
            if count:
                logger.info("%s", messages.purged(count, size))
        except Exception as why:
            logger.debug("pip-retry-patch could not purge what it keeps: %r", why)

    wrapping.wrapt().wrap_function_wrapper(commands, "CacheCommand.purge_cache", purge_cache)


def runnable_pip(module: Any, runnable: str) -> str:
    """Return what to run in another Python instead of `runnable`, pip's own answer to that."""
    pip = module.__name__.partition("._internal.")[0]
    return lending.runner(runnable) if read_settings(pip).enabled else runnable


def protect() -> None:
    """Guard the urllib3 that this program imports. See `pip_retry_patch.protect`."""
    urllib3 = importlib.import_module("urllib3")
    Guard(urllib3, Patience(), error=lambda _, interruption: interruption, always=True).wrap()


class _UnderWay(threading.local):
    """The artifact that this thread fetches, and whether past every cache."""

    artifact: _Artifact | None = None
    fresh = False


class _Rings:
    """The request ring and the file ring, as far as they live in pip's own functions."""

    def __init__(self, pip: str, guard: Guard, announce: Announcer, library: Library) -> None:
        self._pip = pip
        self._guard = guard
        self._announce = announce
        self._library = library
        self._files = artifacts.FileRing(announce)
        self._mismatch: Any = self._module("exceptions").HashMismatch
        self._under_way = _UnderWay()

    def wrap(self) -> None:
        """Wrap what this pip has; without any one of them the others still do their part."""
        wrapt = wrapping.wrapt()
        for module, path, wrapper in WRAPPED:
            try:
                wrapt.wrap_function_wrapper(self._module(module), path, getattr(self, wrapper))
            except (ImportError, AttributeError):
                logger.debug("pip-retry-patch: this pip has no %s.%s", module, path)

    def _module(self, name: str) -> Any:
        return importlib.import_module(f"{self._pip}._internal.{name}")

    @careful
    def request(
        self, wrapped: Calls, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`PipSession.request`: what pip reads whole is asked for again if it cannot be spliced."""
        self._announce.complain()
        artifact, fresh = self._under_way.artifact, self._under_way.fresh
        url = args[1] if len(args) > 1 else kwargs.get("url", "")
        if fresh:
            kwargs = dict(kwargs, headers=_past_caches(kwargs.get("headers")))

        def again(fields: Mapping[str, str]) -> Any:
            headers = dict(_past_caches(kwargs.get("headers")), **fields)
            return wrapped(*args, **dict(kwargs, headers=headers, stream=True))

        needed, hashed = artifact is not None, artifact is not None and artifact.hashed
        effort = Effort()
        while True:
            continuation = None if artifact is None else artifact.continuation(fresh)
            try:
                with self._guard.sending(url, again, hashed, needed, continuation):
                    response = wrapped(*args, **kwargs)
                break
            except Exception as error:
                failure = _failure_of(error)
                if failure is None or not failure.changed:
                    raise
                # (Only a body that is read in here can break in here: never a streamed one.)
                effort = effort.was_unhelpful()
                now = time.monotonic()
                wait = next_wait(self._guard.patience, effort, now, random.uniform)
                if wait is None:
                    raise
                self._announce(messages.page_again(messages.name_of(url)))
                time.sleep(wait)
        if artifact is not None:
            try:
                artifact.note(response, continuation)
            except Exception as why:
                logger.debug("pip-retry-patch could not note a response: %r", why)
        return response

    @careful
    def download(
        self, wrapped: Calls, downloader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`Downloader.__call__(link, location)` of pip 20.3 and later."""
        link, location = args if len(args) == 2 and not kwargs else (None, "")
        artifact = self._artifact(downloader, link, lambda folder: wrapped(link, folder))
        if artifact is None:
            return wrapped(*args, **kwargs)
        return tuple(self._files.download(artifact, location))

    @careful
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

    @careful
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
    ) -> _Artifact | None:
        """Return what the file ring wants to know of a link; None to leave it to pip alone."""
        try:
            session = downloader._session
            adapter = session.get_adapter(link.url_without_fragment)
            if no_retries(getattr(adapter, "max_retries", None)):
                # `--retries 0`: it is fetched once, whatever comes.
                return None
            return _Artifact(self, session, link, call, self._shelf(session, link))
        except Exception as why:
            logger.debug("pip-retry-patch cannot guard a download: %r", why)
            return None

    def _shelf(self, session: Any, link: Any) -> partials.Shelf | None:
        try:
            return self._library.shelf(session, link)
        except Exception as why:
            logger.debug("pip-retry-patch keeps nothing of a download: %r", why)
            return None

    def keep(self, artifact: _Artifact, shelf: partials.Shelf, fresh: bool) -> Continuation:
        """Return what is kept of an artifact, for one request."""
        return Continuation(shelf, artifact.name, fresh, self._announce.inform)

    @careful
    def check(
        self, wrapped: Calls, hashes: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`Hashes.check_against_path(path)`, after single and batch downloads alike."""
        path = args[0] if args else kwargs["path"]
        return self._files.check(wrapped, path, self._mismatch)

    @contextlib.contextmanager
    def fetching(self, artifact: _Artifact, fresh: bool) -> Iterator[None]:
        """Let `request` know what it is asked for."""
        now = self._under_way
        before = now.artifact, now.fresh
        now.artifact, now.fresh = artifact, fresh
        try:
            yield
        finally:
            now.artifact, now.fresh = before


class _Artifact:
    """One of pip's links, as artifacts.Artifact describes it."""

    def __init__(
        self,
        rings: _Rings,
        session: Any,
        link: Any,
        call: Callable[[str], tuple[str, str]],
        shelf: partials.Shelf | None,
    ) -> None:
        self._rings = rings
        self._session = session
        self._link = link
        self._call = call
        self._shelf = shelf
        self._urls = {link.url_without_fragment}
        self.hashed = bool(link.hash)
        self.name = messages.name_of(link.url_without_fragment)
        self.host = messages.host_of(link.url_without_fragment)
        self.cached = False
        self.announced: int | None = None
        self.continued: int | None = None

    def fetch(self, location: str, fresh: bool) -> artifacts.Download:
        with self._rings.fetching(self, fresh):
            download = artifacts.Download(*self._call(location))
        # Only now: before, pip may be killed while it puts the file into its cache.
        self.discard()
        return download

    def continuation(self, fresh: bool) -> Continuation | None:
        """Return what stands beside a request for it."""
        try:
            return None if self._shelf is None else self._rings.keep(self, self._shelf, fresh)
        except Exception as why:
            logger.debug("pip-retry-patch could not look for what it kept: %r", why)
            return None

    def note(self, response: Any, continuation: Continuation | None) -> None:
        """Take from a response of requests what is told of it later."""
        self.continued = None if continuation is None else continuation.continued
        self.cached = bool(getattr(response, "from_cache", False))
        self.host = messages.host_of(response.url)
        length = response.headers.get("content-length") or ""
        self.announced = int(length) if length.isascii() and length.isdigit() else None
        self._urls.update(r.url for r in (*response.history, response))

    def discard(self) -> None:
        if self._shelf is not None:
            self._shelf.clear()

    def forget(self) -> None:
        self.discard()
        for url in self._urls:
            adapter = self._session.get_adapter(url)
            if hasattr(adapter, "controller"):
                adapter.cache.delete(adapter.controller.cache_url(url))

    def fits(self, path: str) -> bool:
        if not self.hashed:
            return False
        return bool(artifacts.digest_of(path, self._link.hash_name) == self._link.hash.lower())

    def failure_of(self, error: Exception) -> messages.Failure | None:
        return _failure_of(error)

    def explain(self, mismatch: Any, evidence: str) -> None:
        # Shown by pip at the end, alone or in a list of such errors, by their body().
        told = mismatch.body
        mismatch.body = lambda: told().rstrip("\n") + "\n\n" + evidence


def _past_caches(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Add what makes CacheControl, and every cache on the way, ask the origin (RFC 9111, 5.2.1)."""
    return dict(headers or {}, **{"Cache-Control": "no-cache"})


def _failure_of(error: Exception) -> messages.Failure | None:
    failure = getattr(error, "failure", None)
    return failure if isinstance(failure, messages.Failure) else None
