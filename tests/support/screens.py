"""What a person sees: a pip in a real terminal, and the terminal as text or as a picture."""

from __future__ import annotations

import contextlib
import fcntl
import io
import itertools
import os
import pty
import select
import struct
import subprocess
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, Mapping, Sequence

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.support.environments import Environment
from tests.support.programs import Argument

# Readable on a light page and on a dark one: a terminal brings its own background.
THEME = TerminalTheme(
    background=(24, 28, 36),
    foreground=(220, 223, 228),
    normal=[
        (60, 65, 75),
        (240, 113, 120),
        (126, 200, 120),
        (233, 196, 106),
        (97, 175, 239),
        (198, 120, 221),
        (86, 182, 194),
        (220, 223, 228),
    ],
)

# rich's own has a font from the network in it.
_SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title></title>
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, Consolas, "DejaVu Sans Mono", Menlo, monospace;
    font-size: {char_height}px; line-height: {line_height}px; white-space: pre;
}}
.{unique_id}-title {{ font-size: 16px; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


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
        drawn = console.export_svg(title="", theme=THEME, code_format=_SVG, unique_id="terminal")
        return drawn.replace("<title>", f"<title>{title}", 1)


def _color(name: str) -> str | None:
    """Translate pyte's name of a color into rich's."""
    if name == "default":
        return None
    if len(name) == 6 and not set(name) - set("0123456789abcdef"):
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
    during: Callable[[pyte.Screen], None] | None = None,
) -> Shown:
    """Run pip in a terminal, and return what is on it in the end.

    :param prefix: the command that runs it, if there is one.
    :param during: is called again and again with what is on the terminal.
    """
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    home = environment.fresh_dir()
    command = [*prefix, str(environment.python), "-m", "pip", *map(str, arguments)]
    variables = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(home),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_RETRY_PATCH_STRICT": "1",
        **{name: str(value) for name, value in (env or {}).items()},
    }
    end = time.monotonic() + timeout
    with in_a_terminal(command, variables, home, columns, rows) as (process, leader):
        with contextlib.suppress(OSError):  # it is closed with its last user
            while time.monotonic() < end:
                if select.select([leader], [], [], 0.1)[0]:
                    stream.feed(os.read(leader, 65536))
                if during is not None:
                    during(screen)
        returncode = process.wait(max(1.0, end - time.monotonic()))
    return Shown(returncode, screen)


@contextlib.contextmanager
def in_a_terminal(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, columns: int = 80, rows: int = 24
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a command with a terminal of its own; yield it, and the other end of the terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        preexec_fn=_take_terminal,
        text=True,
    )
    os.close(follower)
    try:
        yield process, leader
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()
        os.close(leader)


def _take_terminal() -> None:
    """Make standard input the terminal that Ctrl-C comes from."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
