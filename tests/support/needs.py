"""What some tests need of the system, which not every one has."""

from __future__ import annotations

import os

import pytest

needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make a link")
needs_posix = pytest.mark.skipif(os.name == "nt", reason="it is about users, modes and FIFOs")
