"""What runs pip in another Python."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from pip_retry_patch.hooks.runner import RUNNER

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
