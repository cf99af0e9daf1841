"""How a user hears of something: a line through pip's logging, or an error in pip's own voice.

Of pip, `exceptions.InstallationError` (always), `DiagnosticPipError` (22.0) and
`_vendor.rich.text.Text` (22.0) are used.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any, Callable, Mapping

from pip_retry_patch import failures

logger = logging.getLogger("pip_retry_patch")


class Announcer:
    """Shows one line to the user, as a warning, through pip's logging.

    :param complaints: lines about settings, shown before the first other one: by then pip has set
        its logging up.
    """

    def __init__(self, complaints: tuple[str, ...]) -> None:
        self._complaints = complaints

    def __call__(self, line: str) -> None:
        self.complain()
        _clear_progress_bar()
        logger.warning("%s", line)

    def inform(self, line: str) -> None:
        """Show a line that warns of nothing; `-q` hides it."""
        self.complain()
        _clear_progress_bar()
        logger.info("%s", line)

    def complain(self) -> None:
        """Show the complaints, once."""
        complaints, self._complaints = self._complaints, ()
        for line in complaints:
            logger.warning("%s", line)


def _clear_progress_bar() -> None:
    """Erase the line of a progress bar, which its owner draws again below what is written now.

    pip's bars, rich's and the older ones, leave the cursor at the end of their line on stdout;
    a warning would be written right behind it.
    """
    out = sys.__stdout__
    if (
        out is not None
        and os.name != "nt"
        and os.environ.get("TERM") != "dumb"
        and logger.isEnabledFor(logging.INFO)
        and out.isatty()
        and sys.__stderr__ is not None
        and sys.__stderr__.isatty()
    ):
        out.write("\r\x1b[2K")
        out.flush()


def is_for_a_person() -> bool:
    """Whether somebody watches this pip: its warnings go to a terminal, and it is not CI's."""
    watched = sys.stderr is not None and sys.stderr.isatty()
    return watched and not os.environ.get("CI")


def error_maker(
    pip: str, origins: Callable[[], Mapping[str, str]]
) -> Callable[[failures.Failure, Exception], Exception]:
    """Return what turns a Failure into the exception that this pip shows without a traceback.

    :param origins: returns where each setting that is in force was made; see `settings.origins`.
        It is asked at the end only, for it reads pip's configuration.
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
            failure = advised(failure, origins())
        except Exception as why:
            logger.debug("pip-retry-patch could not say what would help: %r", why)
        return NetworkInterrupted(failure)

    return made


def advised(failure: failures.Failure, origins: Mapping[str, str]) -> failures.Failure:
    """Add to the hint how the setting is changed that makes pip try longer.

    :param origins: where each setting that is in force was made; see `settings.origins`.
    """
    if failure.setting is None:
        return failure
    name, value = failure.setting
    origin = origins.get(name, "[global]")
    if origin.startswith("PIP_"):
        how = f"set {origin}={value}. It is set in the environment, and overrides the configuration"
    else:
        section = origin.partition("]")[0].lstrip("[")
        how = f"pip config set {section}.{name} {value}"
    return failure._replace(hint=f"{failure.hint} To make pip try longer: {how}", setting=None)
