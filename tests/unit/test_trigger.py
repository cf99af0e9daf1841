"""What waits for pip's modules, on modules that are made here; tests/product has real starts."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch import trigger


def test_a_loader_of_the_older_kind_executes_its_code_and_nothing_of_ours_stays() -> None:
    code = SimpleNamespace(get_code=lambda name: compile(f"name = {name!r}", "x", "exec"))
    module: Any = ModuleType("module")
    module.__spec__ = ModuleSpec("module", None)
    seen: list[Any] = []
    loader: Any = trigger._Loader(code, seen.append)
    assert loader.create_module(module.__spec__) is None and loader.get_code is code.get_code
    loader.exec_module(module)
    assert module.name == "module" and seen == [module]
    assert module.__loader__ is module.__spec__.loader is code


def test_others_find_a_module_but_a_finder_of_the_older_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = ModuleSpec("module", None)  # of a namespace, which has no loader
    finders = [SimpleNamespace(), SimpleNamespace(find_spec=lambda *_: spec)]
    monkeypatch.setattr(sys, "meta_path", finders)
    assert trigger.find_spec("module", None, None, pytest.fail) is spec and not spec.loader
    monkeypatch.setattr(sys, "meta_path", finders[:1])
    assert trigger.find_spec("module", None, None, pytest.fail) is None


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_first_session_undoes_what_is_ours(
    wrapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PipSession:
        def __init__(self, *args: Any) -> None:
            self.given = args

    installed: list[Any] = []
    monkeypatch.setattr(trigger, "_install", installed.append)
    module, then = SimpleNamespace(PipSession=PipSession), PipSession.__init__
    trigger.await_session(module)
    if wrapped:
        ours, then = PipSession.__init__, lambda self, *args: ours(self, *args)
        monkeypatch.setattr(PipSession, "__init__", then)
    assert not installed and PipSession(1).given == (1,)
    assert PipSession().given == () and PipSession.__init__ is then and installed == [module]


def test_a_mistake_leaves_pips_runner(monkeypatch: pytest.MonkeyPatch, failures: list[str]) -> None:
    module: Any = SimpleNamespace(
        __name__="pip._internal.build_env", get_runnable_pip=lambda: "own"
    )
    trigger.await_subprocess(module)
    runner = "pip_retry_patch.hooks.runner.runner"
    monkeypatch.setattr(runner, lambda pip, own: f"ours of {own} for {pip}")
    assert module.get_runnable_pip() == "ours of own for pip" and not failures
    monkeypatch.setattr(runner, None)
    assert module.get_runnable_pip() == "own" and failures
