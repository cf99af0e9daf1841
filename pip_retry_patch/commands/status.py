"""The commands `status` and `purge`: what is in force here, and what is kept."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pip_retry_patch
from pip_retry_patch import names, settings, wording
from pip_retry_patch.commands import links, server
from pip_retry_patch.commands.environment import (
    UnableError,
    describe,
    last_words,
    run,
    temporary_directory,
)
from pip_retry_patch.store.kept import Store

# Of what `status --json` prints; docs/status.md says when it changes.
SCHEMA = 1

# No plain pip, of any version, gets through these.
_FATAL = (server.Fault("cut", 40_000), server.Fault("reset", 30_000))


def status(python: str, as_json: bool) -> int:
    """Print what a Python's pip says when it is asked; the exit code is 0 if it is guarded.

    :raises UnableError: it cannot be asked.
    """
    found: dict[str, Any] = {"schema": SCHEMA, "version": pip_retry_patch.__version__}
    try:
        found.update(describe(python), tried=try_pip(python))
        found["guarded"] = found["guarded"] and found["tried"] == "healed"
        # In an image another user may have linked the environment that is asked about.
        theirs = (os.path.realpath(path) for path in found["armed_by"] if path.endswith(links.NAME))
        found["links"] = sorted({*map(str, links.recorded()), *theirs})
    except UnableError as why:
        if not as_json:
            raise
        found.update(guarded=False, reason=str(why))
    print(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))
    return 0 if found["guarded"] else 1


def try_pip(python: str) -> str:
    """Let pip, with the user's settings, download a file that is cut; return what came of it.

    Wrappers that are in place need not work. "healed" if the right file came.
    """
    package = server.Package("pip-retry-patch-status", 100_000, _FATAL, chunked=True)
    env = {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_CONSTRAINT": os.devnull}
    try:
        with server.Server([package]) as index, temporary_directory() as directory:
            env["PIP_RETRY_PATCH_LOG"] = str(directory / "log")
            command = [python, "-m", "pip", "download", "--no-deps", "--no-index", "--no-input"]
            command += ["--no-cache-dir", "--disable-pip-version-check", "--progress-bar=off"]
            command += ["--proxy=", "--dest=.", index.url + index.links[package.name]]
            pip = run(command, directory, env, clean=False)
            if pip.returncode:
                return last_words(pip.stdout) or f"exit {pip.returncode}"
            right = (directory / package.filename).read_bytes() == package.wheel()
            return "healed" if right else "another file came"
    except subprocess.TimeoutExpired as error:
        return f"pip had not ended after {error.timeout:.0f} seconds"
    except OSError as error:
        return f"not tried: {error}"


def _lines(found: dict[str, Any]) -> list[str]:
    does = "guards" if found["guarded"] else "does NOT guard"
    version, pip, in_force = found["version"], found["pip"], found["settings"]
    return [
        f"pip-retry-patch {version} {does} pip {pip} on Python {found['python']}",
        *(["It is switched off."] if not in_force["retry-patch"]["value"] else []),
        "",
        *(f"  armed by  {path}" for path in found["armed_by"]),
        f"  pip       {found['pip_path']}",
        f"  urllib3   {found['urllib3']}, {found['urllib3_path']}",
        f"  wrapt     {found['wrapt'] or 'not loaded'}",
        f"  tried     a download that is cut: {found['tried']}",
        "",
        "wrapped",
        *(f"  {name:32} {state}" for name, state in found["hooks"].items()),
        "",
        "settings",
        *(
            f"  {key:28} {settings.shown(key, entry['value']):12} {entry['origin']}"
            for key, entry in in_force.items()
        ),
        *(f"  {line}" for line in found["complaints"]),
        "",
        "partial downloads",
        f"  {_kept(found)}",
        "",
        "linked environments",
        *(f"  {link}" for link in found["links"] or ["none"]),
    ]


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
        return f"retry-patch-partials cannot be used: {kept['trouble']}"
    return "" if kept["directory"] else "pip has no cache directory that it may use here"


def purge(python: str) -> int:
    """Remove what is kept for later runs. Raises UnableError."""
    found = describe(python)
    kept = found["kept"]
    if kept["directory"] is None:
        print(f"Nothing is kept here: {_why_none(found)}")
        return 0
    count, size = Store(kept["directory"], 0).purge()
    told = wording.say("purged", count=count, size=names.format_sum(size))
    print(f"{told} from {kept['directory']}")
    return 0 if count == kept["files"] else 1
