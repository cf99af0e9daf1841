"""pip's configuration, read by pip itself, and the settings in it.

`pip` is the name of the package everywhere, for another package may carry a copy of it. Of pip,
`configuration.Configuration`, `commands.commands_dict` and `cli.main_parser.create_main_parser` are
used, and for `status` two private names of Configuration.
"""

from __future__ import annotations

import importlib
import logging
import optparse
import sys
from typing import Any

from pip_retry_patch import settings

logger = logging.getLogger("pip_retry_patch")


def index_of_mirrors(pip: str) -> str | None:
    """Return the index that the setting of mirrors is for: the one that is set beside it.

    A file's mirrors are for the index that the files name, or else for pip's default. Those of the
    environment are for the environment's index, or else for whichever pip is told to use (None).
    """
    found = settings.index_of_mirrors(*configured(pip))
    if found == "":
        found = importlib.import_module(f"{pip}._internal.models.index").PyPI.simple_url
    return found


def configured(pip: str, by_file: bool = False) -> tuple[list[tuple[str, Any]], str | None]:
    """Return the items of pip's configuration, and the command that pip runs.

    :param by_file: file by file, also where pip merges the files (before 25.3).
    """
    configuration = importlib.import_module(f"{pip}._internal.configuration").Configuration(
        isolated="--isolated" in sys.argv[1:]
    )
    configuration.load()
    items = list(configuration.items())
    if by_file and not any(isinstance(value, dict) for _, value in items):
        items = [item for item in items if item[0].startswith(":env:.")]
        items[:0] = [
            (name, dict(configuration._normalized_keys(section, parser.items(section))))
            for parsers in configuration._parsers.values()
            for name, parser in parsers
            for section in parser.sections()
        ]
    return items, _command(pip)


def _command(pip: str) -> str | None:
    """Return the command that pip runs; None if that is not known.

    pip's own parser knows which words are values of options. Its `parse_command` must not be
    called: it prints the version, and runs another pip for `--python`.
    """
    try:
        # Without this module no command line was parsed, and sys.argv is another program's.
        parser = sys.modules[f"{pip}._internal.cli.main_parser"].create_main_parser()
        parser.error = _refuse  # pip's ends the process
        words: list[str] = parser.parse_args(sys.argv[1:], optparse.Values())[1]
    except Exception as why:
        logger.debug("pip-retry-patch cannot tell which command pip runs: %r", why)
        return None
    commands = importlib.import_module(f"{pip}._internal.commands").commands_dict
    return words[0] if words and words[0] in commands else None


def _refuse(message: str) -> None:
    raise ValueError(message)
