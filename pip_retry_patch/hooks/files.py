"""pip's downloader, which has the link, and its hash check, which has the path.

The two know nothing of each other. `FileHooks` stands around both, as each pip calls them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import traceback
from typing import TYPE_CHECKING, Any, Callable, Iterable

from pip_retry_patch import names, settings, wording
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.request import Outcome
from pip_retry_patch.hooks import compat
from pip_retry_patch.hooks.mismatch import digest, look_into, not_the_file
from pip_retry_patch.store.kept import SMALLEST, Place, Plain, Store, key_of
from pip_retry_patch.wrapping import Calls, fail_open, harmless, logger, wrap

if TYPE_CHECKING:
    from pip_retry_patch.fetch.body import Body
    from pip_retry_patch.hooks.session import Requests

# How often a file that changes under the download is begun again, or one that fills the disk.
RESTARTS = 2

# pip's own, the one that its cache collects, and the one in the cache.
COPIES = 3


class FileHooks:
    """What stands around pip's downloader and its hash check."""

    def __init__(self, pip: compat.Pip, requests: Requests) -> None:
        self.pip = pip
        self.requests = requests
        self._mismatch: type[Exception] = pip.module("exceptions").HashMismatch
        self.expected: dict[str, dict[str, list[str]]] = {}  # digests by algorithm, by URL
        self._came: dict[str, Artifact] = {}  # what the hash will be checked of, by path

    def expect(self, calls: Calls, _: Any, args: Any, kwargs: Any) -> Any:
        """`get_http_url(link, download, download_dir, hashes)`: what will be checked is known."""
        url, allowed = args[0].url_without_fragment, getattr(kwargs.get("hashes"), "_allowed", {})
        self.expected[url] = {
            name: [each.lower() for each in digests] for name, digests in allowed.items() if digests
        }
        try:
            return calls(*args, **kwargs)
        finally:
            self.expected.pop(url, None)

    def download(self, calls: Calls, downloader: Any, args: Any, kwargs: Any) -> Any:
        """`Downloader.__call__(link, location)` of pip 20.3 and later."""
        link, *location = args  # before 20.3 without one
        patience = self.requests.patience(downloader._session, link.url_without_fragment)
        if not location or patience is None or not patience.attempts:
            return calls(*args, **kwargs)  # `--retries 0`: a file is fetched once, whatever comes
        artifact = Artifact(self, downloader._session, link, functools.partial(calls, link))
        path, content_type = artifact.fetch(*location)
        if artifact.hashes:
            self._came[path] = artifact
        return path, content_type

    def download_all(self, calls: Calls, downloader: Any, args: Any, kwargs: Any) -> Iterable[Any]:
        """`BatchDownloader.__call__(links, location)`: up to 25.0 it has a loop of its own.

        That does for each link what `Downloader` does. In 25.1 it calls `Downloader`.
        """
        if not hasattr(downloader, "_session"):
            return calls(*args, **kwargs)  # type: ignore[no-any-return]
        links, location = args
        downloads = self.pip.module("network.download")
        fetch = downloads.Downloader(downloader._session, downloader._progress_bar)
        by_url = self.pip.version.startswith(("20.", "21.0"))  # how pip names what it yields
        return ((link.url if by_url else link, fetch(link, location)) for link in links)

    def check(self, wrapped: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
        """`Hashes.check_against_path(path)`, after single and batch downloads alike.

        It fails closed: a file is accepted only by pip's own check of it.
        """
        path = args[0] if args else kwargs.get("path")
        artifact = self._came.pop(path, None)
        if artifact is None:
            return wrapped(*args, **kwargs)
        mismatch: Exception | None = None
        try:
            checked = wrapped(*args, **kwargs)
        except self._mismatch as error:
            mismatch = error  # what comes next is not told as what came of it
        if mismatch is not None:
            checked = look_into(mismatch, artifact, wrapped, path, self.pip)
        with harmless("removing what was kept"):
            artifact.place.finish()
        return checked


class Artifact:
    """One of pip's links, and how pip fetches it: where it is written, and when it begins again.

    It is also the path of the directory that pip is to write it into. pip uses that path when it
    has the answer, which tells whether the file is large enough to be kept.

    :param call: lets pip download it into a directory, whose path may be an os.PathLike; returns
        the path of the file and the content type.
    :ivar place: where pip writes it.
    :ivar outcome: what came of pip's request for it. `body` is what pip reads from.
    :ivar mirrors: that brought some of it, by their base URLs.
    :ivar fresh: this fetch is past every cache.
    :ivar parts: it may be joined of parts.
    """

    def __init__(self, hooks: FileHooks, session: Any, link: Any, call: Any) -> None:
        self._hooks = hooks
        self._session = session
        self._call = call
        self.link = link
        self._store = store_of(hooks.pip.settings, compat.cache_of(session))
        self.url: str = link.url_without_fragment
        self.name = names.name_of(self.url)
        # One of these digests the file must have, by algorithm, in lower case.
        self.hashes = hooks.expected.get(self.url, {})
        if link.hash:
            self.hashes = {link.hash_name: [link.hash.lower()]}
        self._key = key_of(self.hashes) or ""  # in the store, "" where nothing of it is kept
        self.fresh = self.disk_was_full = False
        self.parts = True
        self.place: Place | Plain = Plain("")
        self._location = ""  # where pip wants it
        self.outcome = Outcome(self.url)
        self.body: Body | None = None
        self.mirrors: list[str] = []

    def __fspath__(self) -> str:
        if not self.place.folder:  # one of its own: what comes again is compared with what is in it
            self.place = Plain(tempfile.mkdtemp(dir=self._location))
        return self.place.folder

    __str__ = __fspath__

    def fetch(self, location: str, fresh: bool = False, left: int = RESTARTS) -> tuple[str, str]:
        """Let pip download it into a directory; begin anew where that may help.

        :param fresh: past every cache. `left`: how often it may begin anew.
        """
        self.fresh = fresh
        try:
            return self._fetch(location)
        except errors.Restart as restart:
            self.forget()
            changed = restart.failure.changed
            if not left or (fresh and not changed):
                raise restart.error from None
            if changed or self.outcome.length is None:
                self._inform("restarted" if self.hashes else "unsafe")
            fresh = True
        except Exception as error:
            if not left or not self._makes_room(error):
                raise
        return self.fetch(location, fresh, left - 1)

    def _fetch(self, location: str) -> tuple[str, str]:
        if self.fresh:
            self._hooks.pip.record("fresh", self.name, names.host_of(self.outcome.last_url))
        self.body, self.place, self._location = None, Plain(""), location
        files, as_is = self._hooks.requests.files, self.link.url.split("#", 1)[0]
        files[self.url] = files[as_is] = self  # up to 25.0 pip asks for the latter
        try:
            path, content_type = self._call(self)
        except errors.Restart:
            raise  # whoever begins anew ends the place as well
        except BaseException as error:
            path = self._accepted(error)
            if not path:
                kept, broke = self.place.leave(), getattr(error, "failure", None)
                is_unsafe = not self.hashes and self.body is not None
                if broke is not None and (kept or is_unsafe):
                    broke = wording.with_kept(broke, bool(kept))
                    raise self._hooks.pip.error(broke, error) from error
                if kept and not isinstance(error, Exception):  # Ctrl-C
                    place = wording.Place(self.name, "", kept, self.outcome.length)
                    self._inform("kept", place=place)
                raise
            content_type = self.outcome.response.headers.get("content-type", "")
        finally:
            files.pop(self.url, None)
            files.pop(as_is, None)
        size = os.path.getsize(path)  # whoever cleans up caches may have removed it
        if isinstance(self.place, Place) and self.outcome.length is None:
            self._store.make_room(size)
        failure = None if self.hashes else not_the_file(self.name, path, self.outcome)
        if failure is not None:
            raise errors.Restart(failure, self._hooks.pip.error(failure, errors.EarlyEnd()))
        return self.place.move(path, location), content_type

    def _inform(self, kind: str, **facts: Any) -> None:
        """Show a line on which there is nothing to do."""
        self._hooks.pip.inform(wording.say(kind, **{"name": self.name, **facts}))

    def answered(self, outcome: Outcome, mirrors: list[str]) -> None:
        """Note the answer to pip's request for it, whose body comes next."""
        self.outcome, self.mirrors, size = outcome, mirrors, outcome.length
        if outcome.is_cached or (size is not None and size < SMALLEST):
            return
        place = self._store.place(self._key)
        if self._store.trouble and isinstance(self._hooks.pip.settings.partials, str):
            path, why = self._store.path, self._store.trouble
            self._hooks.pip.say_once("unusable directory", "", path=path, why=why)
        if place is not None and self._store.make_room(COPIES * (size or 0), size or 0):
            self.place = place
        elif place is not None:
            place.leave()
            self._key, self.disk_was_full = "", True

    def written(self) -> str | None:
        """Return the path of the file that pip writes, None while there is none."""
        with contextlib.suppress(OSError), os.scandir(self.place.folder) as found:
            return next((entry.path for entry in found if entry.is_file()), None)
        return None

    def _accepted(self, error: BaseException) -> str:
        """Return what came before `error`, if its hash fits, for that is the last word; else ""."""
        path = self.written() if hasattr(error, "failure") else None
        if path is None or not any(digest(path, n) in each for n, each in self.hashes.items()):
            return ""
        announced, size = self.outcome.length, f"{os.path.getsize(path):,} bytes"
        said = "more" if announced is None else f"{announced:,} bytes"
        self._inform("accepted short", size=size, said=said)
        return path

    def _makes_room(self, error: Exception) -> bool:
        """Whether another try may find a disk that works, and has room.

        pip's own directory may be on another one than the store.
        """
        is_of_disk = isinstance(error, OSError) and not errors.is_network_error(error)
        helps = is_of_disk and self._key != ""
        if is_of_disk:
            self._key = ""
        if errors.is_full(error):
            self.disk_was_full = True  # so pip's cache gets no copy
            helps = self._store.purge()[1] > 0 or helps
            self.forget()
        if helps:
            traceback.clear_frames(error.__traceback__)  # so pip's progress bar ends
            if self.outcome.response is not None:
                self.outcome.cache_nothing()  # the copy that it has begun takes room
        return helps

    def forget(self) -> None:
        """Remove what pip's HTTP cache has of it, and what is kept of it."""
        is_other = self.body is None or self.body.continued is None
        # Where something else came in its place, what is kept is as good as before.
        self.place.leave() if is_other else self.place.finish()
        page = compat.page_of(self.link)  # the next run reads it anew: it may list another hash
        compat.forget(self._session, filter(None, {self.url, *self.outcome.urls, page}))

    def distrust(self) -> bool:
        """Ask mirrors that brought bytes of it no more; return whether there were any."""
        mirrors = self._hooks.requests.mirrors
        return mirrors is not None and mirrors.drop(self.url, self.mirrors)


# The store.


_store = functools.lru_cache(maxsize=None)(Store)  # it remembers in a run what it met


def store_of(found: settings.Settings, cache: str | None) -> Store:
    """Return where unfinished downloads are kept; it may be nowhere.

    :param cache: pip's cache directory, None if it has none that it uses.
    """
    path = os.path.join(cache, "retry-patch") if cache and found.partials else ""
    return _store(found.partials if isinstance(found.partials, str) else path, found.partials_size)


def install_purge(commands: Any) -> None:
    """Let `pip cache purge` empty the store too; `commands` is the module of `pip cache`."""
    found = compat.settings_of(commands.__name__[: -len("._internal.commands.cache")])
    if not found.enabled:
        return

    def purge_cache(calls: Calls, _: Any, args: Any, kwargs: Any) -> Any:
        # First: "No matching packages" of pip 20 is no reason to leave ours; wrong arguments are.
        count, size = (0, 0) if args[1] else store_of(found, args[0].cache_dir).purge()
        if count:
            logger.info("%s", wording.say("purged", count=count, size=names.format_sum(size)))
        return calls(*args, **kwargs)

    wrap(commands, "CacheCommand.purge_cache", fail_open(purge_cache))
