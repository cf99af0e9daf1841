"""A progress bar is erased by what drew it, and is not drawn while a line is shown."""

from __future__ import annotations

import logging
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch.hooks.reporting import Announcer


class Bar:
    """As rich's Live, as far as it is used."""

    def __init__(self, height: int) -> None:
        self._lock = threading.RLock()
        self._live_render = self
        self._shape: Any = (40, height)

    def position_cursor(self) -> str:
        return f"up {self._shape[1] - 1}"


@pytest.mark.parametrize("newer", [False, True], ids=["_live", "_live_stack"])
def test_a_bar_of_two_rows_is_erased_and_held(newer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    bar = Bar(2)
    sent: list[str] = []
    console = SimpleNamespace(control=sent.append)
    vars(console).update({"_live_stack": [bar]} if newer else {"_live": bar})
    monkeypatch.setitem(sys.modules, "a_rich", SimpleNamespace(_console=console))
    terminal = SimpleNamespace(isatty=lambda: True, write=len, flush=lambda: None)
    monkeypatch.setattr(sys, "__stdout__", terminal)
    monkeypatch.setattr(sys, "__stderr__", terminal)
    monkeypatch.setenv("TERM", "xterm")
    held = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            other = threading.Thread(target=lambda: held.append(not bar._lock.acquire(False)))
            other.start()
            other.join()

    log, handler = logging.getLogger("pip_retry_patch"), Handler()
    log.addHandler(handler)
    before = log.level
    log.setLevel(logging.INFO)
    try:
        Announcer((), "a_rich")("a line")
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
    assert (sent, held, bar._shape) == (["up 1"], [True], None)
