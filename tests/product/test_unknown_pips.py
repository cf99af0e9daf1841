"""Pips that nobody has seen yet: they work, and they heal where they can."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, Sequence

from tests.support.breakage import Breakage, each_pip


class Edit(NamedTuple):
    """A change to pip: in each of these files a pattern becomes another text."""

    changes: Sequence[tuple[str, str, str]]  # a glob below pip, a pattern, a text
    heals: bool = True  # whether a cut download must still heal
    moved: tuple[str, str] | None = None


EVERYWHERE = "_internal/**/*.py"
SESSION, PREPARE = "_internal/network/session.py", "_internal/operations/prepare.py"
DOWNLOAD, TALK = "_internal/network/download.py", "_internal/network/talk.py"
POOL, ADAPTERS = "_vendor/urllib3/connectionpool.py", "_vendor/requests/adapters.py"
FROZEN = """class Frozen(type):
    def __setattr__(cls, name, value):
        raise TypeError('frozen')


class PipSession(requests.Session, metaclass=Frozen):"""
REQUEST = """def request(self, *given, **kwargs):
        method, url, *args = given
"""
MORE = """
plain = Downloader.__call__
Downloader.__call__ = lambda *given: (*plain(*given), None)
"""
RENAMED = {  # and whether a cut download must still heal
    "PipSession": False,
    "Downloader": True,
    "check_against_path": True,
    "HashMismatch": False,
    "DiagnosticPipError": True,
    "Configuration": False,
    "commands_dict": False,
    "url_without_fragment": True,
}
EDITS = {
    **{
        f"{name}-renamed": Edit([(EVERYWHERE, rf"\b{name}\b", f"other_{name}")], heals)
        for name, heals in RENAMED.items()
    },
    "session-moved": Edit(
        [(EVERYWHERE, r"network\.session\b", "network.talk")], False, moved=(SESSION, TALK)
    ),
    "session-without-urllib3": Edit(
        [
            (SESSION, r"^(from pip\._vendor import .*urllib3)$", r"\1 as lib"),
            (SESSION, r"(?<![\w.])urllib3\.(?=[A-Z])", "lib."),
        ],
        False,
    ),
    "session-class-frozen": Edit(
        [(SESSION, r"class PipSession\(requests\.Session\):", FROZEN)], False
    ),
    "request-takes-other-arguments": Edit([(SESSION, r"def request\(self, method.*\n", REQUEST)]),
    "downloader-called-by-name": Edit(
        [
            (
                PREPARE,
                r"\bdownload\(link, temp_dir\.path\)",
                "download(location=temp_dir.path, link=link)",
            )
        ]
    ),
    "downloader-returns-more": Edit(
        [
            (PREPARE, r"from_path, content_type = (?=download\()", "from_path, content_type, _ = "),
            (DOWNLOAD, r"\Z", MORE),
        ]
    ),
    "urlopen-renamed": Edit(
        [
            (POOL, r"\burlopen(?=\()", "open_url"),
            (ADAPTERS, r"\bconn\.urlopen\b", "conn.open_url"),
        ]
    ),
    "tee-hides-its-source-elsewhere": Edit(
        [("_vendor/cachecontrol/filewrapper.py", r"__fp\b", "__source")]
    ),
    "cache-without-directory": Edit(
        [("_internal/network/cache.py", r"self\.directory\b", "self.folder")]
    ),
}


def edited(pip: Path, edit: Edit) -> dict[Path, str | None]:
    """Return what the edit makes of the files of a pip."""
    texts: dict[Path, str | None] = {}
    for files, pattern, new in edit.changes:
        for path in pip.glob(files):
            source = texts.get(path) or path.read_text(encoding="utf-8")
            text = re.sub(pattern, new, source, flags=re.MULTILINE)
            if text != source:
                texts[path] = text
    if edit.moved:
        old, to = (pip / name for name in edit.moved)
        texts[to] = texts.get(old) or old.read_text(encoding="utf-8")
        texts[old] = None
    return texts


@each_pip
def test_pip_may_be_another_one(broken: Breakage) -> None:
    tried = 0
    for name, edit in EDITS.items():
        texts = edited(broken.site_packages / "pip", edit)
        if not texts:
            continue  # this pip has no such thing
        tried += 1
        with broken.changed(texts):
            try:
                broken.assert_clean_download()
                if edit.heals:
                    broken.assert_heals()
                else:
                    broken.assert_cut_ends_no_worse()
            except AssertionError as error:
                raise AssertionError(name) from error
    assert tried >= len(EDITS) - 1
