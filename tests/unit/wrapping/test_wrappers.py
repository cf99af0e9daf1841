"""A wrapper that fails costs nothing: what the wrapped function brought or raised counts."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Callable

import pytest

from pip_retry_patch import failures
from pip_retry_patch.wrapping import fail_open
from pip_retry_patch.wrapping.fail_open import Calls


class ToldError(Exception):
    """An error that is made of a Failure."""

    failure = failures.Failure("", "", "", "")


def call(wrapper: Callable[[Any], Any], wrapped: Callable[[], Any]) -> Any:
    class Hook:
        @fail_open.fail_open
        def hook(self, wrapped: Calls, _: Any, args: Any, kwargs: Any) -> Any:
            return wrapper(wrapped)

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


def test_what_a_wrapper_returns_counts() -> None:
    assert call(lambda calls: calls() + 1, Wrapped(1)) == 2


def test_a_mistake_before_the_call_is_made_up_for() -> None:
    wrapped = Wrapped("answer")
    assert call(mistake, wrapped) == "answer" and wrapped.called == 1


def test_a_mistake_after_the_call_leaves_its_answer() -> None:
    wrapped = Wrapped("answer")
    assert call(lambda calls: calls() + 1, wrapped) == "answer" and wrapped.called == 1
    wrapped = Wrapped("first", "last")
    assert call(lambda calls: mistake((calls(), calls())), wrapped) == "last"


def test_a_mistake_after_an_error_leaves_that() -> None:
    def after(calls: Any) -> Any:
        with pytest.raises(KeyError):
            calls()
        return mistake(calls)

    error = KeyError("theirs")
    with pytest.raises(KeyError) as end:
        call(after, Wrapped(error))
    assert end.value is error and end.value.__suppress_context__

    def answered_at_last(calls: Any) -> Any:
        with pytest.raises(KeyError):
            calls()
        return mistake(calls())

    assert call(answered_at_last, Wrapped(error, "answer")) == "answer"


def test_what_the_wrapped_function_raised_passes() -> None:
    error = KeyError("theirs")
    with pytest.raises(KeyError) as end:
        call(lambda calls: calls(), Wrapped(error))
    assert end.value is error


def test_a_failure_passes() -> None:
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


def test_an_answer_that_was_forgotten_is_none() -> None:
    def forgets(calls: Any) -> Any:
        calls()
        calls.forget()
        return mistake(calls)

    wrapped = Wrapped("offer", "answer")
    assert call(forgets, wrapped) == "answer" and wrapped.called == 2


def test_whose_an_error_is_can_be_asked() -> None:
    error = KeyError("theirs")
    calls = Calls(Wrapped(error))
    with pytest.raises(KeyError):
        calls()
    assert calls.raised(error) and not calls.raised(KeyError("theirs"))
    calls.forget()
    assert not calls.raised(error)


def test_what_is_called_later_is_not_noted_and_keeps_nothing_alive() -> None:
    kept: list[Calls] = []

    def holds(calls: Calls) -> Any:
        kept.append(calls)
        return calls()

    wrapped = Wrapped("one", "two", error := KeyError())
    assert call(holds, wrapped) == "one"
    (calls,) = kept
    assert calls() == "two" and not calls.answers and not calls.errors
    with pytest.raises(KeyError):
        calls()
    assert not calls.raised(error)


def test_asyncio_is_left_to_who_imported_it_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    late: Any = fail_open._LateAsyncio("asyncio")
    theirs = ModuleType("asyncio")
    vars(theirs)["run"] = "theirs"
    monkeypatch.setitem(sys.modules, "asyncio", theirs)
    assert late.run == "theirs" and sys.modules["asyncio"] is theirs
