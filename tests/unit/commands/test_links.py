"""Links where paths and environments look otherwise, and where others have planted something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pip_retry_patch.commands import environment, links
from tests.support.needs import needs_links

HOMES = [
    r"C:\Users\Jürgen Müller\AppData\Roaming\Python\Python312\site-packages",
    r"\\server\share\名前\new\table",
    "D:\\",
    "/home/l'\"été{x}/%PATH%",
]


@pytest.mark.parametrize("home", HOMES)
def test_a_link_is_one_ascii_line_that_leads_to_its_base(home: str, tmp_path: Path) -> None:
    """`site` reads a .pth file as UTF-8, or in a code page: only ASCII is the same in all."""
    line = links.line(home)
    assert line.isascii() and line.endswith("\n") and line.count("\n") == 1
    (tmp_path / "line").write_bytes(line.replace("\n", "\r\n").encode())  # as Windows writes it
    code = """
import sys
before = sys.meta_path
exec(open(sys.argv[1], encoding="cp1252").read())
path = type("Path", (list,), {"append": lambda self, home: seen.append(home)})(sys.path + [""])
seen, sys.path = [], path
sys.meta_path[0].find_spec("pip._internal")
print(ascii(seen[0]))
"""
    command = [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "line")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (ascii(home), "")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "pip-retry-patch" / "links"


def venv(path: Path) -> Path:
    """Make what looks like an environment, in the layout of Windows; return its packages."""
    packages = path / "Lib" / "site-packages"
    packages.mkdir(parents=True)
    (path / "pyvenv.cfg").touch()
    return packages


def test_links_are_written_down_where_the_system_keeps_such_things() -> None:
    end = Path("pip-retry-patch", "links")
    windows = {"LOCALAPPDATA": r"C:\Users\me\AppData\Local"}
    assert links.record_of(windows, windows=True) == Path(windows["LOCALAPPDATA"]) / end
    assert links.record_of(windows, windows=False) == Path.home() / ".local" / "state" / end
    chosen = {"XDG_STATE_HOME": "/state", **windows}
    assert links.record_of(chosen, windows=True) == Path("/state") / end


def test_links_that_are_made_at_once_are_all_recorded(state: Path, tmp_path: Path) -> None:
    code = "import sys, pathlib; from pip_retry_patch.commands import links\n"
    code += "sys.stdin.read(); links.write(pathlib.Path(sys.argv[1]))"
    env = {**os.environ, "PYTHONPATH": str(links.base())}
    places = [venv(tmp_path / str(number)) for number in range(10)]
    running = [
        subprocess.Popen([sys.executable, "-c", code, place], stdin=subprocess.PIPE, env=env)
        for place in places
    ]
    for process in running:
        process.stdin.close()  # type: ignore[union-attr]  # go
    assert [process.wait() for process in running] == [0] * 10
    assert links.recorded() == [place / links.NAME for place in places]


def test_a_record_of_no_use_is_only_missing(state: Path, tmp_path: Path) -> None:
    packages = venv(tmp_path / "env")
    state.parent.mkdir(parents=True)
    state.write_bytes(b"\xff\xfe")
    assert links.recorded() == [], "a file of another program"
    state.unlink()
    state.mkdir()
    assert links.write(packages).exists() and list(state.iterdir()) == []


@needs_links
def test_no_link_that_somebody_planted_is_followed(state: Path, tmp_path: Path) -> None:
    victim, packages = tmp_path / "victim", venv(tmp_path / "env")
    victim.mkdir()
    (packages / links.NAME).symlink_to(victim / "file")
    with pytest.raises(OSError, match="not a plain file"):
        links.link([tmp_path / "env"])
    (packages / links.NAME).unlink()
    packages.rmdir()
    packages.symlink_to(victim)
    for command in (links.link, lambda each: links.unlink(each, False)):
        with pytest.raises(environment.UnableError, match="is no virtual environment"):
            command([tmp_path / "env"])
    assert list(victim.iterdir()) == []
