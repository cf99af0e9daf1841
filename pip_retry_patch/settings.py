"""The settings, taken from pip's own configuration.

They are pip settings like any other: `pip config set global.retry-patch-patience 300` or
`PIP_RETRY_PATCH_PATIENCE=300`. pip reads the files and the environment; this module says what the
values mean.
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Collection, Mapping, Tuple
from urllib.parse import urlsplit

from pip_retry_patch import names, wording
from pip_retry_patch.records import record

Items = Collection[Tuple[str, Any]]

PREFIX = "retry-patch"

# As pip's own strtobool reads them.
_SWITCH = {
    **dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True),
    **dict.fromkeys(("n", "no", "f", "false", "off", "0"), False),
}
# Nobody means a number of more digits, or one with an exponent.
_NUMBER = r"\d{1,15}(?:\.\d{1,15})?"
_SIZE = rf"({_NUMBER})\s*([kMGT]?)(i?)B"


# The parsers return None for what makes no sense.


def _switch(text: str) -> bool | None:
    return _SWITCH.get(text.lower())


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(_NUMBER, text, re.ASCII) else None


def _count(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,15}", text, re.ASCII) else None


def _indexes(text: str) -> str | None:
    return text.lower() if text.lower() in ("any", "all") else None


def _mirrors(text: str) -> tuple[str, ...] | None:
    try:
        parts = [urlsplit(url) for url in text.split()]
        are_urls = all(
            each.hostname and each.port != 0 and each.scheme in ("http", "https") for each in parts
        )
    except ValueError:  # of a port, too
        return None
    return tuple(dict.fromkeys(text.split())) if are_urls else None


def _path(text: str) -> str | None:
    path = "" if "\0" in text else os.path.expanduser(text)
    return os.path.normpath(path) if os.path.isabs(path) else None


def _partials(text: str) -> bool | str | None:
    wanted = _switch(text)
    return _path(text) if wanted is None else wanted


def _size(text: str) -> int | None:
    match = re.fullmatch(_SIZE, "0B" if text == "0" else text, re.IGNORECASE | re.ASCII)
    if match is None or (match[3] and not match[2]):
        return None
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


_MIRRORS = f"{PREFIX}-mirrors"

# By name: the field of Settings, the parser, and what a value must be.
_TABLE: dict[str, tuple[str, Any, str]] = {
    PREFIX: ("enabled", _switch, "on or off"),
    f"{PREFIX}-patience": ("patience", _number, "a number of seconds"),
    f"{PREFIX}-first-contact": ("first_contact", _number, "a number of seconds"),
    f"{PREFIX}-attempts": ("attempts", _count, "a whole number"),
    f"{PREFIX}-indexes": ("indexes", _indexes, "any or all"),
    _MIRRORS: ("mirrors", _mirrors, "http or https URLs"),
    f"{PREFIX}-stale": ("stale", _switch, "on or off"),
    f"{PREFIX}-log": ("log", _path, "an absolute path"),
    f"{PREFIX}-partials": ("partials", _partials, "on, off or an absolute path"),
    f"{PREFIX}-partials-size": ("partials_size", _size, "a size with its unit (5 GB)"),
}
# These are read from the environment, where pip sees them as well.
_NOT_HERE = (f"{PREFIX}-venvs", f"{PREFIX}-strict")


@record
class Settings:
    """What is in force.

    `enabled`: whether pip is touched at all. `patience`: seconds to wait for a server that cannot
    be reached; `first_contact`: for one that has not answered in this run. `attempts`: how often a
    server that answers without helping is asked again. `indexes`: "all" if each index must be
    readable, "any" if pip may continue without one that never answered. `mirrors`: base URLs of
    simple APIs with the content of `index-url`, in order of preference. `stale`: whether a page
    that no source delivers is taken from pip's cache, however old. `log`: the file that each
    interruption is written to, "" for none. `partials`: whether unfinished downloads are kept for
    a later run, below pip's cache, or in which directory; `partials_size`: how many bytes at most.

    `complaints`: one line for each value that made no sense, for which the default is used.
    `origins`: where each setting was made, by its name. `mirrored`: the `index-url` that is set
    beside the mirrors; "" if none is, None where the environment sets the mirrors and no index.
    """

    enabled: bool = True
    patience: float = 120.0
    first_contact: float = 30.0
    attempts: int = 8
    indexes: str = "any"
    mirrors: tuple[str, ...] = ()
    stale: bool = False
    log: str = ""
    partials: bool | str = True
    partials_size: int = 5 * 10**9
    complaints: tuple[str, ...] = ()
    origins: Mapping[str, str] = {}
    mirrored: str | None = ""


def read(items: Items, command: Callable[[], str | None] = lambda: None) -> Settings:
    """Return the settings in the items of pip's Configuration.

    :param command: tells which command pip runs, None if that is not known.
    """
    in_force = _in_force(items, command)
    values: dict[str, Any] = {}
    complaints: list[str] = []
    for key, (text, _) in in_force.items():
        if key in _TABLE:
            field, parse, wanted = _TABLE[key]
            values[field] = parse(text)
            if values[field] is None:
                values[field] = default = getattr(Settings, field)
                value = names.clean(" ".join(map(names.redacted, text.split())), 60)
                facts = {"key": key, "wanted": wanted, "default": shown(key, default)}
                complaints.append(wording.say("bad setting", value=value, **facts))
        elif key.startswith(PREFIX) and key not in _NOT_HERE:
            complaints.append(_unknown(key))
    shortest = min(Settings.first_contact, values.get("patience", Settings.patience))
    values.setdefault("first_contact", shortest)
    origins = {key: origin for key, (_, origin) in in_force.items()}
    if _MIRRORS in in_force:
        by_environment = origins[_MIRRORS].startswith("PIP_")
        beside = [item for item in items if item[0].startswith(":env:") == by_environment]
        index = _in_force(beside, command).get("index-url", ("",))[0]
        values["mirrored"] = index or (None if by_environment else "")
    return Settings(**values, complaints=tuple(complaints), origins=origins)


def _unknown(key: str) -> str:
    import difflib  # which nobody else needs

    nearest = difflib.get_close_matches(key, sorted(_TABLE), n=1)
    meant = f" Did you mean {nearest[0]}?" if nearest else ""
    return wording.say("unknown setting", key=names.clean(key, 60), meant=meant)


def shown(key: str, value: Any) -> str:
    """Return a value as a user would write it."""
    if key.endswith("-size"):
        return names.format_sum(value).replace(".0 ", " ")
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return (" ".join(value) if isinstance(value, (list, tuple)) else str(value)) or "none"


def table(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return by its name each setting's value, without credentials, and where it was made."""
    values = {key: getattr(settings, field) for key, (field, *_) in _TABLE.items()}
    values[_MIRRORS] = tuple(map(names.redacted, settings.mirrors))
    return {
        key: {"value": value, "origin": settings.origins.get(key, "default")}
        for key, value in values.items()
    }


def _in_force(items: Items, command: Callable[[], str | None]) -> dict[str, tuple[str, str]]:
    """Return each key with the value that is in force, and its origin.

    As in pip, a later section outranks an earlier one: `global`, then the command's own, then
    the environment (`:env:`). An empty value is no value.
    """
    sections: dict[str, dict[str, tuple[str, str]]] = {"global": {}, ":env:": {}}
    for file, values in items:
        # pip before 25.3 does not tell the files apart.
        texts, place = {file: values}, "pip's configuration"
        if isinstance(values, dict):
            texts, place = values, file
        for name, text in texts.items():
            section, _, key = name.partition(".")
            if text.strip():
                variable = "PIP_" + key.upper().replace("-", "_")
                origin = variable if section == ":env:" else f"[{section}] in {place}"
                sections.setdefault(section, {})[key] = text.strip(), origin
    # Most configurations have no more sections, and to find the command out takes its time.
    own = sections.get(command() or "", {}) if len(sections) > 2 else {}
    return {**sections["global"], **own, **sections[":env:"]}
