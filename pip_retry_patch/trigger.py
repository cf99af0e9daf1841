"""From the import of pip's session module to its first session: when to load the hooks.

Until pip makes a session nothing of the guard is needed, and `pip --version` or `pip list` must not
pay for it. Up to pip 24 such commands do import the session module, so its import alone is no
sign that the network will be used.
"""

from __future__ import annotations

import logging
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable

import pip_retry_patch

logger = logging.getLogger("pip_retry_patch")


def find_spec(name: str, path: Any, target: Any) -> ModuleSpec | None:
    """Find the module with everyone else's finders, and lend it a loader that tells us."""
    for finder in sys.meta_path:
        finds = getattr(finder, "find_spec", None)
        if finds is None or finder is sys.modules[pip_retry_patch.__name__]:
            continue
        spec: ModuleSpec | None = finds(name, path, target)
        if spec is not None:
            if spec.loader is not None:
                told = _await_purge if name.endswith(".cache") else _await_session
                spec.loader = _Loader(spec.loader, told)  # type: ignore[assignment]
            return spec
    return None


class _Loader:
    """Stands in for a module's loader until the module is executed; then `told` is called."""

    def __init__(self, loader: Any, told: Callable[[Any], None]) -> None:
        self._loader = loader
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        create = getattr(self._loader, "create_module", None)
        module: ModuleType | None = create and create(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # Leave nothing behind: importlib.resources and inspect will ask the module for its loader.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        if hasattr(self._loader, "exec_module"):
            self._loader.exec_module(module)
        else:
            # zipimport before Python 3.10 has only the older half of the loader API.
            exec(self._loader.get_code(module.__name__), module.__dict__)
        try:
            self._told(module)
        except Exception:
            logger.debug("pip-retry-patch could not look at %s", module, exc_info=True)


def _await_purge(module: Any) -> None:
    """`pip cache` makes no session, and is rare: its hook is put in place at once."""
    from pip_retry_patch import hooks

    hooks.install_purge(module)


def _await_session(module: Any) -> None:
    """Load the hooks when the first PipSession is made.

    The one replacement that is made by hand, so that wrapt need not be there yet. The first call
    undoes it. Nothing else is waited for then.
    """
    finder: Any = sys.modules[pip_retry_patch.__name__]
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    session = module.PipSession
    original = session.__init__
    waiting = True

    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            if session.__init__ is initialize:
                session.__init__ = original
            try:
                from pip_retry_patch import hooks

                hooks.install(module)
            except Exception:
                logger.debug("pip-retry-patch could not guard pip", exc_info=True)
        original(self, *args, **kwargs)

    session.__init__ = initialize
