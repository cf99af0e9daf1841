"""The command `pip-retry-patch`: what a person asks of an installed patch.

Each command is a function of its own module; here is what they are called, and what they say of
themselves.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Any, Sequence

import pip_retry_patch
from pip_retry_patch.commands.environment import UnableError, ascii_line, interpreter

# By name: what is called, what the list of commands says, and what the help says.
COMMANDS = {
    "status": (
        "status.status",
        "say whether pip is guarded here, and how",
        "Lets pip download a small file from this machine that breaks off, and asks a pip process: "
        "which pip and urllib3, what is wrapped, which settings are in force and where they were "
        "made, what is kept, which environments are linked. Exit code 0: pip is guarded; 1: not.",
    ),
    "selftest": (
        "selftest.selftest",
        "break downloads on purpose and see this pip finish them",
        "Starts an unreliable package index on this machine (127.0.0.1, no other traffic), lets "
        "this environment's own pip download from it, fault by fault, and compares the files with "
        "the originals. Takes about 15 seconds; writes only to a temporary directory. Exit code "
        "0: every fault was healed; 1: not.",
    ),
    "history": (
        "history.history",
        "sum up what was interrupted, and what became of it",
        "Reads the file that the setting retry-patch-log names, to which each interruption, wait "
        "and end of a download is written. Without that setting nothing is written.",
    ),
    "link": (
        "links.link",
        "arm a virtual environment from this installation",
        "Writes one .pth file into a virtual environment, so that its pip is guarded by this "
        "installation. Nothing is added to the environment's path or package list. To link all new "
        "environments: PIP_RETRY_PATCH_VENVS=1.",
    ),
    "unlink": (
        "links.unlink",
        "take a link back",
        "Removes the file that 'link' wrote, and only that. Do this before 'pip uninstall "
        "pip-retry-patch', which knows nothing of links: they stay behind, without effect.",
    ),
    "purge": (
        "status.purge",
        "remove partial downloads",
        "Removes what is kept of downloads that did not finish. So does 'pip cache purge', where "
        "pip has a cache.",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0 well, 1 not well, 2 misused, 130 interrupted."""
    parser = build_parser()
    arguments = vars(parser.parse_args(argv))
    if not arguments["command"]:
        parser.print_help(sys.stderr)
        return 2
    print_anything(sys.stdout)
    module, _, function = COMMANDS[arguments.pop("command")][0].partition(".")
    try:
        run = getattr(importlib.import_module(f"pip_retry_patch.commands.{module}"), function)
        code = int(run(**arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not nobody_reads(error):
            raise
        # Python would complain when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UnableError as why:
        sys.stdout.flush()
        print(f"pip-retry-patch: {ascii_line(str(why))}", file=sys.stderr)
        return 1
    return code


def print_anything(stream: Any) -> None:
    """Let a stream escape what its encoding lacks, as stderr always does.

    A path may have any letter in it, and on Windows a pipe or a file gets a code page.
    """
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def nobody_reads(error: OSError, windows: bool = os.name == "nt") -> bool:
    """Whether a pipe was closed at its other end; Windows says EINVAL of that, and of no file."""
    invalid = windows and error.errno == errno.EINVAL and error.filename is None
    return isinstance(error, BrokenPipeError) or invalid


def build_parser() -> argparse.ArgumentParser:
    """Each command's arguments are the parameters of the function that it calls."""
    parser = argparse.ArgumentParser(
        prog="pip-retry-patch",
        description="Once installed, plain pip finishes the downloads that the network interrupts. "
        "There is nothing to run for that; these commands answer questions about it.",
    )
    version = f"pip-retry-patch {pip_retry_patch.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    added: dict[str, argparse.ArgumentParser] = {}
    for name, (_, summary, text) in COMMANDS.items():
        added[name] = commands.add_parser(name, help=summary, description=text)
    for name in ("status", "selftest", "history", "purge"):
        added[name].add_argument(
            "--python",
            metavar="PATH",
            default=sys.executable,
            type=interpreter,
            help="the Python whose pip is meant, or the directory of its environment (default: the "
            "Python that runs this)",
        )
    for name in ("status", "history"):
        added[name].add_argument(
            "--json", dest="as_json", action="store_true", help="the same for programs"
        )
    added["selftest"].add_argument(
        "--compare", action="store_true", help="show also what pip does without us (takes longer)"
    )
    history, unlink = added["history"], added["unlink"]
    history.add_argument("--since", metavar="AGE", help="how far back, like 12h, 7d or 4w")
    history.add_argument("--file", metavar="PATH", type=Path, help="read this file instead")
    added["link"].add_argument("environments", metavar="DIR", type=Path, nargs="+")
    unlink.add_argument("environments", metavar="DIR", type=Path, nargs="*")
    unlink.add_argument(
        "--all", dest="everything", action="store_true", help="every link that you made from here"
    )
    return parser
