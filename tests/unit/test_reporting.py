"""A progress bar is erased by what drew it, and is not drawn while a line is shown."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch.hooks.reporting import Announcer, _clear_progress_bar


class Bar:
    """As rich's Live, as far as it is used."""

    def __init__(self, height: int) -> None:
        self._lock = threading.RLock()
        self._live_render = self
        self._shape: Any = (40, height)

    def position_cursor(self) -> str:
        return f"up {self._shape[1] - 1}"


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what is written to it."""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "__stdout__", terminal)
    monkeypatch.setattr(sys, "__stderr__", terminal)
    return terminal


@pytest.mark.parametrize("newer", [False, True], ids=["_live", "_live_stack"])
def test_a_bar_of_two_rows_is_erased_and_held(newer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    bar = Bar(2)
    sent: list[str] = []
    console = SimpleNamespace(control=sent.append)
    vars(console).update({"_live_stack": [bar]} if newer else {"_live": bar})
    monkeypatch.setitem(sys.modules, "a_pip.rich", SimpleNamespace(_console=console))
    at_a_terminal(monkeypatch)
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
        Announcer((), "a_pip")("a line")
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
    assert (sent, held, bar._shape) == (["up 1"], [True], None)


class Translated:
    """As colorama's AnsiToWin32, which makes calls of Windows of them."""

    def __init__(self, wrapped: io.StringIO) -> None:
        self.wrapped = wrapped

    def write(self, text: str) -> None:
        self.wrapped.write(text.replace("\x1b", "<"))


@pytest.mark.parametrize(
    ("windows", "colorama", "erased"),
    [
        (False, False, "\r\x1b[2K"),
        (False, True, "\r\x1b[2K"),
        (True, True, "\r<[2K"),
        (True, False, ""),
    ],
)
@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_a_bar_of_older_pips_is_erased_as_they_do_it(
    windows: bool, colorama: bool, erased: str, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = at_a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", term)
    if colorama:
        monkeypatch.setitem(sys.modules, "a_pip.colorama", SimpleNamespace(AnsiToWin32=Translated))
    log = logging.getLogger("pip_retry_patch")
    before = log.level
    log.setLevel(logging.INFO)
    try:
        with contextlib.ExitStack() as stack:
            _clear_progress_bar("a_pip", stack, windows)
    finally:
        log.setLevel(before)
    assert terminal.getvalue() == erased


SENTENCE = (
    "The index https://packages.company.example/simple/ could not be read (connection refused). "
    "pip goes on without it: what only this index has is not seen."
)


@pytest.mark.parametrize("columns, most", [(200, 79), (80, 79), (50, 50)])
@pytest.mark.parametrize("how", ["told", "complaint"])
def test_a_sentence_fits_a_terminal_in_whole_words(
    how: str, columns: int, most: int, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    at_a_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(columns))
    announce = Announcer((SENTENCE,) if how == "complaint" else (), "a_pip")
    announce.complain() if how == "complaint" else announce(SENTENCE)
    (shown,) = caplog.messages
    assert max(len(row) for row in f"  WARNING: {shown}".split("\n")) <= most
    assert shown.split() == SENTENCE.split()


def test_elsewhere_a_sentence_is_a_line(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(sys, "__stderr__", io.StringIO())
    Announcer((), "a_pip")(SENTENCE)
    monkeypatch.setattr(sys, "__stderr__", None)
    Announcer((), "a_pip")(SENTENCE)
    assert caplog.messages == [SENTENCE, SENTENCE]
