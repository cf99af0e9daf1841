"""What is guarded in this process, and how: what `status` prints."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from typing import Any

from pip_retry_patch import settings
from pip_retry_patch.hooks.cache import Library
from pip_retry_patch.hooks.configuration import configured_by_file, read_settings
from pip_retry_patch.hooks.session import WRAPPED
from pip_retry_patch.store import files
from pip_retry_patch.wrapping.fail_open import wrapt_directory


def describe() -> dict[str, Any]:
    """Make the session that `pip download` would make, and tell of what is guarded then.

    For `status`, in a process of its own. JSON, with sizes in bytes.
    """
    pip = importlib.import_module("pip")
    internal = {
        name: importlib.import_module(f"pip._internal.{name}")
        for name in ("commands", "network.session", "utils.filesystem", "utils.misc")
    }
    command = internal["commands"].create_command("download")
    options, _ = command.parse_args([])
    if options.cache_dir:
        # As pip does before it runs a command.
        options.cache_dir = internal["utils.misc"].normalize_path(options.cache_dir)
        if not internal["utils.filesystem"].check_path_owner(options.cache_dir):
            options.cache_dir = None
    with command.main_context():
        command.get_default_session(options)
    urllib3 = internal["network.session"].urllib3
    found, items = read_settings("pip"), configured_by_file("pip")
    library = Library("pip", found)
    directory = library.directory(options.cache_dir)
    partials_of = list(files.entries(directory)) if directory else []
    hooks = {
        "HTTPConnectionPool.urlopen": _state(urllib3.connectionpool, "HTTPConnectionPool.urlopen")
    }
    for module, path, _ in WRAPPED:
        try:
            hooks[path] = _state(importlib.import_module(f"pip._internal.{module}"), path)
        except ImportError:
            hooks[path] = _MISSING
    needed = ("HTTPConnectionPool.urlopen", "PipSession.request")
    guarded = all(hooks[path] == _IN_PLACE for path in needed)
    return {
        "pip": pip.__version__,
        "pip_path": os.path.dirname(str(pip.__file__)),
        "urllib3": getattr(urllib3, "__version__", "unknown"),
        "urllib3_path": os.path.dirname(str(urllib3.__file__)),
        "wrapt": _version_of_wrapt() if guarded else None,
        "guarded": guarded,
        "hooks": hooks,
        "settings": settings.table(found, settings.origins(items)),
        "complaints": list(found.complaints),
        "kept": {
            "directory": str(directory) if directory else None,
            "trouble": library.trouble(),
            "files": len(partials_of),
            "size": sum(status.st_size for _, status in partials_of),
        },
    }


_IN_PLACE, _MISSING = "in place", "this pip has none"


def _state(module: Any, path: str) -> str:
    """Say whether a function of a class, or of the module itself, is wrapped by us."""
    owner, _, name = path.rpartition(".")
    found = vars(getattr(module, owner, object) if owner else module).get(name)
    if found is None:
        return _MISSING
    wrapper = type(getattr(getattr(found, "_self_wrapper", None), "__self__", None)).__module__
    return _IN_PLACE if wrapper.startswith("pip_retry_patch.") else "not wrapped"


def _version_of_wrapt() -> str:
    """By its metadata, for of wrapt only one module need have been imported."""
    home = os.path.dirname(wrapt_directory())
    found = importlib.metadata.distributions(name="wrapt", path=[home])
    return next((each.version for each in found), "of an unknown version")
