"""The lines that a user reads of mirrors and of stale pages; like messages.py in all else.

They are apart because nobody pays for them who has set neither.
"""

from __future__ import annotations

from pip_retry_patch.names import clean, format_size, short

# Of a host that delivered nothing a moment ago.
RESTS = "it delivered nothing a moment ago"


def mirror_serves(index: str, why: str, mirror: str) -> str:
    """An index delivers nothing now; from here on its pages come from a mirror."""
    return f"{index} cannot be read now ({why}). Reading the mirror {mirror} in its place."


def mirror_serves_file(name: str, host: str, why: str, mirror: str, offset: int) -> str:
    """A file comes from a mirror, from `offset` on."""
    so_far = f" after {format_size(offset)}" if offset else ""
    what = f"{short(name)}{so_far}"
    return f"{clean(host)} does not deliver {what} ({why}). Going on with {clean(mirror)}."


def all_sources_failed(name: str, why: str, left: str) -> str:
    return (
        f"Neither the index nor a mirror delivers {short(name)} now ({why}). Trying again {left}."
    )


def mirror_dropped(name: str, mirrors: str) -> str:
    return (
        f"{clean(mirrors)} sent other bytes of {short(name)} than its hash is of. It is not asked "
        "again in this run."
    )


def mirrors_of_another_index(mirrors_of: str, index: str) -> str:
    return (
        f"pip-retry-patch: retry-patch-mirrors is set for the index {mirrors_of}. It is not used "
        f"for {index}."
    )


def stale(index: str, why: str, age: float) -> str:
    """Pages of an index that cannot be read come from pip's cache."""
    return (
        f"The index {index} cannot be read ({why}). Taking its pages from pip's cache, up to "
        f"{format_age(age)} old: newer versions are not seen."
    )


def format_age(seconds: float) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "a minute"


def answers(status: int) -> str:
    return f"it answers {status}"
