"""The settings, taken from pip's own configuration.

They are pip settings like any other: `pip config set global.retry-patch-patience 300` or
`PIP_RETRY_PATCH_PATIENCE=300`. Reading the files and the environment is left to pip (hooks.py
asks it); here is what the values mean.
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Iterable, Mapping, TypeVar
from urllib.parse import urlsplit

from pip_retry_patch import messages, names
from pip_retry_patch.records import NamedTuple

T = TypeVar("T")

# As pip's own strtobool reads them.
_TRUE = frozenset(["y", "yes", "t", "true", "on", "1"])
_FALSE = frozenset(["n", "no", "f", "false", "off", "0"])

_PREFIX = "retry-patch"

# Nobody means a number of more digits, or one with an exponent.
_NUMBER = r"\d{1,15}(?:\.\d{1,15})?"
_SIZE = rf"({_NUMBER})\s*([kMGT]?)(i?)B"


class Settings(NamedTuple):
    """What is in force.

    `enabled`: whether pip is touched at all (`retry-patch`). `patience`: seconds to wait for a
    server that cannot be reached (`retry-patch-patience`), `first_contact`: for one that has not
    answered in this run (`retry-patch-first-contact`). `attempts`: how often a server that
    answers without helping is asked again (`retry-patch-attempts`). `partials`: whether what
    arrived is kept for a later run (`retry-patch-partials`), `partials_dir`: where, "" for below
    pip's cache directory, `partials_size`: how many bytes at the most, `partials_days`: for how
    long. `indexes`: "all" if each index must be readable, "any" if pip may go on without one that
    never answered (`retry-patch-indexes`). `mirrors`: base URLs of simple APIs that have the
    content of `index-url`, in order of preference (`retry-patch-mirrors`). `stale`: whether a page
    that no source delivers is taken from pip's cache, however old (`retry-patch-stale`).
    `log`: the file that each interruption is written to, "" for none (`retry-patch-log`).
    `complaints`: one line for each value that made no sense and was replaced by its default.
    """

    enabled: bool = True
    patience: float = 120.0
    first_contact: float = 30.0
    attempts: int = 8
    indexes: str = "any"
    mirrors: tuple[str, ...] = ()
    stale: bool = False
    partials: bool = True
    partials_dir: str = ""
    partials_size: int = 5_000_000_000
    partials_days: float = 7.0
    log: str = ""
    complaints: tuple[str, ...] = ()


_NAMES = {
    "enabled": _PREFIX,
    **{
        field: f"{_PREFIX}-{field.replace('_', '-')}"
        for field in Settings._fields
        if field not in ("enabled", "complaints")
    },
}

# The last is read by `arm`, from the environment, where pip sees it as well.
_KNOWN = frozenset([*_NAMES.values(), f"{_PREFIX}-venvs"])


def table(settings: Settings, origins: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return each setting's value and origin by its name in pip's configuration.

    URLs are without credentials.
    """
    shown = settings._replace(mirrors=tuple(map(names.redacted, settings.mirrors)))
    return {
        key: {"value": getattr(shown, field), "origin": origins.get(key, "default")}
        for field, key in _NAMES.items()
    }


def flatten(items: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, str]]:
    """Yield `("section.key", value)` from the items of pip's Configuration.

    Up to pip 25.1 they are the pairs themselves; in pip 25.3 they are one mapping for each file.
    """
    for name, value, _ in _with_files(items):
        yield name, value


def origins(items: Iterable[tuple[str, Any]], command: str | None = None) -> dict[str, str]:
    """Return where each setting that is in force was made; those that are missing are defaults.

    Takes the items of pip's Configuration as they are.
    """
    merged = _merged(_with_files(items), command)
    return {key: origin for key, (_, origin) in merged.items()}


def index_of_mirrors(items: Iterable[tuple[str, Any]], command: str | None = None) -> str | None:
    """Return the `index-url` that is set beside `retry-patch-mirrors`: "" if none is.

    None where the environment sets the mirrors, and no index.
    """
    names = (_NAMES["mirrors"], "index-url")
    found = _merged(_with_files(items), command, names)
    mirrors, index = (found.get(name, ("", "")) for name in names)
    if mirrors[1].startswith("PIP_"):
        return index[0] if index[1].startswith("PIP_") else None
    if index[1].startswith("PIP_"):
        files = ((n, v, f) for n, v, f in _with_files(items) if not n.startswith(":env:"))
        index = _merged(files, command, names).get("index-url", ("", ""))
    return index[0]


def _with_files(items: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, str, str]]:
    for name, value in items:
        if isinstance(value, dict):
            yield from ((inner, text, name) for inner, text in value.items())
        else:
            yield name, value, "pip's configuration"


def _merged(
    items: Iterable[tuple[str, str, str]], command: str | None, names: tuple[str, ...] = ()
) -> dict[str, tuple[str, str]]:
    """Return the value in force, and its origin, of each of our keys, or of these `names`.

    As in pip, a later section outranks an earlier one: `global`, then the command's own, then
    the environment (`:env:`). An empty value is no value.
    """
    sections: dict[str, dict[str, tuple[str, str]]] = {"global": {}, command or "": {}, ":env:": {}}
    for name, value, file in items:
        section, _, key = name.partition(".")
        ours = key in names if names else key.startswith(_PREFIX)
        if section in sections and ours and value:
            origin = f"[{section}] in {file}"
            if section == ":env:":
                origin = "PIP_" + key.upper().replace("-", "_")
            sections[section][key] = value, origin
    return {key: found for values in sections.values() for key, found in values.items()}


def read(items: Iterable[tuple[str, str]], command: str | None = None) -> Settings:
    """Return the settings in `items`, which are `("section.key", value)` pairs."""
    found = _merged(((name, value, "") for name, value in items), command)
    merged = {key: value for key, (value, _) in found.items()}

    default = Settings()
    complaints: list[str] = []

    def setting(name: str, parse: Callable[[str], T | None], wanted: str, default: T, so: str) -> T:
        key = _PREFIX + name
        if key not in merged:
            return default
        parsed = parse(merged[key].strip())
        if parsed is None:
            complaints.append(messages.bad_setting(key, merged[key], wanted, so))
            return default
        return parsed

    settings = Settings(
        enabled=setting("", _switch, "on or off", default.enabled, "on"),
        patience=setting("-patience", _number, "a number of seconds", default.patience, "120"),
        first_contact=setting(
            "-first-contact", _number, "a number of seconds", default.first_contact, "30"
        ),
        indexes=setting("-indexes", _indexes, "any or all", default.indexes, "any"),
        stale=setting("-stale", _switch, "on or off", default.stale, "off"),
        attempts=setting("-attempts", _count, "a whole number", default.attempts, "8"),
        partials=setting("-partials", _switch, "on or off", default.partials, "on"),
        partials_dir=setting("-partials-dir", _directory, "an absolute path", "", "pip's cache"),
        partials_size=setting(
            "-partials-size",
            _size,
            "a size with its unit (5 GB)",
            default.partials_size,
            "5 GB",
        ),
        partials_days=setting(
            "-partials-days", _number, "a number of days", default.partials_days, "7"
        ),
        log=setting("-log", _directory, "an absolute path", "", "none"),
    )
    complaints += [_unknown(key) for key in merged if key not in _KNOWN]
    mirrors = merged.get(_NAMES["mirrors"], "").split()
    for value in mirrors:
        if not _is_web_address(value):
            complaints.append(messages.bad_mirror(_NAMES["mirrors"], value))
    usable = tuple(dict.fromkeys(value for value in mirrors if _is_web_address(value)))
    return settings._replace(mirrors=usable, complaints=tuple(complaints))


def _unknown(key: str) -> str:
    import difflib  # which nobody else needs

    nearest = difflib.get_close_matches(key, sorted(_NAMES.values()), n=1)
    return messages.unknown_setting(key, nearest[0] if nearest else "")


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme.lower() in ("http", "https") and bool(parts.hostname or parts.port)
    except ValueError:
        return False


def _indexes(text: str) -> str | None:
    return text.lower() if text.lower() in ("any", "all") else None


def _switch(text: str) -> bool | None:
    word = text.lower()
    return word in _TRUE if word in _TRUE or word in _FALSE else None


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(_NUMBER, text, re.ASCII) else None


def _count(text: str) -> int | None:
    number = _number(text)
    return None if number is None or number != int(number) else int(number)


def _size(text: str) -> int | None:
    if text == "0":
        return 0
    match = re.fullmatch(_SIZE, text, re.IGNORECASE | re.ASCII)
    if match is None or (match[3] and not match[2]):
        return None
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def _directory(text: str) -> str | None:
    try:
        path = "" if "\0" in text else os.path.expanduser(text)
    except ValueError:
        return None  # `~` and what no system can have as a user's name
    return os.path.normpath(path) if os.path.isabs(path) else None
