"""What is done about a file that does not fit its hash, with a pip that is only a few lines."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pip_retry_patch import failures
from pip_retry_patch.hooks.mismatch import Download, FileRing


def wheel(content: bytes) -> bytes:
    """Return a zip file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr(zipfile.ZipInfo("demo.py"), content)
    return made.getvalue()


RIGHT = wheel(bytes(range(200)) * 10)
WRONG = wheel(bytes(2000))
OTHER = wheel(bytes(1999) + b"x")


class MismatchError(Exception):
    """Stands for pip's HashMismatch."""


class Artifact:
    """A link, and what each fetch of it brings: bytes, or an error. `cache` is pip's."""

    name, host, media = "demo-1.0-py3-none-any.whl", "files.example", ""
    cached, continued = False, None
    announced: int | None = len(RIGHT)

    def __init__(self, *fetches: bytes | Exception, coding: str = "") -> None:
        self.fetches = list(fetches)
        self.coding = coding
        self.part = False
        self.cache: bytes | None = None
        self.kept = False
        self.fresh: list[bool] = []
        self.told = ""

    def fetch(self, location: str, fresh: bool) -> Download:
        self.fresh.append(fresh)
        found = self.fetches.pop(0)
        path = Path(location) / self.name
        if isinstance(found, Exception):
            path.write_bytes(RIGHT[:-1] if str(found) == "short" else RIGHT)
            raise found
        path.write_bytes(found)
        self.cache = found
        return Download(str(path), "application/zip")

    def forget(self) -> None:
        self.cache, self.kept = None, False

    def discard(self) -> None:
        self.kept = False

    def drop_mirrors(self) -> int | None:
        return None

    def go_on_from(self, path: str, size: int) -> None:
        raise AssertionError("no mirror brought anything")

    def give_back(self) -> bool:
        return False

    def fits(self, path: str) -> bool:
        return Path(path).read_bytes() == RIGHT

    def failure_of(self, error: Exception) -> failures.Failure | None:
        found = getattr(error, "failure", None)
        return found if isinstance(found, failures.Failure) else None

    def without_end(self, size: int) -> Exception:
        return FailedError(f"{size} bytes and no end")

    def explain(self, mismatch: Exception, evidence: str) -> None:
        self.told = evidence


class FailedError(Exception):
    """Stands for pip's error that is made of a Failure."""

    def __init__(self, text: str, changed: bool = False) -> None:
        super().__init__(text)
        self.failure = failures.Failure(text, "", "", "", changed=changed)


class World:
    """A ring, and pip's check of a hash."""

    def __init__(self, folder: Path, artifact: Artifact) -> None:
        self.lines: list[str] = []
        self.ring = FileRing(self.lines.append)
        self.artifact: Any = artifact
        self.folder = folder

    def verify(self, path: str) -> str:
        # What is replaced must be on the same disk.
        assert self.folder in Path(path).parents
        if Path(path).read_bytes() != RIGHT:
            raise MismatchError(path)
        return "verified"

    def download(self) -> Download:
        return self.ring.download(self.artifact, str(self.folder))

    def check(self) -> str:
        return self.ring.check(self.verify, self.download().path, MismatchError)

    @property
    def files(self) -> list[bytes]:
        return [path.read_bytes() for path in self.folder.iterdir()]


def test_a_file_that_fits_is_looked_at_no_further(tmp_path: Path) -> None:
    world = World(tmp_path, Artifact(RIGHT))
    assert world.check() == "verified"
    assert world.artifact.fresh == [False] and not world.lines


def test_a_damaged_file_is_fetched_once_more_past_every_cache(tmp_path: Path) -> None:
    world = World(tmp_path, Artifact(WRONG, RIGHT))
    assert world.check() == "verified"
    assert world.artifact.fresh == [False, True]
    assert world.artifact.cache == RIGHT and world.files == [RIGHT]
    (line,) = world.lines
    assert "was damaged on its way" in line and not world.artifact.told


@pytest.mark.parametrize("second", [WRONG, OTHER], ids=["the-same", "another"])
def test_a_genuine_mismatch_stands_and_pips_cache_has_nothing_of_it(
    second: bytes, tmp_path: Path
) -> None:
    """Else the next run would take the same wrong file out of it."""
    artifact = Artifact(WRONG, second)
    artifact.kept = True
    world = World(tmp_path, artifact)
    with pytest.raises(MismatchError):
        world.check()
    assert artifact.fresh == [False, True]
    assert artifact.cache is None and not artifact.kept
    assert not world.lines
    same = "Both brought the same bytes" in artifact.told
    assert same == (second == WRONG)


def test_a_mismatch_stands_where_the_second_fetch_fails(tmp_path: Path) -> None:
    artifact = Artifact(WRONG, FailedError("the network failed"))
    world = World(tmp_path, artifact)
    with pytest.raises(MismatchError):
        world.check()
    assert artifact.cache is None
    assert "second fetch: failed: the network failed" in artifact.told
    assert world.files == [WRONG], "the temporary folder is gone"


def test_a_mistake_of_ours_leaves_the_mismatch(tmp_path: Path) -> None:
    world = World(tmp_path, Artifact(WRONG, RIGHT))
    world.artifact.forget = lambda: 1 / 0
    with pytest.raises(MismatchError):
        world.check()


def test_what_was_not_downloaded_here_is_no_business_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "local.whl"
    path.write_bytes(WRONG)
    world = World(tmp_path, Artifact(RIGHT))
    with pytest.raises(MismatchError):
        world.ring.check(world.verify, str(path), MismatchError)
    assert not world.artifact.fresh


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_file_that_was_compressed_on_its_way_is_decoded(which: str, tmp_path: Path) -> None:
    coded = gzip.compress(RIGHT)
    fetches = [coded] if which == "first" else [WRONG, coded]
    world = World(tmp_path, Artifact(*fetches, coding="gzip"))
    assert world.check() == "verified"
    assert world.files == [RIGHT]
    (line,) = world.lines
    assert "came compressed (Content-Encoding: gzip)" in line


@pytest.mark.parametrize(
    "coded",
    [gzip.compress(WRONG, mtime=0), gzip.compress(RIGHT, mtime=0)[:-9], WRONG],
    ids=["another", "cut", "not coded"],
)
def test_what_does_not_decode_to_the_file_stays_a_mismatch(coded: bytes, tmp_path: Path) -> None:
    world = World(tmp_path, Artifact(coded, coded, coding="gzip"))
    with pytest.raises(MismatchError):
        world.check()
    assert world.files == [coded], "nothing else is left beside it"


def test_what_nobody_said_was_compressed_is_decoded_all_the_same(tmp_path: Path) -> None:
    world = World(tmp_path, Artifact(gzip.compress(RIGHT)))
    assert world.check() == "verified" and world.files == [RIGHT]


# A file that is cut, though no length told so.

CUT = RIGHT[:-900]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_file_without_length_that_is_cut_is_fetched_again(cut: int, tmp_path: Path) -> None:
    artifact = Artifact(*[CUT] * cut, RIGHT)
    artifact.announced = None
    world = World(tmp_path, artifact)
    assert world.check() == "verified" and world.files == [RIGHT]


def test_a_file_without_length_that_is_always_cut_is_the_networks(tmp_path: Path) -> None:
    artifact = Artifact(*[CUT] * 9)
    artifact.announced = None
    with pytest.raises(FailedError, match=f"{len(CUT)} bytes and no end"):
        World(tmp_path, artifact).check()
    assert len(artifact.fresh) == 4


def test_a_file_that_is_cut_at_the_server_is_a_mismatch_that_says_so(tmp_path: Path) -> None:
    artifact = Artifact(CUT, CUT)
    artifact.announced = len(CUT)
    with pytest.raises(MismatchError):
        World(tmp_path, artifact).check()
    assert "the beginning of such a file, without its end" in artifact.told
    assert "may have been replaced" not in " ".join(artifact.told.split())


# While it arrives


def test_a_file_that_changes_on_its_way_is_begun_anew_twice(tmp_path: Path) -> None:
    changed = [FailedError("another version", changed=True) for _ in range(3)]
    world = World(tmp_path, Artifact(*changed[:2], RIGHT))
    assert world.check() == "verified"
    assert world.artifact.fresh == [False, True, True] and len(world.lines) == 2
    for path in tmp_path.iterdir():
        path.unlink()
    world = World(tmp_path, Artifact(FailedError("short", changed=True), *changed[:1]))
    world.artifact.fetches.append(FailedError("short", changed=True))
    with pytest.raises(FailedError):
        world.download()
    assert world.artifact.fresh == [False, True, True]


def test_a_body_that_never_reaches_its_length_is_accepted_if_its_hash_fits(tmp_path: Path) -> None:
    world = World(tmp_path, Artifact(FailedError("stopped")))
    world.artifact.announced = len(RIGHT) + 1
    assert world.check() == "verified"
    (line,) = world.lines
    assert line.startswith("The server announced 2.1 kB for demo-1.0") and "but has 2.1 kB" in line


def test_a_body_that_stopped_and_does_not_fit_stays_an_error(tmp_path: Path) -> None:
    world = World(tmp_path, Artifact(FailedError("short")))
    with pytest.raises(FailedError):
        world.check()
    assert not world.lines


def test_what_is_no_failure_of_a_network_is_pips(tmp_path: Path) -> None:
    world = World(tmp_path, Artifact(KeyError("a mistake")))
    with pytest.raises(KeyError):
        world.download()
    assert world.artifact.fresh == [False]
