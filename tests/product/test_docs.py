"""What the README and the docs show is what is printed."""

from __future__ import annotations

import html
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pip_retry_patch import settings, wording
from pip_retry_patch.hooks import mismatch
from pip_retry_patch.records import replace
from pip_retry_patch.wording import Peer, Place, Tried
from tests.support import programs, recipes, screens, supplies
from tests.support.downloads import Download
from tests.support.environments import Environment, copy_of, fresh_environment
from tests.support.fatal import fatal
from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import newest
from tests.support.programs import Argument

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MESSAGES = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
PICTURE = ROOT / "docs" / "images" / "terminal.svg"
DRAW = "PIP_RETRY_PATCH_TEST_DRAW_TERMINAL"
COMMAND = "pip install demo"

WHEEL, HOST, REFUSED = "demo-1.0-py3-none-any.whl", "files.example", "connection refused"
PAGE = "the page https://files.example/simple/demo/"
PLACE = Place(WHEEL, HOST, 22_800_000, 40_000_000)
PROXIED = Peer(HOST, "proxy.example:3128")

# What a line or an error has in it on the page, where it is not told below.
FACTS: dict[str, Any] = {
    "name": WHEEL,
    "place": PLACE,
    "host": HOST,
    "peer": Peer(HOST),
    "why": REFUSED,
    "tried": Tried(8, 41.0),
    "index": "https://a.example/simple",
    "mirror": "https://m.example/simple",
    "mirrors": "https://m.example/simple",
    "project": "demo",
    "title": wording.titled("Sign in"),
    "often": "",
    "any_more": "",
    "now": "2026-01-02 03:04",
}
FOR_LINES: dict[str, dict[str, Any]] = {
    "resumed": {"why": wording.CLOSED_EARLY},
    "replayed": {"why": wording.CLOSED_EARLY},
    "waits": {"left": "for 120 s"},
    "cut often": {"count": 12, "pause": ", waited 41 s", "twice": "nothing"},
    "taken": {"place": replace(PLACE, name=PAGE)},
    "accepted short": {"said": "44.7 MB", "size": "40.0 MB"},
    "decoded": {"coding": "gzip"},
    "lost": {"left": "for 30 s; Ctrl-C stops."},
    "offline": {"why": "network is unreachable", "left": "for 120 s; Ctrl-C stops."},
    "busy": {"why": wording.answered(503), "left": "up to 7 more times; Ctrl-C stops."},
    "found elsewhere": {"places": "b.example"},
    "stale": {"age": wording.format_age(2 * 86400.0)},
    "mirror serves": {"so_far": " after 22.8 MB"},
    "all failed": {"left": "for 30 s."},
    "mirrors of another": {
        "intended": "https://a.example/simple",
        "index": "https://b.example/simple",
    },
    "bad setting": {
        "key": "retry-patch-patience",
        "wanted": "a number of seconds",
        "value": "soon",
        "default": "120",
    },
    "bad mirror": {"key": "retry-patch-mirrors", "value": "ftp://m.example/x"},
    "unknown setting": {
        "key": "retry-patch-patiance",
        "meant": " Did you mean retry-patch-patience?",
    },
    "unusable directory": {"path": "/mnt/x", "why": "read-only file system"},
    "unusable log": {"path": "/mnt/x", "why": "permission denied"},
    "purged": {"count": 2, "size": "45.6 MB"},
    "names no file": {"title": wording.titled("Links for demo")},
    "for people": {"whence": " from login.example"},
}
ODD_PAGES = {"came empty", "has no end", "is JSON", "names no file", "for people"}
FOR_ERRORS: dict[str, dict[str, Any]] = {
    "gave up": {"last": ""},
    "refused": {"status": 403},
    "stranger": {"trouble": "x"},
    "proxy unreachable": {"peer": replace(PROXIED, is_proxy=True)},
    "proxy refuses": {"peer": PROXIED},
    "asks for too long": {"seconds": 3600.0},
    "bad redirect": {"where": "x"},
    "odd status": {"status": 204, "what": "x"},
    "odd coding": {"coding": "br"},
    "not the file": {"flaw": "damaged", "shown": "x"},
    "no end": {"size": "1 kB"},
}


def test_every_line_is_on_its_page() -> None:
    shown = []
    for kind in wording._LINES:
        line = wording.say(kind, **{**FACTS, **FOR_LINES.get(kind, {})})
        shown.append(f"But {PAGE} {line}." if kind in ODD_PAGES else line)
    for came in {*mismatch._CAME.values(), mismatch._DAMAGED}:
        shown.append(f"{came.format(name='demo-1.0')} Fetched anew, its hash fits.")
    for kind in wording._FAILURES:
        shown.append(wording.failure(kind, **{**FACTS, **FOR_ERRORS.get(kind, {})}).message)
    assert [line for line in shown if f"`{line}`" not in MESSAGES] == []


def test_every_setting_is_on_its_page_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, known in settings.table(settings.Settings()).items():
        (row,) = re.findall(rf"^\| `{name}` \| (.*?) \|", page, re.MULTILINE)
        value = known["value"]
        if isinstance(value, bool):
            assert row == ("`on`" if value else "`off`"), name
        elif name == "retry-patch-partials-size":
            assert settings.read([(f"global.{name}", row.strip("`"))]).partials_size == value
        elif value:
            assert row == f"`{value:g}`" if isinstance(value, (int, float)) else f"`{value}`"
        else:
            assert "`" not in row, name


def test_the_readme_is_a_screen_and_a_half() -> None:
    lines = README.splitlines()
    assert len(lines) <= 100
    assert max(map(len, (line for line in lines if "](" not in line and line[:1] != "|"))) <= 220


COMMANDED = ["README.md", *(f"docs/{name}.md" for name in ("fleets", "security", "status", "ways"))]


@pytest.mark.parametrize("page", COMMANDED)
@newest
def test_every_command_of_a_page_prints_what_is_shown(page: str, pip: str, python: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    environment = fresh_environment(pip, python, armed=page != "README.md")
    wheels, folder = environment.fresh_dir(), environment.fresh_dir()
    for wheel in (supplies.product().wheel, supplies.wrapt_wheel(python)):
        shutil.copy(wheel, wheels)
    (folder / "requirements.txt").write_text("demo")
    scripts = environment.python.parent
    env: dict[str, Argument] = {"HOME": folder, "PATH": f"{scripts}:/usr/bin:/bin"}
    env.update(PIP_FIND_LINKS=wheels, PIP_CONFIG_FILE=folder / "pip.conf")
    with Lab([fatal()]) as lab:
        env["PIP_INDEX_URL"] = lab.index_url
        for command, shown in recipes.commands(text):
            started = programs.launch(["sh", "-c", command], env, folder)
            done = programs.finish(started, 120)
            assert done.returncode == 0, f"{command}\n{done.output}"
            for line in shown:
                assert re.search(pattern(line), done.output, re.MULTILINE), f"{line}\n{done.output}"


def pattern(line: str) -> str:
    """Match a line that is shown: `…` and `[...]` are left out, and numbers and folders differ."""
    whole = re.escape(" ".join(line.split()))
    for shown, printed in (
        (r"(\\\[\\\.\\\.\\\.\\\]|…)", ".*"),
        (r"[\d.\\]*\d", r"[\\d.]+"),
        (r"/\S*/", r"/\\S*/"),
        (r"\\ ", r"\\s+"),
    ):
        whole = re.sub(shown, printed, whole)
    return whole


def as_shown(text: str, lab: Lab) -> str:
    """Put what differs from run to run into the words of the README."""
    text = text.replace(lab.url.partition("://")[2], HOST)
    return re.sub(r"\d+ attempts? in [^;]*? brought", "8 attempts in 41 s brought", text)


@newest
def test_the_errors_of_the_readme_are_what_pip_prints(armed: Environment) -> None:
    cache = armed.fresh_dir()
    package = Package("demo", 40_000_000, [Cut(22_800_000)], forever=Cut(0))
    with Lab([package], rate=100_000_000) as lab:
        settings = cache / "pip.conf"
        settings.write_text("[global]\nretry-patch-attempts = 2\n", encoding="utf-8")
        env: dict[str, Argument] = {"PIP_CONFIG_FILE": settings, "COLUMNS": "400"}
        first = Download(armed, lab, cache=cache, env=env)
        assert first.run.returncode == 1
        error, going_on = "error: network-interrupted", "  Continuing "
        printed = as_shown(first.run.stderr, lab)
        texts = [block.text for block in recipes.blocks(README) if block.kind == "text"]
        (block,) = [text for text in texts if text.startswith(error)]
        assert block in printed, printed
        (line,) = [text.rstrip() for text in texts if text.startswith(going_on)]
    with Lab([Package("demo", 40_000_000)]) as lab:
        second = Download(armed, lab, cache=cache)
        second.assert_right()
        assert line in second.run.stdout.splitlines()


def texts_of(picture: str) -> list[str]:
    """Return the lines of text in an SVG."""
    lines: dict[str, str] = {}
    for y, text in re.findall(r'<text [^>]* y="([\d.]+)"[^>]*>([^<]*)</text>', picture):
        lines[y] = lines.get(y, "") + html.unescape(text).replace("\xa0", " ")
    return [line.strip() for line in lines.values()]


@newest
def test_the_picture_of_the_readme_shows_what_a_terminal_shows(armed: Environment) -> None:
    environment = copy_of(armed)
    faults = [Cut(8_000_000), Reset(9_000_000), Cut(5_800_000), Cut(6_000_000), Cut(4_000_000)]
    with Lab([Package("demo", 40_000_000, faults)], rate=15_000_000) as lab:
        env = {"PIP_INDEX_URL": lab.index_url}
        shown = screens.shown(environment, *COMMAND.split()[1:], env=env)
    assert shown.returncode == 0, shown.lines
    if os.environ.get(DRAW):
        title = f"What a terminal shows of {COMMAND}, on a network that drops"
        PICTURE.write_text(shown.picture(COMMAND, title), encoding="utf-8")
    drawn = texts_of(PICTURE.read_text(encoding="utf-8"))
    for line in shown.lines:
        if "demo-1.0 " in line or line == "Successfully installed demo-1.0":
            assert line.strip() in drawn
