"""One of pip's links, and how pip fetches it: where it is written, and when it is begun again."""

from __future__ import annotations

import contextlib
import errno
import gc
import mimetypes
import os
import shutil
import tempfile
import traceback
from typing import TYPE_CHECKING, Any, BinaryIO, Callable

from pip_retry_patch import names, wording
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.judge import coding_of, media_of
from pip_retry_patch.hooks import compat
from pip_retry_patch.hooks.contents import digest, not_the_file
from pip_retry_patch.store.writer import persist
from pip_retry_patch.wrapping import note_failure

if TYPE_CHECKING:
    from pip_retry_patch.fetch.body import Body
    from pip_retry_patch.fetch.outcome import Outcome
    from pip_retry_patch.hooks.files import FileHooks
    from pip_retry_patch.store.kept import Place

# How often a file that changes under the download is begun again, or one that fills the disk.
RESTARTS = 2

# pip's own, the one that its cache collects, and the one in the cache.
COPIES = 3


class NoRoomError(OSError):
    """The disk of the store has no room for a file; known before any of it was received."""

    failure = None  # no mistake of ours, see `fail_open`


# Lets pip download a link into a directory; returns the path and the content type.
Download = Callable[[str], "tuple[str, str]"]


class Prefix:
    """The first bytes of a file, which another fetch continues (as `store.kept.Place`)."""

    def __init__(self, path: str, size: int) -> None:
        self.kept: BinaryIO | None = tempfile.TemporaryFile(dir=os.path.dirname(path))  # noqa: SIM115
        self.kept_size = size
        with open(path, "rb") as file:
            for offset in range(0, size, 1 << 20):
                self.kept.write(file.read(min(size - offset, 1 << 20)))
        self.kept.seek(0)

    def superseded(self) -> None:
        """The file goes when it is closed."""


class Artifact:
    """One of pip's links, and how pip fetches it.

    After a fetch `host`, `cached` (it came from pip's HTTP cache), `announced` (its
    Content-Length), `continued` (how much of it an earlier run had received, in bytes), `media` and
    `coding` (its media type and Content-Encoding, "" for none) and `part` (the server called it a
    part, though nobody asked for one) tell of it.
    """

    def __init__(
        self,
        hooks: FileHooks,
        session: Any,
        link: Any,
        call: Download,
        hashes: dict[str, list[str]],
    ) -> None:
        self._hooks = hooks
        self._session = session
        self._call = call
        self.link = link
        self._url: str = link.url_without_fragment
        self._urls = {self._url}
        self._folder = ""
        self.hashes = hashes
        self.name = names.name_of(self._url)
        self.host = names.host_of(self._url)
        self.media = self.coding = ""
        self.cached = self.part = self.fresh = self.disk_was_full = False
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
                failure = None if self.hashes else not_the_file(result[0], self)
                if failure is None:
                    return result
                self.forget()
                if fresh:
                    raise self.error(failure)
                if self.announced is None:
                    self._inform("unsafe")
                fresh = True
            except errors.Restart as changed:
                if restart == RESTARTS:
                    raise changed.error from None
                self._inform("restarted" if self.hashes else "unsafe")
                self.forget()
                fresh = True
            except Exception as error:
                of_disk = isinstance(error, OSError) and not errors.is_network_error(error)
                may_help = self._uses_store and of_disk  # pip's own directory may be elsewhere
                self._uses_store = self._uses_store and not of_disk
                if errors.is_full(error):
                    self.disk_was_full = True  # so pip's cache gets no copy
                    may_help = self._hooks.give_way(self._session) or may_help
                    compat.sweep(self._session, self._urls)
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
            self._hooks.pip.record("fresh", self.name, self.host)
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
                self.place.store.make_room(size)
        except errors.Restart:
            self._leave(worthless=True)
            raise
        except Exception as error:
            accepted = self._accept(error)
            if accepted is None:
                kept = self._leave()
                failure = getattr(error, "failure", None)
                is_unsafe = not self.hashes and self.body is not None
                if failure is not None and (kept or is_unsafe):
                    failure = wording.with_kept(failure, bool(kept))
                    raise self._hooks.pip.error(failure, error) from error
                raise
            path, content_type = accepted
        except BaseException:
            kept = self._leave()
            if kept:
                place = wording.Place(self.name, self.host, kept, self.announced)
                self._inform("kept", place=place)
            raise
        finally:
            files.pop(self._url, None)
        return self._move(path, location), content_type

    def _inform(self, kind: str, **facts: Any) -> None:
        """Show a line on which there is nothing to do."""
        self._hooks.pip.announce.inform(wording.say(kind, **{"name": self.name, **facts}))

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
        self._inform("accepted short", size=size, said=said)
        return path, mimetypes.guess_type(path)[0] or ""

    def _move(self, path: str, location: str) -> str:
        """Put the file where pip wants it."""
        wanted = os.path.join(location, os.path.basename(path))
        try:
            if self.place is not None:
                return self.place.move(path, location)
            if not persist(os.replace, path, wanted):
                return path
            if self._folder != location:
                shutil.rmtree(self._folder, ignore_errors=True)
        except Exception as error:
            self.place = None  # it would remove what pip is about to read
            note_failure("moving a file", error)
        return wanted if os.path.exists(wanted) else path

    def _leave(self, worthless: bool = False) -> int:
        """End a download that failed; return how many bytes are kept for the next run."""
        place, self.place = self.place, None
        if place is None:
            if not self._is_metadata:
                shutil.rmtree(self._folder, ignore_errors=True)
            return 0
        if worthless:
            place.finish()
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
            place.leave() if self.continued is None else place.finish()
        compat.forget(self._session, self._urls)

    def note(self, outcome: Outcome) -> None:
        """Take from its answer what is told of it later."""
        response = outcome.response
        self.cached = outcome.came_from_cache
        self.host = names.host_of(response.url)
        self.announced = outcome.length
        self.media, self.coding = media_of(response.headers), coding_of(response.headers)
        self.part = outcome.status == 206
        size, place = self.announced or 0, None if self.cached else self.place
        if place is not None and not place.store.make_room(COPIES * size, size):
            outcome.response.close()
            raise NoRoomError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._urls.update(outcome.urls)

    def fits(self, path: str) -> bool:
        """Whether a file has a hash that is wanted."""
        return any(digest(path, name) in digests for name, digests in self.hashes.items())

    def error(self, failure: wording.Failure) -> Exception:
        """Make pip's error of a Failure."""
        return self._hooks.pip.error(failure, errors.EarlyEnd())

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
