"""What a person sees: a pip in a real terminal."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

import pexpect
import pyte

from tests.support.environments import Environment
from tests.support.programs import Argument, variables_of


@dataclass(frozen=True)
class Shown:
    """A terminal after a command has ended."""

    returncode: int
    screen: pyte.Screen

    @property
    def lines(self) -> list[str]:
        return "\n".join(row.rstrip() for row in self.screen.display).rstrip().split("\n")


def shown(
    environment: Environment,
    *arguments: Argument,
    env: Mapping[str, Argument] | None = None,
    columns: int = 80,
    timeout: float = 90,
    prefix: Sequence[str] = (),
    during: Callable[[pyte.Screen], bytes | None] | None = None,
) -> Shown:
    """Run pip in a terminal, and return what is on it in the end.

    :param prefix: the command that runs it, if there is one.
    :param during: is called again and again with what is on the terminal; what it returns is typed.
    """
    screen = pyte.Screen(columns, 100)
    stream = pyte.ByteStream(screen)
    home = environment.fresh_dir()
    program, *words = map(str, [*prefix, *environment.command, "-m", "pip", *arguments])
    variables = variables_of({"HOME": home, "TERM": "xterm-256color", **(env or {})})
    end = time.monotonic() + timeout
    child = pexpect.spawn(program, words, env=variables, cwd=str(home), dimensions=(100, columns))
    with contextlib.suppress(pexpect.EOF):
        while time.monotonic() < end:
            with contextlib.suppress(pexpect.TIMEOUT):
                stream.feed(child.read_nonblocking(65536, timeout=0.1))
            if during is not None and (typed := during(screen)):
                child.send(typed)
    child.close(force=True)
    return Shown(-1 if child.exitstatus is None else child.exitstatus, screen)
