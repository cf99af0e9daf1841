"""What a Python that is not pip pays at its start, beside what other `.pth` files cost there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import charts, processes
from tests.support import directories, environments, supplies
from tests.support.environments import Environment
from tests.support.matrix import MATRIX, NEWEST
from tests.support.programs import MissingError, checked, inside

TITLE = "The start of a Python that is not pip"

GOAL = 0.02  # above a .pth file that holds a comment
OURS, LINK, COMMENT = "pip-retry-patch", "a link to it", "a comment"
# The rest is what others install: a project's name on the index.
OTHERS = ("setuptools", "virtualenv", "coverage", "pip-system-certs")
PROGRAMS = ("pass", "import json, asyncio")
# One pip for each Python: not measured, only what installs.
PIPS = {python: pip for pip, python in MATRIX}


class NoneError(Exception):
    """There is no such `.pth` file for this Python."""


def measure(quick: bool) -> dict[str, Any]:
    pythons = ("3.13",) if quick else tuple(PIPS)
    kinds = (COMMENT, OURS, "coverage") if quick else (COMMENT, OURS, LINK, *OTHERS)
    programs = PROGRAMS[:1] if quick else PROGRAMS
    supplies.newest_pip(), supplies.product()  # once, before the threads want them
    # Counts do not care what else the machine does.
    with ThreadPoolExecutor(2) as pool:
        counted = pool.map(lambda python: _count(python, kinds, programs), pythons)
        return {"programs": programs, "counts": dict(zip(pythons, counted, strict=True))}


def _count(python: str, kinds: tuple[str, ...], programs: tuple[str, ...]) -> dict[str, Any]:
    """Count each program's instructions, with nothing in site-packages and with each kind of file.

    One venv for all kinds, so that no path is longer than another.
    """
    root, base = environments.interpreter(python)
    venv = directories.scratch(root) / "venv"
    checked(root, base, "-m", "venv", "--without-pip", venv)
    made = Environment(venv, root, "", python, False, "")
    counts: dict[str, Any] = {"nothing": _programs(made, programs)}
    for kind in kinds:
        try:
            installed = INSTALL.get(kind, _install_wheels)(made, kind)
        except NoneError:
            continue
        counts[kind] = {"version": installed, **_programs(made, programs)}
        _empty(made)
    return counts


def _programs(made: Environment, programs: tuple[str, ...]) -> dict[str, list[int]]:
    counts = {}
    for program in programs:
        command: list[str | Path] = [made.python, "-c", program]
        checked(made.root, *command)  # whatever is not compiled yet is compiled now
        times = 2 if made.site_packages.joinpath("a.pth").exists() else 1  # one shows the spread
        counts[program] = [
            processes.instructions(made.root, command, {"HOME": made.prefix}, made.prefix)
            for _ in range(times)
        ]
    return counts


def _empty(made: Environment) -> None:
    """Empty its site-packages."""
    shutil.rmtree(made.site_packages)
    made.site_packages.mkdir()


# Each puts one kind of file into an empty site-packages, and returns what version that is.


def _install_comment(made: Environment, kind: str) -> str:
    (made.site_packages / "a.pth").write_text("# nothing but a comment\n")
    return ""


def _install_ours(made: Environment, kind: str) -> str:
    _pip(made, supplies.wrapt_wheel(made.python_version), supplies.product().wheel)
    return ""


def _install_link(made: Environment, kind: str) -> str:
    armed = environments.environment(PIPS[made.python_version], made.python_version, armed=True)
    outcome = armed.run_python("-m", "pip_retry_patch", "link", made.prefix)
    if outcome.returncode:
        raise MissingError(outcome.output)
    return ""


def _install_wheels(made: Environment, kind: str) -> str:
    wheels = sorted(_wheels(made, kind))
    _pip(made, *wheels)
    if not list(made.site_packages.glob("*.pth")):
        _empty(made)
        raise NoneError
    return _version(wheels, kind)


def _install_virtualenv(made: Environment, kind: str) -> str:
    """What virtualenv puts into each environment that it makes, since it patches distutils."""
    wheels = _wheels(made, kind)
    _pip(made, *wheels)
    file = "_virtualenv.py"
    code = (made.site_packages / "virtualenv/create/via_global_ref" / file).read_bytes()
    _empty(made)
    (made.site_packages / file).write_bytes(code)
    (made.site_packages / "_virtualenv.pth").write_text("import _virtualenv")
    return _version(wheels, kind)


INSTALL: dict[str, Callable[[Environment, str], str]] = {
    COMMENT: _install_comment,
    OURS: _install_ours,
    LINK: _install_link,
    "virtualenv": _install_virtualenv,
}


def _wheels(made: Environment, kind: str) -> list[Path]:
    try:
        return list(supplies.wheelhouse(made.python_version, kind).glob("*.whl"))
    except MissingError as why:
        if "No matching distribution" in str(why):
            raise NoneError from None
        raise


def _version(wheels: list[Path], kind: str) -> str:
    names = [path.name.split("-") for path in wheels]
    return next(words[1] for words in names if words[0] == kind.replace("-", "_"))


def _pip(made: Environment, *wheels: Path) -> None:
    pip = PIPS[made.python_version]
    wheel = supplies.pip_wheel(supplies.newest_pip() if pip == NEWEST else pip)
    program = f"{inside(made.root, wheel)}/pip"
    options = ["--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    checked(made.root, made.python, program, "install", *options, *wheels)


# --- the page ----------------------------------------------------------------------------------


def _share(counts: dict[str, Any], kind: str, program: str) -> float | None:
    """What a kind of file adds to a comment, as a share; None where there is no such file."""
    if kind not in counts:
        return None
    return float(min(counts[kind][program]) / min(counts[COMMENT][program]) - 1)


def _kinds(figures: dict[str, Any]) -> list[str]:
    seen = {kind: None for counts in figures["counts"].values() for kind in counts}
    return [kind for kind in seen if kind not in ("nothing", COMMENT)]


def section(figures: dict[str, Any]) -> str:
    counts, kinds = figures["counts"], _kinds(figures)
    parts = [
        "Instructions of a whole process (callgrind), in a venv that holds one package and nothing "
        "else, compared with the same venv with a `.pth` file that holds only a comment. All is "
        "compiled, the hash seed is 0, and every path is equally long."
    ]
    for program in figures["programs"]:
        rows = []
        for python, found in counts.items():
            base, bare = min(found[COMMENT][program]), min(found["nothing"][program])
            shares = [_share(found, kind, program) for kind in kinds]
            cells = ["none" if share is None else f"{share:+.2%}" for share in shares]
            rows.append([python, f"{bare / 1e6:.1f} M", f"{base / bare - 1:+.2%}", *cells])
        head = ["Python", "no `.pth`", "a comment", *kinds]
        parts.append(f"`python -c {_quoted(program)}`:\n\n{charts.table(head, rows)}")
    parts.append(
        "“A comment” is above no `.pth` file at all, the others are above a comment: that is what "
        "a `.pth` file costs before it does anything. “None”: what this Python gets of that "
        "package has no such file. coverage is measured as it is installed, switched off; "
        "virtualenv is the file that it puts into each environment it makes. In a venv, unlike in "
        "a base installation, most of these Pythons execute every `.pth` file twice. "
        + _versions(counts, kinds)
    )
    parts.append("![What `.pth` files add to the start of a Python](images/startup.svg)")
    parts.append(_meaning(figures))
    return "\n\n".join(parts)


def _quoted(program: str) -> str:
    return f'"{program}"' if " " in program else program


def _versions(counts: dict[str, Any], kinds: list[str]) -> str:
    last = list(counts)[-1]
    told = [
        f"{k} {counts[last][k]['version']}" for k in kinds if counts[last].get(k, {}).get("version")
    ]
    return f"The versions on Python {last}: {', '.join(told)}; older Pythons get older ones."


def _meaning(figures: dict[str, Any]) -> str:
    counts, kinds = figures["counts"], _kinds(figures)
    start = figures["programs"][0]
    shares = {python: _share(found, OURS, start) or 0.0 for python, found in counts.items()}
    over = [python for python, share in shares.items() if share > GOAL]
    low, high = min(shares.values()), max(shares.values())
    text = (
        f"pip-retry-patch adds {low:.2%} to {high:.2%} to a Python that starts and does nothing: "
        "it imports no module until something imports pip. "
    )
    text += (
        f"The goal of {GOAL:.0%} is missed on Python {', '.join(over)}: [costs.md](costs.md) says "
        "why. "
        if over
        else f"That is within the goal of {GOAL:.0%} on every Python. "
    )
    cheaper = [
        f"{kind} on {python}"
        for python, found in counts.items()
        for kind in kinds
        if kind not in (OURS, LINK)
        for share in [_share(found, kind, start)]
        if share is not None and share < shares[python]
    ]
    if cheaper:
        text += f"Cheaper than that: {', '.join(cheaper)}. "
    else:
        text += "Each of the others costs more, on every Python that has it. "
    spread = max(
        max(runs[start]) / min(runs[start]) - 1
        for found in counts.values()
        for runs in found.values()
    )
    return text + f"Two counts of the same start differed by {spread:.3%} at the most."


def draw(figures: dict[str, Any], directory: Path) -> None:
    counts, start = figures["counts"], figures["programs"][0]
    kinds = [kind for kind in _kinds(figures) if kind != LINK]
    colours = [charts.BLUE, charts.ORANGE, charts.GREEN, charts.PINK, charts.VERMILION]
    with charts.chart(directory / "startup.svg", figsize=(8, 3.4)) as (_, axes):
        width = 0.8 / len(kinds)
        for number, kind in enumerate(kinds):
            shares = [_share(found, kind, start) for found in counts.values()]
            places = [place + number * width for place in range(len(counts))]
            heights = [(share or 0) * 100 for share in shares]
            axes.bar(places, heights, width * 0.9, label=kind, color=colours[number])
        axes.axhline(GOAL * 100, color=charts.GREY, linewidth=0.8, linestyle="--")
        axes.set_yscale("symlog", linthresh=5)
        axes.set_yticks([0, 2, 10, 100, 1000])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.set_xticks([place + 0.4 - width / 2 for place in range(len(counts))], list(counts))
        axes.set_xlabel("Python")
        axes.set_ylabel("more than a comment")
        axes.set_title("Instructions of python -c pass; the dashed line is our goal")
        axes.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, -0.18))
