"""A Python without some of its own modules, as pyenv builds one where a header is missing.

Where plain pip still downloads, it is guarded. Where it does not, nothing changes.
"""

from __future__ import annotations

import json

import pytest

from tests.support.commands import command
from tests.support.downloads import OK, SIZE, THIRD, Download, end_of
from tests.support.environments import Environment
from tests.support.lab.faults import Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.programs import Argument

HIDDEN = ("_lzma", "_bz2", "_ctypes", "fcntl", "_ssl", "zlib")


@pytest.mark.parametrize("module", HIDDEN)
@old_middle_new
def test_pip_is_guarded_as_far_as_it_runs(
    module: str, armed: Environment, bare: Environment
) -> None:
    site = armed.fresh_dir()
    (site / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n")
    env: dict[str, Argument] = {"PYTHONPATH": site}
    with Lab([Package("demo", SIZE)]) as lab:
        runs = end_of(Download(bare, lab, env=env).run) == OK
    assert runs or module == "zlib"
    with Lab([Package("demo", SIZE, [Cut(THIRD)])]) as lab:
        cut = Download(armed, lab, env=env)
        assert cut.is_right == bool(cut.run.warnings("resumed at")) == runs, cut.run.output
    status = json.loads(command(armed, "status", "--json", **env).stdout)
    assert status["guarded"] == runs
