"""Pythons unlike ours: as on Windows, or without some of their modules.

Every way that ends with a file removed or replaced is tried where an open file cannot be. That is
Windows, as far as Linux can be made like it: what is open in this process is neither removed nor
replaced, and there is no `fcntl`, but an `msvcrt` that locks. tests/windows has the real one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from tests.support.downloads import HASTY, OK, Download, downloaded, end_of, stopped_at
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Compressed, Cut, Flip, Replaced
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import newest, old_middle_new
from tests.support.partials import CLOSED_LATE, RATE, stored
from tests.support.programs import Argument

SIZE = 3_000_000
HALF = SIZE // 2

SITECUSTOMIZE = r"""
import errno
import fcntl
import multiprocessing  # these, too, choose by what can be imported, and have chosen now
import os
import subprocess
import sys
import tempfile
import types


def is_open(path):
    real = os.path.realpath(path)
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + number) == real:
                return True
        except OSError:
            pass
    return False


class Refusing:  # no function: pathlib of Python 3.8 and 3.9 makes methods of them
    def __init__(self, function, names):
        self.function, self.names = function, names

    def __call__(self, *paths, **named):
        if not named and all(isinstance(path, (str, os.PathLike)) for path in paths):
            for path in paths[: self.names]:
                if os.path.isfile(path) and not os.path.islink(path) and is_open(path):
                    with open(os.environ["REFUSED"], "a") as refused:
                        refused.write("%s %s\n" % (self.function.__name__, path))
                    raise PermissionError(errno.EACCES, "it is being used", str(path))
        return self.function(*paths, **named)


for name, names in (("unlink", 1), ("remove", 1), ("rename", 2), ("replace", 2)):
    setattr(os, name, Refusing(getattr(os, name), names))


def locking(handle, mode, count):
    assert (mode, count) == (2, 1), (mode, count)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


msvcrt = sys.modules["msvcrt"] = types.ModuleType("msvcrt")
msvcrt.LK_NBLCK, msvcrt.locking = 2, locking
sys.modules["fcntl"] = None
"""

Get = Callable[..., Download]


def like_windows(pip: Environment) -> tuple[Get, Path, Path]:
    """Return what downloads, the list of what was refused to it, and its cache."""
    site, cache, refused = pip.fresh_dir(), pip.fresh_dir(), pip.fresh_dir() / "refused"
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
    refused.touch()
    env: dict[str, Argument] = {"PYTHONPATH": site, "REFUSED": refused}
    env["WRAPT_DISABLE_EXTENSIONS"] = "1"  # as import_function_wrapper has it on Windows

    def get(lab: Lab, **more: Argument) -> Download:
        return Download(pip, lab, cache=cache, env={**env, **more})

    return get, refused, cache


@newest
def test_what_is_open_is_refused_here(armed: Environment) -> None:
    site = armed.fresh_dir()
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
    code = "import os\nfile = open('file', 'w')\nopen('third', 'w').close()\n"
    for action in ("os.unlink('file')", "os.replace('file', 'x')", "os.replace('third', 'file')"):
        code += f"try: {action}\nexcept PermissionError: pass\n"
    armed.run_python("-c", code, env={"PYTHONPATH": site, "REFUSED": site / "refused"})
    assert len((site / "refused").read_text().splitlines()) == 3


@old_middle_new
def test_the_store_is_used_with_locked_bytes_and_swept(
    armed: Environment, bare: Environment
) -> None:
    faults = stopped_at(HALF)
    with Lab([Package("demo", SIZE, faults, chunked=True)]) as lab:
        assert end_of(like_windows(bare)[0](lab).run) != OK
    get, refused, cache = like_windows(armed)
    with Lab([Package("demo", SIZE, faults)], rate=RATE) as lab:
        get(lab, **HASTY).assert_clear_error()
        again = get(lab).assert_right()
        assert "Continuing demo-1.0" in again.run.output
        assert lab.sent("demo") <= len(lab.wheel("demo")) + CLOSED_LATE
    assert not stored(cache) and refused.read_text() == ""


@pytest.mark.parametrize(
    "fault", [Cut(HALF), Flip(HALF), Compressed()], ids=lambda f: type(f).__name__
)
@old_middle_new
def test_a_file_that_is_replaced_is_closed(fault: Any, armed: Environment) -> None:
    get, refused, cache = like_windows(armed)
    with Lab([Package("demo", SIZE, [fault])]) as lab:
        done = get(lab).assert_right()
        assert len(done.run.warnings()) == 1
    assert not stored(cache) and refused.read_text() == ""


@old_middle_new
def test_what_a_mirror_spoiled_comes_from_elsewhere(armed: Environment) -> None:
    get, refused, cache = like_windows(armed)
    index = Package("demo", SIZE, [Cut(HALF)], forever=Busy(503))
    liar = Package("demo", SIZE, forever=Replaced())
    honest = Lab([Package("demo", SIZE)], rate=RATE)
    with Lab([index]) as lab, Lab([liar]) as first, honest as second:
        done = get(lab, PIP_RETRY_PATCH_MIRRORS=f"{first.index_url}\n{second.index_url}")
        done.assert_right()
        assert len(done.run.warnings("sent other bytes")) == 1
    assert not stored(cache) and refused.read_text() == ""


# A Python without some of its own modules, as pyenv builds one where a header is missing. Where
# plain pip still downloads, it is guarded. Where it does not, nothing changes.

HIDDEN = ("_lzma", "_ctypes", "_ssl", "zlib")


@pytest.mark.parametrize("module", HIDDEN)
@old_middle_new
def test_pip_is_guarded_as_far_as_it_runs(
    module: str, armed: Environment, bare: Environment
) -> None:
    site = armed.fresh_dir()
    (site / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n")
    env: dict[str, Argument] = {"PYTHONPATH": site}
    runs = end_of(downloaded(bare, Package("demo", SIZE), env=env).run) == OK
    assert runs or module == "zlib"
    cut = downloaded(armed, Package("demo", SIZE, [Cut(HALF)]), env=env)
    assert cut.is_right == bool(cut.run.warnings("resumed at")) == runs, cut.run.output
