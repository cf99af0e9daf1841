"""Makes pip finish what the network interrupts.

pip_retry_patch.pth imports this and calls `arm` when a process imports pip; no other process pays
for it. (Its finder looks for the names that matter in one string, at the price of one comparison at
every start; docs/architecture.md says which and why.) `arm` puts this very module on
`sys.meta_path`, as a finder that finds nothing but waits for pip's network session to be imported;
trigger.py takes over then. So that `arm` may as well be called at every Python start (a `.start`
entry, PEP 829), this file imports nothing but sys and leaves its annotations as strings.
"""

import sys

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

# Modules that are waited for, also in a copy of pip that another package carries: the session; the
# command `pip cache`, which makes none; and the two that know how to run pip in another Python.
PIP = (
    "pip._internal.network.session",
    "pip._internal.commands.cache",
    "pip._internal.build_env",
    "pip._internal.utils.misc",
)
# What makes environments, where PIP_RETRY_PATCH_VENVS wants them linked.
VENVS = ("venv", "virtualenv.run.session")


def arm() -> None:
    """Wait for pip's network code. Safe to call again."""
    if sys.modules[__name__] in sys.meta_path:
        return
    sys.meta_path.insert(0, sys.modules[__name__])
    if _venvs_are_wanted():
        from pip_retry_patch.arming import trigger

        trigger.be_asked_next()


def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
    """Lend the modules that are waited for a loader that tells us."""
    if not name.endswith(PIP) and not (name in VENVS and _venvs_are_wanted()):
        return None
    try:
        from pip_retry_patch.arming import trigger

        return trigger.find_spec(name, path, target)
    except Exception as why:
        # Whatever is wrong here, the finders after this one import pip as ever.
        import logging

        logging.getLogger(__name__).debug("pip-retry-patch could not guard pip: %r", why)
        return None


def _venvs_are_wanted() -> bool:
    import os  # which every Python has loaded by now

    return os.environ.get("PIP_RETRY_PATCH_VENVS", "").lower() in ("1", "on", "yes", "true")


def protect() -> None:
    """Guard a program's own urllib3, and requests on top of it, as pip's is guarded.

    Every streamed or preloaded GET through `urllib3.HTTPConnectionPool` of this process is
    covered from now on, with the default settings. When patience ends the program sees the
    error of the interruption itself, as urllib3 and requests raise it. Needs
    `pip-retry-patch[requests]`; raises ImportError where urllib3 is missing.
    """
    from pip_retry_patch.hooks import session as hooks

    hooks.protect()
