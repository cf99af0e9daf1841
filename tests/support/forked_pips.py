"""Run by an environment's own Python: one pip after the other, each forked from this process.

What costs time, to start Python and to import pip, is done once. pip makes its first session in the
fork, so the guard is loaded anew each time, from the files as they are then. One order, in JSON, is
read from each line of standard input; its exit code is printed when it is done, -1 for one that was
killed because it did not end.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from typing import Any

LIMIT = 30  # seconds


def run(arguments: list[str], output: str) -> None:
    """Be one pip; never returns."""
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    signal.alarm(LIMIT)
    sys.argv = ["pip", *arguments]
    code: Any = 1
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


main = importlib.import_module("pip._internal.cli.main").main
for name in ("commands.download", "network.download", "network.session"):
    importlib.import_module(f"pip._internal.{name}")
for line in sys.stdin:
    child = os.fork()
    if not child:
        run(**json.loads(line))
    status = os.waitpid(child, 0)[1]
    print(os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1, flush=True)
