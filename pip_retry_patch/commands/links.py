"""The commands `link` and `unlink`: another environment's pip, armed from this installation.

A virtual environment does not see the packages of the base that it was made from. A *link* is one
.pth file in it, the same line as pip_retry_patch.pth but with the path of this installation in it:
when that environment imports pip, this package is imported from here. Nothing is added to its
`sys.path`, so its programs can import nothing of ours, and `pip list` there shows nothing. A link
whose base has gone is silent, as is everything else about it.
"""

from __future__ import annotations

import functools
import logging
import os
import sysconfig
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from pip_retry_patch.commands.environment import UnableError, ask, python_of
from pip_retry_patch.store import writer

logger = logging.getLogger("pip_retry_patch")

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

# Run by an environment's Python: where its packages are.
_ASK = (
    "import json, sys, sysconfig; "
    "print(json.dumps([sys.prefix, sys.base_prefix, sysconfig.get_path('purelib')]))"
)


def link(environments: Sequence[Path]) -> int:
    """Link environments; the exit code is 0. Raises UnableError."""
    for environment in environments:
        packages = site_packages(environment)
        if packages.resolve() == base():
            raise UnableError(f"{environment} has pip-retry-patch installed: it needs no link")
        try:
            path = write(packages)
        except OSError as error:
            raise UnableError(f"cannot write the link: {error}") from None
        print(f"Linked {environment}: its pip is guarded by {base()}, through {path}")
    return 0


def unlink(environments: Sequence[Path], everything: bool) -> int:
    """Take links back, also where an environment's Python does not start; the exit code is 0.

    :param everything: take back what `recorded` returns, and no other.
    :raises UnableError: as `link` does.
    """
    if bool(environments) == everything:
        raise UnableError("name the environments to unlink, or say --all")
    try:
        if everything:
            made = recorded()
            for path in made:
                path.unlink()
                print(f"Removed {path}")
            if not made:
                print("You have made no link from here; nothing was changed.")
        for environment in environments:
            places = "lib/python*/site-packages", "lib/pypy*/site-packages", "Lib/site-packages"
            links = {path for place in places for path in environment.glob(f"{place}/{NAME}")}
            for path in links:
                path.unlink()
            if links:
                print(f"Unlinked {environment}: its pip is as it was.")
            else:
                _python(environment)
                print(f"{environment} was not linked; nothing was changed.")
    except OSError as error:
        raise UnableError(f"cannot remove the link: {error}") from None
    return 0


def base() -> Path:
    """The directory that this package was imported from."""
    return Path(__file__).resolve().parents[2]


def line(home: str = "") -> str:
    """Return what a link consists of. ASCII, as `site` may read it in any encoding.

    :param home: the directory that this package is in; here, if that is "".
    """
    code = _ARM.format(base=ascii(home or str(base())))
    return _LINE.format(code=ascii(code))


def _python(environment: Path) -> Path:
    python = python_of(environment)
    if not python.exists():
        raise UnableError(f"{environment} is no virtual environment: there is no {python}")
    return python


def site_packages(environment: Path) -> Path:
    """Ask an environment's own Python where its packages are. Raises UnableError."""
    prefix, base_prefix, packages = ask([str(_python(environment)), "-I", "-c", _ASK], list)
    if prefix == base_prefix:
        is_one = "is a Python itself, no virtual environment"
        raise UnableError(f"{environment} {is_one}: install there")
    return Path(packages)


def write(packages: Path) -> Path:
    """Link the environment whose packages are in that directory; return the link.

    Links are written down, for `status`: one path a line, in the user's state directory. Where
    that is not possible, it is only missing from a list.

    :raises OSError: the link itself cannot be written.
    """
    path = packages / NAME
    writer.replace(str(path), line())
    record = _record()
    try:
        writer.check_directory(str(record.parent))
        record.parent.mkdir(parents=True, exist_ok=True)
        with writer.locked(str(record)):
            links = sorted({*map(str, recorded()), str(path)})
            writer.replace(str(record), "".join(f"{link}\n" for link in links))
    except (OSError, ValueError):
        logger.debug("pip-retry-patch could not write down a link", exc_info=True)
    return path


def state_home(environ: Mapping[str, str], windows: bool = os.name == "nt") -> Path:
    """Where this user's programs keep what is no cache (XDG Base Directory; Windows: AppData)."""
    named = environ.get("XDG_STATE_HOME") or (environ.get("LOCALAPPDATA") if windows else "")
    return Path(named or os.path.expanduser("~/.local/state"))


def _record() -> Path:
    return state_home(os.environ) / "pip-retry-patch" / "links"


def recorded() -> list[Path]:
    """Return the links of this installation that this user made and that are still there.

    One environment may have been linked by two names.
    """
    try:
        paths = map(Path, _record().read_text(encoding="utf-8").splitlines())
        return sorted({path.resolve() for path in paths if _is_to_here(path)})
    except (OSError, ValueError):
        return []


def _is_to_here(path: Path) -> bool:
    try:
        return path.read_text(encoding="ascii") == line()
    except (OSError, ValueError):
        return False


# Environments that are linked from birth, where PIP_RETRY_PATCH_VENVS says so.


def watch_venv(module: Any) -> None:
    """Link what `venv` makes; `module` is that module.

    `EnvBuilder.create` calls this method when the directories are there, before pip is in them.
    """

    def packages(_: Any, context: Any) -> str:
        # Without starting a process, which would make every new environment slower.
        usual = "nt" if os.name == "nt" else "posix_prefix"
        scheme = "venv" if "venv" in sysconfig.get_scheme_names() else usual
        places = dict.fromkeys(("base", "platbase"), os.path.abspath(context.env_dir))
        return sysconfig.get_path("purelib", scheme, places)

    _link_after(module.EnvBuilder, "setup_python", packages)


def watch_virtualenv(module: Any) -> None:
    """Link what virtualenv makes; `module` is `virtualenv.run.session`."""
    _link_after(module.Session, "run", lambda session: session.creator.purelib)


def _link_after(owner: Any, name: str, packages: Callable[..., Any]) -> None:
    """Link the environment that a method works on, when it has returned."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def linking(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        try:
            write(Path(packages(*args, *kwargs.values())))
        except Exception:
            logger.debug("pip-retry-patch could not link an environment", exc_info=True)
        return result

    setattr(owner, name, linking)
