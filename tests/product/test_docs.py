"""What the README and the docs show is what is printed."""

from __future__ import annotations

import html
import inspect
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from pip_retry_patch.failures import Tried
from pip_retry_patch.messages import Peer, Place

from pip_retry_patch import failures, messages, mirror_messages, odd_answers, settings
from pip_retry_patch.hooks import evidence
from tests.support import screens
from tests.support.certificates import Certificates
from tests.support.downloads import Download
from tests.support.environments import Factory, copy_of
from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST
from tests.support.programs import Argument

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURE = ROOT / "docs" / "images" / "terminal.svg"
DRAW = "PIP_RETRY_PATCH_TEST_DRAW_TERMINAL"
COMMAND = "pip install demo"

WHEEL, HOST, REFUSED = "demo-1.0-py3-none-any.whl", "files.example", "connection refused"
FIRST, MIRROR = "https://a.example/simple", "https://m.example/simple"
PAGE = "the page https://files.example/simple/demo/"
PLACE, PEER = Place(WHEEL, HOST, 22_800_000, 40_000_000), Peer(HOST)
PROXY = Peer(HOST, "proxy.example:3128", True)
BUSY = messages.busy(503)

# What each function that makes a line is called with, to make the one that the page shows.
LINES: dict[Any, tuple[Any, ...]] = {
    messages.resumed: (PLACE, messages.CLOSED_EARLY),
    messages.resumed_again: (PLACE, 4),
    messages.replayed: (PLACE, messages.CLOSED_EARLY),
    messages.waiting: (PLACE, REFUSED, messages.for_seconds(120)),
    messages.goes_on: (PLACE,),
    messages.interrupted_often: (WHEEL, 12, 41.0, 0),
    messages.continuing: (WHEEL, 22_800_000, 40_000_000),
    messages.restarted: (WHEEL,),
    messages.page_again: (PAGE,),
    messages.waiting_for_busy: (WHEEL, PEER, BUSY, 7),
    messages.trying_again: (PEER, messages.busy(503, 60), 60.0),
    messages.index_unread: (FIRST, REFUSED),
    messages.found_elsewhere: ("demo", "b.example", FIRST),
    messages.may_be_unread: (FIRST, REFUSED),
    odd_answers.odd_page: (PAGE, odd_answers.CAME_EMPTY),
    messages.accepted_short: (WHEEL, 40_000_000, 44_700_000),
    messages.decoded: (WHEEL, "gzip", HOST),
    messages.purged: (2, 45_600_000),
    messages.bad_setting: ("retry-patch-patience", "soon", "a number of seconds", "120"),
    messages.bad_mirror: ("retry-patch-mirrors", "ftp://m.example/x"),
    messages.unknown_setting: ("retry-patch-patiance", "retry-patch-patience"),
    messages.unusable_directory: ("/mnt/x", "it cannot be written to"),
    messages.unusable_log: ("/mnt/x", "Permission denied"),
    mirror_messages.mirror_serves: (FIRST, REFUSED, MIRROR),
    mirror_messages.mirror_serves_file: (WHEEL, HOST, REFUSED, "m.example", 22_800_000),
    mirror_messages.all_sources_failed: (WHEEL, REFUSED, messages.for_seconds(30)),
    mirror_messages.mirror_dropped: (WHEEL, MIRROR),
    mirror_messages.mirrors_of_another_index: (FIRST, "https://b.example/simple"),
    mirror_messages.stale: (FIRST, REFUSED, 2 * 86400.0),
}
FETCH = evidence.Fetch(WHEEL, False, HOST, 40_000_000, 40_000_000, "x", start=b"PK")
HEALED = [
    FETCH,
    FETCH._replace(continued=9),
    FETCH._replace(cached=True),
    FETCH._replace(media="text/html"),
]
WAITING_FOR_HOST = (WHEEL, PEER, REFUSED)
# Parts of lines, which stand in the lines above or in an error's second line.
PARTS = {"tunnel_refused", "no_progress", "certificate_refused", "stream_damaged", "for_seconds"}
PARTS |= {"up_to_attempts", "busy", "useless", "times", "waiting_for_host", "format_age", "answers"}

# What stands in the line of a page that may not be what the index has.
ODD_PAGES = [
    odd_answers.names_no_file("Links for demo"),
    odd_answers.for_people("Sign in", "login.example", "demo"),
    odd_answers.HAS_NO_END,
    odd_answers.IS_JSON,
]
PARTS |= {"names_no_file", "for_people"}

ERRORS: dict[Any, failures.Failure] = {
    failures.gave_up: failures.gave_up(PLACE, REFUSED, None, 8, 41.0, unreachable=False),
    failures.unreachable_host: failures.unreachable_host(
        WHEEL, PEER, REFUSED, Tried(), answered=False, offline=False
    ),
    failures.refused_tunnel: failures.refused_tunnel(WHEEL, PROXY, "403", Tried(), answered=False),
    failures.refused_certificate: failures.refused_certificate(WHEEL, PEER, "x", answered=False),
    failures.busy_host: failures.busy_host(WHEEL, PEER, BUSY, Tried(), helped=False),
    failures.asks_for_too_long: failures.asks_for_too_long(
        WHEEL, PEER, BUSY, Tried(), 3600.0, helped=False
    ),
    failures.broken_request: failures.broken_request(WHEEL, HOST, "x"),
    failures.index_refused: failures.index_refused(FIRST, 503, True),
}
# Those that begin as `gave_up` or `broken_request` does, and `with_kept`, which adds to one.
LIKE_OTHERS = {
    "refused",
    *("bad_redirect", "odd_status", "odd_coding", "bad_coding", "no_index_page"),
    *("web_page_for_file", "not_of_its_kind", "no_end"),
    "certificate",
    "web_page",
    "cut_page",
    "changed",
    "with_kept",
}


def makers(module: ModuleType) -> set[str]:
    return {
        name
        for name, made in inspect.getmembers(module, inspect.isfunction)
        if made.__module__ == module.__name__ and not name.startswith("_")
    }


def test_every_line_is_on_its_page() -> None:
    page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    shown = [make(*arguments) for make, arguments in LINES.items()]
    shown += [messages.waiting_for_host(*WAITING_FOR_HOST, 30, False)]
    shown += [messages.waiting_for_host(*WAITING_FOR_HOST, 120, True)]
    shown += [evidence.healed(WHEEL, fetch) for fetch in HEALED]
    shown += [odd_answers.odd_page(PAGE, what) for what in ODD_PAGES]
    shown += [error.message for error in ERRORS.values()]
    assert [line for line in shown if f"`{line}`" not in page] == []
    named = {make.__name__ for make in LINES} | PARTS
    errors = {make.__name__ for make in ERRORS} | LIKE_OTHERS
    lines = makers(messages) | makers(mirror_messages) | makers(odd_answers)
    assert lines - named - errors == set()
    assert makers(failures) - errors == set()


def test_every_setting_is_on_its_page_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, known in settings.table(settings.Settings(), {}).items():
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
    assert len(lines) <= 110
    assert max(map(len, (line for line in lines if "](" not in line and line[:1] != "|"))) <= 220


def as_shown(text: str, lab: Lab) -> str:
    """Put what differs from run to run into the words of the README."""
    text = text.replace(lab.url.partition("://")[2], HOST)
    return re.sub(r"\d+ attempts? in [^;]*? brought", "8 attempts in 41 s brought", text)


def test_the_errors_of_the_readme_are_what_pip_prints(
    armed: Factory, certificates: Certificates
) -> None:
    environment = armed(NEWEST, "3.13")
    cache = environment.fresh_dir()
    package = Package("demo", 40_000_000, [Cut(22_800_000)], forever=Cut(0))
    with Lab([package], rate=100_000_000) as lab:
        settings = cache / "pip.conf"
        settings.write_text("[global]\nretry-patch-attempts = 2\n", encoding="utf-8")
        env: dict[str, Argument] = {"PIP_CONFIG_FILE": settings, "COLUMNS": "400"}
        first = Download(environment, lab, certificates, cache=cache, env=env)
        assert first.run.returncode == 1
        error, going_on = "error: network-interrupted", "  Continuing "
        printed = as_shown(first.run.stderr, lab)
        (block,) = [block for block in screens.blocks(README, "text") if block[0] == error]
        assert "\n".join(block) in printed, printed
        (line,) = [b[0] for b in screens.blocks(README, "text") if b[0].startswith(going_on)]
    with Lab([Package("demo", 40_000_000)]) as lab:
        second = Download(environment, lab, certificates, cache=cache)
        second.assert_right()
        assert line in second.run.stdout.splitlines()


def texts_of(picture: str) -> list[str]:
    """Return the lines of text in an SVG."""
    lines: dict[str, str] = {}
    for y, text in re.findall(r'<text [^>]* y="([\d.]+)"[^>]*>([^<]*)</text>', picture):
        lines[y] = lines.get(y, "") + html.unescape(text).replace("\xa0", " ")
    return [line.strip() for line in lines.values()]


def test_the_picture_of_the_readme_shows_what_a_terminal_shows(armed: Factory) -> None:
    environment = copy_of(armed(NEWEST, "3.13"))
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
