"""The commands `status` and `purge`: what is in force here, and what is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pip_retry_patch
from pip_retry_patch import messages, names
from pip_retry_patch.arming import links
from pip_retry_patch.commands.environment import UnableError, describe
from pip_retry_patch.store import files

# Of what `status --json` prints; docs/status.md says when it changes.
SCHEMA = 1


def status(python: str, as_json: bool) -> int:
    """Print what a Python's pip says when it is asked; the exit code is 0 if it is guarded.

    :raises UnableError: it cannot be asked.
    """
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "version": pip_retry_patch.__version__,
        "guarded": False,
    }
    try:
        found.update(_collect(python))
    except UnableError as why:
        if not as_json:
            raise
        found["reason"] = str(why)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(_lines(found)))
    return 0 if found["guarded"] else 1


def _collect(python: str) -> dict[str, Any]:
    pip, found = describe(python)
    # In an image another user may have linked the environment that is asked about.
    theirs = {os.path.realpath(p) for p in pip.pth if os.path.basename(p) == links.NAME}
    all_links = sorted({*map(str, links.recorded()), *theirs})
    found.update(python=pip.python, armed_by=pip.pth, links=all_links)
    return found


def _lines(found: dict[str, Any]) -> list[str]:
    does = "guards" if found["guarded"] else "does NOT guard"
    version, pip = found["version"], found["pip"]
    lines = [f"pip-retry-patch {version} {does} pip {pip} on Python {found['python']}", ""]
    if not found["guarded"] and not found["settings"]["retry-patch"]["value"]:
        lines[1:1] = ["It is switched off."]
    lines += [f"  armed by  {path}" for path in found["armed_by"]]
    lines += [
        f"  pip       {found['pip_path']}",
        f"  urllib3   {found['urllib3']}, {found['urllib3_path']}",
        f"  wrapt     {found['wrapt'] or 'not loaded'}",
        "",
        "wrapped",
        *(f"  {name:32} {state}" for name, state in found["hooks"].items()),
        "",
        "settings",
        *(
            f"  {key:28} {_shown(key, entry['value']):12} {entry['origin']}"
            for key, entry in found["settings"].items()
        ),
        *(f"  {line}" for line in found["complaints"]),
        "",
        "partial downloads",
        f"  {_kept(found)}",
        "",
        "linked environments",
        *(f"  {link}" for link in found["links"] or ["none"]),
    ]
    return lines


def _shown(key: str, value: Any) -> str:
    if key.endswith("-size"):
        return names.format_sum(value).replace(".0 ", " ")
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return " ".join(value) or "-"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or "-"


def _kept(found: dict[str, Any]) -> str:
    kept, why = found["kept"], _why_none(found)
    if why and not kept["files"]:
        return f"none are kept: {why}"
    files = "1 file" if kept["files"] == 1 else f"{kept['files']} files"
    left = f", left from before: {why}" if why else ""
    return f"{files}, {names.format_sum(kept['size'])}, in {kept['directory']}{left}"


def _why_none(found: dict[str, Any]) -> str:
    """Say why nothing is kept; "" where it is."""
    kept = found["kept"]
    if not found["settings"]["retry-patch-partials"]["value"]:
        return "retry-patch-partials is off"
    if kept["trouble"]:
        return f"retry-patch-partials-dir cannot be used: {kept['trouble']}"
    return "" if kept["directory"] else "pip has no cache directory that it may use here"


def purge(python: str) -> int:
    """Remove what is kept for later runs. Raises UnableError."""
    _, found = describe(python)
    kept = found["kept"]
    if kept["directory"] is None:
        print(f"Nothing is kept here: {_why_none(found)}")
        return 0
    count, size = files.purge(Path(kept["directory"]))
    print(f"{messages.purged(count, size)} from {kept['directory']}")
    return 0 if count == kept["files"] else 1
