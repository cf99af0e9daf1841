"""What a pip says of itself: its configuration, its errors, its cache directory.

With hooks.py and report.py the only place that knows pip's names. `pip` is the name of the package
everywhere, for another package may carry a copy of it. The names that are used:
`configuration.Configuration`, and for `status` two private ones of that, `commands.commands_dict`,
`exceptions.InstallationError` (always) and `DiagnosticPipError` (22.0),
`network.cache.SafeFileCache.directory`,
`utils.filesystem.check_path_owner`, `_vendor.rich.text.Text` (22.0).
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Any, Callable

from pip_retry_patch import messages, settings
from pip_retry_patch.store import partials

logger = logging.getLogger("pip_retry_patch")


def read_settings(pip: str) -> settings.Settings:
    """Read the settings through pip's own Configuration, with the rules of its option parser."""
    items, command = configured(pip)
    return settings.read(settings.flatten(items), command)


def configured(pip: str) -> tuple[list[tuple[str, Any]], str | None]:
    """Return the items of pip's configuration, and the command that pip runs."""
    arguments = sys.argv[1:]
    commands = importlib.import_module(f"{pip}._internal.commands").commands_dict
    command = next((a for a in arguments if a in commands), None)
    return list(_configuration(pip).items()), command


def configured_by_file(pip: str) -> list[tuple[str, Any]]:
    """Return the items of pip's configuration, file by file also where pip merges the files."""
    configuration = _configuration(pip)
    merged = list(configuration.items())
    try:
        files = [
            (name, dict(configuration._normalized_keys(section, parser.items(section))))
            for parsers in configuration._parsers.values()
            for name, parser in parsers
            for section in parser.sections()
        ]
    except Exception as why:
        logger.debug("pip-retry-patch cannot tell pip's configuration files apart: %r", why)
        return merged
    if any(isinstance(value, dict) for _, value in merged):
        return merged
    return [*files, *(item for item in merged if item[0].startswith(":env:."))]


def _configuration(pip: str) -> Any:
    configuration = importlib.import_module(f"{pip}._internal.configuration").Configuration(
        isolated="--isolated" in sys.argv[1:]
    )
    configuration.load()
    return configuration


class Library:
    """Where partials are kept, by pip's settings and ours."""

    def __init__(self, pip: str, found: settings.Settings) -> None:
        self._pip = pip
        self._settings = found
        self._limits = partials.Limits(found.partials_size, found.partials_days * partials.DAY)

    def directory(self, cache_dir: str | None) -> Path | None:
        """Return where to keep them, None if nowhere; `cache_dir` is pip's, None if it has none."""
        found = self._settings
        if not found.partials_dir:
            # pip leaves a directory unused that another user owns, and then has none.
            return Path(cache_dir) / "retry-patch" if cache_dir else None
        filesystem = importlib.import_module(f"{self._pip}._internal.utils.filesystem")
        if not filesystem.check_path_owner(found.partials_dir):
            return None
        return Path(os.path.realpath(found.partials_dir))

    def shelf(self, session: Any, link: Any) -> partials.Shelf | None:
        """Return the place of a link's artifact, None where nothing is kept."""
        if not self._settings.partials:
            return None
        # Only secure origins are cached by pip, but the cache is there or not for all.
        cache = getattr(session.get_adapter("https://"), "cache", None)
        http = getattr(cache, "directory", None)
        directory = self.directory(http and os.path.dirname(http))
        if directory is None:
            return None
        digest = f"{link.hash_name}={link.hash.lower()}" if link.hash else ""
        key = partials.key_of(link.url_without_fragment, digest)
        return partials.Shelf(directory, self._limits, key, hashed=bool(digest))


def error_maker(pip: str) -> Callable[[messages.Failure, Exception], Exception]:
    """Return what turns a Failure into the exception that this pip shows without a traceback."""
    exceptions = importlib.import_module(f"{pip}._internal.exceptions")
    diagnostic = getattr(exceptions, "DiagnosticPipError", None)
    text: Any = diagnostic and importlib.import_module(f"{pip}._vendor.rich.text").Text

    class NetworkInterrupted(diagnostic or exceptions.InstallationError):  # type: ignore[misc]
        reference = "network-interrupted"

        def __init__(self, failure: messages.Failure) -> None:
            self.failure = failure
            if diagnostic is None:
                super().__init__(str(failure))
                return
            # As Text, not as str: that would be read as rich's markup.
            super().__init__(
                message=text(failure.message),
                context=text(failure.context),
                note_stmt=text(failure.note),
                hint_stmt=text(failure.hint),
            )

        def __str__(self) -> str:
            # Of a diagnostic error this is what --log writes.
            return str(self.failure)

    return lambda failure, _: NetworkInterrupted(failure)
