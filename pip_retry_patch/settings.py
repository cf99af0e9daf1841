"""The settings, taken from pip's own configuration.

They are pip settings like any other: `pip config set global.retry-patch-patience 300` or
`PIP_RETRY_PATCH_PATIENCE=300`. Reading the files and the environment is left to pip (hooks.py
asks it); here is what the values mean.
"""

from __future__ import annotations

import math
from typing import Any, Iterable, NamedTuple

from pip_retry_patch import messages

# As pip's own strtobool reads them.
_TRUE = frozenset(["y", "yes", "t", "true", "on", "1"])
_FALSE = frozenset(["n", "no", "f", "false", "off", "0"])

_PREFIX = "retry-patch"


class Settings(NamedTuple):
    """What is in force.

    `enabled`: whether pip is touched at all (`retry-patch`). `patience`: seconds to wait for a
    server that cannot be reached (`retry-patch-patience`). `attempts`: how often a server that
    answers without helping is asked again (`retry-patch-attempts`). `complaints`: one line for
    each value that made no sense and was replaced by its default.
    """

    enabled: bool = True
    patience: float = 120.0
    attempts: int = 8
    complaints: tuple[str, ...] = ()


def flatten(items: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, str]]:
    """Yield `("section.key", value)` from the items of pip's Configuration.

    Since pip 23.3 they are one mapping for each file; before, they were the pairs themselves.
    """
    for key, value in items:
        if isinstance(value, dict):
            yield from value.items()
        else:
            yield key, value


def read(items: Iterable[tuple[str, str]], command: str | None = None) -> Settings:
    """Return the settings in `items`, which are `("section.key", value)` pairs.

    As in pip, a later section outranks an earlier one: `global`, then the command's own, then
    the environment (`:env:`). An empty value is no value.
    """
    sections: dict[str, dict[str, str]] = {"global": {}, command or "": {}, ":env:": {}}
    for name, value in items:
        section, _, key = name.partition(".")
        if section in sections and key.startswith(_PREFIX) and value:
            sections[section][key] = value
    merged: dict[str, str] = {}
    for values in sections.values():
        merged.update(values)

    default = Settings()
    complaints: list[str] = []

    def complain(key: str, wanted: str, shown: str) -> None:
        complaints.append(messages.bad_setting(key, merged[key], wanted, shown))

    enabled = default.enabled
    word = merged.get(_PREFIX, "on").strip().lower()
    if word in _TRUE or word in _FALSE:
        enabled = word in _TRUE
    else:
        complain(_PREFIX, "on or off", "on")

    patience = default.patience
    key = f"{_PREFIX}-patience"
    if key in merged:
        seconds = _number(merged[key])
        if seconds is None:
            complain(key, "a number of seconds", f"{default.patience:.0f}")
        else:
            patience = seconds

    attempts = default.attempts
    key = f"{_PREFIX}-attempts"
    if key in merged:
        count = _number(merged[key])
        if count is None or count != int(count):
            complain(key, "a whole number", str(default.attempts))
        else:
            attempts = int(count)

    return Settings(enabled, patience, attempts, tuple(complaints))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
