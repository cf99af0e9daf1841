"""How a line reaches the user: through pip's logging, and past its progress bar."""

from __future__ import annotations

import logging
import os
import sys

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
