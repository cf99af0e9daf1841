"""What some tests need of the system, which not every one has."""

from __future__ import annotations

import os

import pytest

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root gives a file away")
needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make a link")
needs_posix = pytest.mark.skipif(os.name == "nt", reason="it is about users, modes and FIFOs")
