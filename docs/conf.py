"""The docs as a site: `nox -s docs`. Each page is written once, as GitHub shows it."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "pip-retry-patch"
author = "pip-retry-patch contributors"
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "pip-retry-patch"
exclude_patterns = ["_build"]
nitpicky = True
# Python's words are console sessions and Dockerfiles with a `…` in them, which no lexer takes.
suppress_warnings = ["misc.highlighting_failure"]

# Pages of the site that stand above docs/ for GitHub and PyPI.
ABOVE = {
    "index": "README.md",
    "contributing": "CONTRIBUTING.md",
    "changelog": "CHANGELOG.md",
    "conduct": "CODE_OF_CONDUCT.md",
    "vulnerabilities": "SECURITY.md",
}


def _read(app: object, docname: str, source: list[str]) -> None:
    """Put in pages that stand above docs/, and let links lead where the site has the page."""
    text = source[0]
    if docname in ABOVE:
        text = (ROOT / ABOVE[docname]).read_text(encoding="utf-8") + "\n" + text
        text = text.replace("](docs/", "](")
    for page, name in ABOVE.items():
        text = re.sub(rf"\]\((\.\./)?{re.escape(name)}", f"]({page}.md", text)
    source[0] = text


def setup(app: object) -> None:
    app.connect("source-read", _read)  # type: ignore[attr-defined]
