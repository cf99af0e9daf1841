"""What a reader copies from the docs, as it stands there: Dockerfiles, and commands."""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple

from tests.support.directories import CHECKOUT

PAGE = CHECKOUT / "docs" / "fleets.md"
_HEADING_OR_BLOCK = re.compile(
    r"^## (?P<heading>[^\n]+)$|^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Recipe(NamedTuple):
    """A block of a page: a Dockerfile, lines that begin with `$`, or other text."""

    heading: str
    kind: str
    text: str


def blocks(page: str) -> Iterator[Recipe]:
    """Yield them in the order of the page."""
    heading = ""
    for match in _HEADING_OR_BLOCK.finditer(page):
        heading = match["heading"] or heading
        if match["kind"]:
            yield Recipe(heading, match["kind"], match["text"])


def commands(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a page, and the lines that it prints. Docker's are recipes."""
    for block in blocks(page):
        if block.kind == "console" and not block.text.startswith("$ docker"):
            for typed in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, *printed = typed.splitlines()
                yield command, printed


RECIPES = [
    block
    for block in blocks(PAGE.read_text(encoding="utf-8"))
    if block.kind != "console" or block.text.startswith("$ docker")
]
taken: list[Recipe] = []


def recipe(heading: str, kind: str = "dockerfile", number: int = 0) -> str:
    """One of them, which counts as run from then on. Raises IndexError where it is not there."""
    chosen = [each for each in RECIPES if (each.heading, each.kind) == (heading, kind)][number]
    taken.append(chosen)
    return chosen.text
