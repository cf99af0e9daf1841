"""wrapt is imported without asyncio, and nobody who wants asyncio notices."""

from __future__ import annotations

from tests.support.environments import Factory
from tests.support.matrix import NEWEST, pairs

CODE = """
import sys
from pip._internal.network.session import PipSession
PipSession()
assert "pip_retry_patch.hooks.session" in sys.modules and "wrapt" in sys.modules
assert "asyncio" not in sys.modules, "nobody needed it"
assert not [name for name in sys.modules if name.startswith("asyncio.")]
"""
LATER = """
import asyncio, asyncio.events, wrapt
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
"""
FIRST_BY_WRAPT = """
synchronization = sys.modules["wrapt.synchronization"]
if hasattr(synchronization, "asyncio"):
    loop = synchronization.asyncio.new_event_loop()
    import asyncio
    assert isinstance(loop, asyncio.AbstractEventLoop)
    loop.close()
"""


# asyncio was there before: wrapt has the real one.
LATER_ONLY = """
import sys
from pip._internal.network.session import PipSession
PipSession()
assert sys.modules["asyncio"] is asyncio
found = sys.modules["wrapt.synchronization"]
assert getattr(found, "asyncio", asyncio) is asyncio
"""


@pairs((NEWEST, "3.11"), (NEWEST, "3.13"), (NEWEST, "3.14"), (NEWEST, "3.15"))
def test_asyncio_is_not_loaded_and_is_itself_for_those_who_want_it(
    pip: str, python: str, armed: Factory
) -> None:
    environment = armed(pip, python)
    for code in (CODE, CODE + LATER, CODE + FIRST_BY_WRAPT, "import asyncio\n" + LATER_ONLY):
        run = environment.run_python("-c", code)
        assert (run.returncode, run.output) == (0, ""), run.output
