"""What is guarded in this process, and how: what `status` prints."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from typing import Any

from pip_retry_patch import settings
from pip_retry_patch.hooks import files
from pip_retry_patch.hooks.configuration import configured_by_file, read_settings
from pip_retry_patch.hooks.session import WRAPPED
from pip_retry_patch.store.kept import Store
from pip_retry_patch.wrapping import spec_of_wrapt

_IN_PLACE, _MISSING = "in place", "this pip has none"


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
    directory = files.directory(found, options.cache_dir)
    directory = None if files.trouble(found) else directory
    count, size = Store(directory, found.partials_size).left_over() if directory else (0, 0)
    hooks = {}
    for module, path, _ in WRAPPED:
        try:
            hooks[path] = _state(importlib.import_module(f"pip._internal.{module}"), path)
        except ImportError:
            hooks[path] = _MISSING
    guarded = hooks["PipSession.request"] == _IN_PLACE
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
            "directory": directory,
            "trouble": files.trouble(found),
            "files": count,
            "size": size,
        },
    }


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
    home = os.path.dirname(os.path.dirname(str(spec_of_wrapt().origin)))
    found = importlib.metadata.distributions(name="wrapt", path=[home])
    return next((each.version for each in found), "of an unknown version")
