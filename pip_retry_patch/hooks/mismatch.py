"""The file ring: what is done about an artifact that is not whole, or does not fit its hash.

pip downloads a file and then checks its hash, in two places that know nothing of each other. A
`FileRing` stands around both: it remembers how each file was fetched, and when the hash does not
fit it looks into it before anyone is accused. A file is fetched once more at the most, from scratch
and past every cache; what does not fit then, stays an error.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import logging
import mimetypes
import os
import shutil
import tempfile
import traceback
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, TypeVar

from pip_retry_patch import failures, messages
from pip_retry_patch.hooks.contents import can_be_undone, decode, has_end, unlabelled_coding
from pip_retry_patch.hooks.evidence import Fetch, evidence, healed
from pip_retry_patch.records import NamedTuple
from pip_retry_patch.transport.errors import is_full, reason

logger = logging.getLogger("pip_retry_patch")

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # which is cheaper to define

T = TypeVar("T")

# How often a file that changes under the download is begun anew.
RESTARTS = 2


class Download(NamedTuple):
    """What pip's downloader returns: the file, and its media type."""

    path: str
    content_type: str


class Artifact(Protocol):
    """One link, and how pip fetches it: `downloads.LinkedArtifact`."""

    name: str
    cached: bool
    host: str
    announced: int | None
    continued: int | None
    media: str
    coding: str
    part: bool

    def fetch(self, location: str, fresh: bool) -> Download:
        """Let pip download it into a directory; `fresh`: past every cache.

        Afterwards `cached`, `host`, `announced` (the Content-Length), `continued` (how much of it
        an earlier run had kept, in bytes), `media` and `coding` (its media type and its
        Content-Encoding, "" for none) and `part` (see evidence.Fetch) tell of this fetch.
        """

    def forget(self) -> None:
        """Remove what pip's HTTP cache has of it and what is kept of it, and nothing else."""

    def drop_mirrors(self) -> int | None:
        """Ask mirrors that brought bytes of it no more; return how many came before, or None."""

    def go_on_from(self, path: str, size: int) -> None:
        """Let the next fetch go on from the first `size` bytes of a file."""

    def discard(self) -> None:
        """Remove what is kept of it for a later run, and nothing else."""

    def give_back(self) -> bool:
        """Keep nothing of it from now on; return whether that gives room on the disk."""

    def fits(self, path: str) -> bool:
        """Whether a file has a hash that is wanted; False if none is known."""

    def failure_of(self, error: Exception) -> failures.Failure | None:
        """Return the Failure that an error was made of, None if it was not made by us."""

    def without_end(self, size: int) -> Exception:
        """Return the error for a file of which each time only the beginning came."""

    def explain(self, mismatch: Exception, evidence: str) -> None:
        """Let pip show `evidence` after what it says of a mismatch."""


class FileRing:
    """Remembers how files came, and fetches one again when that may help.

    :param announce: shows one line to the user.
    """

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._came: dict[str, Artifact] = {}

    def download(self, artifact: Artifact, location: str) -> Download:
        """Let pip download into `location`; begin anew if the file changed meanwhile."""
        before = _files(location)
        for restart in range(RESTARTS + 1):
            try:
                download = artifact.fetch(location, fresh=restart > 0)
                break
            except Exception as error:
                failure = artifact.failure_of(error)
                if failure is None:
                    if restart < RESTARTS and is_full(error) and artifact.give_back():
                        # What the error holds is in the way: pip's progress bar, and the room that
                        # the HTTP cache's own temporary file takes.
                        traceback.clear_frames(error.__traceback__)
                        gc.collect()
                        continue
                    raise
                left = _files(location) - before
                if failure.changed and restart < RESTARTS:
                    self._announce(messages.restarted(artifact.name))
                    artifact.forget()
                    continue
                download = self._accept(artifact, left, error)
                break
        self._came[download.path] = artifact
        return download

    def _accept(self, artifact: Artifact, left: set[str], error: Exception) -> Download:
        """Accept what arrived if its hash fits, for the hash is the last word; or else raise."""
        try:
            (path,) = left
            fits = artifact.fits(path)
        except Exception:
            fits = False
        if not fits:
            raise error
        size = Path(path).stat().st_size
        artifact.discard()
        self._announce(messages.accepted_short(artifact.name, size, artifact.announced))
        return Download(path, mimetypes.guess_type(path)[0] or "")

    def check(self, verify: Callable[[str], T], path: str, mismatch: type[Exception]) -> T:
        """Let pip check a file's hash; on a mismatch fetch the file anew, once, and check that.

        A file that something on the way compressed is decoded first: its hash is of what it was.
        Where its end is missing, and no length was told, the network is to blame: then it is
        fetched more often, and the end is an error that says so.

        :param verify: raises `mismatch` if a file's hash does not fit.
        """
        try:
            return verify(path)
        except mismatch as error:
            artifact = self._came.pop(path, None)
            if artifact is None:
                raise
            found: Exception = error
        try:
            while self._fetch_without_mirrors(artifact, path):
                with contextlib.suppress(mismatch):
                    return verify(path)
        except Exception as error:
            if artifact.failure_of(error) is not None:
                raise error from None  # no other source delivers it
            logger.debug("pip-retry-patch could not do without a mirror: %r", error)
        try:
            if self._replace_decoded(artifact, verify, path, mismatch):
                return verify(path)
            first, second, trouble = self._fetch_again(artifact, path)
            for restart in range(RESTARTS + 1):
                if second is None or (restart and not second.is_cut):
                    break
                if restart:
                    _, second, trouble = self._fetch_again(artifact, path)
                try:
                    verified = verify(path)
                except mismatch:
                    if self._replace_decoded(artifact, verify, path, mismatch):
                        return verify(path)
                    artifact.forget()
                else:
                    self._announce(healed(artifact.name, first))
                    return verified
            artifact.explain(found, evidence(first, second, trouble))
            if second is not None and second.is_cut:
                found = artifact.without_end(second.size)
        except Exception as why:
            # Whatever is wrong with the looking into it, the mismatch stands.
            logger.debug("pip-retry-patch could not look into a mismatch: %r", why)
        raise found

    def _fetch_without_mirrors(self, artifact: Artifact, path: str) -> bool:
        """Fetch again what mirrors brought, from others; False if none brought anything."""
        offset = artifact.drop_mirrors()
        if offset is None:
            return False
        with _folder_beside(path) as folder:
            artifact.forget()
            artifact.go_on_from(path, offset)
            Path(artifact.fetch(folder, fresh=False).path).replace(path)
        return True

    def _replace_decoded(
        self,
        artifact: Artifact,
        verify: Callable[[str], T],
        path: str,
        mismatch: type[Exception],
    ) -> bool:
        """Put the decoded file in a file's place if its hash fits."""
        coding = artifact.coding or unlabelled_coding(path)
        if not can_be_undone(coding):
            return False
        # Beside it, in pip's own temporary directory: it goes when that goes.
        handle, decoded = tempfile.mkstemp(dir=str(Path(path).parent))
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in decode(path, coding):
                    file.write(piece)
            verify(decoded)
            os.replace(decoded, path)
        except (mismatch, zlib.error, OSError) as why:
            logger.debug("%s is not what its coding says: %r", artifact.name, why)
            with contextlib.suppress(OSError):
                os.unlink(decoded)
            return False
        self._announce(messages.decoded(artifact.name, coding, artifact.host))
        return True

    def _fetch_again(self, artifact: Artifact, path: str) -> tuple[Fetch, Fetch | None, str]:
        """Replace the file by a fresh one; return what is told of both, or why there is none."""
        first = _evidence(artifact, path)
        with _folder_beside(path) as folder:
            try:
                artifact.forget()
                fresh = artifact.fetch(folder, fresh=True)
                second = _evidence(artifact, fresh.path)
                Path(fresh.path).replace(path)
                return first, second, ""
            except Exception as error:
                logger.debug("pip-retry-patch could not fetch it again: %r", error)
                failure = artifact.failure_of(error)
                return first, None, reason(error) if failure is None else failure.message


@contextlib.contextmanager
def _folder_beside(path: str) -> Iterator[str]:
    """Make a directory in pip's own temporary one: it goes with that, even if we are killed."""
    folder = tempfile.mkdtemp(dir=str(Path(path).parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def digest_of(path: str, algorithm: str) -> str:
    """Return the digest of a file, in lower-case hexadecimal, without holding the file."""
    digest = hashlib.new(algorithm)
    with Path(path).open("rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def _evidence(artifact: Artifact, path: str) -> Fetch:
    with Path(path).open("rb") as file:
        start = file.read(512)
    return Fetch(
        artifact.name,
        artifact.cached,
        artifact.host,
        Path(path).stat().st_size,
        artifact.announced,
        digest_of(path, "sha256"),
        artifact.continued,
        artifact.media,
        artifact.coding,
        start,
        artifact.part,
        has_end(path),
    )


def _files(location: str) -> set[str]:
    try:
        with os.scandir(location) as found:
            return {entry.path for entry in found if entry.is_file()}
    except OSError:
        return set()
