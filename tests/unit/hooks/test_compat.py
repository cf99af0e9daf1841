"""pip's own configuration, as this machine's pip reads it, and what we take from it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from pip_retry_patch.hooks import compat
from pip_retry_patch.settings import table


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one configuration file of a pip that downloads."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["pip", "--quiet", "download", "demo"])
    importlib.import_module("pip._internal.cli.main_parser")  # as a pip has it
    return path


def test_pips_files_and_environment_are_read_for_the_command(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(
        "[global]\nretry-patch-patience = 10\nretry-patch-attempts = 1\n"
        "[download]\nretry-patch-patience = 20\n[install]\nretry-patch-patience = 30\n"
    )
    monkeypatch.setenv("PIP_RETRY_PATCH_STALE", "on")
    found = compat.settings_of("pip")
    assert (found.patience, found.attempts, found.stale) == (20.0, 1, True)
    shown = table(found)
    assert shown["retry-patch-stale"]["origin"] == "PIP_RETRY_PATCH_STALE"
    assert shown["retry-patch-patience"]["origin"].startswith("[download] in ")
    assert shown["retry-patch-attempts"]["origin"].startswith("[global] in ")
    monkeypatch.setattr(sys, "argv", ["pip", "--version", "demo"])
    assert compat.settings_of("pip").patience == 10.0


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("pip --cache-dir cache download x", "download"),
        ("pip --log check -vv --trusted-host list --retries 3 install x", "install"),
        ("pip --python=x --version download", "download"),
        ("pip --retries many download x", None),
        ("pip --no-such-option download x", None),
        ("pip freeze-all", None),
        ("download", None),  # pip's own name
    ],
)
def test_the_command_is_the_one_that_pip_parses(
    words: str,
    command: str | None,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", words.split())
    assert compat._command("pip") == command
    assert capfd.readouterr() == ("", "")


def test_without_a_command_line_of_pips_none_is_guessed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pip._internal.cli.main_parser")
    assert compat._command("pip") is None
