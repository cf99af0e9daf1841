"""pip's network session: what is wrapped when pip makes the first one, and its requests.

By then all that pip will use for the network is loaded, under whatever name: vendored, or the
system's where a distribution debundled pip. What is wrapped, and which pips have it:

| what | since | for | in |
|---|---|---|---|
| `network.session.PipSession.request` | 19.3 | every request | here |
| `operations.prepare.get_http_url(link, download, dir, hashes)` | 20.2 | hashes | files.py |
| `network.download.Downloader.__call__(link, location)` | 20.3 | files | files.py |
| `network.download.BatchDownloader.__call__(links, dir)` | 20.3 to 25.0 | the same | files.py |
| `utils.hashes.Hashes.check_against_path(path)` | always | hashes | files.py |
| `index.collector.LinkCollector`, `index.package_finder` | 20.0 | several indexes | indexes.py |
| `commands.cache.CacheCommand.purge_cache(options, args)` | 20.1 | the store | files.py |
| `build_env.get_runnable_pip()`, in `utils.misc` from 26.2 | 22.3 | subprocesses | runner.py |
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any, Callable, Sequence

from pip_retry_patch import names
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.body import Body
from pip_retry_patch.fetch.exchange import Exchange
from pip_retry_patch.fetch.judge import span_of
from pip_retry_patch.fetch.patience import HASTY, Clock, Hosts, Patience
from pip_retry_patch.fetch.request import Asking, Job, Kind, Outcome, Source
from pip_retry_patch.fetch.story import Story
from pip_retry_patch.hooks import compat
from pip_retry_patch.hooks.files import Artifact, FileHooks
from pip_retry_patch.hooks.indexes import IndexHooks, Page, Search
from pip_retry_patch.records import replace
from pip_retry_patch.wrapping import Calls, fail_open, logger, wrap

if TYPE_CHECKING:
    from pip_retry_patch.hooks.mirrors import Mirrors

# pip's own default of `--retries`: what is not more was not asked for.
PIPS_OWN = 5

_CONDITIONS = "If-None-Match", "If-Modified-Since"

# What is wrapped in pip's own modules, and by which method of the hooks.
WRAPPED = (
    ("network.session", "PipSession.request", "request"),
    ("operations.prepare", "get_http_url", "expect"),
    ("network.download", "Downloader.__call__", "download"),
    ("network.download", "BatchDownloader.__call__", "download_all"),
    ("utils.hashes", "Hashes.check_against_path", "check"),
    ("index.collector", "LinkCollector.create", "create"),
    ("index.collector", "LinkCollector.fetch_page", "fetch"),
    ("index.collector", "LinkCollector.fetch_response", "fetch"),
    ("index.package_finder", "PackageFinder.find_all_candidates", "find"),
    ("index.package_finder", "parse_links", "parse"),
    ("exceptions", "DistributionNotFound.__init__", "tell"),
)


def install(session: Any) -> str:
    """Guard the pip that `session`, its `network.session` module, belongs to.

    Whatever this raises, the caller lets pip go on unguarded.

    :return: the pip's name and version; "" where the settings switch the guard off.
    """
    pip = compat.Pip(session.__name__[: -len("._internal.network.session")])
    if not pip.settings.enabled:
        return ""
    for line in pip.settings.complaints:  # pip has set its logging up by now
        pip.announce(line)
    requests = Requests(pip)
    files, indexes = FileHooks(pip, requests), IndexHooks(pip, requests)
    # Nobody else pays for these two. And it is now, for pip 26.1 bans imports later.
    if pip.settings.mirrors:
        mirrors: Any = importlib.import_module("pip_retry_patch.hooks.mirrors")
        requests.mirrors = mirrors.Mirrors(pip, requests.hosts)
    if pip.settings.stale:
        requests.stale = importlib.import_module("pip_retry_patch.hooks.stale")
    for module, path, method in WRAPPED:
        owner = next(each for each in (requests, files, indexes) if hasattr(each, method))
        hook = getattr(owner, method)
        try:  # the hash check alone fails closed
            wrap(pip.module(module), path, hook if method == "check" else fail_open(hook))
        except (ModuleNotFoundError, AttributeError):
            # Without any one of them the others still do their part.
            logger.debug("pip-retry-patch: this pip has no %s.%s", module, path)
    return f"{pip.name} {pip.version}"


class Requests:
    """Guards the requests of pip's sessions.

    `files` are the artifacts that are being fetched, by URL. `search` is what a thread searches.
    """

    def __init__(self, pip: compat.Pip) -> None:
        self._pip = pip
        self.hosts = Hosts(Clock(pip.sleep))
        found, person = pip.settings, compat.is_for_a_person()
        seconds = found.patience, found.first_contact
        self._patience = Patience(found.attempts, *seconds, person=person)
        self.mirrors: Mirrors | None = None
        self.stale: Any = None  # hooks/stale.py, where the setting is on
        self.files: dict[str, Artifact] = {}
        self.search = Search()

    def patience(self, session: Any, url: str) -> Patience | None:
        """Return how long to try, by `--retries` too; None for what is no request to the network.

        `--retries 0` means no patience at all.
        """
        try:
            names.host_of(url)
            retries: Any = getattr(session.get_adapter(url), "max_retries", None)
        except ValueError:  # no URL, or a scheme that pip does not know: its own request says so
            return None
        if not hasattr(retries, "new"):
            return None
        total = int(retries.total or 0)
        if not total:
            return replace(self._patience, attempts=0, seconds=0.0)
        if total <= max(PIPS_OWN, self._patience.attempts):
            return self._patience
        return replace(self._patience, attempts=total, least=total)

    def request(self, calls: Calls, session: Any, args: Any, kwargs: Any) -> Any:
        """`PipSession.request(method, url, **kwargs)`."""
        method, url = args if len(args) == 2 else ("", "")
        patience = self.patience(session, url) if method in ("GET", "HEAD") else None
        if patience is None:
            return calls(*args, **kwargs)
        page = self._page_at(url)
        stale = self.stale and page and self.stale.find(self._pip, session, url, kwargs)
        if stale is not None and (patience.person or self.hosts.at(url).rest):
            patience = replace(patience, attempts=min(patience.attempts, 1), seconds=0.0)
        exchange = self._exchange(calls, session, method, url, kwargs, patience)
        try:
            outcome = exchange.obtain()
        except Exception as error:
            failure = getattr(error, "failure", None)
            if page is not None and failure is not None:
                if stale is not None and not errors.certificate_trouble(error):
                    self.stale.tell(self._pip, page.index, stale, failure)
                    return stale
                page.error = error
            raise
        if page is not None:
            page.status = outcome.status
            page.mirror = outcome.source.mirror
        artifact = self.files.get(url)
        if artifact is not None:
            artifact.answered(outcome, exchange.mirrors)
        if kwargs.get("stream") and method == "GET" and not outcome.is_cached:
            self._guard_body(exchange, outcome, artifact)
        return outcome.response

    def _page_at(self, url: str) -> Page | None:
        """Return the page of an index that this thread fetches from `url`, None if it is none."""
        page = self.search.page
        return page if page.url == url else None

    def _guard_body(self, exchange: Exchange, outcome: Outcome, artifact: Artifact | None) -> None:
        """Put a Body in place of what an answer reads from."""
        span = span_of(outcome.status, outcome.response.headers, exchange.job.ranged)
        if span is None or span.total == 0 or outcome.is_for_urllib3:
            return
        # Since 25.1 pip resumes downloads by itself, also with `--retries 0`.
        attempts = exchange.job.patience.attempts
        if not attempts and hasattr(self._pip.module("exceptions"), "IncompleteDownloadError"):
            return
        if artifact is None:
            Body(exchange, outcome, span)
            return
        if artifact.disk_was_full:
            outcome.cache_nothing()
        kept = None if artifact.fresh else artifact.place
        artifact.body = Body(exchange, outcome, span, kept, artifact.written)

    def _listed_again(self, session: Any, link: Any, source: Any) -> Sequence[Source]:
        """Read the page again that lists a file, and return where the file is now, if it has it.

        Some indexes sign their links for seconds. And what is still listed may be on another node.
        """
        page = compat.page_of(link)
        if not page:
            # Metadata comes from no page, as far as pip knows. Another node may have it.
            is_metadata = link and link.filename.endswith(".metadata")
            return [source(link.url_without_fragment)] if is_metadata else ()
        collector = self._pip.module("index.collector")
        get = getattr(collector, "_get_simple_response", None) or collector._get_html_response
        compat.forget(session, [page])
        links = compat.links_on(collector, page, functools.partial(get, page, session=session))
        found = links.get(link.filename)
        if found is None or found.hash != link.hash:
            return ()
        return [source(found.url_without_fragment)]

    def _exchange(
        self, calls: Calls, session: Any, method: str, url: str, kwargs: Any, patience: Patience
    ) -> Exchange:
        artifact = self.files.get(url)
        whole = method == "GET" and not kwargs.get("stream")
        kwargs = dict(kwargs, stream=whole or kwargs.get("stream"))  # then the loop reads it

        def source(there: str) -> Source:
            return Source(there, functools.partial(repeat, calls, session, (method, there), kwargs))

        page = self._page_at(url) if whole else None
        kind = Kind.FILE if artifact else Kind.PAGE if page else Kind.OTHER
        hashes = artifact.hashes if artifact else {}
        link = artifact and artifact.link  # what holds the job holds no artifact
        mirrors: Callable[[], Sequence[Source]] = tuple
        own = source(url)
        if self.mirrors is not None:
            ask = functools.partial(self.mirrors.ask, calls, session, kwargs)
            own = self.mirrors.in_place_of(own, ask, hashes)
            mirrored = None if page is None else page.mirrored
            mirrors = functools.partial(self.mirrors.sources, ask, url, mirrored, hashes)
        job = Job(
            kind=kind,
            source=own,
            whole=whole,
            ranged=any(name.lower() == "range" for name in kwargs.get("headers") or ()),
            hashed=bool(hashes),
            fresh=artifact is not None and artifact.fresh,
            parts=artifact is None or artifact.parts,
            patience=patience,
            error=self._pip.error,
            mirrors=mirrors,
            listed_again=functools.partial(self._listed_again, session, link, source),
            forget=functools.partial(compat.forget, session),
        )
        pip = self._pip
        # Where only pages are read, standard output is for the result.
        inform = pip.inform if kind == Kind.FILE else pip.announce
        story = Story(own.url, pip.announce, inform, pip.record, pip.restart_bar)
        return Exchange(job, self.hosts, story)


def repeat(
    calls: Calls, session: Any, args: Any, kwargs: Any, asking: Asking, outcome: Outcome
) -> Any:
    """Send pip's own request once more, from its first URL on.

    It is sent by a twin of the session that is made for this one request: a kept one would miss
    what pip mounts later. So redirects, proxies, certificates and credentials are pip's.
    """
    twin = copy_of(session)

    def get_adapter(url: str) -> Any:
        adapter = session.get_adapter(url)
        if hasattr(getattr(adapter, "max_retries", None), "new"):
            if asking.reconnects:
                adapter.close()  # its pools, which are made anew
            adapter = copy_of(adapter)
            adapter.max_retries = adapter.max_retries.new(total=0, status_forcelist=())
            if asking.past_caches and hasattr(adapter, "cacheable_methods"):
                adapter.cacheable_methods = ()
        return adapter

    original = session.get_redirect_target

    def get_redirect_target(response: Any) -> Any:
        # requests calls this for every answer, for a redirect twice.
        outcome.is_cached = getattr(response, "from_cache", False)
        if response.url not in outcome.urls[-1:]:
            outcome.urls.append(response.url)
            # What has a condition was sent: CacheControl adds one to what is not fresh any more.
            if not outcome.is_cached or any(c in response.request.headers for c in _CONDITIONS):
                outcome.asked.append(response.url)
        outcome.is_answered, outcome.answer = not response.is_redirect, response
        outcome.came_from_cache = outcome.came_from_cache or outcome.is_cached
        return original(response)

    twin.get_adapter, twin.get_redirect_target = get_adapter, get_redirect_target
    kwargs = dict(kwargs)
    if asking.past_caches:  # a program's hooks are for what it asks itself
        twin.hooks, kwargs["hooks"] = {"response": []}, None
    if asking.fresh or asking.past_caches:
        ours = {**asking.fields, **({"Cache-Control": "no-cache"} if asking.fresh else {})}
        dropped = {"if-range", "if-none-match", *map(str.lower, ours)}
        dropped |= {"range"} if asking.past_caches else set()
        given = (kwargs.get("headers") or {}).items()
        kept = {name: value for name, value in given if name.lower() not in dropped}
        kwargs["headers"] = {**kept, **ours}
    if asking.past_caches and hasattr(session.auth, "prompting"):
        twin.auth = copy_of(session.auth)
        twin.auth.prompting = False
    timeout = kwargs.get("timeout", getattr(session, "timeout", None))
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    if isinstance(read, (int, float)):
        outcome.timeout = read
        if (asking.slower != 1 or asking.in_haste) and isinstance(connect, (int, float)):
            # urllib3 waits for TLS, and for a proxy's answer to CONNECT, as for a connection. Once
            # a file has begun to come they are known not to be slow.
            slower = 1.0 if asking.past_caches else asking.slower
            connect = min(connect * slower, max(connect, asking.longest))
            longer = min(read * asking.slower, max(read, asking.longest))
            kwargs["timeout"] = connect * (HASTY if asking.in_haste else 1), longer
    return calls.note(calls.wrapped.__func__, twin, *args, **kwargs)


def copy_of(thing: Any) -> Any:
    """Return a shallow copy with every attribute; `copy` would make pools anew."""
    made = object.__new__(type(thing))
    vars(made).update(vars(thing))
    return made
