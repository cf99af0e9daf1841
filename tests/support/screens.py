"""What a person sees: a pip in a real terminal, and the terminal as text or as a picture."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import time
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

import pexpect
import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

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

    def picture(self, command: str, title: str) -> str:
        """Draw it as SVG, below the command that was typed.

        :param title: what is said in place of the picture to who cannot see it.
        """
        console = Console(
            record=True, width=self.screen.columns, file=io.StringIO(), legacy_windows=False
        )
        console.print(Text(f"$ {command}", style="bold"))
        for row, text in enumerate(self.lines):
            line = Text()
            cells = [self.screen.buffer[row][column] for column in range(len(text))]
            for (color, bold), run in itertools.groupby(cells, lambda cell: (cell.fg, cell.bold)):
                style = Style(color=_color(color), bold=bold)
                line.append("".join(cell.data for cell in run), style)
            console.print(line, no_wrap=True, crop=True)
        drawn = console.export_svg(title="", unique_id="terminal")
        drawn = re.sub(r"\s*@font-face {.*?}", "", drawn, flags=re.DOTALL)  # from the network
        return drawn.replace(">", f">\n<title>{title}</title>", 1)


def _color(name: str) -> str | None:
    """Translate pyte's name of a color into rich's."""
    if name == "default":
        return None
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return name.replace("bright", "bright_").replace("brown", "yellow")


def shown(
    environment: Environment,
    *arguments: Argument,
    env: Mapping[str, Argument] | None = None,
    columns: int = 80,
    rows: int = 50,
    timeout: float = 90,
    prefix: Sequence[str] = (),
    during: Callable[[pyte.Screen], bytes | None] | None = None,
) -> Shown:
    """Run pip in a terminal, and return what is on it in the end.

    :param prefix: the command that runs it, if there is one.
    :param during: is called again and again with what is on the terminal; what it returns is typed.
    """
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    home = environment.fresh_dir()
    program, *words = map(str, [*prefix, *environment.command, "-m", "pip", *arguments])
    variables = variables_of({"HOME": home, "TERM": "xterm-256color", **(env or {})})
    end = time.monotonic() + timeout
    child = pexpect.spawn(program, words, env=variables, cwd=str(home), dimensions=(rows, columns))
    with contextlib.suppress(pexpect.EOF):
        while time.monotonic() < end:
            with contextlib.suppress(pexpect.TIMEOUT):
                stream.feed(child.read_nonblocking(65536, timeout=0.1))
            if during is not None and (typed := during(screen)):
                child.send(typed)
    child.close(force=True)
    return Shown(-1 if child.exitstatus is None else child.exitstatus, screen)
