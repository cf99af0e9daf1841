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


def wrapped(*brings: Any) -> Callable[[], Any]:
    """Return what brings these, one after the other: values, or errors to raise."""
    left = iter(brings)

    def function() -> Any:
        brought = next(left)
        if isinstance(brought, BaseException):
            raise brought
        return brought

    return function


def call(wrapper: Callable[[Any], Any], *brings: Any) -> Any:
    def hook(calls: Calls, _: Any, args: Any, kwargs: Any) -> Any:
        return wrapper(calls)

    return wrapping.fail_open(hook)(wrapped(*brings), None, (), {})


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
def test_after_a_mistake_the_last_answer_or_one_more_call_counts(
    wrapper: Any, brings: list[Any], result: Any, mistakes: int, failures: list[str]
) -> None:
    assert call(wrapper, *brings) == result
    assert failures == ["hook: ZeroDivisionError()"] * mistakes


def test_in_strict_mode_a_mistake_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapping, "STRICT", True)
    with pytest.raises(ZeroDivisionError):
        call(mistake, "answer")


def after_an_answer(error: BaseException) -> Callable[[Any], Any]:
    return lambda calls: wrapped(error)() if calls() else None


@pytest.mark.parametrize(
    ("error", "theirs"),
    [(KeyError("theirs"), True), *((error, False) for error in (ToldError(), KeyboardInterrupt()))],
)
def test_what_is_no_mistake_passes(error: BaseException, theirs: bool, failures: list[str]) -> None:
    wrapper, brought = (Calls.__call__, error) if theirs else (after_an_answer(error), "answer")
    with pytest.raises(type(error)) as end:
        call(wrapper, brought)
    assert end.value is error and not failures


def test_at_its_end_a_call_keeps_nothing_alive() -> None:
    calls = Calls(wrapped("answer", "another"))
    calls()
    calls.errors.append(KeyError("theirs"))
    calls.end()
    assert calls() == "another" and not calls.answers and not calls.errors


@pytest.mark.parametrize(("option", "lines"), [("--isolated", 1), ("-q", 0)])
def test_the_end_of_a_run_tells_what_failed_open(
    option: str, lines: int, failures: list[str], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures += ["hook: ZeroDivisionError()", "another"]
    monkeypatch.setattr(sys, "argv", ["pip", option, "install", "demo"])
    wrapping._tell()
    said = capsys.readouterr().err
    told = "WARNING: pip-retry-patch failed 2 times in this run, and left pip to itself: hook"
    assert said.count("\n") == lines and (told in said) == bool(lines)


PROGRAM = """
import os, sys, types
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
assert not {"wrapt", "asyncio"} & (set(sys.modules) - before)

import wrapt

assert type(vars(Derived)["of"]) is wrapt.FunctionWrapper or os.name == "nt"
assert wrapt is sys.modules["wrapt"]
module.add = lambda number: number + 1
wrapt.wrap_function_wrapper(module, "add", lambda add, *rest: 2 * add(*rest[1]))
assert module.add(1) == 4
"""


@pytest.mark.parametrize("first", ["", "import wrapt\n"])
def test_wrapt_is_loaded_without_asyncio_and_a_program_gets_all_of_it_later(first: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WRAPT")}
    done = subprocess.run(
        [sys.executable, "-B", "-c", first + PROGRAM],
        env={**clean, "PYTHONPATH": str(Path(wrapping.__file__).parents[1])},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_wrapt_need_not_lie_beside_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own packages may need the system's wrapt."""
    (tmp_path / "wrapt.py").touch()
    monkeypatch.delitem(sys.modules, "wrapt", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert wrapping.spec_of_wrapt().origin == str(tmp_path / "wrapt.py")
