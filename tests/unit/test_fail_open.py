"""A line that cannot be shown costs nothing but itself, and no line holds a secret."""

from __future__ import annotations

import logging

import pytest

from pip_retry_patch.wrapping.fail_open import harden


class Broken(logging.Handler):
    """As a program may have installed it."""

    def handle(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("broken handler")


@pytest.fixture
def log() -> logging.Logger:
    log = logging.Logger("of-a-test")
    harden(log)
    harden(log)
    return log


class Seeing(logging.Handler):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())


def test_a_handler_that_raises_costs_the_line(log: logging.Logger) -> None:
    broken, seeing = Broken(), Seeing()
    for handler in (broken, seeing):
        log.addHandler(handler)
    log.warning("%s", "a line")
    log.removeHandler(broken)
    log.warning("%s", "the next")
    assert seeing.seen == ["the next"]


def test_text_that_cannot_be_formatted_costs_the_line(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """logging itself would print a traceback of ours below pip's output."""
    log.addHandler(seeing := Seeing())
    log.warning("%d", "no number")
    log.warning("the next")
    assert seeing.seen == ["the next"] and capsys.readouterr() == ("", "")


def test_no_line_has_a_query_or_userinfo(log: logging.Logger) -> None:
    log.addHandler(seeing := Seeing())
    error = OSError("Failed: https://me:SECRET@h.example/a.whl?sig=SECRET")
    log.warning("of 100%% %s: %r", "a", error)
    (line,) = seeing.seen
    assert "SECRET" not in line and "https://h.example/a.whl" in line and "of 100% a" in line
