"""What is guarded in this process, and how: what `status` prints."""

from __future__ import annotations

import contextlib
import importlib
import operator
import os
import sys
from pathlib import Path
from typing import Any

from pip_retry_patch import settings
from pip_retry_patch.hooks import compat, files
from pip_retry_patch.hooks.session import WRAPPED
from pip_retry_patch.wrapping import import_function_wrapper, version_of_wrapt

_IN_PLACE = "in place"

# What arms pip. The second is a link; commands/links.py writes it.
_PTH = "pip_retry_patch.pth", "pip_retry_patch_link.pth"


def describe() -> dict[str, Any]:
    """Make the session that `pip download` would make, and tell of what is guarded then.

    For `status`, in a process of its own. JSON, with sizes in bytes.

    :raises ImportError: wrapt is missing or broken.
    """
    import_function_wrapper()
    cache = _make_session()
    pip, urllib3 = map(importlib.import_module, ("pip", "pip._vendor.urllib3"))
    found = compat.settings_of("pip")
    hooks = {path: _state(module, path) for module, path, _ in WRAPPED}
    guarded = hooks["PipSession.request"] == _IN_PLACE
    lines = [os.path.join(folder, name) for folder in sys.path for name in _PTH]
    return {
        "python": sys.version.split()[0],
        "armed_by": [line for line in lines if os.path.isfile(line)],
        "pip": pip.__version__,
        "pip_path": os.path.dirname(str(pip.__file__)),
        "urllib3": urllib3.__version__,
        "urllib3_path": os.path.dirname(str(urllib3.__file__)),
        "wrapt": version_of_wrapt() if guarded else None,
        "guarded": guarded,
        "hooks": hooks,
        "settings": settings.table(found),
        "complaints": list(found.complaints),
        "kept": _kept(found, cache),
    }


def _kept(found: settings.Settings, cache: str | None) -> dict[str, Any]:
    """Try the store, and tell of what is in it."""
    store = files.store_of(found, cache)
    directory, path = store.path, Path(store.path)
    missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    place = store.place(f"md5-{'0' * 32}")  # no file has it
    if place is not None:
        place.finish()
    for made in missing:  # an image would keep an empty directory
        with contextlib.suppress(OSError):
            made.rmdir()
    trouble = store.trouble and f"{directory} cannot be used: {store.trouble}"
    if not directory:
        no_cache = "pip has no cache directory that it may use here"
        trouble = no_cache if found.partials else "retry-patch-partials is off"
    count, size = store.left_over()
    where = None if trouble else directory
    return {"directory": where, "trouble": trouble, "files": count, "size": size}


def _make_session() -> str | None:
    """Make a session as `pip download` does; return the cache directory that it uses, or None."""
    command = importlib.import_module("pip._internal.commands").create_command("download")
    options, _ = command.parse_args([])
    with command.main_context():
        cache = compat.cache_of(command.get_default_session(options))
    filesystem = importlib.import_module("pip._internal.utils.filesystem")
    # pip uses no cache that belongs to somebody else.
    return os.path.realpath(cache) if cache and filesystem.check_path_owner(cache) else None


def _state(module: str, path: str) -> str:
    """Say whether a function of one of pip's modules is wrapped by us."""
    try:
        found = operator.attrgetter(path)(importlib.import_module(f"pip._internal.{module}"))
    except (ImportError, AttributeError):
        return "this pip has none"
    home = str(getattr(getattr(found, "_self_wrapper", None), "__module__", ""))
    return _IN_PLACE if home.startswith("pip_retry_patch.") else "not wrapped"
