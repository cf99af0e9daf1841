"""Wrappers that can only help: a mistake in one of them leaves what it wraps as it was."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import logging
import os
import sys
import threading
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Callable, Iterator

from pip_retry_patch import failures, names

logger = logging.getLogger("pip_retry_patch")


def harden(log: logging.Logger) -> None:
    """Let no line of a logger hold a secret, and no handler or filter of anyone's cost more.

    A handler that raises costs the line. What was under way when it was logged goes on.
    """
    if "handle" in vars(log):
        return
    handle = log.handle

    def handle_or_not(record: logging.LogRecord) -> None:
        try:
            record.msg, record.args = names.without_secrets(record.getMessage()), ()
            handle(record)
        except Exception:
            pass

    log.handle = handle_or_not  # type: ignore[method-assign]


class Calls:
    """The wrapped function, and what it brought while its wrapper runs."""

    def __init__(self, wrapped: Callable[..., Any]) -> None:
        self.errors: list[Exception] = []
        self.answers: list[Any] = []
        self._wrapped = wrapped
        self._noted = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._noted:
            return self._wrapped(*args, **kwargs)
        self.answers.clear()
        try:
            answer = self._wrapped(*args, **kwargs)
        except Exception as error:
            self.errors.append(error)
            raise
        self.answers.append(answer)
        return answer

    def raised(self, error: Exception) -> bool:
        """Whether the wrapped function raised it."""
        return any(error is theirs for theirs in self.errors)

    def forget(self) -> None:
        """What came so far is no answer to the call, and no reason for it to fail."""
        self.errors.clear()
        self.answers.clear()

    def end(self) -> None:
        """Note nothing any more, and keep nothing alive: the wrapper may still be held."""
        self._noted = False
        self.errors.clear()
        self.answers.clear()


def fail_open(wrapper: Callable[..., Any]) -> Callable[..., Any]:
    """Let a wrapper raise what the wrapped function raised, or a Failure, and nothing else.

    `wrapper` is a method that takes what wrapt hands to wrappers, with `Calls` as the wrapped one.

    Any other error is a mistake of ours. Then the last answer of the wrapped function is returned,
    or its last error raised; if it was not called yet, that is made up for.
    """

    @functools.wraps(wrapper)
    def guarded(
        self: Any, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any
    ) -> Any:
        calls = Calls(wrapped)
        try:
            return wrapper(self, calls, instance, args, kwargs)
        except Exception as error:
            ours = getattr(error, "failure", None)
            if any(error is theirs for theirs in calls.errors):
                raise
            if isinstance(ours, failures.Failure):
                raise
            logger.debug("pip-retry-patch failed in %s: %r", wrapper.__name__, error)
            if calls.answers:
                return calls.answers[0]
            if calls.errors:
                raise calls.errors[-1] from None
        finally:
            calls.end()
        return wrapped(*args, **kwargs)

    return guarded


class _LateAsyncio(ModuleType):
    """Stands in for asyncio while wrapt is imported, and hands on what is asked of it later.

    Since version 2.2 one module of wrapt imports asyncio, for three functions that are not used
    here. It would be a third of what a small download costs. Whoever imports asyncio afterwards
    gets asyncio.
    """

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get("asyncio") is self:
            del sys.modules["asyncio"]
        return getattr(importlib.import_module("asyncio"), name)


# Windows removes no extension module that a process has loaded. A pip that replaces wrapt would end
# with an error (pip 20.3) or a warning (24.0), after three seconds of tries. In Python wrapt does
# the same, and here it wraps few calls.
COMPILED = os.name != "nt"
_SWITCH = "WRAPT_DISABLE_EXTENSIONS"  # wrapt's own

_function_wrapper: Any = None  # wrapt's class, once something was wrapped


def wrap(owner: Any, path: str, wrapper: Callable[..., Any], compiled: bool = COMPILED) -> None:
    """Put `wrapper` around a function, as `wrapt.wrap_function_wrapper` does.

    :param path: the function's name in `owner`, a module or a class; or `Class.method`.
    :param compiled: with wrapt's extension module, if it has one.
    :raises AttributeError: there is no such function.
    :raises ImportError: there is no wrapt.
    """
    global _function_wrapper
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    function = getattr(owner, name)
    for holder in getattr(owner, "__mro__", ()):
        if name in vars(holder):
            function = vars(holder)[name]  # a classmethod as such, not bound
            break
    if _function_wrapper is None:
        _function_wrapper = _import_function_wrapper(compiled)
    setattr(owner, name, _function_wrapper(function, wrapper))


def _import_function_wrapper(compiled: bool) -> Any:
    """Return `wrapt.FunctionWrapper`, from wrapt's extension module alone where that can be.

    All of wrapt would cost more than most of what is here together. On any surprise it is taken
    from there, and so it is beside another thread, which might see half a wrapt.
    """
    if compiled and not os.environ.get(_SWITCH) and threading.active_count() == 1:
        with contextlib.suppress(Exception):  # what is wrong, the import below will say
            return _import_extension().FunctionWrapper
    return import_wrapt(compiled).FunctionWrapper


def _import_extension() -> Any:
    """Load wrapt's extension module, and leave no trace: who imports wrapt later gets it anew.

    Since 2.4 it asks for `wrapt.exceptions`. So wrapt is there meanwhile, without what its
    `__init__` makes.
    """
    if "wrapt" in sys.modules:
        raise ImportError("wrapt is imported already")
    package = importlib.util.module_from_spec(_spec_of_wrapt())
    spec = PathFinder.find_spec("wrapt._wrappers", package.__path__)
    if spec is None or spec.loader is None:
        raise ImportError("this wrapt has no extension module")
    sys.modules["wrapt"] = package
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "wrapt"]:
            del sys.modules[name]


def _spec_of_wrapt() -> ModuleSpec:
    with _our_path():
        spec = importlib.util.find_spec("wrapt")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("wrapt")
    return spec


def wrapt_directory() -> str:
    """Return where wrapt is, which need not have been imported. Raises ImportError without one."""
    return os.path.dirname(os.path.abspath(str(_spec_of_wrapt().origin)))


def import_wrapt(compiled: bool = COMPILED) -> Any:
    """Import all of wrapt: only when something is wrapped, so that nobody else pays for it.

    :param compiled: with its extension module, if it has one.
    """
    if "wrapt" in sys.modules:
        return sys.modules["wrapt"]
    switched = not compiled and _SWITCH not in os.environ
    if switched:
        os.environ[_SWITCH] = "1"
    late = None if "asyncio" in sys.modules else _LateAsyncio("asyncio")
    try:
        if late is not None:
            sys.modules["asyncio"] = late
        with _our_path():
            return importlib.import_module("wrapt")
    finally:
        if late is not None and sys.modules.get("asyncio") is late:
            del sys.modules["asyncio"]
        if switched:
            del os.environ[_SWITCH]


@contextlib.contextmanager
def _our_path() -> Iterator[None]:
    """Let what stands beside this package be found while this lasts.

    In an environment that is only linked (commands/links.py) it is not on the path.
    """
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    try:
        yield
    finally:
        sys.path.pop()
