"""How many instructions a process executes, which a busy machine does not disturb.

callgrind counts them in user space. With a fixed hash seed, compiled files and paths of one length,
two counts of the same differ by next to nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Sequence

from tests.support import programs
from tests.support.environments import Environment
from tests.support.programs import Argument, MissingError

# How many finders of ours wait once pip is imported.
ARMED = "import pip, sys; print(sys.meta_path.count(sys.modules.get('pip_retry_patch')))"


def instructions(environment: Environment, arguments: Sequence[Argument], cwd: Path) -> int:
    """Run a Python that has to succeed, and return how many instructions it executed."""
    valgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    line = [*environment.launcher, *valgrind, environment.python, *arguments]
    run = programs.finish(programs.launch(line, {"HOME": cwd, "PYTHONHASHSEED": "0"}, cwd), 900)
    counted = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or not counted:
        raise MissingError(f"{' '.join(map(str, line))} failed:\n{run.output}")
    return int(counted[1])


def of_a_start(environment: Environment) -> int:
    """Count what `python -c pass` executes; the less of two runs, files compiled before."""
    environment.run_python("-c", ARMED)
    return min(instructions(environment, ["-c", "pass"], environment.fresh_dir()) for _ in "12")
