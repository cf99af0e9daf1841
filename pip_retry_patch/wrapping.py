"""wrapt, wherever it is installed."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any


def wrapt() -> Any:
    """Import wrapt: only when something is wrapped, so that nobody else pays for it.

    In an environment that is only linked (linking.py) it is not on the path, but beside this
    package.
    """
    if "wrapt" in sys.modules:
        return sys.modules["wrapt"]
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        return importlib.import_module("wrapt")
    finally:
        sys.path.pop()
