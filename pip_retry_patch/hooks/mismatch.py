"""The file ring: what is done about an artifact that is not whole, or does not fit its hash.

pip downloads a file and then checks its hash, in two places that know nothing of each other. A
`FileRing` stands around both: it remembers how each file was fetched, and when the hash does not
fit it looks into it before anyone is accused. A file is fetched once more at the most, from scratch
and past every cache; what does not fit then, stays an error.
"""

from __future__ import annotations

import hashlib
import logging
import mimetypes
import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable, NamedTuple, Protocol, TypeVar

from pip_retry_patch import failures, messages
from pip_retry_patch.transport.errors import reason

logger = logging.getLogger("pip_retry_patch")

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

    def fetch(self, location: str, fresh: bool) -> Download:
        """Let pip download it into a directory; `fresh`: past every cache.

        Afterwards `cached`, `host`, `announced` (the Content-Length) and `continued` (how much of
        it an earlier run had kept, in bytes) tell of this fetch.
        """

    def forget(self) -> None:
        """Remove what pip's HTTP cache has of it and what is kept of it, and nothing else."""

    def discard(self) -> None:
        """Remove what is kept of it for a later run, and nothing else."""

    def fits(self, path: str) -> bool:
        """Whether a file has the hash that the link carries; False if it carries none."""

    def failure_of(self, error: Exception) -> failures.Failure | None:
        """Return the Failure that an error was made of, None if it was not made by us."""

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

        :param verify: raises `mismatch` if a file's hash does not fit.
        """
        try:
            return verify(path)
        except mismatch as error:
            artifact = self._came.pop(path, None)
            if artifact is None:
                raise
            found = error
        try:
            first, second, trouble = self._fetch_again(artifact, path)
            if second is not None:
                try:
                    verified = verify(path)
                except mismatch:
                    artifact.forget()
                else:
                    self._announce(
                        messages.healed(artifact.name, first.cached, first.continued is not None)
                    )
                    return verified
            artifact.explain(found, evidence(first, second, trouble))
        except Exception as why:
            # Whatever is wrong with the looking into it, the mismatch stands.
            logger.debug("pip-retry-patch could not look into a mismatch: %r", why)
        raise found

    def _fetch_again(self, artifact: Artifact, path: str) -> tuple[Fetch, Fetch | None, str]:
        """Replace the file by a fresh one; return what is told of both, or why there is none."""
        first = _evidence(artifact, path)
        # In pip's own temporary directory: it goes when that goes, even if we are killed.
        folder = tempfile.mkdtemp(dir=str(Path(path).parent))
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
    size, digest = Path(path).stat().st_size, digest_of(path, "sha256")
    return Fetch(
        artifact.cached, artifact.host, size, artifact.announced, digest, artifact.continued
    )


def _files(location: str) -> set[str]:
    try:
        with os.scandir(location) as found:
            return {entry.path for entry in found if entry.is_file()}
    except OSError:
        return set()


class Fetch(NamedTuple):
    """One fetch of an artifact, as evidence.

    `size` and `announced` are in bytes, `announced` is None without a Content-Length; `digest`
    tells equal files from others. `continued`: so many bytes are from an earlier run.
    """

    cached: bool
    host: str
    size: int
    announced: int | None
    digest: str
    continued: int | None = None

    def __str__(self) -> str:
        place = "pip's cache" if self.cached else messages.clean(self.host)
        if self.continued is not None:
            place += f" (the first {messages.format_size(self.continued)} in an earlier run)"
        if self.announced is None:
            return f"{messages.format_size(self.size)} from {place}"
        whole = "complete" if self.size == self.announced else "NOT complete"
        size, announced = messages.format_size(self.size), messages.format_size(self.announced)
        return f"{size} of {announced} from {place}, {whole}"


def evidence(first: Fetch, second: Fetch | None, trouble: str = "") -> str:
    """What to add to pip's hash mismatch: what was seen, and the remedy that follows from it.

    :param second: the fresh fetch, None if there was none, because of `trouble`.
    """
    lines = ["pip-retry-patch looked into it:", f"  first fetch:  {first}"]
    if second is None:
        lines.append(f"  second fetch: failed: {messages.clean(trouble)}")
        lines.append("  So it is not known whether the file was damaged on its way. Run the same")
        lines.append("  command again when the connection is better.")
        return "\n".join(lines)
    lines.append(f"  second fetch: {second}")
    if first.digest == second.digest:
        lines += [
            "  Both brought the same bytes, so nothing was damaged on the way: this is another",
            "  file than the one whose hash is listed. Do not work around this, the file may have",
            "  been replaced. If the hash is in your requirements file, compare it with a source",
            "  that you trust, and make it anew with 'pip hash'. If the index lists it, ask those",
            f"  who run the index, or the authors of the package ({messages.clean(second.host)}).",
        ]
    elif first.continued is not None:
        lines += [
            "  What an earlier run had kept of the file was removed. What the server sent now does",
            "  not fit either. Run the same command again: it will show whether the server always",
            "  sends the same bytes, or whether something on the way damages them.",
        ]
    elif first.cached:
        lines += [
            "  The file in pip's cache was another one, and was removed. What the server sent does",
            "  not fit either. Run the same command again: it will show whether the server always",
            "  sends the same bytes, or whether something on the way damages them.",
        ]
    else:
        lines += [
            "  Each fetch brought different bytes: something between you and the server damages",
            "  them. That may be a proxy, an antivirus program, a router, or the disk or memory of",
            "  this machine. Try another network, or another machine.",
        ]
    return "\n".join(lines)
