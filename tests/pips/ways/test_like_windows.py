"""Every way that ends with a file removed or replaced, where an open file cannot be.

That is Windows, as far as Linux can be made like it: tests/support/like_windows.py says how far. It
is no proof for Windows. It shows that nothing here holds a file that it, or pip, is about to move.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import pytest

from tests.support.downloads import HASTY, OK, Download, end_of
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Compressed, Cut, Flip
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.like_windows import SITECUSTOMIZE
from tests.support.matrix import old_middle_new
from tests.support.partials import CLOSED_LATE, RATE, kept
from tests.support.programs import Argument

SIZE = 3_000_000
HALF = SIZE // 2

Get = Callable[..., Download]


class Windows(NamedTuple):
    """A pip that believes it, and the list of what was refused to it."""

    pip: Environment
    cache: Path
    env: dict[str, Argument]
    refused: Path

    def get(self, lab: Lab, **env: Argument) -> Download:
        return Download(self.pip, lab, cache=self.cache, env={**self.env, **env})

    def left(self) -> list[str]:
        """What is left of ours: in the store, and beside pip's files."""
        return [path.name for path in self.cache.glob("retry-patch/*")]


def like_windows(pip: Environment) -> Windows:
    site = pip.fresh_dir()
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
    refused = pip.fresh_dir() / "refused"
    refused.touch()
    env: dict[str, Argument] = {"PYTHONPATH": site, "REFUSED": refused}
    env["WRAPT_DISABLE_EXTENSIONS"] = "1"  # as import_wrapt has it on Windows
    return Windows(pip, pip.fresh_dir(), env, refused)


@pytest.fixture
def windows(armed: Environment) -> Iterator[Windows]:
    made = like_windows(armed)
    yield made
    assert made.refused.read_text() == ""


BITES = """
import os, pathlib, sys
from pip_retry_patch.store import kept
handle = os.open("locked", os.O_CREAT)
kept.lock(handle)
assert sys.modules["fcntl"] is None
assert "msvcrt" in sys.modules
for remove in (os.unlink, os.remove, lambda path: pathlib.Path(path).unlink(),
               lambda path: os.replace(path, "other"), lambda path: os.replace("third", path)):
    open("third", "w").close()
    with open("file", "w"):
        try:
            remove("file")
        except PermissionError:
            continue
    raise SystemExit("an open file was removed")
"""


@old_middle_new
def test_what_is_open_is_refused_here(armed: Environment) -> None:
    made = like_windows(armed)
    run = made.pip.run_python("-c", BITES, env=made.env)
    assert (run.returncode, run.output) == (0, "")
    assert len(made.refused.read_text().splitlines()) == 5


@old_middle_new
def test_a_plain_pip_works_here_and_the_fault_is_one(bare: Environment) -> None:
    plain = like_windows(bare)
    with Lab([Package("demo", SIZE)]) as lab:
        plain.get(lab).assert_right()
    with Lab([Package("demo", SIZE, [Cut(HALF)] * 20, chunked=True)]) as lab:
        assert end_of(plain.get(lab).run) != OK
    assert plain.refused.read_text() == ""


@old_middle_new
def test_the_store_is_used_with_locked_bytes_and_swept(windows: Windows) -> None:
    with Lab([Package("demo", SIZE, [Cut(HALF), *[Busy(404)] * 2])], rate=RATE) as lab:
        failed = windows.get(lab, **HASTY)
        failed.assert_clear_error()
        assert "is kept" in " ".join(failed.run.output.split())
        assert len(kept(windows.cache)) == 1
        again = windows.get(lab)
        again.assert_right()
        assert "Continuing demo-1.0" in again.run.output
        assert lab.sent("demo") <= len(lab.wheel("demo")) + CLOSED_LATE
    assert not windows.left()


@old_middle_new
def test_an_interrupted_download_is_healed_and_cached(windows: Windows) -> None:
    with Lab([Package("demo", SIZE, [Cut(HALF)] * 20, chunked=True)]) as lab:
        windows.get(lab).assert_right()
    assert not windows.left()


@old_middle_new
def test_a_damaged_file_is_replaced_by_a_fresh_one(windows: Windows) -> None:
    with Lab([Package("demo", SIZE, [Flip(HALF)])]) as lab:
        done = windows.get(lab)
        done.assert_right()
        assert len(done.run.warnings("damaged on its way")) == 1
    assert not windows.left()


@old_middle_new
def test_a_compressed_file_is_replaced_by_what_it_decodes_to(windows: Windows) -> None:
    with Lab([Package("demo", SIZE, [Compressed()])]) as lab:
        done = windows.get(lab)
        done.assert_right()
        assert len(done.run.warnings("Decoded, its hash fits")) == 1
    assert not windows.left()


@old_middle_new
def test_what_a_mirror_spoiled_goes_on_elsewhere_from_where_it_began(windows: Windows) -> None:
    digest = hashlib.sha256(Package("demo", SIZE).wheel()).hexdigest()
    index = Package("demo", SIZE, [Cut(HALF)], forever=Busy(503))
    liar = Other("demo", SIZE, hashes=digest)
    honest = Lab([Package("demo", SIZE)], rate=RATE)
    with Lab([index]) as lab, Lab([liar]) as first, honest as second:
        done = windows.get(lab, PIP_RETRY_PATCH_MIRRORS=f"{first.index_url}\n{second.index_url}")
        done.assert_right()
        assert len(done.run.warnings("sent other bytes")) == 1
        assert second.sent("demo") < len(second.wheel("demo"))
    assert not windows.left()


@old_middle_new
def test_no_letter_that_a_code_page_lacks_costs_a_line_or_a_download(windows: Windows) -> None:
    index = Package("demo", SIZE, [Cut(HALF)], forever=Busy(503))
    with Lab([index]) as lab, Lab([Package("demo", SIZE)]) as mirror:
        done = windows.get(
            lab,
            PYTHONIOENCODING="cp437",
            PIP_RETRY_PATCH_PATIENCE="много",
            PIP_RETRY_PATCH_MIRRORS=f"http://127.0.0.1:9/имя/\n{mirror.index_url}",
        )
        done.assert_right()
        assert len(done.run.warnings("must be a number of seconds, not '?????'")) == 1
        assert len(done.run.warnings("Going on with")) == 1, done.run.output
        assert "Logging error" not in done.run.output


class Other(Package):
    """A mirror's: other bytes, though its page lists the right hash."""

    def artifact(self, generation: int = 0) -> bytes:
        whole = bytearray(super().artifact(generation))
        whole[-5000:] = bytes(5000)
        return bytes(whole)
