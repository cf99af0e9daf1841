"""From the first import of pip to its first session: when what of the guard is loaded.

Until pip makes a session nothing of the guard is needed, and `pip --version` or `pip list` must not
pay for it. Up to pip 24 such commands do import the session module, so its import alone is no
sign that the network will be used.
"""

from __future__ import annotations

import functools
import logging
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Callable

logger = logging.getLogger("pip_retry_patch")

_VERBOSE = 15  # the level of `pip -v` since 21.1; before, that is DEBUG


def find_spec(name: str, path: Any, target: Any, told: Callable[[Any], None]) -> ModuleSpec | None:
    """Find the module with everyone else's finders, and lend it a loader that tells us.

    :param told: is called with the module when it was executed.
    """
    for finder in sys.meta_path:
        # By its name: a test runner may have thrown our module out of sys.modules and so made a
        # second one, and each would ask the other.
        if hasattr(finder, "find_spec") and getattr(finder, "__name__", "") != __package__:
            spec: ModuleSpec | None = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, told)  # type: ignore[assignment]
                return spec
    return None


def be_asked_next(first: Callable[..., Any]) -> None:
    """Let `first` be asked for the very module whose import is under way, which may be `venv`.

    Since Python 3.14 an import goes through a copy of `sys.meta_path`: a finder that is added
    meanwhile is not asked. So the finder that comes last asks `first` first, once.
    """
    original = vars(PathFinder)["find_spec"]

    def find_spec_once(_: Any, name: str, path: Any = None, target: Any = None) -> Any:
        PathFinder.find_spec = original  # type: ignore[method-assign]
        return first(name, path, target) or PathFinder.find_spec(name, path, target)

    PathFinder.find_spec = classmethod(find_spec_once)  # type: ignore[assignment,method-assign]


class _Loader:
    """Stands in for a module's loader until the module is executed; then `told` is called."""

    def __init__(self, loader: Any, told: Callable[[Any], None]) -> None:
        self._loader = loader
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return None  # all that are waited for are written in Python

    def exec_module(self, module: ModuleType) -> None:
        # Leave nothing behind: importlib.resources and inspect will ask the module for its loader.
        module.__loader__ = module.__spec__.loader = self._loader  # type: ignore[union-attr]
        if hasattr(self._loader, "exec_module"):
            self._loader.exec_module(module)
        else:
            # zipimport before Python 3.10 has only the older half of the loader API.
            exec(self._loader.get_code(module.__name__), module.__dict__)
        or_leave(f"looking at {module.__name__}", lambda: self._told(module))


def or_leave(where: str, guard: Callable[[], Any], otherwise: Any = None) -> Any:
    """Return what `guard` does; a mistake of ours is counted, and `otherwise` is returned."""
    try:
        return guard()
    except Exception as why:
        try:
            from pip_retry_patch import wrapping
        except Exception:
            logger.debug("pip-retry-patch failed in %s: %r", where, why)
        else:
            wrapping.note_failure(where, why)
        return otherwise


def await_purge(module: Any) -> None:
    """`pip cache` makes no session, and is rare: its hook is put in place at once."""
    from pip_retry_patch.hooks import files

    files.install_purge(module)


def await_subprocess(module: Any) -> None:
    """Let the pip that this pip runs in another Python be guarded as well.

    `pip --python`, and the builds of `--use-feature=venv-isolation`, run pip where no .pth file of
    ours need be. The function is replaced by hand, as below, for wrapt need not be there yet. Who
    asks for it imports it from here by name.
    """
    original = vars(module).get("get_runnable_pip")
    if original is None:
        return

    @functools.wraps(original)
    def get_runnable_pip() -> Any:
        runnable = original()

        def ours() -> str:
            from pip_retry_patch.hooks import runner

            return runner.runner(module.__name__.partition("._internal.")[0], runnable)

        return or_leave("guarding a pip of pip's", ours, runnable)

    module.get_runnable_pip = get_runnable_pip


def await_session(module: Any) -> None:
    """Load the hooks when the first PipSession is made.

    The one replacement of a class's method that is made by hand, so that wrapt need not be there
    yet. The first call undoes it.
    """
    session = module.PipSession
    original = session.__init__

    @functools.lru_cache(maxsize=None)
    def guard() -> None:
        if session.__init__ is initialize:
            session.__init__ = original
        or_leave("guarding pip", lambda: _install(module))

    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        guard()
        original(self, *args, **kwargs)

    session.__init__ = initialize


def _install(module: Any) -> None:
    from pip_retry_patch import __version__
    from pip_retry_patch.hooks import session

    guarded = session.install(module)
    if guarded:
        logger.log(_VERBOSE, "pip-retry-patch %s guards %s", __version__, guarded)
