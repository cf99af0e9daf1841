"""A wrapper that fails costs nothing: what the wrapped function brought or raised counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from pip_retry_patch import wording, wrapping
from pip_retry_patch.wrapping import Calls


class ToldError(Exception):
    """An error that is made of a Failure."""

    failure = wording.Failure("", "", "", "")


@pytest.fixture(autouse=True)
def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What failed open, in a run that is not strict and says nothing at its end."""
    failures: list[str] = []
    monkeypatch.setattr(wrapping, "STRICT", False)
    monkeypatch.setattr(wrapping, "failures", failures)
    monkeypatch.setattr(wrapping.atexit, "register", lambda _: None)  # type: ignore[attr-defined]
    return failures


def call(wrapper: Callable[[Any], Any], wrapped: Callable[[], Any]) -> Any:
    class Hook:
        @wrapping.fail_open
        def hook(self, calls: Calls, _: Any, args: Any, kwargs: Any) -> Any:
            return wrapper(calls)

    hook: Any = Hook().hook
    return hook(wrapped, None, (), {})


class Wrapped:
    """Brings these, one after the other: values, or errors to raise."""

    def __init__(self, *brings: Any) -> None:
        self.brings = list(brings)
        self.called = 0

    def __call__(self) -> Any:
        self.called += 1
        brought = self.brings.pop(0)
        if isinstance(brought, Exception):
            raise brought
        return brought


def mistake(calls: Any) -> Any:
    raise ZeroDivisionError


def test_what_a_wrapper_returns_counts(noted: list[str]) -> None:
    assert call(lambda calls: calls() + 1, Wrapped(1)) == 2 and not noted


def test_a_mistake_before_the_call_is_made_up_for_and_counted(noted: list[str]) -> None:
    wrapped = Wrapped("answer")
    assert call(mistake, wrapped) == "answer" and wrapped.called == 1
    assert noted == ["hook: ZeroDivisionError()"]


def test_a_mistake_after_the_call_leaves_its_answer(noted: list[str]) -> None:
    wrapped = Wrapped("answer")
    assert call(lambda calls: calls() + 1, wrapped) == "answer" and wrapped.called == 1
    wrapped = Wrapped("first", "last")
    assert call(lambda calls: mistake((calls(), calls())), wrapped) == "last"
    assert len(noted) == 2


def test_in_strict_mode_a_mistake_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapping, "STRICT", True)
    with pytest.raises(ZeroDivisionError):
        call(mistake, Wrapped("answer"))


@pytest.mark.parametrize("error", [KeyError("theirs"), ToldError()])
def test_what_the_wrapped_function_raised_passes_and_so_does_a_failure(
    error: Exception, noted: list[str]
) -> None:
    with pytest.raises(type(error)) as end:
        call(lambda calls: calls(), Wrapped(error))
    assert end.value is error and not noted

    def told(calls: Any) -> Any:
        calls()
        raise ToldError

    with pytest.raises(ToldError):
        call(told, Wrapped("answer"))


def test_only_exceptions_are_mistakes() -> None:
    def stopped(calls: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(stopped, Wrapped("answer"))


def test_a_mistake_after_an_error_calls_again() -> None:
    def after(calls: Any) -> Any:
        with pytest.raises(KeyError):
            calls()
        return mistake(calls)

    wrapped = Wrapped(KeyError("theirs"), "answer")
    assert call(after, wrapped) == "answer" and wrapped.called == 2


def test_whose_an_error_is_can_be_asked() -> None:
    error = KeyError("theirs")
    calls = Calls(Wrapped(error))
    with pytest.raises(KeyError):
        calls()
    assert calls.errors == [error]
    calls.end()
    assert not calls.errors


def test_the_same_method_of_another_instance_can_be_called() -> None:
    class Session:
        def __init__(self, name: str) -> None:
            self.name = name

        def request(self, url: str) -> str:
            return self.name + url

    calls = Calls(Session("pips ").request)
    assert calls.on(Session("ours "), "url") == "ours url" and calls("url") == "pips url"


def test_the_end_of_a_run_tells_in_one_line_what_failed_open(
    noted: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted += ["hook: ZeroDivisionError()", "another"]
    monkeypatch.setattr(sys, "argv", ["pip", "install", "demo"])
    wrapping._tell()
    line = capsys.readouterr().err
    assert line.startswith("WARNING: pip-retry-patch failed 2 times in this run") and "hook" in line
    assert line.count("\n") == 1
    monkeypatch.setattr(sys, "argv", ["pip", "-q", "install", "demo"])
    wrapping._tell()
    assert not capsys.readouterr().err


# wrapt

PROGRAM = """
import os, sys, types
{first}
before, environ = set(sys.modules), dict(os.environ)
from pip_retry_patch.wrapping import wrap

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
wrap(module, "Pool.urlopen", wrapper)
wrap(Derived, "of", wrapper)
assert Pool().urlopen("demo") == ("answer to demo", "wrapped")
assert Derived.of("demo") == ((Derived, "demo"), "wrapped") and Pool.of("demo") == (Pool, "demo")
ours = vars(Pool)["urlopen"]
assert ours._self_wrapper is wrapper
for path in ("Pool.urlopened", "Pond.urlopen"):
    try:
        wrap(module, path, wrapper)
    except AttributeError:
        pass
    else:
        raise AssertionError(path)
assert dict(os.environ) == environ, "what this process starts, and wraps itself, is as ever"
new = [name for name in sys.modules if name not in before]
print(*[name in new for name in ("wrapt", "asyncio", "inspect")])

import asyncio, wrapt

assert type(ours) is wrapt.FunctionWrapper and wrapt is sys.modules["wrapt"]

@wrapt.synchronized
@wrapt.decorator
def same(wrapped, instance, args, kwargs):
    return wrapped(*args, **kwargs)

module.add = lambda number: number + 1
wrapt.wrap_function_wrapper(module, "add", lambda add, *rest: 2 * add(*rest[1]))
async def coroutine():
    return module.add(1)
print(module.add(1), asyncio.run(coroutine()))
"""


def run(first: str = "", **env: str) -> list[str]:
    source = str(Path(wrapping.__file__).parents[1])
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WRAPT")}
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM.format(first=first)],
        env={**clean, "PYTHONPATH": source, **env},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_wrapt_is_loaded_without_asyncio_and_a_program_gets_all_of_it_later() -> None:
    loaded, later = run()
    assert loaded.split()[:2] == ["False", "False"] and later == "4 4"


def test_a_wrapt_without_its_extension_is_loaded_likewise() -> None:
    loaded, later = run(WRAPT_DISABLE_EXTENSIONS="1")
    assert loaded.split()[:2] == ["False", "False"] and later == "4 4"


def test_a_wrapt_that_is_loaded_already_is_used() -> None:
    assert run(first="import wrapt")[1] == "4 4"


@pytest.mark.parametrize("error", [AttributeError("x"), ModuleNotFoundError("x")])
def test_a_wrapt_that_does_not_work_is_no_pip_without_a_function(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise error

    monkeypatch.setattr(wrapping, "_module_of_wrappers", broken)
    monkeypatch.setattr(sys, "modules", {k: v for k, v in sys.modules.items() if k != "wrapt"})
    with pytest.raises(wrapping.WraptError, match=r"wrapt \d[\w.]* is broken"):
        wrapping.import_function_wrapper.__wrapped__()
    assert "wrapt" not in sys.modules


def test_wrapt_is_found_beside_this_package_too_and_the_path_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(wrapping.importlib.util, "find_spec", lambda _: None)  # type: ignore[attr-defined]
    monkeypatch.setattr(wrapping, "__file__", str(tmp_path / "pip_retry_patch" / "wrapping.py"))
    # This package is found by an entry that is not the last one.
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    path = list(sys.path)
    with pytest.raises(ImportError, match="wrapt is missing"):
        wrapping.spec_of_wrapt()
    (tmp_path / "wrapt").mkdir()
    (tmp_path / "wrapt" / "__init__.py").touch()
    assert wrapping.spec_of_wrapt().origin == str(tmp_path / "wrapt" / "__init__.py")
    assert sys.path == path
