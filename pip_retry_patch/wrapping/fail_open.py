"""Wrappers that can only help: a mistake in one of them leaves what it wraps as it was."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
from types import ModuleType
from typing import Any, Callable

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


def import_wrapt(compiled: bool = COMPILED) -> Any:
    """Import wrapt: only when something is wrapped, so that nobody else pays for it.

    In an environment that is only linked (arming/links.py) it is not on the path, but beside this
    package.

    :param compiled: with its extension module, if it has one.
    """
    if "wrapt" in sys.modules:
        return sys.modules["wrapt"]
    switched = not compiled and _SWITCH not in os.environ
    if switched:
        os.environ[_SWITCH] = "1"
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    late = None if "asyncio" in sys.modules else _LateAsyncio("asyncio")
    try:
        if late is not None:
            sys.modules["asyncio"] = late
        return importlib.import_module("wrapt")
    finally:
        if late is not None and sys.modules.get("asyncio") is late:
            del sys.modules["asyncio"]
        sys.path.pop()
        if switched:
            del os.environ[_SWITCH]
