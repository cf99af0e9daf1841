"""The command `pip-retry-patch`: what a person asks of an installed patch.

Each command is a function of its own module; here is what they are called, and what they say of
themselves.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from pathlib import Path
from typing import Any, Callable, Sequence

import pip_retry_patch
from pip_retry_patch.commands.environment import UnableError, ascii_line, interpreter


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0 well, 1 not well, 2 misused, 130 interrupted."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if not arguments.command:
        parser.print_help(sys.stderr)
        return 2
    print_anything(sys.stdout)
    try:
        code = int(arguments.run(arguments))
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
    """The commands; each names the function that runs it."""
    parser = argparse.ArgumentParser(
        prog="pip-retry-patch",
        description="Once installed, plain pip finishes the downloads that the network interrupts. "
        "There is nothing to run for that; these commands answer questions about it.",
    )
    version = f"pip-retry-patch {pip_retry_patch.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name: str, run: Callable[[Any], int], help: str, text: str) -> Any:
        added = commands.add_parser(name, help=help, description=text)
        added.set_defaults(run=run)
        return added

    def python(added: Any) -> None:
        added.add_argument(
            "--python",
            metavar="PATH",
            default=sys.executable,
            type=interpreter,
            help="the Python whose pip is meant, or the directory of its environment (default: the "
            "Python that runs this)",
        )

    added = command(
        "status",
        status,
        "say whether pip is guarded here, and how",
        "Asks a pip process: which pip and urllib3, what is wrapped, which settings are in force "
        "and where they were made, what is kept, which environments are linked. Exit code 0: pip "
        "is guarded; 1: not.",
    )
    added.add_argument("--json", action="store_true", help="the same for programs")
    python(added)

    added = command(
        "selftest",
        selftest,
        "break downloads on purpose and see this pip finish them",
        "Starts an unreliable package index on this machine (127.0.0.1, no other traffic), lets "
        "this environment's own pip download from it, fault by fault, and compares the files with "
        "the originals. Takes about 15 seconds; writes only to a temporary directory. Exit code "
        "0: every fault was healed; 1: not.",
    )
    added.add_argument(
        "--compare", action="store_true", help="show also what pip does without us (takes longer)"
    )
    python(added)

    added = command(
        "history",
        history,
        "sum up what was interrupted, and what became of it",
        "Reads the file that the setting retry-patch-log names, to which each interruption, wait "
        "and end of a download is written. Without that setting nothing is written.",
    )
    added.add_argument("--since", metavar="AGE", help="how far back, like 12h, 7d or 4w")
    added.add_argument("--json", action="store_true", help="the same for programs")
    added.add_argument("--file", metavar="PATH", type=Path, help="read this file instead")
    python(added)

    added = command(
        "link",
        link,
        "arm a virtual environment from this installation",
        "Writes one .pth file into a virtual environment, so that its pip is guarded by this "
        "installation. Nothing is added to the environment's path or package list. To link all new "
        "environments: PIP_RETRY_PATCH_VENVS=1.",
    )
    added.add_argument("environment", metavar="DIR", type=Path, nargs="+")
    added = command(
        "unlink",
        unlink,
        "take a link back",
        "Removes the file that 'link' wrote, and only that. Do this before 'pip uninstall "
        "pip-retry-patch', which knows nothing of links: they stay behind, without effect.",
    )
    added.add_argument("environment", metavar="DIR", type=Path, nargs="*")
    added.add_argument("--all", action="store_true", help="every link that you made from here")

    added = command(
        "purge",
        purge,
        "remove partial downloads",
        "Removes what is kept of downloads that did not finish. So does 'pip cache purge', where "
        "pip has a cache.",
    )
    python(added)
    return parser


def status(arguments: argparse.Namespace) -> int:
    from pip_retry_patch.commands import status

    return status.status(arguments.python, arguments.json)


def selftest(arguments: argparse.Namespace) -> int:
    from pip_retry_patch.commands import selftest

    return selftest.selftest(arguments.python, arguments.compare)


def history(arguments: argparse.Namespace) -> int:
    from pip_retry_patch.commands import history

    return history.history(arguments.python, arguments.file, arguments.since, arguments.json)


def purge(arguments: argparse.Namespace) -> int:
    from pip_retry_patch.commands import status

    return status.purge(arguments.python)


def link(arguments: argparse.Namespace) -> int:
    from pip_retry_patch.arming import links

    for environment in arguments.environment:
        try:
            packages = links.site_packages(environment)
            if packages.resolve() == links.base():
                raise UnableError(f"{environment} has pip-retry-patch installed: it needs no link")
            path = links.link(packages)
        except links.LinkError as error:
            raise UnableError(str(error)) from None
        except OSError as error:
            raise UnableError(f"cannot write the link: {error}") from None
        links.record(path)
        print(f"Linked {environment}: its pip is guarded by {links.base()}, through {path}")
    return 0


def unlink(arguments: argparse.Namespace) -> int:
    from pip_retry_patch.arming import links

    if bool(arguments.environment) == arguments.all:
        raise UnableError("name the environments to unlink, or say --all")
    try:
        if arguments.all:
            made = links.recorded()
            for path in made:
                path.unlink()
                print(f"Removed {path}")
            if not made:
                print("You have made no link from here; nothing was changed.")
            return 0
        for environment in arguments.environment:
            if links.unlink(environment):
                print(f"Unlinked {environment}: its pip is as it was.")
            else:
                links.interpreter(environment)
                print(f"{environment} was not linked; nothing was changed.")
    except links.LinkError as error:
        raise UnableError(str(error)) from None
    except OSError as error:
        raise UnableError(f"cannot remove the link: {error}") from None
    return 0
