"""How a pip that pip runs in another Python is guarded, where that Python has no .pth file of ours.

pip names a file to run there, its `__pip-runner__.py`. `runner` writes another one, which arms what
is installed here, and then runs pip's.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

from pip_retry_patch.hooks.compat import settings_of
from pip_retry_patch.wrapping import spec_of_wrapt

# In the other Python only the two packages can be imported from here, if it has none itself, and
# nothing here counts as installed there. The other Python may be any, even one that is too old for
# pip: pip's own runner then says so. It finds its path and its name as without us.
RUNNER = """\
# -*- coding: utf-8 -*-
import os
import runpy
import sys

homes = {homes!r}
runnable = {runnable!r}

try:
    from importlib.machinery import PathFinder

    def lend(name, path=None, target=None):
        return PathFinder.find_spec(name, [homes[name]], target) if name in homes else None

    lend.find_spec = lend
    sys.meta_path.append(lend)
    import pip_retry_patch

    pip_retry_patch.arm()
except Exception:
    pass

if sys.path[:1] == [os.path.dirname(os.path.abspath(__file__))]:
    sys.path[0] = os.path.dirname(runnable)
runpy.run_path(runnable, run_name="__main__")
"""


@functools.lru_cache(maxsize=None)
def runner(pip: str, runnable: str) -> str:
    """Write the file to run instead of `runnable`; it is removed when this process ends.

    :param pip: the package whose pip asks; where its settings switch us off, it is left alone.
    :raises Exception: there is no place for the file, or wrapt is missing.
    """
    if not settings_of(pip).enabled:
        return runnable
    ours, wrapt = Path(os.path.abspath(__file__)), Path(os.path.abspath(spec_of_wrapt().origin))
    homes = {"pip_retry_patch": str(ours.parents[2]), "wrapt": str(wrapt.parents[1])}
    directory = tempfile.mkdtemp(prefix="pip-retry-patch-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = os.path.join(directory, "__pip-runner__.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(RUNNER.format(homes=homes, runnable=runnable))
    return path
