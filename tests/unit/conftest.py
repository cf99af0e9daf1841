"""What of the unit tests needs a POSIX system, and is not collected elsewhere (docs/windows.md)."""

from __future__ import annotations

import os

from hypothesis import settings

# A busy machine is no reason to fail, and mutmut makes each call several times as slow.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# They fork, change users, and lock with fcntl. What they are about is shown for Windows by
# store/test_systems.py, with its locks handed in.
POSIX = [
    "commands/test_written_links.py",
    "fuzz/test_store.py",
    "hooks/test_library.py",
    "store/test_directory.py",
    "store/test_partials.py",
    "store/test_writer.py",
]
collect_ignore = [] if os.name == "posix" else POSIX
