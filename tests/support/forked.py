"""Pips that share one start: forked from a process that has imported pip."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Mapping

import pytest

from tests.support import directories, programs
from tests.support.programs import Argument, Outcome

if TYPE_CHECKING:
    from tests.support.environments import Environment

SCRIPT = directories.CHECKOUT / "tests" / "support" / "forked_pips.py"


class Forked:
    """Many pips of one environment, one after the other, from forked_pips.py.

    Each has an empty HOME and an empty cache. `env` is added to the variables of all.
    """

    def __init__(self, environment: Environment, env: Mapping[str, Argument] | None = None) -> None:
        self._folder = directories.lasting()
        self._home = self._folder / "home"
        cache = {"HOME": self._home, "XDG_CACHE_HOME": self._home / "cache"}
        self._variables = {**environment.strictness, **cache, "PYTHONDONTWRITEBYTECODE": "1"}
        self._env = env or {}
        command = [*environment.command, SCRIPT]
        self._process = programs.launch(command, self._variables, self._folder, subprocess.PIPE)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        outcome = programs.finish(self._process, 30)
        shutil.rmtree(self._folder, ignore_errors=True)
        assert outcome.returncode == 0, outcome.output

    def __call__(
        self, *arguments: Argument, env: Mapping[str, Argument] | None = None, timeout: float = 30
    ) -> Outcome:
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir()
        variables = programs.variables_of({**self._variables, **self._env, **(env or {})})
        streams = [self._folder / name for name in ("stdout", "stderr")]
        order = [[*map(str, arguments)], [*map(str, streams)], variables, int(timeout)]
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        code, seconds = json.loads(process.stdout.readline())
        stdout, stderr = (path.read_text(errors="replace") for path in streams)
        if code is None:
            pytest.fail(f"no end after {timeout} s: {arguments}\n{stdout}\n{stderr}")
        return Outcome(code, stdout, stderr, seconds)


@functools.lru_cache(maxsize=None)
def pips_of(environment: Environment) -> Forked:
    """Give the one process of an environment that is shared; it ends with this process."""
    forked = Forked(environment)
    atexit.register(forked.__exit__)
    return forked
