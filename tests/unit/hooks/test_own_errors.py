"""A failure as the exception that pip shows, and what of pip's own errors becomes one."""

from __future__ import annotations

import importlib
import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from pip_retry_patch import failures, odd_answers
from pip_retry_patch.hooks import reporting
from pip_retry_patch.hooks.reporting import Announcer, advised, error_maker
from pip_retry_patch.settings import Settings, table

FAILURE = failures.Failure(
    "Downloading [red]demo stopped.", "the context", "the note", "the hint.", why="refused"
)
LONGER = FAILURE._replace(setting=("retry-patch-patience", "600"))
IN_FORCE = table(Settings(), {})
exceptions: Any = importlib.import_module("pip._internal.exceptions")


@pytest.mark.parametrize(
    ("origins", "how"),
    [
        ({}, "pip config set global.retry-patch-patience 600"),
        ({"retry-patch-attempts": "[x]"}, "pip config set global.retry-patch-patience 600"),
        (
            {"retry-patch-patience": "[install] in /etc/pip.conf"},
            "pip config set install.retry-patch-patience 600",
        ),
        (
            {"retry-patch-patience": "PIP_RETRY_PATCH_PATIENCE"},
            "set PIP_RETRY_PATCH_PATIENCE=600. It is set in the environment, and overrides the "
            "configuration",
        ),
    ],
)
def test_the_hint_says_how_the_setting_in_force_is_changed(
    origins: dict[str, str], how: str
) -> None:
    found = advised(LONGER, table(Settings(), origins))
    assert found.hint == f"the hint. To make pip try longer: {how}"
    assert found.setting is None
    assert advised(FAILURE, {}) is FAILURE


@pytest.mark.parametrize(
    ("setting", "now", "to"),
    [
        (("retry-patch-attempts", "50"), Settings(), "retry-patch-attempts 50"),
        (("retry-patch-attempts", "50"), Settings(attempts=100), "retry-patch-attempts 200"),
        (("retry-patch-patience", "600"), Settings(patience=900.5), "retry-patch-patience 1801"),
        (("retry-patch-patience", "600"), Settings(patience=0.0), "retry-patch-patience 600"),
        (("retry-patch-first-contact", "600"), Settings(), "retry-patch-first-contact 600"),
        (
            ("retry-patch-first-contact", "600"),
            Settings(first_contact=200.0),
            "retry-patch-patience 600",
        ),
    ],
)
def test_what_the_hint_says_makes_pip_try_longer(
    setting: tuple[str, str], now: Settings, to: str
) -> None:
    """Whatever is set by now."""
    hint = advised(FAILURE._replace(setting=setting), table(now, {})).hint
    assert hint.endswith(f": pip config set global.{to}")


def test_pip_shows_all_four_parts_as_they_are() -> None:
    """`[red]` would be markup to rich."""
    error: Any = error_maker("pip", lambda: IN_FORCE)(LONGER, OSError())
    assert isinstance(error, exceptions.DiagnosticPipError)
    assert error.failure == advised(LONGER, IN_FORCE)
    assert str(error) == str(error.failure) == error.args[0]
    assert error.reference == "network-interrupted"
    rich: Any = importlib.import_module("pip._vendor.rich.console")
    shown = io.StringIO()
    rich.Console(file=shown, width=200).print(error)
    for part in ("Downloading [red]demo stopped.", "the context", "the note", "the hint."):
        assert part in shown.getvalue()


def test_an_older_pip_shows_them_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(exceptions, "DiagnosticPipError")
    error: Any = error_maker("pip", lambda: {})(FAILURE, OSError())
    assert isinstance(error, exceptions.InstallationError)
    assert str(error) == str(FAILURE) and error.failure == FAILURE


def test_no_part_of_an_error_holds_a_secret() -> None:
    secret = "https://me:SECRET@h.example/a?sig=SECRET"
    parts: Any = {
        name: f"{name} at {secret} failed" for name in ("message", "context", "note", "hint")
    }
    error: Any = error_maker("pip", lambda: {})(FAILURE._replace(**parts), OSError())
    assert "SECRET" not in str(error) and str(error).count("https://h.example/a failed") == 4


def test_a_hint_that_cannot_be_made_costs_nothing_else() -> None:
    def broken() -> Any:
        raise OSError("unreadable")

    error: Any = error_maker("pip", broken)(LONGER, OSError())
    assert error.failure == LONGER


@pytest.mark.parametrize(
    "kind",
    [
        "ConnectionError",
        "ReadTimeout",
        "ChunkedEncodingError",
        "RetryError",
        "TooManyRedirects",
        "SSLError",
    ],
)
def test_what_pip_would_show_as_a_traceback_is_a_failure(kind: str) -> None:
    of_network = reporting.errors_of_network(requests.exceptions)
    error = getattr(requests.exceptions, kind)("broken")
    url = "https://me:SECRET@h.example/a/demo-1.0.whl?sig=SECRET"
    found = reporting.failure_of_traceback(url, error, of_network)
    assert found == failures.broken_request("demo-1.0.whl", "h.example", "broken")


def test_what_cannot_be_decoded_is_told_as_that() -> None:
    of_network = reporting.errors_of_network(requests.exceptions)
    error = requests.exceptions.ContentDecodingError("broken")
    found = reporting.failure_of_traceback("https://h.example/a/demo-1.0.whl", error, of_network)
    assert found == odd_answers.bad_coding("demo-1.0.whl", "h.example")


def test_what_is_not_of_a_network_stays_a_traceback() -> None:
    of_network = reporting.errors_of_network(requests.exceptions)
    for error in (KeyError("x"), requests.exceptions.RequestException()):
        assert reporting.failure_of_traceback("https://h.example/a", error, of_network) is None
    found = reporting.failure_of_traceback("https://h.example/a", ValueError("bad"), of_network)
    assert found is not None and "leads to an address" in found.why
    assert reporting.failure_of_traceback("https://[", ValueError("bad"), of_network) is None


def test_complaints_are_shown_once_and_before_anything_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "pip_retry_patch")
    announce = Announcer(("one", "two"))
    announce.inform("a line")
    announce("another")
    announce.complain("three")
    announce.complain()
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("WARNING", "one"),
        ("WARNING", "two"),
        ("INFO", "a line"),
        ("WARNING", "another"),
        ("WARNING", "three"),
    ]


@pytest.mark.parametrize(
    ("terminal", "ci", "person"),
    [(True, "", True), (True, None, True), (False, "", False), (True, "true", False)],
)
def test_who_watches_a_terminal_is_a_person(
    terminal: bool, ci: str | None, person: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: terminal))
    assert reporting.is_for_a_person() is person
    monkeypatch.setattr(sys, "stderr", None)
    assert reporting.is_for_a_person() is False
