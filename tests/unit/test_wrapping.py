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
        if isinstance(brought, BaseException):
            raise brought
        return brought


def mistake(*_: Any) -> Any:
    raise ZeroDivisionError


def after_an_error(calls: Any) -> Any:
    with pytest.raises(KeyError):
        calls()
    return mistake()


@pytest.mark.parametrize(
    ("wrapper", "brings", "result", "mistakes"),
    [
        (lambda calls: calls() + 1, [1], 2, 0),
        (mistake, ["answer"], "answer", 1),
        (lambda calls: mistake(calls(), calls()), ["first", "last"], "last", 1),
        (after_an_error, [KeyError("theirs"), "answer"], "answer", 1),
    ],
)
def test_a_mistake_is_counted_and_the_last_answer_or_one_more_call_counts(
    wrapper: Any, brings: list[Any], result: Any, mistakes: int, noted: list[str]
) -> None:
    wrapped = Wrapped(*brings)
    assert call(wrapper, wrapped) == result and not wrapped.brings
    assert noted == ["hook: ZeroDivisionError()"] * mistakes


def test_in_strict_mode_a_mistake_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapping, "STRICT", True)
    with pytest.raises(ZeroDivisionError):
        call(mistake, Wrapped("answer"))


@pytest.mark.parametrize("error", [KeyError("theirs"), ToldError(), KeyboardInterrupt()])
def test_what_the_wrapped_function_raised_passes(error: BaseException, noted: list[str]) -> None:
    with pytest.raises(type(error)) as end:
        call(lambda calls: calls(), Wrapped(error))
    assert end.value is error and not noted


@pytest.mark.parametrize("error", [ToldError(), KeyboardInterrupt()])
def test_a_failure_for_the_user_and_what_is_no_exception_are_no_mistakes(
    error: BaseException, noted: list[str]
) -> None:
    def told(calls: Any) -> Any:
        calls()
        raise error

    with pytest.raises(type(error)):
        call(told, Wrapped("answer"))
    assert not noted


def test_at_its_end_a_call_keeps_nothing_alive() -> None:
    calls = Calls(Wrapped("answer"))
    calls()
    calls.errors.append(KeyError("theirs"))
    calls.end()
    assert not calls.answers and not calls.errors


@pytest.mark.parametrize(("options", "lines"), [([], 1), (["-q"], 0)])
def test_the_end_of_a_run_tells_in_one_line_what_failed_open(
    options: list[str],
    lines: int,
    noted: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted += ["hook: ZeroDivisionError()", "another"]
    monkeypatch.setattr(sys, "argv", ["pip", *options, "install", "demo"])
    wrapping._tell()
    said = capsys.readouterr().err
    told = "WARNING: pip-retry-patch failed 2 times in this run, and left pip to itself: hook"
    assert said.count("\n") == lines and (told in said) == bool(lines)


# wrapt

PROGRAM = """
import os, sys, types
{first}
before, environ = set(sys.modules), dict(os.environ)
from pip_retry_patch.wrapping import wrap

class Pool:
    @classmethod
    def of(cls, url):
        return cls, url

class Derived(Pool):
    pass

module = types.ModuleType("module")
module.Pool, module.Derived = Pool, Derived
wrap(module, "Derived.of", lambda wrapped, instance, args, kwargs: (wrapped(*args), "wrapped"))
assert Derived.of("x") == ((Derived, "x"), "wrapped") and Pool.of("x") == (Pool, "x")
assert dict(os.environ) == environ, "what this process starts, and wraps itself, is as ever"
new = [name for name in sys.modules if name not in before]
print(*[name in new for name in ("wrapt", "asyncio", "inspect")])

import asyncio, wrapt

assert type(vars(Derived)["of"]) is wrapt.FunctionWrapper and wrapt is sys.modules["wrapt"]

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


@pytest.mark.parametrize("variables", [{}, {"WRAPT_DISABLE_EXTENSIONS": "1"}])
def test_wrapt_is_loaded_without_asyncio_and_a_program_gets_all_of_it_later(
    variables: dict[str, str],
) -> None:
    loaded, later = run(**variables)
    assert loaded.split()[:2] == ["False", "False"] and later == "4 4"


def test_a_wrapt_that_is_loaded_already_is_used() -> None:
    assert run(first="import wrapt")[1] == "4 4"


def test_wrapt_need_not_lie_beside_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own packages may need the system's wrapt."""
    (tmp_path / "wrapt.py").touch()
    monkeypatch.delitem(sys.modules, "wrapt", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert wrapping.spec_of_wrapt().origin == str(tmp_path / "wrapt.py")
