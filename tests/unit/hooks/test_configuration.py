"""pip's own configuration, as this machine's pip reads it, and what we take from it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pip_retry_patch.hooks import configuration
from pip_retry_patch.settings import Settings, read, table


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
    found = read(*configuration.configured("pip"))
    assert found == Settings(patience=20.0, first_contact=20.0, attempts=1, stale=True)
    shown = table(found, *configuration.configured("pip"))
    assert shown["retry-patch-stale"]["origin"] == "PIP_RETRY_PATCH_STALE"
    assert shown["retry-patch-patience"]["origin"].startswith("[download] in ")
    assert shown["retry-patch-attempts"]["origin"].startswith("[global] in ")
    assert configuration.configured("pip")[1] == "download"
    monkeypatch.setattr(sys, "argv", ["pip", "--version", "demo"])
    assert configuration.configured("pip")[1] is None
    assert read(*configuration.configured("pip")).patience == 10.0
    monkeypatch.setattr(sys, "argv", ["download"])
    assert configuration.configured("pip")[1] is None, "the first word is pip's own name"


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
    assert configuration.configured("pip")[1] == command
    assert capfd.readouterr() == ("", "")


def test_without_a_command_line_of_pips_none_is_guessed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pip._internal.cli.main_parser")
    assert configuration.configured("pip")[1] is None


def test_isolated_means_without_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_RETRY_PATCH_ATTEMPTS", "3")
    assert read(*configuration.configured("pip")).attempts == 3
    monkeypatch.setattr(sys, "argv", ["pip", "--isolated", "download"])
    assert read(*configuration.configured("pip")).attempts == 8


def test_mirrors_are_of_the_index_in_the_file_or_of_pips_own(file: Path) -> None:
    mirrors = "[global]\nretry-patch-mirrors = https://m.example/\n"
    file.write_text(mirrors + "index-url = https://i.example/simple\n")
    assert configuration.index_of_mirrors("pip") == "https://i.example/simple"
    file.write_text(mirrors)
    default: Any = importlib.import_module("pip._internal.models.index").PyPI
    assert configuration.index_of_mirrors("pip") == default.simple_url


def test_mirrors_of_the_environment_are_for_whichever_index_pip_is_told_to_use(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_RETRY_PATCH_MIRRORS", "https://m.example/")
    assert configuration.index_of_mirrors("pip") is None


class Merged:
    """The configuration of an older pip, that merges its files; `parsers` are private to it."""

    def __init__(self, parsers: Any) -> None:
        self._parsers = parsers

    def load(self) -> None:
        pass

    def items(self) -> Any:
        return {"global.a": "2", ":env:.b": "3"}.items()

    @staticmethod
    def _normalized_keys(section: str, items: Any) -> dict[str, str]:
        return {f"{section}.{key.lower()}": value for key, value in items}


class Parser:
    """A file with one section."""

    def __init__(self, **items: str) -> None:
        self._items = items

    def sections(self) -> list[str]:
        return ["global"]

    def items(self, section: str) -> Any:
        return self._items.items()


def test_files_are_told_apart_also_where_pip_merges_them(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsers = {"user": [("/one", Parser(A="1"))], "env-var": [("/two", Parser(A="2"))]}
    module: Any = importlib.import_module("pip._internal.configuration")
    monkeypatch.setattr(module, "Configuration", lambda isolated: Merged(parsers))
    assert configuration.configured("pip", by_file=True)[0] == [
        ("/one", {"global.a": "1"}),
        ("/two", {"global.a": "2"}),
        (":env:.b", "3"),
    ]
    assert configuration.configured("pip")[0] == [("global.a", "2"), (":env:.b", "3")]


def test_a_newer_pip_tells_them_apart_itself(file: Path) -> None:
    file.write_text("[global]\nretry-patch-attempts = 1\n")
    found, _ = configuration.configured("pip", by_file=True)
    assert [value for name, value in found if name == str(file)] == [
        {"global.retry-patch-attempts": "1"}
    ]
