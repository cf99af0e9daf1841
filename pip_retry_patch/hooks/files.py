"""pip's downloader, which has the link, and its hash check, which has the path.

The two know nothing of each other. `FileHooks` stands around both, as each pip calls them.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, Sequence

from pip_retry_patch import names, settings, wording
from pip_retry_patch.hooks import compat
from pip_retry_patch.hooks.artifact import Artifact, Download
from pip_retry_patch.hooks.configuration import configured
from pip_retry_patch.hooks.mismatch import check
from pip_retry_patch.store.kept import Place, Store, key_of
from pip_retry_patch.wrapping import Calls, fail_open, note_failure, wrap

if TYPE_CHECKING:
    from pip_retry_patch.hooks.session import Requests

logger = logging.getLogger("pip_retry_patch")


def hashes_of(link: Any, expected: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the digests one of which an artifact must have, by algorithm, in lower case.

    :param expected: what pip will check, where that is known: from the requirements file, or the
        link. A requirement may allow several files; the link then says which one this is.
    """
    allowed = {name: [d.lower() for d in digests] for name, digests in expected.items() if digests}
    if link.hash and (not allowed or link.hash.lower() in allowed.get(link.hash_name, ())):
        return {link.hash_name: [link.hash.lower()]}
    return allowed


class FileHooks:
    """What stands around pip's downloader and its hash check."""

    def __init__(self, pip: compat.Pip, requests: Requests) -> None:
        self.pip = pip
        self.requests = requests
        self._mismatch: type[Exception] = pip.module("exceptions").HashMismatch
        self._store: Store | None = None
        self._store_of: str | None = ""
        self._expected: dict[str, Mapping[str, Sequence[str]]] = {}  # by URL
        self._came: dict[str, Artifact] = {}  # what the hash will be checked of, by path

    @fail_open
    def expect(self, calls: Calls, _: Any, args: Any, kwargs: Any) -> Any:
        """`get_http_url(link, download, download_dir, hashes)`: what will be checked is known."""
        hashes = args[3] if len(args) > 3 else kwargs.get("hashes")
        link = args[0] if args else kwargs["link"]
        self._expected[link.url_without_fragment] = getattr(hashes, "_allowed", None) or {}
        try:
            return calls(*args, **kwargs)
        finally:
            self._expected.pop(link.url_without_fragment, None)

    @fail_open
    def download(self, calls: Calls, downloader: Any, args: Any, kwargs: Any) -> Any:
        """`Downloader.__call__(link, location)` of pip 20.3 and later."""
        if len(args) != 2 or kwargs or not self._is_retried(downloader, args[0]):
            return calls(*args, **kwargs)
        link, location = args
        return self._fetch(downloader, link, lambda folder: calls(link, folder), location)

    @fail_open
    def download_all(self, calls: Calls, downloader: Any, args: Any, kwargs: Any) -> Iterable[Any]:
        """`BatchDownloader.__call__(links, location)`: up to 25.0 it has a loop of its own.

        In 25.1 it calls `Downloader`.
        """
        own_loop = hasattr(downloader, "_session")
        if len(args) != 2 or kwargs or not own_loop:
            return calls(*args, **kwargs)  # type: ignore[no-any-return]
        links, location = args
        whole = calls.wrapped
        return (self._one(whole, downloader, (link, location), {}) for link in links)

    @fail_open
    def _one(self, calls: Calls, downloader: Any, args: Any, kwargs: Any) -> Any:
        link, location = args
        named: Any = link  # pip names what it yields by the link, or by its URL (20.3)

        def call(folder: str) -> tuple[str, str]:
            nonlocal named
            ((named, result),) = calls([link], folder)
            return result  # type: ignore[no-any-return]

        if not self._is_retried(downloader, link):
            return named, call(location)
        result = self._fetch(downloader, link, call, location)
        return named, result

    def _is_retried(self, downloader: Any, link: Any) -> bool:
        """`--retries 0`: a file is fetched once, whatever comes."""
        patience = self.requests.patience(downloader._session, link.url_without_fragment)
        return patience is not None and patience.attempts > 0

    def _fetch(self, downloader: Any, link: Any, call: Download, location: str) -> tuple[str, str]:
        hashes = hashes_of(link, self._expected.get(link.url_without_fragment, {}))
        artifact = Artifact(self, downloader._session, link, call, hashes)
        path, content_type = artifact.fetch(location)
        if hashes:
            self._came[path] = artifact
        return path, content_type

    def check(self, wrapped: Callable[..., Any], hashes: Any, args: Any, kwargs: Any) -> Any:
        """`Hashes.check_against_path(path)`, after single and batch downloads alike.

        It fails closed: a file is accepted only by pip's own check of it.
        """
        path = args[0] if args else kwargs.get("path")
        artifact = self._came.pop(path, None)
        if artifact is None:
            return wrapped(*args, **kwargs)
        checked = check(artifact, wrapped, path, self._mismatch, self.pip.announce.inform)
        try:
            artifact.finish()
        except Exception as error:
            note_failure("removing what was kept", error)
        return checked

    # The store.

    def place(self, session: Any, hashes: Mapping[str, Sequence[str]]) -> Place | None:
        """Return where pip is to write an artifact so that a later run can continue it."""
        key = key_of(hashes) if self.pip.settings.partials else None
        store = self._open(session) if key else None
        place = store.place(key) if store is not None and key else None
        if store is not None and store.trouble and self.pip.settings.partials_dir:
            self.pip.say_once("unusable directory", "", path=store.path, why=store.trouble)
        return place

    def _open(self, session: Any) -> Store | None:
        cache = compat.cache_of(session)
        if self._store_of != cache:
            self._store_of, path = cache, directory(self.pip.settings, cache)
            self._store = Store(path, self.pip.settings.partials_size) if path else None
        return self._store

    def give_way(self, session: Any) -> bool:
        """Remove what earlier runs left, for a disk is full; return whether there was anything."""
        store = self._open(session)
        return store is not None and store.purge()[1] > 0


def directory(found: settings.Settings, cache: str | None) -> str | None:
    """Return where unfinished downloads are kept, None if nowhere.

    :param cache: pip's cache directory, None if it has none that it uses.
    """
    if not found.partials:
        return None
    if found.partials_dir:
        return found.partials_dir
    return os.path.join(cache, "retry-patch") if cache else None


def install_purge(commands: Any) -> None:
    """Let `pip cache purge` empty the store too; `commands` is the module of `pip cache`."""
    pip = commands.__name__[: -len("._internal.commands.cache")]
    found = settings.read(*configured(pip))
    if not found.enabled:
        return

    def purge_cache(wrapped: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
        # "No matching packages" of pip 20 is no reason to leave ours; wrong arguments are.
        options, rest = args if len(args) == 2 else (None, args)
        try:
            return wrapped(*args, **kwargs)
        finally:
            path = directory(found, options.cache_dir) if options is not None and not rest else None
            count, size = Store(path, found.partials_size).purge() if path else (0, 0)
            if count:
                logger.info("%s", wording.say("purged", count=count, size=names.format_sum(size)))

    wrap(commands, "CacheCommand.purge_cache", purge_cache)
