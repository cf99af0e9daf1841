"""The command `pip-retry-patch`: what a person asks of an installed patch.

Each command is a function. Its name, its parameters and its docstring are what a user sees of it.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import sys
from pathlib import Path
from typing import Any, Sequence

import pip_retry_patch
from pip_retry_patch.commands.environment import UnableError, interpreter, told
from pip_retry_patch.commands.links import link, unlink
from pip_retry_patch.commands.selftest import selftest
from pip_retry_patch.commands.status import history, purge, status

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def age(text: str) -> float:
    """Return the seconds that an age as 7d has. Raises ValueError."""
    number, unit = text[:-1], text[-1:]
    if not re.fullmatch(r"\d{1,6}", number, re.ASCII) or unit not in _UNITS:
        raise ValueError(text)
    return int(number) * _UNITS[unit]


_PYTHON = {
    "metavar": "PATH",
    "default": sys.executable,
    "type": interpreter,
    "help": "the Python whose pip is meant, or its environment's directory (default: this one)",
}
# What an argument is called, the commands that have it, and what argparse is told of it. Without a
# metavar it is a switch.
_ARGUMENTS: list[tuple[str, str, dict[str, Any]]] = [
    ("--python", "status selftest history purge", _PYTHON),
    ("--json", "status history", {"dest": "as_json", "help": "the same for programs"}),
    ("--compare", "selftest", {"help": "show also what pip does without us (takes longer)"}),
    ("--since", "history", {"metavar": "AGE", "type": age, "help": "how far back: 12h, 7d or 4w"}),
    ("environments", "link", {"metavar": "DIR", "type": Path, "nargs": "+"}),
    ("environments", "unlink", {"metavar": "DIR", "type": Path, "nargs": "*"}),
    ("--all", "unlink", {"dest": "everything", "help": "every link that you made from here"}),
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0 well, 1 not well, 2 misused, 130 interrupted."""
    parser = build_parser()
    arguments = vars(parser.parse_args(argv))
    run = arguments.pop("run", None)
    if run is None:
        parser.print_help(sys.stderr)
        return 2
    stdout: Any = sys.stdout
    # A path may have any letter in it, and on Windows a pipe or a file gets a code page.
    stdout.reconfigure(errors="backslashreplace")
    try:
        code = int(run(**arguments))
        stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        pass  # nobody reads it; Windows says "invalid argument" then
    except (OSError, UnableError) as why:
        print(f"pip-retry-patch: {told(why)}", file=sys.stderr)
    try:
        stdout.flush()
    except OSError:  # Python would complain when it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
    return 1


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pip-retry-patch",
        description="Once installed, plain pip finishes the downloads that the network interrupts. "
        "There is nothing to run for that; these commands answer questions about it.",
    )
    version = f"pip-retry-patch {pip_retry_patch.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for run in (status, selftest, history, link, unlink, purge):
        text = (inspect.getdoc(run) or "").partition("\n\n:")[0]  # without its parameters
        summary, _, rest = text.partition("\n\n")
        command = commands.add_parser(run.__name__, help=summary, description=rest)
        command.set_defaults(run=run)
        for name, owners, options in _ARGUMENTS:
            if run.__name__ in owners.split():
                switch: Any = {} if "metavar" in options else {"action": "store_true"}
                command.add_argument(name, **options, **switch)
    return parser
