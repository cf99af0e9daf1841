"""pip's network session: what is wrapped when pip makes the first one, and the request ring.

By then the urllib3 that pip will use is loaded, under whatever name: vendored, or the system's
where a distribution debundled pip. What is wrapped, and which pips have it:

| what | since | for | in |
|---|---|---|---|
| `session.urllib3`'s `HTTPConnectionPool.urlopen` | 19.3 | bodies, lost hosts | transport/ |
| `network.session.PipSession.request` | 19.3 | the request ring | here |
| `operations.prepare.get_http_url(link, download, download_dir, hashes)` | 20.2 | hashes | there |
| `index.collector.LinkCollector`, `index.package_finder.PackageFinder` | 20.0 | several indexes | \
indexes.py |
| `network.download.Downloader.__call__(link, location)` | 20.3 | the file ring | downloads.py |
| `network.download.BatchDownloader.__call__(links, location)` | 20.3 to 25.1 | the same | there |
| `utils.hashes.Hashes.check_against_path(path)` | always | the same | there |
| `commands.cache.CacheCommand.purge_cache(options, args)` | 20.1 | the store | cache.py |
| `build_env.get_runnable_pip()`, in `utils.misc` from 26.2 | 22.3 | subprocesses | runner.py |
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping

from pip_retry_patch import failures, messages, names, settings
from pip_retry_patch.hooks.cache import Library, past_caches
from pip_retry_patch.hooks.configuration import index_of_mirrors, origins_of_settings, read_settings
from pip_retry_patch.hooks.downloads import DownloadHooks, LinkedArtifact
from pip_retry_patch.hooks.indexes import IndexHooks
from pip_retry_patch.hooks.pages import Doubts, came_cut
from pip_retry_patch.hooks.reporting import (
    Announcer,
    error_maker,
    errors_of_network,
    failure_of_answer,
    failure_of_traceback,
    is_for_a_person,
)
from pip_retry_patch.policy.retry import BRIEF, Attempts, Effort, Patience
from pip_retry_patch.transport.errors import EarlyEnd, failure_of
from pip_retry_patch.transport.guard import Guard
from pip_retry_patch.transport.reissue import no_retries
from pip_retry_patch.wrapping.fail_open import Calls, fail_open, wrap

logger = logging.getLogger("pip_retry_patch")

if TYPE_CHECKING:
    from pip_retry_patch.hooks.mirrors import Mirrors
    from pip_retry_patch.hooks.stale import StalePages

# What is wrapped in pip's own modules, and by which method: of the `SessionHook` here, or of the
# `DownloadHooks` or `IndexHooks`.
WRAPPED = (
    ("network.session", "PipSession.request", "request"),
    ("operations.prepare", "get_http_url", "expect"),
    ("index.collector", "LinkCollector.create", "create"),
    ("index.collector", "LinkCollector.fetch_page", "fetch"),
    ("index.collector", "LinkCollector.fetch_response", "fetch"),
    ("index.package_finder", "PackageFinder.find_all_candidates", "find"),
    ("exceptions", "DistributionNotFound.__str__", "tell"),
    ("network.download", "Downloader.__call__", "download"),
    ("network.download", "BatchDownloader.__call__", "download_all"),
    ("utils.hashes", "Hashes.check_against_path", "check"),
)


def install(session: Any) -> str:
    """Guard the pip that `session`, its `network.session` module, belongs to.

    Whatever this raises, the caller lets pip go on unguarded.

    :return: the pip's name and version; "" where the settings switch the guard off.
    """
    pip = session.__name__[: -len("._internal.network.session")]
    found = read_settings(pip)
    if not found.enabled:
        return ""
    patience = Patience(
        attempts=found.attempts,
        seconds=found.patience,
        first_contact=found.first_contact,
        person=is_for_a_person(),
    )
    announce = Announcer(found.complaints, f"{pip}._vendor")
    error = error_maker(pip, lambda: settings.table(found, origins_of_settings(pip)))
    guard = Guard(session.urllib3, patience, error, announce)
    guard.wrap()
    exceptions = importlib.import_module(f"{pip}._internal.exceptions")
    download = importlib.import_module(f"{pip}._internal.network.download")
    hook = SessionHook(guard, announce, error, session.requests.exceptions)
    hook.pip_resumes = hasattr(download, "_FileDownload")
    library = Library(pip, found, announce.complain)
    downloads = DownloadHooks(hook.fetching, announce, library, exceptions.HashMismatch, error)
    indexes = IndexHooks(announce, error, hook.last_status, found.indexes == "all")
    wrapped = list(WRAPPED)
    if found.mirrors:
        # Nobody else pays for it. And it is now, for pip 26.1 bans imports later.
        module: Any = importlib.import_module("pip_retry_patch.hooks.mirrors")
        intended = index_of_mirrors(pip)
        mirrors = module.Mirrors(pip, found.mirrors, intended, guard, announce)
        hook.mirrors = indexes.mirrors = downloads.mirrors = mirrors
        wrapped.append(("index.package_finder", "parse_links", "links"))
    if found.log:
        module = importlib.import_module("pip_retry_patch.store.journal")
        version = str(getattr(importlib.import_module(pip), "__version__", ""))

        def complain(why: str) -> None:
            announce(messages.unusable_log(found.log, why))

        downloads.record = module.Journal(found.log, version, complain).note
        guard.record_by(downloads.record)
    if found.stale:
        module = importlib.import_module("pip_retry_patch.hooks.stale")
        person, now = patience.person, guard.clock.now
        hook.stale = indexes.stale = module.StalePages(session.requests, person, now, announce)
    for module, path, method in wrapped:
        owner = next(o for o in (hook, indexes, downloads, hook.mirrors) if hasattr(o, method))
        wrapper = getattr(owner, method)
        try:
            target = importlib.import_module(f"{pip}._internal.{module}")
            wrap(target, path, wrapper)
        except (ImportError, AttributeError):
            # Without any one of them the others still do their part.
            logger.debug("pip-retry-patch: this pip has no %s.%s", module, path)
    return f"{pip} {getattr(importlib.import_module(pip), '__version__', '')}"


class _UnderWay(threading.local):
    """The artifact that this thread fetches, and whether past every cache; the last status."""

    artifact: LinkedArtifact | None = None
    fresh = False
    status = 0


class SessionHook:
    """The request ring, as far as it lives in pip's session.

    :param error: makes the exception for a Failure and the error that led to it.
    :param exceptions: `requests.exceptions`, as pip's session uses it.
    """

    mirrors: Mirrors | None = None
    stale: StalePages | None = None

    # Since 25.1 pip resumes downloads by itself, also with `--retries 0`.
    pip_resumes = False

    def __init__(
        self,
        guard: Guard,
        announce: Announcer,
        error: Callable[[failures.Failure, Exception], Exception],
        exceptions: Any,
    ) -> None:
        self._guard = guard
        self._announce = announce
        self._error = error
        # What pip would show as a traceback. Where it has an error of its own (26.2), that stays.
        self._of_network = errors_of_network(exceptions)
        self._under_way = _UnderWay()
        self._doubts = Doubts(self._retries)

    def last_status(self) -> int:
        """Return the status of the last response that this thread had; 0 if there was none."""
        return self._under_way.status

    @contextlib.contextmanager
    def fetching(self, artifact: LinkedArtifact, fresh: bool) -> Iterator[None]:
        """Let `request` know what it is asked for while this lasts."""
        now = self._under_way
        before = now.artifact, now.fresh
        now.artifact, now.fresh = artifact, fresh
        try:
            yield
        finally:
            now.artifact, now.fresh = before

    @fail_open
    def request(
        self, wrapped: Calls, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`PipSession.request`: what pip reads whole is asked for again if it cannot be spliced."""
        self._announce.complain()
        mirrors, stale = self.mirrors, self.stale
        if len(args) != 2 or (mirrors is None and stale is None):
            return self._send(wrapped, session, args, kwargs)
        url, artifact = args[1], self._under_way.artifact
        if not self._retries(session, url):
            mirrors = None

        def send(
            to: str, named: dict[str, Any], plain: bool = False, method: str = "", **how: Any
        ) -> Any:
            if plain:
                return wrapped(args[0], to, **named)
            return self._send(wrapped, session, (method or args[0], to), named, **how)

        def ask(brief: bool = False) -> Any:
            if mirrors is None:
                return send(url, kwargs, brief=brief)
            return mirrors.request(send, session, url, kwargs, artifact, brief)

        if stale is None or artifact is not None:
            return ask()
        return stale.request(ask, session, url, kwargs)

    def _retries(self, session: Any, url: str) -> bool:
        return not no_retries(getattr(session.get_adapter(url), "max_retries", None))

    def _send(
        self,
        wrapped: Calls,
        session: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        **how: Any,
    ) -> Any:
        """Send it; `how`: the options of `Guard.sending` where there are mirrors to ask."""
        artifact, fresh = self._under_way.artifact, self._under_way.fresh
        if self.mirrors is not None and self.mirrors.listings.reading:
            artifact = None  # what is read is a page, to find where else it is
        url = args[1] if len(args) > 1 else kwargs.get("url", "")
        if fresh:
            kwargs = dict(kwargs, headers=past_caches(kwargs.get("headers")))

        def again(fields: Mapping[str, str]) -> Any:
            headers = dict(past_caches(kwargs.get("headers")), **fields)
            return wrapped(*args, **dict(kwargs, headers=headers, stream=True))

        def announce_again(seconds: float) -> None:
            self._announce(messages.page_again(names.name_of(url)))

        hashed = artifact is not None and artifact.hashed
        is_file = artifact is not None and not artifact.name.endswith(".metadata")
        whole = not (kwargs.get("stream") and self.pip_resumes)
        attempts, past = None, fresh
        self._under_way.status = 0
        while True:
            continuation = None if artifact is None else artifact.continuation(fresh)
            try:
                with self._guard.sending(url, again, hashed, is_file, continuation, whole, **how):
                    response = wrapped(*args, **kwargs)
                self._under_way.status = response.status_code
                if self._doubts.arise(session, response, args, kwargs, past):
                    past = True
                    kwargs = dict(kwargs, headers=past_caches(kwargs.get("headers")))
                    continue
                lost = failure_of_answer(url, response, args, kwargs)
                if lost is not None:
                    raise self._error(lost, EarlyEnd())
                if kwargs.get("stream") or not came_cut(session, response):
                    break
                raise self._error(failures.cut_page(url, len(response.content)), EarlyEnd())
            except Exception as error:
                # Only a body that is read in here can break in here: never a streamed one.
                failure = failure_of(error)
                if failure is None:
                    failure = failure_of_traceback(url, error, self._of_network)
                    if failure is not None:
                        raise self._error(failure, error) from error
                if failure is None or not (failure.changed and self._retries(session, url)):
                    raise
                attempts = attempts or self._attempts(BRIEF if how.get("brief") else None)
                attempts.was_unhelpful(at_once=True)
                if not attempts.wait(announce_again):
                    raise
                kwargs = dict(kwargs, headers=past_caches(kwargs.get("headers")))
        if artifact is not None:
            try:
                artifact.note(response, continuation)
            except Exception as why:
                logger.debug("pip-retry-patch could not note a response: %r", why)
        return response

    def _attempts(self, patience: Patience | None) -> Attempts:
        return Attempts(patience or self._guard.patience, self._guard.clock, Effort())
