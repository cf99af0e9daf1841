"""pip's caches: its HTTP cache, and the place of the store of partials beside it.

Of pip, `network.cache.SafeFileCache`, `utils.filesystem.check_path_owner` and
`commands.cache.CacheCommand.purge_cache` (20.1) are used, and the adapter of CacheControl.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from pip_retry_patch import messages, settings
from pip_retry_patch.hooks.configuration import read_settings
from pip_retry_patch.store import files
from pip_retry_patch.store.directory import DAY, SPARE, Directory, Limits
from pip_retry_patch.store.header import key_of
from pip_retry_patch.store.shelf import Shelf
from pip_retry_patch.transport.errors import reason
from pip_retry_patch.wrapping.fail_open import wrap

logger = logging.getLogger("pip_retry_patch")

# Seconds after which what nobody finished is removed.
KEPT_FOR = 7 * DAY
# What pip writes of an artifact when it has it, in its sizes: a copy for `--dest`, or what it
# installs, uncompressed and compiled.
UNPACKED = 5
# Of so many bytes that pip has fetched, it writes no more than what is always left free.
UNNOTICED = SPARE // (2 * UNPACKED)


class Library:
    """Where partials are kept, by pip's settings and ours.

    :param complain: shows one line to the user, of a directory that cannot be used.
    """

    # A whole artifact may lie in pip's HTTP cache under another URL. It is left there: the cache is
    # named by URL, so to find it by its hash would mean to read and digest gigabytes.

    def __init__(
        self,
        pip: str,
        found: settings.Settings,
        complain: Callable[[str], None] | None = None,
    ) -> None:
        self._pip = pip
        self._settings = found
        self._complain = complain
        self._opened: dict[str | None, Directory | None] = {}
        self._fetched = 0  # bytes of artifacts, in this run
        self._unseen = 0  # of them, those that came since the last look at the disk
        self._limits = Limits(found.partials_size, KEPT_FOR)

    def directory(self, cache_dir: str | None) -> Path | None:
        """Return where to keep them, None if nowhere; `cache_dir` is pip's, None if it has none."""
        found = self._settings
        if not found.partials_dir:
            # pip leaves a directory unused that another user owns, and then has none.
            return Path(cache_dir) / "retry-patch" if cache_dir else None
        return None if self.trouble() else Path(os.path.realpath(found.partials_dir))

    def trouble(self) -> str:
        """Return why the directory that the user named cannot be used; "" if it can be."""
        wanted = self._settings.partials_dir
        if not wanted:
            return ""
        there = os.path.realpath(wanted)
        while not os.path.lexists(there) and there != os.path.dirname(there):
            there = os.path.dirname(there)
        if not os.path.isdir(there):
            return "it is not a directory"
        if not os.access(there, os.W_OK | os.X_OK):
            return "it cannot be written to"
        filesystem = importlib.import_module(f"{self._pip}._internal.utils.filesystem")
        if not filesystem.check_path_owner(wanted):
            # For root pip asks whose the link itself is, and takes that for another user's.
            is_link = os.path.islink(wanted)
            return "it is a symbolic link" if is_link else "it belongs to another user"
        if not self._settings.partials:
            return ""
        why = _why_not_made(os.path.realpath(wanted), there)
        return f"it cannot be made ({why})" if why else ""

    def shelf(self, session: Any, hashes: Mapping[str, Sequence[str]]) -> Shelf | None:
        """Return the place of an artifact that pip will check against these hashes.

        None where nothing is kept: without a hash, or by the settings, or without a cache.
        """
        found = self._open(session) if hashes else None
        return None if found is None else Shelf(found, key_of(hashes))

    def leave_room(self, session: Any, announced: int | None = None, fetched: int = 0) -> None:
        """Let what earlier runs have left give way to what pip is about to write.

        :param announced: size of an artifact that now arrives, in bytes; None for an unknown one.
        :param fetched: size of one that has arrived.
        """
        self._fetched += fetched
        self._unseen += fetched
        if (announced is not None or fetched) and (announced or 0) + self._unseen < UNNOTICED:
            return
        self._unseen = 0
        found = self._open(session)
        kept = 0 if found is None else sum(s.st_size for _, s in files.entries(found.path))
        if found is not None and kept:
            # Of what was not announced all that is known is that it, too, may be large.
            found.give_way(max(kept, found.needed(0, announced or 0) + UNPACKED * self._fetched))

    def _open(self, session: Any) -> Directory | None:
        if not self._settings.partials:
            return None
        complain, self._complain = self._complain, None
        trouble = self.trouble() if complain is not None else ""
        if complain is not None and trouble:
            complain(messages.unusable_directory(self._settings.partials_dir, trouble))
        # Only secure origins are cached by pip, but the cache is there or not for all.
        cache = getattr(session.get_adapter("https://"), "cache", None)
        http = getattr(cache, "directory", None)
        if http not in self._opened:
            path = self.directory(http and os.path.dirname(http))
            self._opened[http] = (
                None if path is None else Directory(path, self._limits, *_copies(path, http))
            )
        return self._opened[http]


def _why_not_made(path: str, there: str) -> str:
    """Return why the system makes no such directory, "" if it does; only to make it shows that.

    It is not left behind: whoever keeps something first, makes it, and owns it.

    :param there: what there is on the way to it.
    """
    try:
        os.makedirs(path, 0o700, exist_ok=True)
        return ""
    except OSError as why:
        return reason(why)
    finally:
        while path != there:
            with contextlib.suppress(OSError):
                os.rmdir(path)
            path = os.path.dirname(path)


def _copies(store: Path, http: str | None) -> tuple[int, int]:
    """Return how many files pip writes on the store's disk, while an artifact arrives and then.

    It arrives in a temporary directory, as the file and, since pip 22.0, once more for the HTTP
    cache, which gets a copy of that in the end. (Before, it was collected in memory.) What pip
    writes later, for `--dest` or as it installs, it writes when the artifact is kept no longer.
    """
    disk = _device(store)
    arriving = 0 if _device(Path(tempfile.gettempdir())) != disk else 1 if http is None else 2
    return arriving, int(http is not None and _device(Path(http)) == disk)


def _device(path: Path) -> int:
    """Return what tells the disk of a path from others, though the path may not exist yet."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.stat().st_dev


def evict(session: Any, url: str) -> None:
    """Remove what pip's HTTP cache has of a URL.

    Without that, a fresh fetch would be a conditional request that the same stale file answers.
    """
    adapter = session.get_adapter(url)
    if hasattr(adapter, "controller"):
        adapter.cache.delete(adapter.controller.cache_url(url))


def past_caches(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Add what makes CacheControl, and every cache on the way, ask the origin (RFC 9111, 5.2.1)."""
    return dict(headers or {}, **{"Cache-Control": "no-cache"})


def sweep(session: Any, url: str) -> None:
    """Remove what pip's HTTP cache could not finish of a URL, as the disk was full.

    `network.cache.SafeFileCache` leaves such a file, and passes over the error.
    """
    adapter = session.get_adapter(url)
    if hasattr(adapter, "controller"):
        path = Path(adapter.cache._get_cache_path(adapter.controller.cache_url(url)))
        for unfinished in path.parent.glob(f"{path.name}*.tmp"):
            with contextlib.suppress(OSError):
                unfinished.unlink()


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
            count, size = files.purge(directory) if directory else (0, 0)
            if count:
                logger.info("%s", messages.purged(count, size))
        except Exception as why:
            logger.debug("pip-retry-patch could not purge what it keeps: %r", why)

    wrap(commands, "CacheCommand.purge_cache", purge_cache)
