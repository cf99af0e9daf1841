"""The finder and the loader that wait for pip's modules, on modules that are made here."""

from __future__ import annotations

import gc
import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Iterator
from unittest import mock

import pytest

from pip_retry_patch import trigger, wrapping

NAME = "a_module_of_a_test"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ModuleType]]:
    """A module on the path, and what we were told of."""
    found: list[ModuleType] = []
    (tmp_path / f"{NAME}.py").write_text("value = 5\nloader = __loader__\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Finder, "told", found.append)
    yield found
    sys.modules.pop(NAME, None)


class Finder:
    """Stands for ours on sys.meta_path."""

    __name__ = "pip_retry_patch"
    told: Any = None

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return trigger.find_spec(name, path, target, self.told) if name == NAME else None


def imported(monkeypatch: pytest.MonkeyPatch, *finders: Any) -> ModuleType:
    monkeypatch.setattr(sys, "meta_path", [*finders, *sys.meta_path])
    return importlib.import_module(NAME)


def test_a_module_is_told_of_when_it_was_executed_and_nothing_stays_in_it(
    told: list[ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = imported(monkeypatch, Finder(), Finder())
    assert told == [module] and module.value == 5
    for loader in (module.__loader__, module.__spec__.loader, module.loader):
        assert not isinstance(loader, trigger._Loader)


def test_a_finder_of_the_older_kind_is_passed_over(
    told: list[ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert imported(monkeypatch, Finder(), SimpleNamespace()) in told


def test_a_loader_of_the_older_kind_executes_its_code() -> None:
    code = SimpleNamespace(get_code=lambda name: compile(f"name = {name!r}", "x", "exec"))
    module: Any = ModuleType(NAME)
    module.__spec__ = None
    seen: list[Any] = []
    loader: Any = trigger._Loader(code, seen.append)
    assert loader.create_module(ModuleSpec(NAME, None)) is None
    loader.exec_module(module)
    assert module.name == NAME and seen == [module] and module.__loader__ is code
    assert loader.get_code is code.get_code, "whoever asks the loader asks the module's own"


def test_what_nobody_finds_is_not_found_and_a_namespace_has_no_loader(
    told: list[ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trigger.find_spec("no_module_of_anyone", None, None, told.append) is None
    spec = ModuleSpec(NAME, None)
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=lambda *_: spec)])
    assert trigger.find_spec(NAME, None, None, told.append) is spec


def test_the_finder_that_comes_last_asks_first_once() -> None:
    original = vars(PathFinder)["find_spec"]
    first, found = mock.Mock(return_value=None), ModuleSpec("json", None)
    try:
        trigger.be_asked_next(first)
        assert PathFinder.find_spec("json", ["nowhere"]) is None
        first.assert_called_once_with("json", ["nowhere"], None)
        assert vars(PathFinder)["find_spec"] is original
        first.return_value = found
        assert PathFinder.find_spec("json") not in (None, found)
        trigger.be_asked_next(first)
        assert PathFinder.find_spec("json") is found
        assert PathFinder.find_spec("json") not in (None, found)
    finally:
        PathFinder.find_spec = original  # type: ignore[method-assign]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The modules of sessions whose hooks were loaded."""
    found: list[Any] = []
    monkeypatch.setattr(trigger, "_install", found.append)
    return found


def sessions() -> Any:
    """Return what stands for pip's module of sessions."""

    class PipSession:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.given = args, kwargs

    return SimpleNamespace(PipSession=PipSession)


def test_the_first_session_loads_the_hooks_and_no_other(installed: list[Any]) -> None:
    module = sessions()
    original = module.PipSession.__init__
    trigger.await_session(module)
    assert not installed
    assert module.PipSession(1, retries=2).given == ((1,), {"retries": 2})
    assert module.PipSession.__init__ is original
    module.PipSession()
    assert installed == [module]


def test_a_session_that_somebody_else_wrapped_stays_so(installed: list[Any]) -> None:
    module = sessions()
    trigger.await_session(module)
    ours = module.PipSession.__init__

    def theirs(self: Any, *args: Any) -> None:
        ours(self, *args)

    module.PipSession.__init__ = theirs
    assert module.PipSession(1).given == ((1,), {}) and module.PipSession().given == ((), {})
    assert module.PipSession.__init__ is theirs and installed == [module]


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_collected_as_before_but_not_while_the_hooks_are_loaded(
    collects: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pip_retry_patch.hooks import session

    during: list[bool] = []
    monkeypatch.setattr(session, "install", lambda module: during.append(gc.isenabled()))
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        trigger._install(object())
        assert gc.isenabled() is collects and during == [False]
    finally:
        (gc.enable if before else gc.disable)()


def test_a_pip_in_another_python_is_run_by_a_runner_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own: Any = lambda: "/pips/own/runner"  # noqa: E731
    module: Any = SimpleNamespace(__name__="pip._internal.build_env", get_runnable_pip=own)
    monkeypatch.setattr(wrapping, "failures", ["so that nothing is told at the end"])
    runner = "pip_retry_patch.hooks.runner.runner"
    monkeypatch.setattr(runner, lambda pip, path: f"ours of {path} for {pip}")
    trigger.await_subprocess(module)
    assert module.get_runnable_pip() == "ours of /pips/own/runner for pip"
    monkeypatch.setattr(runner, None)
    assert module.get_runnable_pip() == "/pips/own/runner", "a mistake costs nothing else"
    older: Any = SimpleNamespace(__name__="pip._internal.build_env")
    trigger.await_subprocess(older)
    assert not hasattr(older, "get_runnable_pip")
