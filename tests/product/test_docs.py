"""What the README and the docs show is what is printed."""

from __future__ import annotations

import html
import os
import re
import string
from pathlib import Path

from pip_retry_patch import settings, wording
from pip_retry_patch.hooks import mismatch
from pip_retry_patch.wording import Peer, Place, Tried
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
CLOSED = {"place": PLACE, "why": wording.CLOSED_EARLY}
UNREAD = {"index": FIRST, "why": REFUSED}
LOST = {"peer": PEER, "why": REFUSED, "name": WHEEL}
PATIENCE = "retry-patch-patience"

# What each line is made of, to make the one that the page shows.
LINES: dict[str, dict[str, object]] = {
    "continuing": {"place": PLACE},
    "resumed": CLOSED,
    "resumed often": {**CLOSED, "count": 4},
    "goes on": {"place": PLACE},
    "replayed": CLOSED,
    "waits": {"place": PLACE, "why": REFUSED, "left": "for 120 s"},
    "cut often": {"name": WHEEL, "count": 12, "pause": ", waited 41 s", "twice": "nothing"},
    "restarted": {"name": WHEEL},
    "accepted short": {"name": WHEEL, "said": "44.7 MB", "size": "40.0 MB"},
    "decoded": {"name": WHEEL, "coding": "gzip", "host": HOST},
    "taken": {"name": PAGE},
    "host away": {**LOST, "seconds": 120},
    "host unreachable": {**LOST, "seconds": 30},
    "host busy": {**LOST, "why": wording.busy(503)},
    "long wait": {"peer": PEER, "why": wording.busy(503, 60), "seconds": 60},
    "index unread": UNREAD,
    "found elsewhere": {"project": "demo", "places": "b.example", "index": FIRST},
    "may be unread": UNREAD,
    "stale": {**UNREAD, "age": wording.format_age(2 * 86400)},
    "mirror serves": {**UNREAD, "mirror": MIRROR},
    "mirror serves file": {
        **{"host": HOST, "name": WHEEL, "so_far": " after 22.8 MB"},
        **{"why": REFUSED, "mirror": "m.example"},
    },
    "all failed": {"name": WHEEL, "why": REFUSED, "seconds": 30},
    "mirror dropped": {"mirrors": MIRROR, "name": WHEEL},
    "mirrors of another": {"intended": FIRST, "index": "https://b.example/simple"},
    "bad setting": {
        **{"key": PATIENCE, "wanted": "a number of seconds"},
        **{"value": "soon", "default": "120"},
    },
    "bad mirror": {"key": "retry-patch-mirrors", "value": "ftp://m.example/x"},
    "unknown setting": {"key": "retry-patch-patiance", "meant": f" Did you mean {PATIENCE}?"},
    "unusable directory": {"path": "/mnt/x", "why": "it cannot be written to"},
    "unusable log": {"path": "/mnt/x", "why": "permission denied"},
    "purged": {"count": 2, "size": "45.6 MB"},
}
# Which parts are added to a line where there is room.
ADDED = {
    "waits": ["trying"],
    "host away": ["for it"],
    "host unreachable": ["for it"],
    "host busy": ["for it"],
}
PARTS = {"trying", "for it", "left"}
# What stands in the line of a page that may not be what the index has.
ODD_PAGES: dict[str, dict[str, object]] = {
    "came empty": {},
    "has no end": {},
    "is JSON": {},
    "names no file": {"title": wording.titled("Links for demo")},
    "for people": {
        **{"title": wording.titled("Sign in"), "whence": " from login.example"},
        **{"project": "demo"},
    },
}
FACTS = {
    **{"place": PLACE, "peer": PEER, "name": WHEEL, "host": HOST, "why": REFUSED},
    **{"tried": Tried(), "index": FIRST, "seconds": 3600.0},
}
OF_PROXY = ("proxy unreachable", "proxy refuses")


def facts_of(text: str) -> set[str]:
    """Return the names in the braces of a text."""
    fields = (field for _, field, _, _ in string.Formatter().parse(text) if field)
    return {re.split(r"[.\[]", field)[0] for field in fields}


def test_every_line_is_on_its_page() -> None:
    page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    assert wording._LINES.keys() == LINES.keys() | PARTS | ODD_PAGES.keys()
    shown = [wording.say(kind, *ADDED.get(kind, ()), **facts) for kind, facts in LINES.items()]
    odd = {kind: wording.say(kind, **facts) for kind, facts in ODD_PAGES.items()}
    shown += [f"But {PAGE} {what}." for what in odd.values()]
    came = [*mismatch._CAME.values(), mismatch._DAMAGED]
    shown += [f"{how.format(name='demo-1.0')} Fetched anew, its hash fits." for how in came]
    for kind, (message, *_) in wording._FAILURES.items():
        peer = PROXY if kind in OF_PROXY else PEER
        assert facts_of(message) <= FACTS.keys(), kind
        shown.append(message.format(**{**FACTS, "peer": peer}))
    assert [line for line in shown if f"`{line}`" not in page] == []


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
