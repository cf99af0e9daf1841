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
    assert compat._command("pip") == "download"
    monkeypatch.setattr(sys, "argv", ["pip", "--version", "demo"])
    assert compat._command("pip") is None
    assert compat.settings_of("pip").patience == 10.0
    monkeypatch.setattr(sys, "argv", ["download"])
    assert compat._command("pip") is None, "the first word is pip's own name"


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("--cache-dir cache download x", "download"),
        ("--log check -vv --trusted-host list --retries 3 install x", "install"),
        ("--python=x --version download", "download"),
        ("--retries many download x", None),
        ("--no-such-option download x", None),
        ("freeze-all", None),
        ("", None),
    ],
)
def test_the_command_is_the_one_that_pip_parses(
    words: str,
    command: str | None,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["pip", *words.split()])
    assert compat._command("pip") == command
    assert capfd.readouterr() == ("", "")


def test_without_a_command_line_of_pips_none_is_guessed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pip._internal.cli.main_parser")
    assert compat._command("pip") is None


def test_isolated_means_without_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_RETRY_PATCH_ATTEMPTS", "3")
    assert compat.settings_of("pip").attempts == 3
    monkeypatch.setattr(sys, "argv", ["pip", "--isolated", "download"])
    assert compat.settings_of("pip").attempts == 8


def test_mirrors_are_of_the_index_in_the_file(file: Path) -> None:
    mirrors = "[global]\nretry-patch-mirrors = https://m.example/\n"
    file.write_text(mirrors + "index-url = https://i.example/simple\n")
    assert compat.settings_of("pip").mirrored == "https://i.example/simple"
    file.write_text(mirrors)
    assert compat.settings_of("pip").mirrored == "", "pip's default"


def test_mirrors_of_the_environment_are_for_whichever_index_pip_is_told_to_use(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_RETRY_PATCH_MIRRORS", "https://m.example/")
    assert compat.settings_of("pip").mirrored is None


def test_a_newer_pip_tells_its_files_apart(file: Path) -> None:
    file.write_text("[global]\nretry-patch-attempts = 1\n")
    assert compat.settings_of("pip").origins["retry-patch-attempts"] == f"[global] in {file}"
