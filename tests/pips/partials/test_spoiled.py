"""What became of a kept file between two runs never makes a wrong file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

from tests.support.downloads import Download
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import SIZE, continuing, kept, stored


def _truncate(path: Path) -> None:
    os.truncate(path, 1_500_000)


def _behead(path: Path) -> None:
    os.truncate(path, 100)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _extend(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(700_000))


def _overextend(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(SIZE))


def _fill_up(path: Path) -> None:
    """As it is on a file system that gives a file its last size first."""
    os.truncate(path, len(Package("demo", SIZE).wheel(0)))


def _alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[1000] ^= 0xFF
    path.write_bytes(data)


def _zero(path: Path) -> None:
    """As a power cut leaves it: the size is there, the last bytes are not."""
    size = path.stat().st_size
    os.truncate(path, size - 300_000)
    os.truncate(path, size)


def _garble_beginning(path: Path) -> None:
    path.write_bytes(os.urandom(4096) + path.read_bytes()[4096:])


def _rename(path: Path) -> None:
    path.rename(path.with_name("other.whl"))


def _add_a_shorter_file(path: Path) -> None:
    path.with_name("other.whl").write_bytes(os.urandom(2_000_000))


def _add_a_longer_file(path: Path) -> None:
    path.with_name("other.whl").write_bytes(os.urandom(4_000_000))


def _replace_by_link(path: Path) -> None:
    path.rename(_outside(path))
    path.symlink_to(_outside(path))


def _second_name(path: Path) -> None:
    os.link(path, _outside(path))


def _outside(path: Path) -> Path:
    """Return a path that is not in the store."""
    return path.parents[2] / "outside"


def _give_away(path: Path) -> None:
    os.chown(path, 12345, 12345)


def _make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory_in_the_way(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _give_folder_away(path: Path) -> None:
    os.chown(path.parent, 12345, 12345)


def _replace_folder_by_link(path: Path) -> None:
    path.parent.rename(_outside(path))
    path.parent.symlink_to(_outside(path))


def _replace_folder_by_file(path: Path) -> None:
    path.parent.rename(_outside(path))
    path.parent.write_bytes(bytes(SIZE // 2))


def _remove_lock(path: Path) -> None:
    _lock(path).unlink()


def _replace_lock_by_link(path: Path) -> None:
    _outside(path).write_text("not ours")
    _lock(path).unlink()
    _lock(path).symlink_to(_outside(path))


def _replace_lock_by_pipe(path: Path) -> None:
    _lock(path).unlink()
    os.mkfifo(_lock(path))


def _lock(path: Path) -> Path:
    return path.parent.with_name(f"{path.parent.name}.lock")


# What is done to the kept file, and what then comes: it goes on, it goes on and has to be fetched
# again because the hash does not fit, or it is not used.
GOES_ON, AGAIN, NOT_USED = "goes on", "again", "not used"
SPOILED: list[tuple[Callable[[Path], None], str]] = [
    (_truncate, GOES_ON),
    (_behead, NOT_USED),
    (_empty, NOT_USED),
    (_extend, AGAIN),
    (_overextend, NOT_USED),
    (_fill_up, AGAIN),
    (_alter, AGAIN),
    (_zero, AGAIN),
    (_garble_beginning, AGAIN),
    (_rename, GOES_ON),
    (_add_a_shorter_file, GOES_ON),
    (_add_a_longer_file, AGAIN),
    (_replace_by_link, NOT_USED),
    (_second_name, NOT_USED),
    (_give_away, NOT_USED),
    (_make_pipe, NOT_USED),
    (_directory_in_the_way, NOT_USED),
    (_give_folder_away, NOT_USED),
    (_replace_folder_by_link, NOT_USED),
    (_replace_folder_by_file, NOT_USED),
    (_remove_lock, GOES_ON),
    (_replace_lock_by_link, NOT_USED),
    (_replace_lock_by_pipe, NOT_USED),
]
# What is not ours stays as it is. (A file of another user in a folder of ours goes with it.)
STAYS = (
    _give_folder_away,
    _replace_folder_by_link,
    _replace_folder_by_file,
    _replace_lock_by_link,
    _replace_lock_by_pipe,
)


@pytest.mark.parametrize(("spoil", "end"), SPOILED, ids=[s.__name__[1:] for s, _ in SPOILED])
@old_middle_new
def test_a_spoiled_file_never_makes_a_wrong_file(
    spoil: Callable[[Path], None], end: str, armed: Environment
) -> None:
    cache = armed.fresh_dir()
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        (file,) = kept(cache)
        folder = file.parent
        spoil(file)
        outside = _contents(_outside(file))
        done = Download(armed, lab, cache=cache)
        assert done.run.returncode == 0, done.run.output
        assert done.file.read_bytes() == lab.wheel("demo")
        shown = bool(continuing(done)) or spoil is _fill_up  # nothing is missing, so it seems
        assert shown == (end is not NOT_USED)
        assert len(done.run.warnings()) == (end is AGAIN), done.run.output
        ranges = [request.range for request in lab.requests("demo", "artifact")[3:]]
        if end is AGAIN:
            assert done.run.warnings("What an earlier run had kept of demo-1.0 was removed.")
            assert ranges[-1] is None and len(ranges) in (2, 3)
        elif end is NOT_USED:
            assert ranges == [None]
        assert (folder in stored(cache)) == (spoil in STAYS)
        assert bool(stored(cache)) == (spoil in STAYS)
        assert _contents(_outside(file)) == outside


def _contents(path: Path) -> bytes | None:
    """Return what is in a file, or in the only file of a folder."""
    if path.is_dir():
        (path,) = path.iterdir()
    return path.read_bytes() if path.exists() else None
