"""Wrappers that can only help: a mistake in one of them leaves what it wraps as it was.

Each such mistake is counted, and one line at the end of the run says so. In strict mode
(PIP_RETRY_PATCH_STRICT=1, set in our own tests) it raises.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import importlib.util
import inspect
import logging
import os
import sys
from importlib.machinery import PathFinder
from typing import Any, Callable, Iterator

from pip_retry_patch.names import foreign

logger = logging.getLogger("pip_retry_patch")

STRICT = os.environ.get("PIP_RETRY_PATCH_STRICT") == "1"

_REMEDY = f"; try: {sys.executable} -m pip install --force-reinstall wrapt"

failures: list[str] = []  # what failed open in this process


class WraptError(ImportError):
    """wrapt is missing or broken, and what to do about it."""


def note_failure(where: str, error: BaseException) -> None:
    """Count a mistake of ours; in strict mode raise it."""
    if STRICT:
        raise error
    logger.debug("pip-retry-patch failed in %s", where, exc_info=error)
    if not failures:
        atexit.register(_tell)
    is_told = isinstance(error, WraptError)
    failures.append(str(error) if is_told else foreign(f"{where}: {error!a}")[:120])


@contextlib.contextmanager
def harmless(where: str) -> Iterator[None]:
    """Let a mistake of ours be counted, and do no more; for a `with`, or around a function."""
    try:
        yield
    except Exception as error:
        note_failure(where, error)


def _tell() -> None:
    if sys.stderr is not None and not {"-q", "-qq", "--quiet"} & {*getattr(sys, "argv", ())}:
        times = f"{len(failures)} times" if len(failures) > 1 else "once"
        what = f"failed {times} in this run, and left pip to itself: {failures[0]}"
        advice = "Please report it; PIP_RETRY_PATCH=0 switches it off."
        print(f"WARNING: pip-retry-patch {what}. {advice}", file=sys.stderr)


class Calls:
    """The wrapped function, and what it brought while its wrapper runs: answers and errors."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped
        self.answers: list[Any] = []  # of the last call
        self.errors: list[Exception] = []
        self._is_over = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.note(self.wrapped, *args, **kwargs)

    def note(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call what stands for the wrapped function."""
        if self._is_over:
            return function(*args, **kwargs)
        self.answers.clear()
        try:
            self.answers.append(function(*args, **kwargs))
        except Exception as error:
            self.errors.append(error)
            raise
        return self.answers[-1]

    def end(self) -> None:
        """Note nothing any more, and keep nothing alive: a body still asks by these calls."""
        self._is_over = True
        self.answers.clear()
        self.errors.clear()


def fail_open(wrapper: Callable[..., Any]) -> Callable[..., Any]:
    """Let a wrapper raise what the wrapped function raised, or an error of ours for the user.

    The latter has the attribute `failure`. Any other error is a mistake of ours: then the last
    answer of the wrapped function is returned; if there is none, it is called as without us.

    `wrapper` takes what wrapt hands to wrappers, with `Calls` as the wrapped function.
    """

    @functools.wraps(wrapper)
    def guarded(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        calls = Calls(wrapped)
        try:
            return wrapper(calls, instance, args, kwargs)
        except Exception as error:
            if hasattr(error, "failure") or any(error is theirs for theirs in calls.errors):
                raise
            note_failure(wrapper.__name__, error)
            if calls.answers:
                return calls.answers[-1]
        finally:
            calls.end()
        return wrapped(*args, **kwargs)

    return guarded


def wrap(owner: Any, path: str, wrapper: Callable[..., Any]) -> None:
    """Put `wrapper` around a function, as `wrapt.wrap_function_wrapper` does.

    :param path: the function's name in `owner`, a module; or `Class.method`.
    :raises AttributeError: there is no such function.
    :raises ImportError: there is no wrapt that works.
    """
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    function = inspect.getattr_static(owner, name)  # a classmethod as such, not bound
    setattr(owner, name, import_function_wrapper()(function, wrapper))


@functools.lru_cache(maxsize=None)
def import_function_wrapper() -> Any:
    """Return `wrapt.FunctionWrapper` without the rest of wrapt, which since 2.2 imports asyncio.

    All of wrapt would cost more than most of what is here together. While its module of wrappers
    is imported, an empty shell stands for the package; whoever imports wrapt later gets all of it,
    with the same classes but on Windows.
    """
    if "wrapt" in sys.modules:
        return importlib.import_module("wrapt").FunctionWrapper
    shell = importlib.util.module_from_spec(spec_of_wrapt())
    sys.modules["wrapt"] = shell
    # Windows removes no extension module that a process has loaded, so pip could not replace
    # wrapt. In Python wrapt (since 1.16) does the same, and here it wraps few calls.
    in_c = os.name != "nt" and not os.environ.get("WRAPT_DISABLE_EXTENSIONS")
    try:
        with contextlib.suppress(ImportError):
            if in_c:
                return importlib.import_module("wrapt._wrappers").FunctionWrapper
        return importlib.import_module("wrapt.wrappers").FunctionWrapper
    except Exception as error:
        # Not what a pip raises that lacks what is to be wrapped.
        raise WraptError(f"wrapt {version_of_wrapt()} is broken: {error!r}{_REMEDY}") from None
    finally:
        if sys.modules.get("wrapt") is shell:
            del sys.modules["wrapt"]


def spec_of_wrapt() -> Any:
    """Find wrapt, also beside this package, where an environment is only linked to it.

    :raises ImportError: there is none.
    """
    beside = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spec = importlib.util.find_spec("wrapt") or PathFinder.find_spec("wrapt", [beside])
    if spec is None:
        raise WraptError(f"wrapt is missing{_REMEDY}")
    return spec


def version_of_wrapt() -> str:
    import importlib.metadata  # which nobody else needs

    home = os.path.dirname(os.path.dirname(spec_of_wrapt().origin))
    found = importlib.metadata.distributions(name="wrapt", path=[home])
    return next((each.version for each in found), "of an unknown version")
