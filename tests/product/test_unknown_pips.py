"""Pips that nobody has seen yet: they work, and they heal where they can."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, Sequence

from tests.support.breakage import Breakage, each_pip


class Edit(NamedTuple):
    """A change to pip: in each of these files a pattern becomes another text."""

    name: str
    changes: Sequence[tuple[str, str, str]]  # a glob below pip, a pattern, a text
    heals: bool = False  # whether a cut download must still heal
    moved: tuple[str, str] | None = None


def renamed(name: str, new: str, heals: bool = False) -> Edit:
    return Edit(f"{name}-renamed", [("_internal/**/*.py", rf"\b{name}\b", new)], heals)


SESSION = "_internal/network/session.py"
PREPARE = "_internal/operations/prepare.py"
EDITS = [
    renamed("PipSession", "Session"),
    renamed("Downloader", "Fetcher", heals=True),
    renamed("check_against_path", "check_against_disk", heals=True),
    renamed("HashMismatch", "WrongHash"),
    renamed("DiagnosticPipError", "PrettyPipError", heals=True),
    renamed("Configuration", "Configs"),
    renamed("commands_dict", "all_commands"),
    renamed("url_without_fragment", "bare_url", heals=True),
    Edit(
        "session-moved",
        [("_internal/**/*.py", r"network\.session\b", "network.talk")],
        moved=(SESSION, "_internal/network/talk.py"),
    ),
    Edit(
        "session-without-urllib3",
        [
            (SESSION, r"^(from pip\._vendor import .*urllib3)$", r"\1 as lib"),
            (SESSION, r"(?<![\w.])urllib3\.(?=[A-Z])", "lib."),
        ],
    ),
    Edit(
        "session-class-frozen",
        [
            (
                SESSION,
                r"class PipSession\(requests\.Session\):",
                "class Frozen(type):\n"
                "    def __setattr__(cls, name, value):\n"
                "        raise TypeError('frozen')\n\n\n"
                "class PipSession(requests.Session, metaclass=Frozen):",
            )
        ],
    ),
    Edit(
        "request-takes-other-arguments",
        [
            (
                SESSION,
                r"def request\(self, method.*\n",
                "def request(self, *given, **kwargs):\n        method, url, *args = given\n",
            )
        ],
        heals=True,
    ),
    Edit(
        "downloader-called-by-name",
        [
            (
                PREPARE,
                r"\bdownload\(link, temp_dir\.path\)",
                "download(location=temp_dir.path, link=link)",
            )
        ],
        heals=True,
    ),
    Edit(
        "downloader-returns-more",
        [
            (PREPARE, r"from_path, content_type = (?=download\()", "from_path, content_type, _ = "),
            (
                "_internal/network/download.py",
                r"\Z",
                "\nplain = Downloader.__call__\n"
                "Downloader.__call__ = lambda *given: (*plain(*given), None)\n",
            ),
        ],
        heals=True,
    ),
    Edit(
        "urlopen-renamed",
        [
            ("_vendor/urllib3/connectionpool.py", r"\burlopen(?=\()", "open_url"),
            ("_vendor/requests/adapters.py", r"\bconn\.urlopen\b", "conn.open_url"),
        ],
        heals=True,
    ),
    Edit(
        "tee-hides-its-source-elsewhere",
        [("_vendor/cachecontrol/filewrapper.py", r"__fp\b", "__source")],
        heals=True,
    ),
    Edit(
        "cache-without-directory",
        [("_internal/network/cache.py", r"self\.directory\b", "self.folder")],
        heals=True,
    ),
]


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
    for edit in EDITS:
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
                raise AssertionError(edit.name) from error
    assert tried >= len(EDITS) - 1
