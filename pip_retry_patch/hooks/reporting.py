"""How a user hears of something: a line through pip's logging, or an error in pip's own voice.

Of pip, `exceptions.InstallationError` (always), `DiagnosticPipError` (22.0) and
`_vendor.rich.text.Text` (22.0) are used.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shutil
import sys
import textwrap
from typing import Any, Callable, Mapping

from pip_retry_patch import failures, names, odd_answers
from pip_retry_patch.policy.representation import is_web_page
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.pages import names_files, title_of, undecoded

logger = logging.getLogger("pip_retry_patch")


# What of a line of 79 characters pip leaves: it may indent it, and writes "WARNING: " before it.
WIDTH = 79 - len("  WARNING: ")


class Announcer:
    """Shows one line to the user, as a warning, through pip's logging.

    :param complaints: lines about settings, shown before the first other one: by then pip has set
        its logging up.
    :param vendored: the name of what pip's copies of rich and colorama are in, by which it draws
        its bars.
    """

    def __init__(self, complaints: tuple[str, ...], vendored: str = "") -> None:
        self._complaints = complaints
        self._vendored = vendored

    def __call__(self, line: str) -> None:
        self._show(logging.WARNING, line)

    def inform(self, line: str) -> None:
        """Show a line that warns of nothing; `-q` hides it."""
        self._show(logging.INFO, line)

    def _show(self, level: int, line: str) -> None:
        self.complain()
        with contextlib.ExitStack() as stack:
            try:
                _clear_progress_bar(self._vendored, stack)
            except Exception as why:
                logger.debug("pip-retry-patch could not erase a progress bar: %r", why)
            logger.log(level, "%s", _fitted(line))

    def complain(self, *more: str) -> None:
        """Show the complaints, once."""
        complaints, self._complaints = (*self._complaints, *more), ()
        for line in complaints:
            logger.warning("%s", _fitted(line))


def _fitted(line: str) -> str:
    """Return a sentence in rows that fit a terminal. Elsewhere it stays a line, to be searched."""
    err = sys.__stderr__
    if len(line) <= WIDTH or err is None or not err.isatty():
        return line
    width = max(min(shutil.get_terminal_size().columns - 12, WIDTH), 20)
    rows = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    return "\n  ".join(rows)


def _clear_progress_bar(
    vendored: str, stack: contextlib.ExitStack, windows: bool = os.name == "nt"
) -> None:
    """Erase a progress bar, which its owner draws again below what is written now.

    It leaves the cursor at the end of its last line on stdout, and a warning would be written right
    behind it. A bar of rich's knows how many lines it has, and what its terminal can do; it is kept
    from drawing itself in another thread until `stack` is left. Before pip 22.0 a bar erases one
    line, on whatever terminal, and so it is done here; on Windows colorama translates that.
    """
    out, err = sys.__stdout__, sys.__stderr__
    if (
        out is None
        or err is None
        or not logger.isEnabledFor(logging.INFO)
        or not (out.isatty() and err.isatty())
    ):
        return
    rich, colorama = (sys.modules.get(f"{vendored}.{name}") for name in ("rich", "colorama"))
    if rich is not None:
        # Without a bar rich has not made its console yet.
        console = getattr(rich, "_console", None)
        bars = getattr(console, "_live_stack", None) or [getattr(console, "_live", None)]
        if bars[-1] is not None:
            stack.enter_context(bars[-1]._lock)
            drawn = bars[-1]._live_render
            console.control(drawn.position_cursor())  # type: ignore[union-attr]
            drawn._shape = None  # or it would be erased again, with what is written now
    elif colorama is not None or not windows:
        terminal: Any = colorama.AnsiToWin32(out) if windows and colorama else out
        terminal.write("\r\x1b[2K")
        out.flush()


def is_for_a_person() -> bool:
    """Whether somebody watches this pip: its warnings go to a terminal, and it is not CI's."""
    watched = sys.stderr is not None and sys.stderr.isatty()
    return watched and not os.environ.get("CI")


def error_maker(
    pip: str, in_force: Callable[[], Mapping[str, Mapping[str, Any]]]
) -> Callable[[failures.Failure, Exception], Exception]:
    """Return what turns a Failure into the exception that this pip shows without a traceback.

    :param in_force: returns each setting's value and where it was made; see `settings.table`. It is
        asked at the end only, for it reads pip's configuration.
    """
    exceptions = importlib.import_module(f"{pip}._internal.exceptions")
    diagnostic = getattr(exceptions, "DiagnosticPipError", None)
    text: Any = diagnostic and importlib.import_module(f"{pip}._vendor.rich.text").Text

    class NetworkInterrupted(diagnostic or exceptions.InstallationError):  # type: ignore[misc]
        reference = "network-interrupted"

        def __init__(self, failure: failures.Failure) -> None:
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
            # `pip index versions` shows the first argument (21.2 to 26.1).
            self.args = (str(failure),)

        def __str__(self) -> str:
            # Of a diagnostic error this is what --log writes.
            return str(self.failure)

    def made(failure: failures.Failure, _: Exception) -> Exception:
        try:
            failure = advised(failure, in_force())
        except Exception as why:
            logger.debug("pip-retry-patch could not say what would help: %r", why)
        try:
            hide = names.without_secrets
            failure = failure._replace(
                message=hide(failure.message),
                context=hide(failure.context),
                note=hide(failure.note),
                hint=hide(failure.hint),
            )
        except Exception as why:
            logger.debug("pip-retry-patch could not look through an error: %r", why)
        return NetworkInterrupted(failure)

    return made


def advised(
    failure: failures.Failure, in_force: Mapping[str, Mapping[str, Any]]
) -> failures.Failure:
    """Add to the hint how the setting is changed that makes pip try longer.

    :param in_force: each setting's value and where it was made; see `settings.table`.
    """
    if failure.setting is None:
        return failure
    name, value = failure.setting
    patience, first_contact = "retry-patch-patience", "retry-patch-first-contact"
    if name == first_contact and in_force[name]["value"] >= in_force[patience]["value"]:
        name = patience  # a first contact never takes longer
    value = f"{max(float(value), 2 * in_force[name]['value']):.0f}"
    origin = in_force[name]["origin"]
    if origin == "default":
        origin = "[global]"
    if origin.startswith("PIP_"):
        how = f"set {origin}={value}. It is set in the environment, and overrides the configuration"
    else:
        section = origin.partition("]")[0].lstrip("[")
        how = f"pip config set {section}.{name} {value}"
    return failure._replace(hint=f"{failure.hint} To make pip try longer: {how}", setting=None)


_OF_NETWORK = (
    "ConnectionError",
    "Timeout",
    "ChunkedEncodingError",
    "ContentDecodingError",
    "RetryError",
    "TooManyRedirects",
)


def errors_of_network(exceptions: Any) -> tuple[type[Exception], ...]:
    """Return those of `requests.exceptions` that pip shows as a traceback.

    Where pip has an error of its own (26.2), that stays.
    """
    return tuple(getattr(exceptions, name) for name in _OF_NETWORK)


def failure_of_traceback(
    url: str, error: Exception, of_network: tuple[type[Exception], ...]
) -> failures.Failure | None:
    """Return what is said of an error that pip would show as a traceback."""
    try:
        name, host = names.name_of(url), names.host_of(url)
    except ValueError:
        return None  # pip was asked for an address that makes no sense
    if type(error).__name__ == "ContentDecodingError":
        return odd_answers.bad_coding(name, host)
    if isinstance(error, of_network):
        return failures.broken_request(name, host, errors.reason(error))
    if isinstance(error, ValueError):
        return odd_answers.bad_redirect(name, host, str(error))
    return None


def failure_of_answer(
    url: str, response: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> failures.Failure | None:
    """Return what is said of an answer whose text pip would take for what it asked for.

    That is a redirect that nobody could follow, a status that pip knows nothing of, or text that
    cannot be read. A page that names files is one all the same.

    :param args: and `kwargs`, what `PipSession.request` was called with.
    """
    status, whole = response.status_code, not kwargs.get("stream")
    if status == 200 and not whole:
        return None
    if args[:1] != ("GET",) or not kwargs.get("allow_redirects", True):
        return None
    redirects, without_content = 300 <= status < 400, status in (204, 205) and not whole
    if redirects or without_content or status >= 600:
        if whole and names_files(response.content):
            return None
        where = response.headers.get("Location")
        if redirects and (where or status not in (300, 304)):
            where = where or "it names none"
            return odd_answers.bad_redirect(names.name_of(url), names.host_of(url), where)
        return odd_answers.odd_status(names.name_of(url), names.host_of(url), status)
    if status >= 400 or not whole:
        return None
    coding = undecoded(response)
    if coding:
        return odd_answers.odd_coding(names.name_of(url), names.host_of(url), coding)
    # What pip asks for without a header of its own is no page, but a file of requirements.
    if status == 200 and not kwargs.get("headers"):
        start = response.content[:4096]
        if is_web_page("", start):
            name, host = names.name_of(url), names.host_of(url)
            return odd_answers.web_page_for_file(name, host, title_of(start))
    return None
