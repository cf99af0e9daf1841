"""What the README and the docs show is what is printed."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest

from benchmarks.__main__ import PAGE, page
from pip_retry_patch import settings, wording
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
PICTURE = (ROOT / "docs" / "images" / "terminal.svg").read_text(encoding="utf-8")


def shown_as(template: str) -> str:
    """Match a text of ours on a page; what stands in its braces differs."""
    return "`[^`\n]*" + re.sub(r"\\\{[^{}]*\\\}", "[^`\n]*", re.escape(template)) + "[^`\n]*`"


def test_every_line_is_on_its_page() -> None:
    templates = [*wording._LINES.values(), *(parts[0] for parts in wording._FAILURES.values())]
    assert [line for line in templates if not re.search(shown_as(line), MESSAGES)] == []


def test_every_setting_is_on_its_page_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, known in settings.table(settings.Settings()).items():
        (row,) = re.findall(rf"^\| `{name}` \| (.*?) \|", page, re.MULTILINE)
        shown = settings.shown(name, known["value"])
        assert row == (shown if shown == "none" else f"`{shown}`"), name


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
        # What differs from run to run is put into the words of the README.
        printed = first.run.stderr.replace(lab.url.partition("://")[2], "files.example")
        printed = re.sub(r"\d+ attempts? in [^;]*? brought", "8 attempts in 41 s brought", printed)
        texts = [block.text for block in recipes.blocks(README) if block.kind == "text"]
        (block,) = [text for text in texts if text.startswith(error)]
        assert block in printed, printed
        (line,) = [text.rstrip() for text in texts if text.startswith(going_on)]
    with Lab([Package("demo", 40_000_000)]) as lab:
        second = Download(armed, lab, cache=cache).assert_right()
        assert line in second.run.stdout.splitlines()


@newest
def test_the_picture_of_the_readme_shows_what_a_terminal_shows(armed: Environment) -> None:
    environment = copy_of(armed)
    faults = [Cut(8_000_000), Reset(9_000_000), Cut(5_800_000), Cut(6_000_000), Cut(4_000_000)]
    with Lab([Package("demo", 40_000_000, faults)], rate=15_000_000) as lab:
        env = {"PIP_INDEX_URL": lab.index_url}
        shown = screens.shown(environment, "install", "demo", env=env)
    assert shown.returncode == 0, shown.lines
    drawn: dict[str, str] = {}  # the lines of text, by where they are
    for y, text in re.findall(r'<text [^>]* y="([\d.]+)"[^>]*>([^<]*)</text>', PICTURE):
        drawn[y] = drawn.get(y, "") + html.unescape(text).replace("\xa0", " ")
    for line in shown.lines:
        if "demo-1.0 " in line or line == "Successfully installed demo-1.0":
            assert line.strip() in map(str.strip, drawn.values())


def test_the_page_of_the_benchmarks_is_what_the_kept_figures_give() -> None:
    """Nobody wrote a nicer figure by hand."""
    written = PAGE.read_text()
    assert page(written) == written
