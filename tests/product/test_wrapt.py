"""Of wrapt no more is imported than wraps, and a program that wants it, or asyncio, gets all."""

from __future__ import annotations

from tests.support.environments import Environment
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Argument

SESSION = """
import sys
before = set(sys.modules)
from pip._internal.network.session import PipSession
PipSession()
assert "pip_retry_patch.hooks.session" in sys.modules
"""
# The modules that wrap are loaded, as those of a package that nobody has imported.
ALONE = (
    SESSION
    + """
assert not {"wrapt", "wrapt.decorators", "asyncio"} & set(sys.modules)
"""
)
LATER = """
import asyncio, asyncio.events, wrapt, wrapt.wrappers, types
assert type(asyncio) is type(sys) and asyncio.__file__
synchronization = sys.modules.get("wrapt.synchronization")
if synchronization and hasattr(synchronization, "asyncio"):
    assert synchronization.asyncio.Lock is asyncio.Lock
    calls = []
    @wrapt.synchronized
    async def locked():
        calls.append(await asyncio.sleep(0, 1))
    async def both():
        await asyncio.gather(locked(), locked())
    asyncio.run(both())
    assert calls == [1, 1]
module = types.ModuleType("module")
module.add = lambda number: number + 1
wrapt.wrap_function_wrapper(module, "add", lambda f, instance, args, kwargs: 2 * f(*args))
assert module.add(1) == 4 and isinstance(module.add, wrapt.FunctionWrapper)
found = vars(PipSession)["request"]
assert found._self_wrapper.__module__.startswith("pip_retry_patch.")
"""
# They were there before, and are used as they are.
BEFORE = """
import asyncio, sys, wrapt
from pip._internal.network.session import PipSession
PipSession()
assert sys.modules["asyncio"] is asyncio and sys.modules["wrapt"] is wrapt
assert isinstance(vars(PipSession)["request"], wrapt.FunctionWrapper)
found = sys.modules.get("wrapt.synchronization")
assert getattr(found, "asyncio", asyncio) is asyncio
"""


@pairs(("20.3.4", "3.8"), (NEWEST, "3.11"), (NEWEST, "3.13"), (NEWEST, "3.14"), (NEWEST, "3.15"))
def test_only_what_wraps_is_loaded_and_all_of_it_for_those_who_want_it(armed: Environment) -> None:
    pure: dict[str, Argument] = {"WRAPT_DISABLE_EXTENSIONS": "1"}
    none: dict[str, Argument] = {}
    for code, env in (
        (ALONE, none),
        (ALONE + LATER, none),
        (ALONE, pure),
        (ALONE + LATER, pure),
        (BEFORE, none),
        (BEFORE, pure),
    ):
        run = armed.run_python("-c", code, env=env)
        assert (run.returncode, run.output) == (0, ""), run.output
