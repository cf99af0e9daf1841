"""What of wrapt is imported to wrap a function, and what a program that imports it later gets."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

import pip_retry_patch
from tests.support import environments, supplies

# Prints what is loaded once functions were wrapped, and then what wrapt is to others.
PROGRAM = """
import os, sys, types
sys.path[:0] = [{source!r}, {wrapt!r}]
{first}
before, environ = set(sys.modules), dict(os.environ)
from pip_retry_patch.wrapping.fail_open import wrap

class Pool:
    def urlopen(self, url):
        return "answer to " + url
    @classmethod
    def of(cls, url):
        return cls, url

class Derived(Pool):
    pass

def wrapper(wrapped, instance, args, kwargs):
    assert isinstance(instance, Pool) or issubclass(instance, Pool)
    return wrapped(*args, **kwargs), "wrapped"

module = types.ModuleType("module")
module.Pool, module.Derived = Pool, Derived
wrap(module, "Pool.urlopen", wrapper, {compiled})
wrap(Derived, "of", wrapper, {compiled})
assert Pool().urlopen("demo") == ("answer to demo", "wrapped")
assert Derived.of("demo") == ((Derived, "demo"), "wrapped") and Pool.of("demo") == (Pool, "demo")
assert vars(Pool)["urlopen"]._self_wrapper is wrapper
for path in ("Pool.urlopened", "Pond.urlopen"):
    try:
        wrap(module, path, wrapper, {compiled})
    except AttributeError:
        pass
    else:
        raise AssertionError(path)
assert dict(os.environ) == environ, "what this process starts, and wraps itself, is as ever"
new = [name for name in sys.modules if name not in before]
print(*[name in new for name in ("wrapt", "wrapt._wrappers", "asyncio")])

import asyncio, wrapt

@wrapt.synchronized
@wrapt.decorator
def same(wrapped, instance, args, kwargs):
    return wrapped(*args, **kwargs)

module.add = lambda number: number + 1
wrapt.wrap_function_wrapper(module, "add", lambda add, *rest: 2 * add(*rest[1]))
async def coroutine():
    return module.add(1)
print(module.add(1), asyncio.run(coroutine()), wrapt.__version__, wrapt is sys.modules["wrapt"])
"""

WRAPTS = [("3.8", "1.14.0"), ("3.13", "1.17.3"), ("3.8", "2.0.1"), ("3.11", ""), ("3.12", "")]


def unpacked(python: str, version: str, directory: Path) -> Path:
    with zipfile.ZipFile(supplies.wrapt_wheel(python, version)) as archive:
        archive.extractall(directory)
    return directory


def run(
    python: str, wrapt: Path, first: str = "", compiled: bool = True, **env: str
) -> list[list[str]]:
    _, interpreter = environments.interpreter(python)
    source = str(Path(pip_retry_patch.__file__).parents[1])
    program = PROGRAM.format(source=source, wrapt=str(wrapt), first=first, compiled=compiled)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WRAPT")}
    done = subprocess.run(
        [str(interpreter), "-I", "-B", "-c", program],
        env={**clean, **env},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("python", "version"), WRAPTS)
def test_only_its_extension_module_is_imported_and_a_program_gets_all_of_it_later(
    python: str, version: str, tmp_path: Path
) -> None:
    loaded, later = run(python, unpacked(python, version, tmp_path))
    assert loaded == ["False", "False", "False"]
    assert later[:2] == ["4", "4"]
    assert later[2].startswith(version) and later[3] == "True"


@pytest.mark.parametrize(("python", "version"), WRAPTS)
@pytest.mark.parametrize("how", ["disabled", "not compiled", "on Windows", "broken"])
def test_without_it_wrapt_is_imported_as_usual_but_for_asyncio(
    how: str, python: str, version: str, tmp_path: Path
) -> None:
    wrapt = unpacked(python, version, tmp_path)
    env = {"WRAPT_DISABLE_EXTENSIONS": "1"} if how == "disabled" else {}
    for extension in wrapt.glob("wrapt/_wrappers.*"):
        if how == "not compiled":
            extension.unlink()
        elif how == "broken":
            extension.write_bytes(b"no module")
    loaded, later = run(python, wrapt, compiled=how != "on Windows", **env)
    assert loaded == ["True", "False", "False"]
    assert later[:2] == ["4", "4"]


def test_where_wrapt_is_loaded_already_it_is_used(tmp_path: Path) -> None:
    wrapt = unpacked("3.12", "", tmp_path)
    loaded, later = run("3.12", wrapt, first="import wrapt")
    assert loaded == ["False", "False", "False"]
    assert later[:2] == ["4", "4"]
