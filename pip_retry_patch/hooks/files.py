"""pip's downloader, which has the link, and its hash check, which has the path.

The two know nothing of each other. `FileHooks` stands around both, as each pip calls them; an
`Artifact` is one of pip's links, and how it is fetched.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import logging
import mimetypes
import os
import shutil
import tempfile
import traceback
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Iterable, Mapping, Sequence

from pip_retry_patch import names, settings, wording
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.judge import coding_of, media_of
from pip_retry_patch.fetch.story import Record
from pip_retry_patch.hooks import compat
from pip_retry_patch.hooks.configuration import configured
from pip_retry_patch.hooks.contents import not_the_file
from pip_retry_patch.hooks.mismatch import check
from pip_retry_patch.store.kept import Place, Store, key_of
from pip_retry_patch.wrapping import Calls, fail_open, note_failure, wrap

if TYPE_CHECKING:
    from pip_retry_patch.fetch.body import Body
    from pip_retry_patch.fetch.exchange import Outcome
    from pip_retry_patch.hooks.session import Requests

logger = logging.getLogger("pip_retry_patch")

# How often a file that changes under the download is begun anew, or one that fills the disk.
RESTARTS = 2

# pip's own, the one that its cache collects, and the one in the cache.
COPIES = 3


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
    """What stands around pip's downloader and its hash check.

    :param error: makes pip's exception of a Failure and of what caused it.
    :param record: writes to the journal.
    """

    def __init__(
        self,
        pip: str,
        found: settings.Settings,
        requests: Requests,
        announce: compat.Announcer,
        error: Callable[[wording.Failure, Exception], Exception],
        record: Record,
    ) -> None:
        self.requests = requests
        self.announce = announce
        self.error = error
        self.record = record
        self._mismatch = importlib.import_module(f"{pip}._internal.exceptions").HashMismatch
        self._settings = found
        self._store: Store | None = None
        self._store_of: str | None = ""
        self._expected: dict[str, Mapping[str, Sequence[str]]] = {}  # by URL
        self._came: dict[str, Artifact] = {}  # what the hash will be checked of, by path

    @fail_open
    def expect(self, calls: Calls, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`get_http_url(link, download, download_dir, hashes)`: what will be checked is known."""
        hashes = args[3] if len(args) > 3 else kwargs.get("hashes")
        link = args[0] if args else kwargs["link"]
        self._expected[link.url_without_fragment] = getattr(hashes, "_allowed", None) or {}
        try:
            return calls(*args, **kwargs)
        finally:
            self._expected.pop(link.url_without_fragment, None)

    @fail_open
    def download(
        self, calls: Calls, downloader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """`Downloader.__call__(link, location)` of pip 20.3 and later."""
        if len(args) != 2 or kwargs or not self._is_retried(downloader, args[0]):
            return calls(*args, **kwargs)
        link, location = args
        return self._fetch(downloader, link, lambda folder: calls(link, folder), location)

    @fail_open
    def download_all(
        self, calls: Calls, downloader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterable[Any]:
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
    def _one(
        self, calls: Calls, downloader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
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

    def _fetch(
        self, downloader: Any, link: Any, call: Callable[[str], tuple[str, str]], location: str
    ) -> tuple[str, str]:
        hashes = hashes_of(link, self._expected.get(link.url_without_fragment, {}))
        artifact = Artifact(self, downloader._session, link, call, hashes)
        path, content_type = artifact.fetch(location)
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
        checked = check(artifact, wrapped, path, self._mismatch, self.announce, note_failure)
        artifact.finish()
        return checked

    # The store.

    def place(self, session: Any, hashes: Mapping[str, Sequence[str]]) -> Place | None:
        """Return where pip is to write an artifact so that a later run can continue it."""
        key = key_of(hashes) if self._settings.partials else None
        store = self._open(session) if key else None
        return store.place(key) if store is not None and key else None

    def _open(self, session: Any) -> Store | None:
        cache = compat.cache_of(session)
        if self._store_of != cache:
            why = trouble(self._settings) if self._store_of == "" else ""
            if why:
                named = self._settings.partials_dir
                self.announce.complain(wording.say("unusable directory", path=named, why=why))
            self._store_of = cache
            path = directory(self._settings, cache)
            self._store = Store(path, self._settings.partials_size) if path else None
        return self._store

    def make_room(self, session: Any, size: int) -> None:
        """Remove what earlier runs left where so many bytes may not fit beside it.

        When a disk is full it is too late: pip's cache leaves a part of its copy behind.
        """
        store = self._open(session)
        with contextlib.suppress(OSError):
            if store is not None and shutil.disk_usage(store.path).free < size:
                store.purge()

    def give_way(self, session: Any) -> bool:
        """Remove what earlier runs left, for a disk is full; return whether there was anything."""
        store = self._open(session)
        return store is not None and store.purge()[1] > 0


def trouble(found: settings.Settings) -> str:
    """Return why the directory that the user named cannot be used; "" if it can be."""
    if not found.partials_dir:
        return ""
    path = found.partials_dir
    if os.path.islink(path):
        return "it is a symbolic link"
    there = path
    while not os.path.lexists(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there):
        return "it is not a directory"
    if not os.access(there, os.W_OK | os.X_OK):
        return "it cannot be written to"
    owner, user = os.stat(there).st_uid, getattr(os, "geteuid", int)()
    return "it belongs to another user" if there == path and owner != user else ""


def directory(found: settings.Settings, cache: str | None) -> str | None:
    """Return where unfinished downloads are kept, None if nowhere.

    :param cache: pip's cache directory, None if it has none that it uses.
    """
    if not found.partials:
        return None
    if found.partials_dir:
        return found.partials_dir
    return os.path.join(cache, "retry-patch") if cache else None


def _digest(path: str, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


class Prefix:
    """The first bytes of a file, which another fetch continues (as `store.kept.Place`)."""

    def __init__(self, path: str, size: int) -> None:
        self.kept: BinaryIO | None = tempfile.TemporaryFile(dir=os.path.dirname(path))  # noqa: SIM115
        self.kept_size = size
        with open(path, "rb") as file:
            while size > 0:
                piece = file.read(min(size, 1 << 20))
                if not piece:
                    break
                size -= self.kept.write(piece)
        self.kept.seek(0)

    def superseded(self) -> None:
        """The file goes when it is closed."""


class Artifact:
    """One of pip's links, and how pip fetches it.

    After a fetch `host`, `cached` (it came from pip's HTTP cache), `announced` (its
    Content-Length), `continued` (how much of it an earlier run had received, in bytes), `media` and
    `coding` (its media type and Content-Encoding, "" for none) and `part` (the server called it a
    part, though nobody asked for one) tell of it.

    :param call: lets pip download it into a directory; returns the path and the content type.
    """

    def __init__(
        self,
        hooks: FileHooks,
        session: Any,
        link: Any,
        call: Callable[[str], tuple[str, str]],
        hashes: dict[str, list[str]],
    ) -> None:
        self._hooks = hooks
        self._session = session
        self._call = call
        self._url: str = link.url_without_fragment
        self._urls = {self._url}
        self._folder = ""
        self.hashes = hashes
        self.name = names.name_of(self._url)
        self.host = names.host_of(self._url)
        self.media = self.coding = ""
        self.cached = self.part = self.fresh = False
        self.announced: int | None = None
        self.place: Place | None = None
        self.body: Body | None = None
        self.before: Prefix | None = None  # what the next fetch is to continue
        self.mirrored: list[tuple[int, str]] = []  # see Exchange
        self._is_metadata = self.name.endswith(".metadata")
        self._uses_store = not self._is_metadata

    @property
    def continued(self) -> int | None:
        return None if self.body is None else self.body.continued

    def fetch(self, location: str, fresh: bool = False) -> tuple[str, str]:
        """Let pip download it into a directory; begin anew where that may help.

        :param fresh: past every cache.
        """
        for restart in range(RESTARTS + 1):
            try:
                result = self._fetch(location, fresh)
                failure = None if self.hashes else self._look(result[0])
                if failure is None:
                    return result
                self.forget()
                if fresh:
                    raise self._hooks.error(failure, errors.EarlyEnd())
                fresh = True
            except errors.Restart as changed:
                if restart == RESTARTS:
                    raise changed.error from None
                self._hooks.announce(wording.say("restarted", name=self.name))
                self.forget()
                fresh = True
            except Exception as error:
                of_disk = isinstance(error, OSError) and not errors.is_network_error(error)
                may_help = self._uses_store and of_disk  # pip's own directory may be elsewhere
                self._uses_store = self._uses_store and not of_disk
                if errors.is_full(error):
                    may_help = self._hooks.give_way(self._session) or may_help
                if not may_help:
                    raise
                # What the error holds takes room: the HTTP cache's own temporary file.
                self.body = None
                for cause in errors.causes(error):
                    traceback.clear_frames(cause.__traceback__)
                    cause.__traceback__ = None  # a frame that is cleared still has its function
                gc.collect()
        return self._fetch(location, fresh)

    def _fetch(self, location: str, fresh: bool) -> tuple[str, str]:
        if fresh:
            self._hooks.record("fresh", self.name, self.host)
        self.fresh, self.body, self.place = fresh, None, None
        if self._uses_store:
            self.place = self._hooks.place(self._session, self.hashes)
            self._uses_store = self.place is not None
        if self.place is not None:
            self._folder = self.place.folder
        elif self._is_metadata:
            self._folder = location
        else:
            self._folder = tempfile.mkdtemp(dir=location)
        files = self._hooks.requests.files
        files[self._url] = self
        try:
            path, content_type = self._call(self._folder)
            size = os.path.getsize(path)  # whoever cleans up caches may have removed it
            if self.place is not None and self.announced is None:
                self._hooks.make_room(self._session, size)
        except errors.Restart:
            self._leave(worthless=True)
            raise
        except Exception as error:
            accepted = self._accept(error)
            if accepted is None:
                kept = self._leave()
                failure = getattr(error, "failure", None)
                if kept and failure is not None:
                    raise self._hooks.error(wording.with_kept(failure), error) from error
                raise
            path, content_type = accepted
        except BaseException:
            self._leave()
            raise
        finally:
            files.pop(self._url, None)
        return self._move(path, location), content_type

    def written(self) -> str | None:
        """Return the path of the file that pip writes, None while there is none."""
        if self._is_metadata:
            return None
        with contextlib.suppress(OSError), os.scandir(self._folder) as found:
            return next((entry.path for entry in found if entry.is_file()), None)
        return None

    def _accept(self, error: Exception) -> tuple[str, str] | None:
        """Return what arrived before `error`, if its hash fits: the hash is the last word."""
        path = self.written() if hasattr(error, "failure") and self.hashes else None
        if path is None or not self.fits(path):
            return None
        size = names.format_size(os.path.getsize(path))
        said = "more" if self.announced is None else names.format_size(self.announced)
        self._hooks.announce(wording.say("accepted short", name=self.name, size=size, said=said))
        return path, mimetypes.guess_type(path)[0] or ""

    def _move(self, path: str, location: str) -> str:
        """Put the file where pip wants it."""
        if self.place is not None:
            return self.place.move(path, location)
        if self._folder != location:
            wanted = os.path.join(location, os.path.basename(path))
            os.replace(path, wanted)
            shutil.rmtree(self._folder, ignore_errors=True)
            return wanted
        return path

    def _leave(self, worthless: bool = False) -> int:
        """End a download that failed; return how many bytes are kept for the next run."""
        place, self.place = self.place, None
        if place is None:
            if not self._is_metadata:
                shutil.rmtree(self._folder, ignore_errors=True)
            return 0
        if worthless:
            place.discard()
            return 0
        return place.leave()

    def finish(self) -> None:
        """Its hash was checked: nothing of it is kept any more."""
        place, self.place = self.place, None
        if place is not None:
            place.finish()

    def forget(self) -> None:
        """Remove what pip's HTTP cache has of it, and what is kept of it."""
        place, self.place = self.place, None
        if place is not None:
            # Where something else came in its place, what is kept is as good as before.
            place.leave() if self.continued is None else place.discard()
        compat.forget(self._session, self._urls)

    def note(self, outcome: Outcome) -> None:
        """Take from its answer what is told of it later."""
        response = outcome.response
        self.cached = outcome.came_from_cache
        self.host = names.host_of(response.url)
        self.announced = outcome.length
        self.media, self.coding = media_of(response.headers), coding_of(response.headers)
        self.part = outcome.status == 206
        if self.place is not None and self.announced and not self.cached:
            self._hooks.make_room(self._session, COPIES * self.announced)
        self._urls.update(outcome.urls)

    def _look(self, path: str) -> wording.Failure | None:
        """Return what is said of a file that no hash is known of and that pip cannot use."""
        about = self.name, self.host, self.media, self.coding
        return not_the_file(path, *about, whole=self.announced is not None)

    def fits(self, path: str) -> bool:
        """Whether a file has a hash that is wanted."""
        return any(_digest(path, name) in digests for name, digests in self.hashes.items())

    def error(self, failure: wording.Failure) -> Exception:
        """Make pip's error of a Failure."""
        return self._hooks.error(failure, errors.EarlyEnd())

    def drop_mirrors(self) -> int | None:
        """Ask mirrors that brought bytes of it no more; return how many came before, or None."""
        mirrors, mirrored = self._hooks.requests.mirrors, self.mirrored
        if mirrors is None or not mirrored:
            return None
        mirrors.drop(self.name, (mirror for _, mirror in mirrored))
        self.mirrored = []
        return mirrored[0][0]

    def continue_from(self, path: str, size: int) -> None:
        """Let the next fetch continue after the first bytes of a file."""
        self.before = Prefix(path, size) if size else None


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
