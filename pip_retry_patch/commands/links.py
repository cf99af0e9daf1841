"""The commands `link` and `unlink`: another environment's pip, armed from this installation.

A virtual environment does not see the packages of the base that it was made from. A *link* is one
.pth file in it, the same line as pip_retry_patch.pth but with the path of this installation in it:
when that environment imports pip, this package is imported from here. Nothing is added to its
`sys.path`, so its programs can import nothing of ours, and `pip list` there shows nothing. A link
whose base has gone is silent, as is everything else about it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from pip_retry_patch.commands.environment import UnableError, python_of
from pip_retry_patch.store import writer
from pip_retry_patch.wrapping import harmless, logger, wrap

NAME = "pip_retry_patch_link.pth"

# The base comes last on the path, and only for one import: the environment's own copy goes first.
_ARM = """try:
 import sys
 sys.path.append({base})
 try: import pip_retry_patch
 finally: sys.path.pop()
 pip_retry_patch.arm()
except Exception: 0"""

_LINE = (
    'import sys; f = lambda name, *_: exec({code}) if name + " " in '
    '"pip._internal pipenv.patched.pip venv virtualenv " else None; '
    "f.find_spec = f; sys.meta_path = [f] + sys.meta_path\n"
)

# Where venv and virtualenv put an environment's packages.
_PLACES = ("lib/python*/site-packages", "lib/pypy*/site-packages", "Lib/site-packages")


def link(environments: Sequence[Path]) -> int:
    """Arm a virtual environment from this installation.

    Writes one .pth file into a virtual environment, so that its pip is guarded by this
    installation. Nothing is added to the environment's path or package list. To link all new
    environments: PIP_RETRY_PATCH_VENVS=1.

    :raises UnableError: an environment is none.
    """
    for environment in environments:
        for packages in packages_of(environment):
            if packages.resolve() == base():
                raise UnableError(f"{environment} has pip-retry-patch installed: it needs no link")
            path = write(packages)
            print(f"Linked {environment}: its pip is guarded by {base()}, through {path}")
    return 0


def unlink(environments: Sequence[Path], everything: bool) -> int:
    """Take a link back.

    Removes the file that 'link' wrote, and only that. Do this before 'pip uninstall
    pip-retry-patch', which knows nothing of links: they stay behind, without effect.

    :param everything: take back what `recorded` returns, and no other.
    :raises UnableError: an environment is none.
    """
    if bool(environments) == everything:
        raise UnableError("name the environments to unlink, or say --all")
    places = [packages / NAME for each in environments for packages in packages_of(each)]
    found = recorded() if everything else [path for path in places if path.is_file()]
    for path in found:
        path.unlink()
        print(f"Removed {path}")
    if not found:
        print("There was no link; nothing was changed.")
    return 0


def packages_of(environment: Path) -> list[Path]:
    """Return where an environment's packages are. Its Python need not start.

    :raises UnableError: it is no virtual environment.
    """
    found = [path for place in _PLACES for path in environment.glob(place)]
    # A link in it may lead anywhere, and root follows none that a user has made.
    found = [path for path in found if environment.resolve() in path.resolve().parents]
    if not found or not (environment / "pyvenv.cfg").exists():
        is_python = python_of(environment).exists()
        why = "is a Python itself, no virtual environment: install there"
        raise UnableError(f"{environment} {why if is_python else 'is no virtual environment'}")
    return found


def base() -> Path:
    """The directory that this package was imported from."""
    return Path(__file__).resolve().parents[2]


def line(home: str = "") -> str:
    """Return what a link consists of. ASCII, as `site` may read it in any encoding.

    :param home: the directory that this package is in; here, if that is "".
    """
    code = _ARM.format(base=ascii(home or str(base())))
    return _LINE.format(code=ascii(code))


def write(packages: Path) -> Path:
    """Link the environment whose packages are in that directory; return the link.

    Links are written down, for `status`: one path a line, in the user's state directory. Where
    that is not possible, it is only missing from a list.

    :raises OSError: the link itself cannot be written.
    """
    path = packages / NAME
    writer.write(str(path), line())
    record = record_of(os.environ)
    try:
        writer.check_directory(str(record.parent))
        record.parent.mkdir(parents=True, exist_ok=True)
        with writer.locked(str(record)):
            links = sorted({*map(str, recorded()), str(path)})
            writer.write(str(record), "".join(f"{link}\n" for link in links))
    except (OSError, ValueError):
        logger.debug("pip-retry-patch could not write down a link", exc_info=True)
    return path


def record_of(environ: Mapping[str, str], windows: bool = os.name == "nt") -> Path:
    """Where a user's links are written down (XDG Base Directory; Windows: AppData)."""
    named = environ.get("XDG_STATE_HOME") or (environ.get("LOCALAPPDATA") if windows else "")
    return Path(named or os.path.expanduser("~/.local/state"), "pip-retry-patch", "links")


def recorded() -> list[Path]:
    """Return the links of this installation that this user made and that are still there.

    One environment may have been linked by two names.
    """
    found = set()
    with contextlib.suppress(OSError, ValueError):
        for path in map(Path, record_of(os.environ).read_text(encoding="utf-8").splitlines()):
            with contextlib.suppress(OSError, ValueError):
                if path.read_text(encoding="ascii") == line():
                    found.add(path.resolve())
    return sorted(found)


# Environments that are linked from birth, where PIP_RETRY_PATCH_VENVS says so.


def watch_venv(module: Any) -> None:
    """Link what `venv` makes; `module` is that module.

    `EnvBuilder.create` calls this method when the directories are there, before pip is in them.
    """
    _link_after(module, "EnvBuilder.setup_python", lambda _, context: context.env_dir)


def watch_virtualenv(module: Any) -> None:
    """Link what virtualenv makes; `module` is `virtualenv.run.session`."""
    _link_after(module, "Session.run", lambda session: session.creator.dest)


def _link_after(module: Any, path: str, environment: Callable[..., Any]) -> None:
    """Link the environment that a method works on, when it has returned."""

    def linking(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        with harmless("linking an environment"):
            for packages in packages_of(Path(environment(instance, *args, *kwargs.values()))):
                write(packages)
        return result

    wrap(module, path, linking)
