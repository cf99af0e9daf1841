"""Run by an environment's own Python: one pip after the other, each forked from this process.

What costs time, to start Python and to import pip, is done once. pip makes its first session in the
fork, so the guard is loaded anew each time, from the files as they are then. One order, in JSON, is
read from each line of standard input; its exit code and its seconds are printed when it is done.
The code is null for a pip that was killed because it did not end.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import sys
import time
import traceback
from typing import Any


def run(arguments: list[str], streams: list[str], env: dict[str, str], limit: int) -> None:
    for number, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    signal.alarm(limit)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(env["HOME"])
    sys.argv = ["pip", *arguments]
    code: Any = 1
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


main = importlib.import_module("pip._internal.cli.main").main
for name in ("commands.download", "network.download", "network.session"):
    importlib.import_module(f"pip._internal.{name}")
for line in sys.stdin:
    began = time.monotonic()
    child = os.fork()
    if not child:
        run(*json.loads(line))
    status = os.waitpid(child, 0)[1]
    ended = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    print(json.dumps([ended, time.monotonic() - began]), flush=True)
