"""What is asked of this machine's pip: its command; and what runs pip in another Python."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from pip._internal.cli import main_parser  # noqa: F401 - as a pip has it

from pip_retry_patch.hooks import compat
from pip_retry_patch.hooks.runner import RUNNER


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("pip --cache-dir cache download x", "download"),
        ("pip --log check -vv --trusted-host list --retries 3 install x", "install"),
        ("pip --python=x --version download", "download"),
        ("deploy.py -h download", None),  # another program's: it asks for no help of pip's
        *(("pip --retries many download x", None), ("pip --no-such-option download x", None)),
        *(("pip freeze-all", None), ("download", None)),  # pip's own name is no command
    ],
)
def test_the_command_is_the_one_that_pip_parses(
    words: str, command: str | None, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(sys, "argv", words.split())
    assert compat.command_of("pip") == command
    assert capfd.readouterr() == ("", "")
    # Without a command line of pip's none is guessed.
    monkeypatch.delitem(sys.modules, "pip._internal.cli.main_parser")
    assert compat.command_of("pip") is None


WINDOWS = r"C:\Users\Мария\new\table\pip\__pip-runner__.py"


@pytest.mark.parametrize("runnable", [WINDOWS, r"\\server\ü\x.py", "/home/'\"/{x}/é.py"])
def test_the_file_holds_the_paths_as_they_are(runnable: str, tmp_path: Path) -> None:
    homes = {"pip_retry_patch": str(Path(runnable).parent), "wrapt": "D:\\"}
    text = RUNNER.format(homes=homes, runnable=runnable)
    # Only the two lines that hold them: the rest arms this process, and runs pip.
    lines = [line for line in text.splitlines() if line.startswith(("homes", "runnable"))]
    file = tmp_path / "lines.py"
    file.write_text("# -*- coding: utf-8 -*-\n" + "\n".join(lines), encoding="utf-8")
    found = runpy.run_path(str(file))
    assert (found["homes"], found["runnable"]) == (homes, runnable)
