"""The recipes of docs/docker.md, as they stand there."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.support.directories import CHECKOUT

PAGE = CHECKOUT / "docs" / "docker.md"
_HEADING_OR_BLOCK = re.compile(
    r"^## (?P<heading>[^\n]+)$|^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Recipe(NamedTuple):
    """A block of the page: a Dockerfile, or lines that begin with `$`."""

    heading: str
    kind: str
    text: str


def recipes() -> list[Recipe]:
    """All of them, in the order of the page."""
    found, heading = [], ""
    for match in _HEADING_OR_BLOCK.finditer(PAGE.read_text()):
        heading = match["heading"] or heading
        if match["kind"]:
            found.append(Recipe(heading, match["kind"], match["text"]))
    return found


RECIPES = recipes()
taken: list[Recipe] = []


def recipe(heading: str, kind: str = "dockerfile", number: int = 0) -> str:
    """One of them, which counts as run from then on. Raises IndexError where it is not there."""
    chosen = [each for each in RECIPES if (each.heading, each.kind) == (heading, kind)][number]
    taken.append(chosen)
    return chosen.text
