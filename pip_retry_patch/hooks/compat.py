"""What differs between pips, or is read from pip: its settings, errors, log, bar and caches.

`pip` is the name of the package everywhere, for another package may carry a copy of it.

For the settings `configuration.Configuration`, `commands.commands_dict` and
`cli.main_parser.create_main_parser` are used.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import importlib
import inspect
import logging
import optparse
import os
import shutil
import sys
import textwrap
import time
from typing import Any, Callable, Iterable

from pip_retry_patch import names, settings, wording
from pip_retry_patch.fetch.errors import reason
from pip_retry_patch.fetch.patience import LONG_WAIT
from pip_retry_patch.fetch.story import no_record
from pip_retry_patch.records import replace
from pip_retry_patch.wrapping import harmless, logger

# What of a line of 79 characters pip leaves: it may indent it, and writes "WARNING: " before it.
WIDTH = 79 - len("  WARNING: ")

# Erases a row of a terminal, and goes to its beginning.
_ERASE = "\r\x1b[2K"


# The settings.


def settings_of(pip: str) -> settings.Settings:
    """Return the settings that are in force for the command that pip runs."""
    module = importlib.import_module(f"{pip}._internal.configuration")
    configuration = module.Configuration(isolated=is_isolated())
    configuration.load()
    return settings.read(configuration.items(), functools.partial(command_of, pip))


def is_isolated() -> bool:
    return "--isolated" in getattr(sys, "argv", [])[1:]  # where pip is embedded there may be none


def command_of(pip: str) -> str | None:
    """Return the command that pip runs; None if that is not known.

    pip's own parser knows which words are values of options. Its `parse_command` must not be
    called: it prints the version, and runs another pip for `--python`.
    """
    try:
        # Without this module no command line was parsed, and sys.argv is another program's.
        parser = sys.modules[f"{pip}._internal.cli.main_parser"].create_main_parser()
        parser.error = sys.exit  # pip's writes to the user first
        parser.remove_option("--help")  # so does this
        words: list[str] = parser.parse_args(sys.argv[1:], optparse.Values())[1]
    except (Exception, SystemExit) as why:
        logger.debug("pip-retry-patch cannot tell which command pip runs: %r", why)
        return None
    commands = importlib.import_module(f"{pip}._internal.commands").commands_dict
    return words[0] if words and words[0] in commands else None


# What a user sees.


def _fitted(line: str, width: int = WIDTH, between: str = "\n  ") -> str:
    """Return a sentence in rows that fit a terminal. Elsewhere it stays a line, to be searched.

    :param width: on a terminal of 80 columns; on a narrower one it is less.
    """
    if not _is_terminal(sys.__stderr__):
        return line
    width += min(shutil.get_terminal_size().columns - 80, 0)
    rows = textwrap.wrap(line, max(width, 20), break_long_words=False, break_on_hyphens=False)
    return between.join(rows)


def _bar(pip: str) -> Any:
    """Return what draws a bar of rich's (its `Live`), None without one."""
    # Without a bar rich has not made its console yet.
    console = getattr(sys.modules.get(f"{pip}._vendor.rich"), "_console", None)
    return (getattr(console, "_live_stack", None) or [getattr(console, "_live", None)])[-1]


def _clear_progress_bar(pip: str, stack: Any) -> bool:
    """Erase a progress bar, which its owner draws again below what is written now.

    Returns whether there is a terminal for such bars.

    It leaves the cursor at the end of its last line on stdout, and a warning would be written right
    behind it. A bar of rich's knows how many lines it has, and what its terminal can do; it is kept
    from drawing itself in another thread until `stack` is left. Before pip 22.0 a bar erases one
    line, on whatever terminal, and so it is done here; but not on Windows.
    """
    if not logger.isEnabledFor(logging.INFO):
        return False
    # A program may have redirected it; while a bar is drawn, rich has.
    is_own = getattr(sys.stdout, "rich_proxied_file", sys.stdout) is sys.__stdout__
    out: Any = sys.__stdout__ if is_own else None
    is_terminal = _is_terminal(out)
    with harmless("erasing a progress bar"):
        bar = _bar(pip)
        if bar is not None and bar.console.is_terminal:  # or is taken for one (FORCE_COLOR)
            stack.enter_context(bar._lock)
            drawn = bar._live_render
            bar.console.control(drawn.position_cursor())
            drawn._shape = None  # or it would be erased again, with what is written now
        elif is_terminal and f"{pip}._vendor.rich" not in sys.modules and os.name != "nt":
            out.write(_ERASE)
            out.flush()
    return is_terminal


def is_for_a_person() -> bool:
    """Whether somebody watches this pip: its warnings go to a terminal, and it is not CI's."""
    return _is_terminal(sys.stderr) and not os.environ.get("CI")


def _is_terminal(stream: Any) -> bool:
    # Without a console there are no streams, and a program may have put its own there, or none.
    with contextlib.suppress(AttributeError, ValueError):
        return bool(stream.isatty())
    return False


class Pip:
    """One copy of pip: its name, the settings, and how it speaks to its user.

    `record` writes to the journal, if there is one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings = settings_of(name)
        self.version = str(getattr(importlib.import_module(name), "__version__", ""))
        self.record: Callable[..., None] = no_record
        self._told: set[tuple[str, str]] = set()
        found = self.module("utils.logging")
        self._broken_stdout: Any = getattr(found, "BrokenStdoutLoggingError", BrokenPipeError)
        if self.settings.log:
            journal = importlib.import_module("pip_retry_patch.store.journal")
            self.record = journal.Journal(self.settings.log, self.version, self._complain).note

    def module(self, name: str) -> Any:
        """Import one of its internal modules. Raises ImportError."""
        return importlib.import_module(f"{self.name}._internal.{name}")

    def announce(self, line: str, level: int = logging.WARNING) -> None:
        """Show a line to the user, through pip's logging."""
        with contextlib.ExitStack() as stack:
            _clear_progress_bar(self.name, stack)
            # Nobody reads it (`| head`): pip meets that at its own next line, and says so.
            stack.enter_context(contextlib.suppress(self._broken_stdout))
            logger.log(level, "%s", _fitted(line))

    def inform(self, line: str) -> None:
        """Show what is in order again; `-q` hides it.

        pip has two levels for its own resumption: WARNING while it tries, and INFO ("Resuming
        download") when the rest comes.
        """
        self.announce(line, logging.INFO)

    def restart_bar(self) -> None:
        """Let pip's bar tell the speed of what comes from now on; needs rich (pip 22.0)."""
        bar = _bar(self.name)
        if bar is not None:
            progress = bar._get_renderable.__self__
            for task in progress.tasks:
                progress.reset(task.id, completed=task.completed)

    def sleep(self, seconds: float) -> None:
        """Wait. A row of a terminal that can rewrite it tells what is left of a long wait."""
        rewrite = functools.partial(print, end="", file=sys.__stdout__, flush=True)
        with contextlib.ExitStack() as stack:
            can = os.name != "nt" and os.environ.get("TERM", "dumb") != "dumb"
            if seconds > LONG_WAIT and can and _clear_progress_bar(self.name, stack):
                stack.callback(rewrite, _ERASE)
                while seconds > 1:
                    rewrite(f"{_ERASE}  Trying again in {seconds:.0f} s")
                    time.sleep(1)
                    seconds -= 1
            time.sleep(seconds)

    def say_once(self, kind: str, about: str, **facts: Any) -> None:
        """Show a line of `wording.say`, if there was none of this kind about the same thing."""
        if (kind, about) not in self._told:
            self._told.add((kind, about))
            self.announce(wording.say(kind, **facts))

    def _complain(self, why: str) -> None:
        self.say_once("unusable log", "", path=self.settings.log, why=why)

    def error(self, failure: wording.Failure, cause: Any) -> Exception:
        """Return the exception by which this pip shows a Failure in words.

        Where pip has a class for the cause (26.2: `exceptions.network`), it is of that class too,
        so that whatever catches pip's error catches ours. It is of no class on which pip's own
        resumption starts.
        """
        failure = _advised(failure, self.settings)
        exceptions = self.module("exceptions")
        diagnostic = getattr(exceptions, "DiagnosticPipError", None)  # 22.0
        kind: Any = diagnostic or exceptions.InstallationError
        text: Any = diagnostic and importlib.import_module(f"{self.name}._vendor.rich.text").Text
        if diagnostic and isinstance(cause, diagnostic) and not hasattr(cause, "failure"):
            kind = type(cause)
            # Its first two parts are as good as ours, and what others may compare; but not what is
            # an error as Python writes it.
            message, context = (
                str(part if isinstance(part, text) else text.from_markup(part))
                for part in (cause.message, cause.context)
            )
            if "Error(" in context:
                context = failure.context
            failure = replace(failure, message=message, context=context)
        shown = "message", "context", "note_stmt", "hint_stmt"
        parts = failure.message, failure.context, failure.note, failure.hint

        class NetworkInterrupted(kind):  # type: ignore[misc]
            reference = getattr(kind, "reference", "network-interrupted")

            def __init__(self) -> None:
                self.failure = failure
                if diagnostic is not None:
                    # As Text, not as str: that would be read as rich's markup. And in rows, for
                    # pip lets a terminal break them anywhere.
                    fitted = (text(_fitted(part, 72, "\n")) for part in parts)
                    diagnostic.__init__(self, **dict(zip(shown, fitted)))
                # `pip index versions` shows the first argument (21.2 to 26.1).
                self.args = (str(self),)

            def __str__(self) -> str:
                # Of a diagnostic error this is what --log writes.
                said = str(failure)
                return said if diagnostic else "\n".join(map(_fitted, said.split("\n")))

        return NetworkInterrupted()


def _advised(failure: wording.Failure, found: settings.Settings) -> wording.Failure:
    """Add to the hint how the setting is changed that makes pip try longer."""
    if failure.setting is None:
        return failure
    name, least = failure.setting
    now = settings.table(found).get(name, {"value": 0, "origin": ""})  # --timeout is pip's own
    value, origin = f"{max(float(least), 2 * now['value']):.0f}", now["origin"]
    if not origin:
        how = f"{name} {value}"
    elif origin.startswith("PIP_"):
        how = f"set {origin}={value}. It is set in the environment, and overrides the configuration"
    else:
        section = origin[1:].partition("]")[0] if origin.startswith("[") else "global"
        file = "--site " if is_isolated() else ""  # the user's own is not read then
        how = f"pip config {file}set {section}.{name} {value}"
    return replace(failure, hint=f"{failure.hint} To make pip try longer: {how}", setting=None)


# Pages.


def page_of(link: Any) -> str:
    """Return the URL of the page that lists a link; "" where none does, or it is no link."""
    page = str(link and link.comes_from)
    return page if page.startswith(("http://", "https://")) else ""


def links_on(collector: Any, page: str, get: Callable[[], Any]) -> dict[str, Any]:
    """Return the links to files that a page has, by the file's name; nothing if it is unreadable.

    :param collector: pip's module `index.collector`. It would keep the links by the page's URL.
    :param get: returns the page at the URL `page`, as a response of requests.
    """
    make = getattr(collector, "_make_index_content", None) or collector._make_html_page  # 22.2
    try:
        response = get()
        response.raise_for_status()
        # In pip 22.0 and 22.1, whether to parse with html5lib.
        more = [False] * (len(inspect.signature(collector.parse_links).parameters) - 1)
        links = list(collector.parse_links(make(response, cache_link_parsing=False), *more))
    except Exception as error:  # of the network, or of pip's parser
        logger.debug("cannot read %s: %s", names.redacted(page), reason(error))
        return {}
    return {link.filename: link for link in links if link.scheme in ("http", "https")}


# The HTTP cache.


def forget(session: Any, urls: Iterable[str]) -> None:
    """Remove what pip's HTTP cache has of these URLs.

    Without that a fresh fetch would be a conditional request that the same stale file answers.
    What `network.cache.SafeFileCache` had begun to write when a disk was full goes, too: pip
    leaves it, and passes over the error.
    """
    for url in urls:
        adapter = session.get_adapter(url)
        if hasattr(adapter, "controller"):
            cache, key = adapter.cache, adapter.controller.cache_url(url)
            cache.delete(key)
            for unfinished in glob.glob(f"{glob.escape(cache._get_cache_path(key))}*.tmp"):
                with contextlib.suppress(OSError):
                    os.unlink(unfinished)


def cache_of(session: Any) -> str | None:
    """Return pip's cache directory, None if it has none that it uses.

    Only secure origins are cached by pip, but the cache is there or not for all.
    """
    cache = getattr(session.get_adapter("https://"), "cache", None)
    http = getattr(cache, "directory", None)
    return os.path.dirname(http) if http else None
