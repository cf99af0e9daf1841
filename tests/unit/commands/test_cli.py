"""The command line says what is the matter, in one line and without a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable

import pytest

import pip_retry_patch
from pip_retry_patch.commands import cli, environment, server

Output = Callable[..., "subprocess.CompletedProcess[str]"]


def answering(output: str, code: int = 0) -> Output:
    return lambda command, *_, **__: subprocess.CompletedProcess(command, code, output)


def test_help_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "selftest" in captured.err


def test_version() -> None:
    command = [sys.executable, "-m", "pip_retry_patch", "--version"]
    root = str(Path(pip_retry_patch.__file__).parents[1])
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == f"pip-retry-patch {pip_retry_patch.__version__}\n"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ('{"armed": false, "pip": "24.0", "armed_by": []}', "has neither a link nor"),
        ('{"armed": false, "pip": "24.0", "armed_by": ["x.pth"]}', "does not obey"),
        ('{"pip": null}', "no pip"),
        ('{"armed": true, "pip": "24.0", "lacks": "wrapt is missing"}', "wrapt is missing; try: "),
        ("Fatal Python error", "Fatal Python error"),
        ("", "does not start well"),
    ],
)
def test_selftest_says_in_one_line_why_it_cannot_run(
    output: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(environment, "run", answering(output))
    assert cli.main(["selftest"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err


def test_selftest_without_a_workspace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(Path("/missing/directory")))
    assert cli.main(["selftest"]) == 1
    assert "/missing/directory/pip-retry-patch-" in capsys.readouterr().err.replace("\\", "/")


def test_selftest_interrupted_is_silent(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "run", interrupted)
    assert cli.main(["selftest"]) == 130
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize("encoding", ["cp437", "cp1252", "cp932", "ascii"])
def test_a_path_is_shown_whatever_the_code_page_lacks(encoding: str, tmp_path: Path) -> None:
    directory = tmp_path / "Müller_Мария_山田"
    (directory / "lib" / "python3" / "site-packages").mkdir(parents=True)
    (directory / "pyvenv.cfg").touch()
    done = subprocess.run(
        [sys.executable, "-m", "pip_retry_patch", "link", str(directory)],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(pip_retry_patch.__file__).parents[1]),
            "PYTHONIOENCODING": encoding,
            "XDG_STATE_HOME": str(tmp_path),
        },
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b": its pip is guarded by " in done.stdout
    lacking = encoding != "cp932"  # which has both Cyrillic and Japanese letters
    assert (b"\\u041c" in done.stdout) == lacking


def test_a_reader_that_left_costs_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip_retry_patch", "unlink", "--all"]
    root = str(Path(pip_retry_patch.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": root, "XDG_STATE_HOME": str(tmp_path)}
    read, written = os.pipe()
    os.close(read)
    done = subprocess.run(command, env=env, stdout=written, stderr=subprocess.PIPE, check=False)
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
def test_what_the_system_says_is_told_in_words_that_each_terminal_has(
    error: Exception, words: str
) -> None:
    assert environment.told(error) == words


def test_the_file_is_compared_with_the_original(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def problem() -> str:
        return environment.download("python", package, tmp_path, ["p"])

    package = server.Package("p", 1000)
    monkeypatch.setattr(environment, "run", answering(""))
    assert f"{package.filename}: no such file" in problem()
    (tmp_path / package.filename).write_bytes(package.wheel()[:-1])
    assert "differs" in problem()
    (tmp_path / package.filename).write_bytes(package.wheel())
    assert problem() == ""


def test_pip_is_run_away_from_the_users_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spoilers = ("PIP_INDEX_URL", "http_proxy", "HTTPS_PROXY", "REQUESTS_CA_BUNDLE", "PIP_RETRIES")
    for name in spoilers:
        monkeypatch.setenv(name, "spoiled")
    done = environment.run(
        [sys.executable, "-c", "import os; print(os.getcwd(), os.environ)"], tmp_path
    )
    assert "spoiled" not in done.stdout
    assert "PIP_CONFIG_FILE" in done.stdout
    assert str(tmp_path.resolve()) in done.stdout


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("Collecting p\nERROR: one\nERROR: two\nWARNING: more\n", "ERROR: two"),
        (
            "error: some-slug\n\n\u00d7 Download failed\nhint: x",
            "error: some-slug: Download failed",
        ),
        ("Traceback:\n a.b.SomeError: text\n", "a.b.SomeError: text"),
        ("only this\x1b[31m \u2713", "only this?[31m ?"),
        ("", ""),
        ("ERROR: " + "x" * 200, "ERROR: " + "x" * 66 + "..."),
    ],
)
def test_last_words(output: str, words: str) -> None:
    assert environment.last_words(output) == words


def test_a_python_is_named_by_a_relative_path_or_by_its_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = environment.PYTHONS[0]
    python = tmp_path / "venv" / place
    python.parent.mkdir(parents=True)
    python.touch(0o755)
    monkeypatch.chdir(tmp_path)
    for name in ("venv", f"venv/{place}", "./venv", str(tmp_path / "venv"), str(python)):
        assert environment.interpreter(name) == str(python)
    assert environment.interpreter("") == ""
