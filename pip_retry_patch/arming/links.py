"""Links: another environment's pip, armed from this installation.

A virtual environment does not see the packages of the base that it was made from. A *link* is one
.pth file in it, the same line as pip_retry_patch.pth but with the path of this installation in it:
when that environment imports pip, this package is imported from here. Nothing is added to its
`sys.path`, so its programs can import nothing of ours, and `pip list` there shows nothing. A link
whose base has gone is silent, as is everything else about it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from pip_retry_patch.wrapping.fail_open import wrap

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


class LinkError(Exception):
    """A directory cannot be linked; the text says why."""


def base() -> Path:
    """The directory that this package was imported from."""
    return Path(__file__).resolve().parents[2]


def line(home: str = "") -> str:
    """Return what a link consists of. ASCII, as `site` may read it in any encoding.

    :param home: the directory that this package is in; here, if that is "".
    """
    code = _ARM.format(base=ascii(home or str(base())))
    return _LINE.format(code=ascii(code))


# The Python of a virtual environment. On Windows that of MSYS2 is a POSIX one in this.
PYTHONS = ("Scripts/python.exe", "bin/python.exe") if os.name == "nt" else ("bin/python",)


def python_of(environment: Path, places: Sequence[str] = PYTHONS) -> Path:
    """Return where an environment's own Python is, or would be."""
    found = [environment / place for place in places]
    return next((python for python in found if python.exists()), found[0])


def interpreter(environment: Path, places: Sequence[str] = PYTHONS) -> Path:
    """Return an environment's own Python. Raises LinkError."""
    python = python_of(environment, places)
    if not python.exists():
        raise LinkError(f"{environment} is no virtual environment: there is no {python}")
    return python


def site_packages(environment: Path) -> Path:
    """Ask an environment's own Python where its packages are. Raises LinkError."""
    python = interpreter(environment)
    try:
        output = subprocess.run(
            [str(python), "-I", "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        prefix, base_prefix, packages = json.loads(output)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise LinkError(f"{python} does not start well: {error}") from None
    if prefix == base_prefix:
        raise LinkError(f"{environment} is a Python itself, no virtual environment: install there")
    return Path(packages)


def link(packages: Path) -> Path:
    """Arm the environment whose packages are in that directory; return the link. Raises OSError."""
    path = packages / NAME
    path.write_text(line(), encoding="ascii")
    return path


def unlink(environment: Path) -> list[Path]:
    """Take an environment's links back, also if its Python does not start; return what there was.

    :raises OSError: a link cannot be removed.
    """
    places = ("lib/python*/site-packages", "lib/pypy*/site-packages", "Lib/site-packages")
    links = {path for place in places for path in environment.glob(f"{place}/{NAME}")}
    for path in links:
        path.unlink()
    return sorted(links)


# Links are written down, for `status`: one path a line, in the user's state directory.


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


def record(path: Path) -> None:
    """Write a link down; where that is not possible, it is only missing from a list."""
    try:
        links = sorted({*map(str, recorded()), str(path)})
        target = _record()
        _check_owner(target.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or target.parent.is_symlink():
            raise OSError("a link may lead to a file of somebody else")
        target.write_text("".join(f"{link}\n" for link in links), encoding="utf-8")
    except (OSError, ValueError):
        logger.debug("pip-retry-patch could not write down a link", exc_info=True)


def _check_owner(directory: Path) -> None:
    """Raise OSError where root would write into the home of another user (`sudo` keeps HOME)."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    if hasattr(os, "geteuid") and os.geteuid() == 0 and directory.stat().st_uid != 0:
        raise OSError(f"{directory} belongs to another user")


def _is_to_here(path: Path) -> bool:
    try:
        return path.read_text(encoding="ascii") == line()
    except (OSError, ValueError):
        return False


# Environments that are linked from birth, where PIP_RETRY_PATCH_VENVS says so.


def watch_venv(module: Any) -> None:
    """Link what `venv` makes; `module` is that module."""
    _after(module, "EnvBuilder.create", lambda _, args: args[0])


def watch_virtualenv(module: Any) -> None:
    """Link what virtualenv makes; `module` is `virtualenv.run.session`."""
    _after(module, "Session.run", lambda session, _: str(session.creator.dest))


def _after(module: Any, function: str, directory_of: Callable[[Any, Sequence[Any]], str]) -> None:
    """Link the environment that a function made, when it has returned."""

    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        result = wrapped(*args, **kwargs)
        try:
            directory = directory_of(instance, args or list(kwargs.values()))
            record(link(_new_site_packages(directory)))
        except Exception:
            logger.debug("pip-retry-patch could not link an environment", exc_info=True)
        return result

    wrap(module, function, wrapper)


def _new_site_packages(directory: str) -> Path:
    """Where the packages of an environment are; it may have another Python if virtualenv made it.

    Without starting a process, which would make every new environment slower.
    """
    directory = os.path.abspath(directory)
    scheme = "nt" if os.name == "nt" else "posix_prefix"
    if "venv" in sysconfig.get_scheme_names():
        scheme = "venv"
    places = {"base": directory, "platbase": directory}
    path = Path(sysconfig.get_path("purelib", scheme, places))
    return path if path.is_dir() else site_packages(Path(directory))
