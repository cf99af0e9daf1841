"""What is done about a file that does not fit its hash, with a pip that is only a few lines."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pip_retry_patch.hooks import contents, mismatch
from tests.unit.hooks.test_not_the_file import fetched

WHEEL, METADATA = "demo-1.0-py3-none-any.whl", "demo-1.0-py3-none-any.whl.metadata"


def wheel(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr(zipfile.ZipInfo("demo.py"), content)
    return made.getvalue()


def sdist(*contents: bytes, mode: str = "w:gz") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as tar:  # type: ignore[call-overload]
        for number, content in enumerate(contents):
            member = tarfile.TarInfo(f"demo-1.0/{number}.py")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


RIGHT, WRONG, OTHER = wheel(bytes(range(200)) * 10), wheel(bytes(2000)), wheel(bytes(1999) + b"x")
CUT, PAGE = RIGHT[:-900], b"<!DOCTYPE html><html>"
NO_LENGTH: dict[str, Any] = {"announced": None}


class HashMismatch(Exception):
    """Stands for pip's."""

    def body(self) -> str:
        return "    demo:\n        Expected sha256 0000\n"


class Told(Exception):
    """Stands for pip's error of a Failure."""

    def __init__(self, failure: Any) -> None:
        self.failure = failure


class Failure:
    """Why a fetch failed."""

    message = "Downloading demo-1.0 stopped at 9.0 kB."


class Fetched:
    """What one fetch brings, and its facts."""

    def __init__(self, content: bytes | Exception = b"", **facts: Any) -> None:
        self.content, self.facts = content, facts


class Artifact:
    """What brings one fetch after another; the first is there already."""

    name, host, media, coding = WHEEL, "files.example", "", ""
    cached, part = False, False
    announced: int | None = 0
    continued: int | None = None

    def __init__(self, folder: Path, *fetches: Any, mirrors: tuple[int, ...] = ()) -> None:
        self.folder, self.mirrors = folder, [*mirrors, None]
        self.fetches = [f if isinstance(f, Fetched) else Fetched(f) for f in fetches]
        self.did: list[Any] = []
        self.path = self.fetch(str(folder))[0]

    def fetch(self, location: str, fresh: bool = False) -> tuple[str, str]:
        self.did.append("fresh" if fresh else "fetch")
        assert Path(location) == self.folder or Path(location).parent == self.folder
        fetched = self.fetches.pop(0)
        if isinstance(fetched.content, Exception):
            raise fetched.content
        facts = {"announced": len(fetched.content), "media": "", "coding": "", **fetched.facts}
        facts = {"cached": False, "continued": None, "part": False, **facts}
        for fact, value in facts.items():
            setattr(self, fact, value)
        path = Path(location) / self.name
        path.write_bytes(fetched.content)
        return str(path), "application/zip"

    def forget(self) -> None:
        self.did.append("forget")

    def drop_mirrors(self) -> int | None:
        return self.mirrors.pop(0)

    def continue_from(self, path: str, size: int) -> None:
        assert Path(path).exists()
        self.did.append(size)

    def error(self, failure: Any) -> Exception:
        return Told(failure)


class Pip:
    """pip's check of a hash, and what is done about it."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.lines: list[str] = []
        self.failed: list[Exception] = []
        self.verified: list[str] = []
        self.first: Exception | None = None

    def verify(self, path: str) -> str:
        self.verified.append(path)
        if Path(path).read_bytes() != RIGHT:
            error = HashMismatch()
            self.first = self.first or error
            raise error
        return f"verified {len(self.verified)}"

    def check(self) -> Any:
        return self.check_and(self.lines.append, lambda _, error: self.failed.append(error))

    def check_and(self, tell: Any, failed: Any) -> Any:
        with mock.patch.object(mismatch, "note_failure", failed):
            path = self.artifact.path
            return mismatch.check(self.artifact, self.verify, path, HashMismatch, tell)

    def accepts(self) -> str:
        """Check a file that is accepted; return what is told."""
        assert self.check() == f"verified {len(self.verified)}"
        # It is the file in place that was verified last, and nothing else is left beside it.
        assert {*self.verified} == {self.artifact.path} and not self.failed
        assert os.listdir(self.artifact.folder) == [self.artifact.name]
        assert Path(self.artifact.path).read_bytes() == RIGHT
        return "\n".join(self.lines)

    def refuses(self) -> str:
        """Check a file that stays a mismatch; return what pip says of it, its lines joined."""
        with pytest.raises(HashMismatch) as found:
            self.check()
        assert found.value is self.first and not self.lines
        assert os.listdir(self.artifact.folder) == [self.artifact.name]
        self.body = found.value.body()
        return " ".join(self.body.split())


def pip(folder: Path, *fetches: Any, **more: Any) -> Pip:
    return Pip(Artifact(folder, *fetches, **more))


# What heals.


def test_a_file_that_fits_is_verified_and_nothing_else(tmp_path: Path) -> None:
    world = pip(tmp_path, RIGHT)
    assert not world.accepts() and len(world.verified) == 1 and world.artifact.did == ["fetch"]


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (Fetched(WRONG), "demo-1.0 was damaged on its way. Fetched anew, its hash fits."),
        (Fetched(WRONG, cached=True), "in pip's cache was not what the index lists"),
        (Fetched(WRONG, continued=9), "What an earlier run had kept of demo-1.0 was removed."),
        (Fetched(PAGE), "A web page came in place of demo-1.0."),
    ],
)
def test_a_file_is_fetched_once_more_past_every_cache(
    first: Fetched, words: str, tmp_path: Path
) -> None:
    world = pip(tmp_path, first, RIGHT)
    said = world.accepts()
    assert words in said and said.endswith("fits.")
    assert world.artifact.did == ["fetch", "forget", "fresh"]


def test_what_mirrors_brought_is_fetched_without_them_first(tmp_path: Path) -> None:
    world = pip(tmp_path, WRONG, OTHER, RIGHT, mirrors=(700, 900))
    assert not world.accepts()
    assert world.artifact.did == ["fetch", "forget", 700, "fetch", "forget", 900, "fetch"]


def test_an_error_stands_if_no_other_source_delivers_what_a_mirror_brought(tmp_path: Path) -> None:
    error = Told(Failure())
    with pytest.raises(Told) as found:
        pip(tmp_path, WRONG, error, RIGHT, mirrors=(700,)).check()
    assert found.value is error and os.listdir(tmp_path) == [WHEEL]


def test_a_file_is_fetched_afresh_if_the_machine_failed_it_without_mirrors(tmp_path: Path) -> None:
    assert pip(tmp_path, WRONG, OSError("disk"), RIGHT, mirrors=(7, 8)).accepts()


CODED = {
    "gzip": gzip.compress(RIGHT),
    "x-gzip": gzip.compress(RIGHT[:500]) + gzip.compress(RIGHT[500:]) + bytes(9),
    "gzip, gzip": gzip.compress(gzip.compress(RIGHT)),
    "": gzip.compress(RIGHT),
}


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("before", [(), (WRONG,)], ids=["first", "second"])
def test_a_compressed_file_is_decoded(coding: str, before: Any, tmp_path: Path) -> None:
    said = pip(tmp_path, *before, Fetched(CODED[coding], coding=coding)).accepts()
    shown = coding or "gzip"
    assert f"demo-1.0 came compressed (Content-Encoding: {shown})" in said and "\n" not in said


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_file_without_length_that_is_cut_is_fetched_again(cut: int, tmp_path: Path) -> None:
    said = pip(tmp_path, *[Fetched(CUT, announced=None)] * cut, RIGHT).accepts()
    assert "damaged on its way" in said


def test_a_file_without_length_that_is_always_cut_is_the_networks(tmp_path: Path) -> None:
    world = pip(tmp_path, *[Fetched(CUT, announced=None)] * 9)
    with pytest.raises(Told) as found:
        world.check()
    assert "has no end (1.2 kB), and the server tells no length" in found.value.failure.context
    assert world.artifact.did.count("fresh") == 3 and world.artifact.did[-1] == "forget"


# What fails closed.


@pytest.mark.parametrize("what", ["forget", "drop_mirrors", "fetch"])
def test_a_mistake_of_ours_leaves_the_first_mismatch(what: str, tmp_path: Path) -> None:
    world = pip(tmp_path, WRONG, RIGHT)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise TypeError("a mistake")

    setattr(world.artifact, what, broken)
    assert "Expected sha256 0000" in world.refuses()
    assert [type(error) for error in world.failed] == [TypeError]


@pytest.mark.parametrize("what", ["tell", "short", "contents"])
def test_no_earlier_answer_is_given_after_a_mistake(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if pip had accepted the file by then."""
    world = pip(tmp_path, WRONG, RIGHT)

    def broken(*args: Any) -> Any:
        raise ZeroDivisionError

    if what != "tell":
        monkeypatch.setattr(mismatch, what, broken)
    with pytest.raises(HashMismatch) as found:
        world.check_and(broken, lambda _, error: world.failed.append(error))
    assert found.value is world.first and len(world.failed) == 1


def test_a_mistake_is_raised_in_strict_mode(tmp_path: Path) -> None:
    world = pip(tmp_path, WRONG, TypeError("a mistake"))

    def strict(where: str, error: Exception) -> None:
        raise error

    with pytest.raises(TypeError):
        world.check_and(world.lines.append, strict)


def test_what_decodes_to_the_file_is_no_answer_until_it_stands_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = Fetched(gzip.compress(RIGHT), coding="gzip")
    world = pip(tmp_path, coded, coded)
    replace = os.replace

    def broken(source: str, target: str) -> None:
        if source.endswith("decoded"):
            raise OSError("full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", broken)
    assert "compresses the file" in world.refuses()


def test_a_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    world = pip(tmp_path, WRONG, RIGHT)

    def interrupted(location: str, fresh: bool = False) -> Any:
        (Path(location) / "half").write_bytes(b"x")
        raise KeyboardInterrupt

    world.artifact.fetch = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.check()
    assert os.listdir(tmp_path) == [WHEEL]


# The evidence.

STOPPED = Told(Failure())
BEGUN: dict[str, dict[str, Any]] = {"kept": {"continued": 1_200_000}, "cached": {"cached": True}}


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (WRONG, WRONG, "Both brought the same bytes"),
        (WRONG, WRONG, "may have been replaced"),
        (WRONG, WRONG, "make it anew with 'pip hash'"),
        (WRONG, OTHER, "Each fetch brought different bytes"),
        (WRONG, OTHER, "That may be a proxy"),
        (
            Fetched(WRONG, **BEGUN["kept"]),
            OTHER,
            "What an earlier run had kept of the file was removed.",
        ),
        (
            Fetched(WRONG, **BEGUN["cached"]),
            OTHER,
            "The copy of the file in pip's cache was not what",
        ),
        (PAGE, OTHER, "A web page came in place of the file."),
        (WRONG, STOPPED, "second fetch: failed: Downloading demo-1.0 stopped at 9.0 kB."),
        (WRONG, STOPPED, "it is not known whether the file was damaged on its way"),
        (WRONG, OSError("no route"), "second fetch: failed: no route"),
        (PAGE, STOPPED, "sent a web page in place of the file"),
        (WRONG, Fetched(PAGE, media="text/html"), "sent a web page in place of the file"),
        (WRONG, Fetched(RIGHT[:99], part=True), "sent a part of the file only (206)"),
        (WRONG, b"", "sent is empty"),
        (WRONG, b"denied", "is no file of that kind"),
        (CUT, CUT, "is the beginning of such a file, without its end."),
        (WRONG, Fetched(gzip.compress(WRONG), coding="gzip"), "compresses the file"),
        (WRONG, Fetched(CODED["gzip"][:-9], coding="gzip"), "compresses the file"),
        (WRONG, Fetched(b"\x8b", coding="br"), "pip cannot undo"),
        (WRONG, Fetched(CODED["gzip, gzip"], coding="gzip, gzip, gzip"), "pip cannot undo"),
    ],
)
def test_each_case_has_the_one_remedy_that_fits_it(
    first: Any, second: Any, words: str, tmp_path: Path
) -> None:
    world = pip(tmp_path, first, second)
    said = world.refuses()
    assert words in said
    assert ("may have been replaced" in said) == (first is second is WRONG)
    before, empty, heading, one, other, *remedy = world.body.splitlines()[1:]
    assert "Expected" in before and not empty and heading == "pip-retry-patch looked into it:"
    assert one.startswith("  first fetch:  ") and other.startswith("  second fetch: ")
    assert remedy and all(line.startswith("  ") and len(line) <= 80 for line in remedy)
    assert world.artifact.did[1:3] == ["forget", "fresh"] and not world.failed


def test_nothing_is_wrong_with_a_package_of_which_something_else_came(tmp_path: Path) -> None:
    for second in (Fetched(RIGHT[:99], part=True), b"", PAGE):
        assert "Nothing is wrong with the package" in pip(tmp_path, WRONG, second).refuses()


def test_metadata_that_does_not_fit_is_told_as_the_indexs_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Artifact, "name", METADATA)
    said = pip(tmp_path, *[b"Metadata-Version: 2.1\nName: demo\n"] * 2).refuses()
    assert "the metadata of demo-1.0 does not fit" in said
    assert "those who run the index (files.example)" in said and "replaced" not in said


@pytest.mark.parametrize(
    ("fetched", "line"),
    [
        (Fetched(WRONG), "2.1 kB of 2.1 kB from files.example, complete"),
        (Fetched(WRONG, announced=3_000_000), "2.1 kB of 3.0 MB from files.example, NOT complete"),
        (Fetched(WRONG, **NO_LENGTH), "2.1 kB from files.example"),
        (Fetched(WRONG, cached=True), "2.1 kB of 2.1 kB from pip's cache, complete"),
        (Fetched(PAGE, media="text/html"), "21 bytes of text/html from files.example"),
        (Fetched(PAGE), "21 bytes of 21 bytes from files.example, complete"),
        (
            Fetched(WRONG, continued=1_200_000),
            "2.1 kB of 2.1 kB from files.example (the first 1.2 MB in an earlier run), complete",
        ),
        (Fetched(b"\x8b", coding="br"), "1 bytes of 1 bytes from files.example, complete, "),
    ],
)
def test_a_fetch_is_told_in_one_line(fetched: Fetched, line: str, tmp_path: Path) -> None:
    world = pip(tmp_path, fetched, OTHER)
    world.refuses()
    assert f"  first fetch:  {line}" in world.body


# What a file is.


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_an_archive_without_its_end_has_none(mode: str, tmp_path: Path) -> None:
    for path, whole in (
        (tmp_path / f"a.tar.{mode[2:]}", sdist(os.urandom(9000), mode=mode)),
        (tmp_path / "a.whl", RIGHT),
    ):
        path.write_bytes(whole)
        assert contents.has_end(str(path))
        path.write_bytes(whole[: len(whole) // 2])
        assert not contents.has_end(str(path))


def test_damage_is_no_missing_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    whole = bytearray(sdist(bytes(range(256)) * 99))
    whole[60:90] = bytes(30)
    path.write_bytes(whole)
    assert contents.has_end(str(path))


@pytest.mark.parametrize("ending", ["gz", "bz2"])
def test_a_look_has_a_budget_and_beyond_it_nothing_is_called_broken(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"demo-1.0.tar.{ending}"
    path.write_bytes(sdist(os.urandom(2 << 20), mode=f"w:{ending}")[:-9000])
    told = (str(path), fetched(path.name, False))
    monkeypatch.setattr(contents, "_LOOK_SECONDS", 60.0)
    assert contents.not_the_file(*told) and not contents.has_end(str(path))
    for budget, least in (("_LOOK_BYTES", 1 << 20), ("_LOOK_SECONDS", -1.0)):
        with monkeypatch.context() as patched:
            patched.setattr(contents, budget, least)
            assert contents.has_end(str(path)) and contents.not_the_file(*told) is None


@pytest.mark.parametrize("module", ["bz2", "lzma"])
def test_a_python_without_a_compression_looks_no_further(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending, mode = {"bz2": (".tar.bz2", "w:bz2"), "lzma": (".tar.xz", "w:xz")}[module]
    path = tmp_path / f"demo-1.0{ending}"
    path.write_bytes(sdist(b"x", mode=mode)[:-20])
    monkeypatch.setitem(sys.modules, module, None)
    assert contents.has_end(str(path))
    assert contents.not_the_file(str(path), fetched(path.name, False)) is None


@pytest.mark.parametrize("times", [1, 2])
def test_nothing_is_decoded_beyond_the_budget(times: int, tmp_path: Path) -> None:
    coded = bytes(40 << 20)
    for _ in range(times):
        coded = gzip.compress(coded, 1)
    world = pip(tmp_path, *[Fetched(coded, coding=", ".join(["gzip"] * times))] * 2)
    pieces = 0
    budget = 20 * len(coded) + 10_000_000
    with pytest.raises(ValueError):
        for piece in contents.decode(world.artifact.path, world.artifact.coding, budget):
            pieces += len(piece)
    assert pieces <= budget + (1 << 20)
    assert "compresses the file" in world.refuses()


def test_many_empty_streams_within_a_stream_end_in_time(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(gzip.compress(gzip.compress(b"") * 100_000))
    begun = time.monotonic()
    with pytest.raises(ValueError):
        list(contents.decode(str(path), "gzip, gzip", 200_000))
    assert time.monotonic() - begun < 2


def test_other_forms_of_xz_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.xz"
    path.write_bytes(lzma.compress(sdist(b"x", mode="w"), format=lzma.FORMAT_ALONE)[:60])
    assert not contents.has_end(str(path))
    path.write_bytes(bz2.compress(sdist(b"x", mode="w")))
    assert contents.has_end(str(path))
