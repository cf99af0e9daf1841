"""Pips that share one start: forked from a process that has imported pip."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Mapping

from tests.support import directories, programs
from tests.support.directories import CHECKOUT
from tests.support.environments import Environment
from tests.support.programs import Argument, Outcome


class Forked:
    """Many pips of one environment, from forked_pips.py. `env` is added to their variables."""

    def __init__(self, environment: Environment, env: Mapping[str, Argument] | None = None) -> None:
        self._environment = environment
        self._home = directories.lasting(environment.root)
        self._process = programs.launch(
            environment.root,
            [environment.python, CHECKOUT / "tests" / "support" / "forked_pips.py"],
            {
                **environment.strictness,
                **(env or {}),
                "HOME": self._home,
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            self._home,
            subprocess.PIPE,
        )

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        outcome = programs.finish(self._process, 30)
        shutil.rmtree(self._home, ignore_errors=True)
        assert outcome.returncode == 0, outcome.output

    def __call__(self, *arguments: Argument) -> Outcome:
        """Run one pip; both of its streams are in `stdout`. It counts as one that ran."""
        inside, process = self._environment.inside, self._process
        words = [inside(word) if isinstance(word, Path) else word for word in arguments]
        output = self._home / "output"
        order = {"arguments": words, "output": inside(output)}
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        self._environment.note_run(arguments)
        return Outcome(code, output.read_text(errors="replace"), "", 0.0)
