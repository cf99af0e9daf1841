"""Makes pip finish what the network interrupts.

pip_retry_patch.pth imports this and calls `arm` when a process imports pip. No other process pays
for it: docs/architecture.md says how. `arm` puts this very module on `sys.meta_path`. As a finder
it finds nothing, but waits for the modules of `WAITED_FOR`, and then calls trigger.py. A
`.start` entry (PEP 829) may call `arm` at every Python start, so this file imports nothing but sys
and leaves its annotations as strings.
"""

import sys

__version__ = "0.1.0"

# The ends of the names of modules that are waited for, and the function of trigger.py that is
# told. Another package may carry a copy of pip, so only the end of a name counts. `pip cache`
# makes no session. The next two know how to run pip in another Python.
WAITED_FOR = {
    "pip._internal.network.session": "await_session",
    "pip._internal.commands.cache": "await_purge",
    "pip._internal.build_env": "await_subprocess",
    "pip._internal.utils.misc": "await_subprocess",
}
_ENDS = tuple(WAITED_FOR)
# What makes environments, where PIP_RETRY_PATCH_VENVS wants them linked, and the function of
# commands/links.py that is told.
VENVS = {"venv": "watch_venv", "virtualenv.run.session": "watch_virtualenv"}


def arm() -> None:
    """Wait for pip's network code. Safe to call again, and in a second copy of this module."""
    if any(getattr(finder, "__name__", "") == __name__ for finder in sys.meta_path):
        return
    # The finders of the .pth lines have done their work. A new list, for an import goes through
    # the old one at this moment.
    others = [finder for finder in sys.meta_path if not _is_line(finder)]
    sys.meta_path = [sys.modules[__name__], *others]
    if _venvs_are_wanted():
        from pip_retry_patch import trigger

        trigger.be_asked_next(find_spec)


def _is_line(finder: object) -> bool:
    """Whether a finder is what pip_retry_patch.pth, or a link, puts on `sys.meta_path`."""
    code = getattr(finder, "__code__", None)
    return code is not None and any("pip_retry_patch" in str(const) for const in code.co_consts)


def find_spec(name: str, path: object = None, target: object = None) -> object:
    """Lend the modules that are waited for a loader that tells us."""
    is_venv = name in VENVS and _venvs_are_wanted()
    if not is_venv and not name.endswith(_ENDS):
        return None
    try:
        from pip_retry_patch import trigger

        if is_venv:
            from pip_retry_patch.commands import links

            told = getattr(links, VENVS[name])
        else:
            told = getattr(trigger, next(WAITED_FOR[end] for end in _ENDS if name.endswith(end)))
        return trigger.find_spec(name, path, target, told)
    except Exception as why:
        # Whatever is wrong here, the finders after this one import pip as ever.
        import logging

        logging.getLogger(__name__).debug("pip-retry-patch could not guard pip: %r", why)
        return None


def _venvs_are_wanted() -> bool:
    import os  # which every Python has loaded by now

    return os.environ.get("PIP_RETRY_PATCH_VENVS", "").lower() in ("1", "on", "yes", "true")


def protect() -> None:
    """Guard what a program's own requests downloads, as pip's downloads are guarded.

    The body of every GET of every `requests.Session` of this process is covered from now on, with
    the default settings. When patience ends the program sees the error of the interruption itself,
    as requests raises it. Needs `pip-retry-patch[requests]`; raises ImportError without requests.
    """
    from pip_retry_patch.hooks import program

    program.protect()
