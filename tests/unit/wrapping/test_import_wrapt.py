"""wrapt as it is imported: with its extension module, or without on Windows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pip_retry_patch

CODE = """
import os, sys
from pip_retry_patch.wrapping.fail_open import import_wrapt

before = dict(os.environ)
wrapt = import_wrapt(compiled={compiled})
assert ("wrapt._wrappers" in sys.modules) == {compiled}
assert dict(os.environ) == before, "what this process starts, and wraps itself, is as ever"

class Pool:
    def urlopen(self, url):
        return "answer to " + url

def wrapper(wrapped, instance, args, kwargs):
    assert isinstance(instance, Pool)
    return wrapped(*args, **kwargs) + ", wrapped"

wrapt.wrap_function_wrapper(Pool, "urlopen", wrapper)
assert Pool().urlopen("demo") == "answer to demo, wrapped"
assert vars(Pool)["urlopen"]._self_wrapper is wrapper
"""


@pytest.mark.parametrize("compiled", [True, False])
def test_no_extension_module_is_loaded_where_none_is_wanted(compiled: bool) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(pip_retry_patch.__file__).parents[1])}
    env.pop("WRAPT_DISABLE_EXTENSIONS", None)
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(compiled=compiled)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
