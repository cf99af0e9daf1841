"""Links where paths and environments look otherwise: on Windows, and in any alphabet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pip_retry_patch.commands import environment, links

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
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "line")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (ascii(home), "")


WINDOWS = ("Scripts/python.exe", "bin/python.exe")


@pytest.mark.parametrize("place", WINDOWS)
def test_an_environments_python_is_found_in_each_layout(place: str, tmp_path: Path) -> None:
    python = tmp_path / place
    python.parent.mkdir()
    python.touch()
    assert environment.python_of(tmp_path, WINDOWS) == python


@pytest.mark.parametrize(
    ("file", "words"), [(environment.PYTHONS[0], "is a Python itself"), ("x", "is no virtual env")]
)
def test_what_is_no_environment_is_told(file: str, words: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    (tmp_path / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    with pytest.raises(environment.UnableError, match=words):
        links.packages_of(tmp_path)


@pytest.mark.parametrize("layout", ["Lib", "lib/python3.12"])
def test_a_link_is_taken_back_in_each_layout(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    packages = tmp_path / layout / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "pyvenv.cfg").touch()
    made = links.write(packages)
    assert made.exists() and links.unlink([tmp_path], False) == 0
    assert not made.exists()


def test_links_are_written_down_where_the_system_keeps_such_things() -> None:
    end = Path("pip-retry-patch", "links")
    windows = {"LOCALAPPDATA": r"C:\Users\me\AppData\Local"}
    assert links.record_of(windows, windows=True) == Path(windows["LOCALAPPDATA"]) / end
    assert links.record_of(windows, windows=False) == Path.home() / ".local" / "state" / end
    chosen = {"XDG_STATE_HOME": "/state", **windows}
    assert links.record_of(chosen, windows=True) == Path("/state") / end
    assert links.record_of({}, windows=True) == Path.home() / ".local" / "state" / end
