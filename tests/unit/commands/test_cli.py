"""The command line says what is the matter, in one line and without a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import pip_retry_patch
from pip_retry_patch.commands import cli, environment, selftest

Captured = pytest.CaptureFixture[str]


def command(*words: str, stdout: Any = subprocess.PIPE, **variables: str) -> Any:
    """Run it in a process of its own."""
    root = str(Path(pip_retry_patch.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": root, **variables}
    program = [sys.executable, "-m", "pip_retry_patch", *words]
    return subprocess.run(program, stdout=stdout, stderr=subprocess.PIPE, env=env, check=False)


def test_ctrl_c_and_misuse_have_their_exit_codes(capsys: Captured) -> None:
    with mock.patch.object(environment, "run", side_effect=KeyboardInterrupt):
        assert cli.main(["selftest"]) == 130
    assert capsys.readouterr() == ("", "")
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "selftest" in err


@pytest.mark.parametrize("encoding", ["cp437", "cp1252", "cp932", "ascii"])
def test_a_path_is_shown_whatever_the_code_page_lacks(encoding: str, tmp_path: Path) -> None:
    directory = tmp_path / "Müller_Мария_山田"
    (directory / "lib" / "python3" / "site-packages").mkdir(parents=True)
    (directory / "pyvenv.cfg").touch()
    state = {"PYTHONIOENCODING": encoding, "XDG_STATE_HOME": str(tmp_path)}
    done = command("link", str(directory), **state)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b": its pip is guarded by " in done.stdout
    lacking = encoding != "cp932"  # which has both Cyrillic and Japanese letters
    assert (b"\\u041c" in done.stdout) == lacking


def test_a_reader_that_left_costs_no_traceback(tmp_path: Path) -> None:
    read, written = os.pipe()
    os.close(read)
    done = command("unlink", "--all", stdout=written, XDG_STATE_HOME=str(tmp_path))
    os.close(written)
    assert done.returncode == 1 and done.stderr.count(b"\n") <= 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "a.pth"), "a.pth: permission denied"),
        (PermissionError(errno.EACCES, "Отказано в доступе.", "a"), "a: permission denied"),
        (PermissionError(errno.EACCES, "????????.", "a"), "a: permission denied"),
        (OSError(errno.EIO, "Ошибка"), f"error {errno.EIO}"),
        (OSError(errno.EPERM, "It is a link.", "a"), "a: it is a link"),
        (environment.UnableError("no pip; try x"), "no pip; try x"),
    ],
)
def test_what_the_system_says_is_told_in_ascii(error: Exception, words: str) -> None:
    assert environment.told(error) == words


def test_a_download_is_compared_with_the_original() -> None:
    package = selftest.Package(1000)
    for content, problem in ((None, "no such file"), (b"other", "differs"), (package.wheel(), "")):

        def run(_: Any, directory: str, env: Any, content: bytes | None = content) -> Any:
            if content is not None:
                Path(directory, selftest.FILE).write_bytes(content)
            return subprocess.CompletedProcess([], 0, "")

        with mock.patch.object(selftest, "run", run):
            found = selftest.download("python", package, ["p"], {})
        assert problem in found and bool(found) == bool(problem)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("Collecting p\nERROR: one\nERROR: two\nWARNING: more\n", "ERROR: two"),
        ("error: a-slug\n\n\u00d7 Download failed\nhint: x", "error: a-slug: Download failed"),
        ("Traceback:\n a.b.SomeError: text\n", "a.b.SomeError: text"),
        ("only this\x1b[31m \u2713", "only this?[31m ?"),
        ("", ""),
        ("ERROR: " + "x" * 200, "ERROR: " + "x" * 66 + "..."),
    ],
)
def test_the_last_words_of_a_pip_say_why_it_ended(output: str, words: str) -> None:
    assert selftest.last_words(output) == words


def test_a_python_is_named_by_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = environment.PYTHONS[0]
    python = tmp_path / "venv" / place
    python.parent.mkdir(parents=True)
    python.touch(0o755)
    monkeypatch.chdir(tmp_path)
    for name in ("venv", f"venv/{place}", str(tmp_path / "venv"), str(python)):
        assert environment.interpreter(name) == str(python)
