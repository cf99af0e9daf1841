"""How the charts and tables look: readable on a light and a dark page, and by the colour-blind.

SVG without a background, grey text, the colours of Okabe and Ito. The same figures give the same
file, byte for byte, so that a chart only changes in git when its figures do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt

GREY, BLUE, ORANGE, GREEN, PINK = "#808080", "#2490d0", "#e69f00", "#009e73", "#cc79a7"
VERMILION, SKY = "#d55e00", "#56b4e9"


@contextmanager
def chart(path: Path, **options: Any) -> Iterator[Any]:
    """Give axes to draw on, and write them as SVG. `options`: for `matplotlib.pyplot.subplots`."""
    grey = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: Any = dict.fromkeys(grey, GREY)
    style |= {"svg.hashsalt": path.stem, "font.size": 10, "legend.frameon": False}
    style |= {"axes.spines.top": False, "axes.spines.right": False}
    with plt.rc_context(style):
        figure, axes = plt.subplots(**options)
        yield axes
        figure.tight_layout()
        figure.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(figure)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Write a Markdown table; the first column to the left, the others to the right."""
    heading, *lines = (f"| {' | '.join(line)} |" for line in (head, *rows))
    return "\n".join([heading, "|---" + "|---:" * (len(head) - 1) + "|", *lines])
