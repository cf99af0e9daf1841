"""The finder and the loader that wait for pip's modules, on modules that are made here."""

from __future__ import annotations

import gc
import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Iterator

import pytest

from pip_retry_patch import trigger

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


def test_what_nobody_finds_is_not_found(
    told: list[ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trigger.find_spec("no_module_of_anyone", None, None, told.append) is None
    spec = ModuleSpec(NAME, None)
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=lambda *_: spec)])
    assert trigger.find_spec(NAME, None, None, told.append) is spec, "a namespace has no loader"


def test_a_mistake_of_ours_leaves_the_module(
    told: list[ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Finder, "told", lambda self, module: 1 / 0)
    module: Any = imported(monkeypatch, Finder())
    assert module.value == 5 and not told


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


def test_the_finder_that_comes_last_asks_first_once(monkeypatch: pytest.MonkeyPatch) -> None:
    original = vars(PathFinder)["find_spec"]
    asked: list[Any] = []

    def first(*what: Any) -> Any:
        asked.append(what)
        return None

    trigger.be_asked_next(first)
    try:
        spec = PathFinder.find_spec("json", ["nowhere"])
        assert spec is None and asked == [("json", ["nowhere"], None)]
        assert vars(PathFinder)["find_spec"] is original
        assert PathFinder.find_spec("json") is not None and len(asked) == 1
        trigger.be_asked_next(first)
        found = PathFinder.find_spec("json")
        assert found is not None and found.name == "json" and len(asked) == 2
        answer: Any = ModuleSpec("json", None)
        trigger.be_asked_next(lambda *_: answer)
        assert PathFinder.find_spec("json") is answer
        assert PathFinder.find_spec("json") is not answer
    finally:
        PathFinder.find_spec = original  # type: ignore[method-assign]


def sessions() -> Any:
    class PipSession:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.given = args, kwargs

    return SimpleNamespace(PipSession=PipSession)


def test_the_first_session_loads_the_hooks_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sessions()
    installed: list[Any] = []
    original = module.PipSession.__init__
    monkeypatch.setattr(trigger, "_install", installed.append)
    trigger.await_session(module)
    assert not installed
    made = module.PipSession(1, retries=2)
    assert made.given == ((1,), {"retries": 2}) and installed == [module]
    assert module.PipSession.__init__ is original
    module.PipSession()
    assert len(installed) == 1


def test_a_session_that_somebody_else_wrapped_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sessions()
    installed: list[Any] = []
    monkeypatch.setattr(trigger, "_install", installed.append)
    trigger.await_session(module)
    ours = module.PipSession.__init__

    def theirs(self: Any, *args: Any) -> None:
        ours(self, *args)

    module.PipSession.__init__ = theirs
    assert module.PipSession(1).given == ((1,), {}) and module.PipSession().given == ((), {})
    assert module.PipSession.__init__ is theirs and installed == [module]


def test_hooks_that_cannot_be_loaded_leave_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sessions()
    monkeypatch.setattr(trigger, "_install", lambda module: 1 / 0)
    trigger.await_session(module)
    assert module.PipSession(1).given == ((1,), {})


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("guarded", ["pip 24.0", ""])
def test_what_is_guarded_is_logged_and_garbage_is_collected_as_before(
    guarded: str, collects: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from pip_retry_patch import __version__
    from pip_retry_patch.hooks import session

    during: list[bool] = []

    def install(module: Any) -> str:
        during.append(gc.isenabled())
        return guarded

    monkeypatch.setattr(session, "install", install)
    caplog.set_level(15, "pip_retry_patch")
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        trigger._install(object())
        assert gc.isenabled() is collects and during == [False]
    finally:
        (gc.enable if before else gc.disable)()
    said = [record.getMessage() for record in caplog.records]
    assert said == ([f"pip-retry-patch {__version__} guards pip 24.0"] if guarded else [])
    assert all(record.levelno == 15 for record in caplog.records)


def runnable(**names: Any) -> Any:
    return SimpleNamespace(__name__="pip._internal.build_env", **names)


def test_a_pip_in_another_python_is_run_by_a_runner_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = runnable(get_runnable_pip=lambda: "/pips/own/runner")
    asked: list[str] = []

    def ours(pip: str, path: str) -> str:
        asked.append(pip)
        return f"ours of {path}"

    monkeypatch.setattr("pip_retry_patch.hooks.runner.runner", ours)
    trigger.await_subprocess(module)
    assert module.get_runnable_pip() == "ours of /pips/own/runner" and asked == ["pip"]
    monkeypatch.setattr("pip_retry_patch.hooks.runner.runner", None)
    assert module.get_runnable_pip() == "/pips/own/runner", "a mistake costs nothing else"
    older = runnable()
    trigger.await_subprocess(older)
    assert not hasattr(older, "get_runnable_pip")
