"""The commands `status`, `history` and `purge`: what is in force, what happened, what is kept."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Iterator

import pip_retry_patch
from pip_retry_patch import names, settings, wording
from pip_retry_patch.commands import links
from pip_retry_patch.commands.environment import UnableError, describe, told
from pip_retry_patch.commands.selftest import Fault, Package, Server, download
from pip_retry_patch.store.journal import STDERR, summary
from pip_retry_patch.store.kept import Store

# Of what `status --json` prints; docs/status.md says when it changes.
SCHEMA = 1

# Of reasons and of hosts, `history` tells a person so many; `--json` has all.
TOLD = 10


def status(python: str, as_json: bool) -> int:
    """Say whether pip is guarded here, and how.

    Lets pip download a small file from this machine that breaks off, and asks a pip process: which
    pip and urllib3, what is wrapped, which settings are in force and where they were made, what is
    kept, which environments are linked. Exit code 0: pip is guarded; 1: not.

    :raises UnableError: it cannot be asked.
    """
    found: dict[str, Any] = {"schema": SCHEMA, "version": pip_retry_patch.__version__}
    try:
        found.update(describe(python), tried=try_pip(python))
        found["guarded"] = found["guarded"] and found["tried"] == "healed"
        # In an image another user may have linked the environment that is asked about.
        theirs = (os.path.realpath(path) for path in found["armed_by"] if path.endswith(links.NAME))
        found["links"] = sorted({*map(str, links.recorded()), *theirs})
    except (OSError, UnableError) as why:
        if not as_json:
            raise
        found.update(guarded=False, reason=told(why))
    print(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))
    return 0 if found["guarded"] else 1


def try_pip(python: str) -> str:
    """Let pip, with the user's settings, download a file that is cut; return what came of it.

    Wrappers that are in place need not work. "healed" if the right file came.
    """
    # No plain pip, of any version, gets through this one.
    package = Package(100_000, [Fault("cut", 40_000)], chunked=True)
    env = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_CONSTRAINT": os.devnull}
    env["PIP_RETRY_PATCH_LOG"] = STDERR  # whatever the user's own journal is
    with Server(package) as index:
        what = "--no-index", "--proxy=", index.url + package.link
        return download(python, package, what, env) or "healed"


def _lines(found: dict[str, Any]) -> Iterator[str]:
    does = "guards" if found["guarded"] else "does NOT guard"
    version, pip, in_force = found["version"], found["pip"], found["settings"]
    yield f"pip-retry-patch {version} {does} pip {pip} on Python {found['python']}"
    if not in_force["retry-patch"]["value"]:
        yield "It is switched off."
    yield ""
    yield from (f"  armed by  {path}" for path in found["armed_by"])
    yield f"  pip       {found['pip_path']}"
    yield f"  urllib3   {found['urllib3']}, {found['urllib3_path']}"
    yield f"  wrapt     {found['wrapt'] or 'not loaded'}"
    yield f"  tried     a download that is cut: {found['tried']}"
    kept = found["kept"]
    where = kept["trouble"] or f"{names.format_sum(kept['size'])}, in {kept['directory']}"
    yield f"  kept      files: {kept['files']}; {where}"
    yield "\nwrapped"
    yield from (f"  {name:32} {state}" for name, state in found["hooks"].items())
    yield "\nsettings"
    for key, entry in in_force.items():
        yield f"  {key:28} {settings.shown(key, entry['value']):12} {entry['origin']}"
    yield from (f"  {complaint}" for complaint in found["complaints"])
    yield "\nlinked environments"
    yield from (f"  {link}" for link in found["links"] or ["none"])


def history(python: str, since: float | None, as_json: bool) -> int:
    """Sum up what was interrupted, and what became of it.

    Reads the file that the setting retry-patch-log names, to which each interruption, wait and end
    of a download is written. Without that setting nothing is written.

    :param since: seconds before now; None for all that is there.
    :raises UnableError: there is no journal.
    """
    path = describe(python)["settings"]["retry-patch-log"]["value"]
    if not path:
        raise UnableError("nothing is noted; to begin: pip config set global.retry-patch-log PATH")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UnableError(f"{path} is no file, so what is written there is not kept")
    found = summary(path, time.time() - since if since else 0.0)
    print(json.dumps(found, indent=2) if as_json else "\n".join(_history(found)))
    return 0


def _history(found: dict[str, Any]) -> Iterator[str]:
    finished, failed = found["finished"], found["failed"]
    stopped = found["downloads"] - finished - failed
    yield f"interrupted downloads: {found['downloads']}"
    yield f"  {finished} finished, {failed} failed, {stopped} stopped before their end"
    yield f"interruptions: {found['interruptions']}"
    for title, counts in (("by reason", found["by"]), ("by host", found["hosts"])):
        yield f"{title}:"
        yield from (f"{count:8} {names.clean(n, 60)}" for n, count in [*counts.items()][:TOLD])
    yield f"waited: {found['waited']:.0f} s"
    yield f"not fetched twice: {names.format_sum(found['not_fetched_twice'])}"


def purge(python: str) -> int:
    """Remove partial downloads.

    Removes what is kept of downloads that did not finish. So does 'pip cache purge', where pip has
    a cache.

    :raises UnableError: pip cannot be asked.
    """
    kept = describe(python)["kept"]
    if kept["trouble"]:
        print(f"Nothing is kept here: {kept['trouble']}")
        return 0
    count, size = Store(kept["directory"], 0).purge()
    told = wording.say("purged", count=count, size=names.format_sum(size))
    print(f"{told} from {kept['directory']}")
    return 0 if count == kept["files"] else 1
