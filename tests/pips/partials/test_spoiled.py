"""What became of a partial between two runs never makes a wrong file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

from tests.support.lab.faults import Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.certificates import Certificates
from tests.support.downloads import Download
from tests.support.environments import Factory
from tests.support.partials import HEADER, SIZE, SOME, continuing, kept


def _truncate(path: Path) -> None:
    os.truncate(path, HEADER + 1_500_000)


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


def _alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[HEADER + 1000] ^= 0xFF
    path.write_bytes(data)


def _zero(path: Path) -> None:
    """As a power cut leaves it: the size is there, the last bytes are not."""
    size = path.stat().st_size
    os.truncate(path, size - 300_000)
    os.truncate(path, size)


def _garble_header(path: Path) -> None:
    path.write_bytes(os.urandom(HEADER) + path.read_bytes()[HEADER:])


def _replace_by_link(path: Path) -> None:
    moved = path.with_name("moved")
    path.rename(moved)
    path.symlink_to(moved)


def _second_name(path: Path) -> None:
    os.link(path, path.with_name("second"))


def _give_away(path: Path) -> None:
    os.chown(path, 12345, 12345)


def _make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory_in_the_way(path: Path) -> None:
    path.unlink()
    path.mkdir()


# What is done to the partial, and what then comes: it goes on, it goes on and has to be fetched
# again because the hash does not fit, or it is not used.
GOES_ON, AGAIN, NOT_USED = "goes on", "again", "not used"
SPOILED: list[tuple[Callable[[Path], None], str]] = [
    (_truncate, GOES_ON),
    (_behead, NOT_USED),
    (_empty, NOT_USED),
    (_extend, AGAIN),
    (_overextend, NOT_USED),
    (_alter, AGAIN),
    (_zero, AGAIN),
    (_garble_header, NOT_USED),
    (_replace_by_link, NOT_USED),
    (_second_name, NOT_USED),
    (_give_away, NOT_USED),
    (_make_pipe, NOT_USED),
    (_directory_in_the_way, NOT_USED),
]


@pytest.mark.parametrize(("spoil", "end"), SPOILED, ids=[s.__name__[1:] for s, _ in SPOILED])
@SOME
def test_a_spoiled_partial_never_makes_a_wrong_file(
    spoil: Callable[[Path], None],
    end: str,
    pip: str,
    python: str,
    armed: Factory,
    certificates: Certificates,
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    with Lab([Package("demo", SIZE, [Cut(SIZE // 2), *[Busy(404)] * 2])]) as lab:
        Download(environment, lab, certificates, cache=cache).assert_clear_error()
        (partial,) = kept(cache)
        spoil(partial)
        done = Download(environment, lab, certificates, cache=cache)
        assert done.run.returncode == 0, done.run.output
        assert done.file.read_bytes() == lab.wheel("demo")
        assert bool(continuing(done)) == (end is not NOT_USED)
        assert len(done.run.warnings()) == (end is AGAIN), done.run.output
        if end is AGAIN:
            assert done.run.warnings("what an earlier run had kept of it was damaged")
            assert lab.requests("demo", "artifact")[-1].range is None
        left = [path.name for path in kept(cache) if path.suffix == ".partial"]
        stays = spoil in (_directory_in_the_way, _give_away)
        assert left == ([partial.name] if stays else [])
        if spoil is _replace_by_link:
            assert partial.with_name("moved").stat().st_size == SIZE // 2 + HEADER
