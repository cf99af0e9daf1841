"""One of pip's links: which hashes are its, and what is known of it after each fetch."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch import failures
from pip_retry_patch.hooks.downloads import LinkedArtifact, hashes_of

NAME = "demo-1.0-py3-none-any.whl"
URL = f"https://files.example/{NAME}"
DATA = b"PK" + bytes(100)
A, B, C = "a" * 64, "b" * 64, "c" * 64


def link(hash_name: str | None = None, value: str | None = None) -> Any:
    return SimpleNamespace(url_without_fragment=URL, hash_name=hash_name, hash=value)


@pytest.mark.parametrize(
    ("of_link", "expected", "hashes"),
    [
        ((None, None), {}, {}),
        (("sha256", A.upper()), {}, {"sha256": [A]}),
        ((None, None), {"sha256": [A.upper(), B], "sha512": []}, {"sha256": [A, B]}),
        (("sha256", A), {"sha256": [A, B]}, {"sha256": [A]}),
        (("sha256", A.upper()), {"sha256": [A.upper(), B]}, {"sha256": [A]}),
        (("sha256", C), {"sha256": [A, B]}, {"sha256": [A, B]}),
        (("md5", "1"), {"sha256": [A]}, {"sha256": [A]}),
    ],
)
def test_the_hashes_are_those_that_pip_will_check(
    of_link: Any, expected: dict[str, list[str]], hashes: dict[str, list[str]]
) -> None:
    """A requirement may allow several files: the link then says which one this is."""
    assert hashes_of(link(*of_link), expected) == hashes


# What every response has.
ANSWER: dict[str, Any] = {"status_code": 200, "request": SimpleNamespace(headers={})}


class Hooks:
    """As much of DownloadHooks as an artifact uses."""

    def __init__(self) -> None:
        self.mirrors: Any = None
        self.record: Any = None
        self.room: list[dict[str, int]] = []
        self.fetched: list[bool] = []

    def fetching(self, artifact: LinkedArtifact, fresh: bool) -> Any:
        self.fetched.append(fresh)
        return contextlib.nullcontext()

    def leave_room(self, session: Any, **how: int) -> None:
        self.room.append(how)

    def keep(self, artifact: LinkedArtifact, shelf: Any, fresh: bool) -> Any:
        return (artifact.name, shelf, fresh)


class Shelf:
    """Counts how often it was emptied."""

    cleared = 0

    def clear(self) -> None:
        self.cleared += 1

    def give_back(self) -> bool:
        return True


class Cache:
    """pip's, by CacheControl's adapter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.deleted: list[str] = []
        self.controller = SimpleNamespace(cache_url=lambda url: url.rpartition("/")[2])
        self.cache = SimpleNamespace(delete=self.deleted.append, _get_cache_path=self.path)

    def path(self, key: str) -> str:
        return str(self.folder / key)


class World:
    """One artifact, and all that it uses."""

    def __init__(self, folder: Path, shelf: Any = None, hashes: Any = None) -> None:
        self.hooks, self.cache, self.folder = Hooks(), Cache(folder), folder
        session = SimpleNamespace(get_adapter=lambda url: self.cache)
        hooks: Any = self.hooks
        self.artifact = LinkedArtifact(hooks, session, link(), self.fetch, hashes or {}, shelf)

    def fetch(self, location: str) -> tuple[str, str]:
        path = Path(location) / NAME
        path.write_bytes(DATA)
        return str(path), "application/zip"

    def came(self, url: str = URL, history: Any = (), **headers: str) -> None:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        past = [SimpleNamespace(url=each) for each in history]
        response = SimpleNamespace(url=url, headers=fields, history=past, from_cache=True, **ANSWER)
        self.artifact.note(response, None)


def test_before_it_is_fetched_it_has_the_names_of_its_link(tmp_path: Path) -> None:
    artifact = World(tmp_path).artifact
    assert (artifact.name, artifact.host, artifact.hashed) == (NAME, "files.example", False)
    assert (artifact.media, artifact.coding, artifact.cached) == ("", "", False)
    assert (artifact.announced, artifact.continued, artifact.elsewhere) == (None, None, None)
    assert World(tmp_path, hashes={"sha256": [A]}).artifact.hashed


def test_a_fetch_is_told_to_the_session_and_leaves_nothing_on_the_shelf(tmp_path: Path) -> None:
    shelf, noted = Shelf(), []
    world = World(tmp_path, shelf, hashes={"sha256": [A]})
    world.hooks.record = lambda *line: noted.append(line)
    download = world.artifact.fetch(str(tmp_path), fresh=False)
    assert download == (str(tmp_path / NAME), "application/zip")
    assert world.hooks.fetched == [False] and shelf.cleared == 1 and not noted
    assert world.hooks.room == [{"fetched": len(DATA)}]
    world.artifact.fetch(str(tmp_path), fresh=True)
    assert world.hooks.fetched == [False, True]
    assert noted == [("fresh", NAME, "files.example")]


def test_after_a_fetch_all_are_named_who_brought_bytes(tmp_path: Path) -> None:
    world = World(tmp_path, hashes={"sha256": [A]})
    there: Any = SimpleNamespace(brought_by=lambda host: f"{host} and m.example")
    world.artifact.elsewhere = there
    world.artifact.fetch(str(tmp_path), fresh=False)
    assert world.artifact.host == "files.example and m.example"


@pytest.mark.parametrize(
    ("length", "size"),
    [("100", 100), ("", None), ("many", None), ("\u0663", None), ("9" * 400, int("9" * 18))],
)
def test_what_a_response_says_is_remembered(length: str, size: int | None, tmp_path: Path) -> None:
    world = World(tmp_path)
    world.came(
        "https://cdn.example:8080/x",
        content_length=length,
        content_type="Application/Zip; x",
        content_encoding="GZIP",
    )
    artifact = world.artifact
    assert (artifact.host, artifact.media, artifact.coding) == (
        "cdn.example:8080",
        "application/zip",
        "gzip",
    )
    assert artifact.cached is True and artifact.announced == size and artifact.continued is None
    assert world.hooks.room == [{"announced": size}]


def test_how_much_an_earlier_run_had_is_remembered(tmp_path: Path) -> None:
    artifact = World(tmp_path).artifact
    response = SimpleNamespace(url=URL, headers={}, history=(), **ANSWER)
    continuation: Any = SimpleNamespace(continued=300)
    artifact.note(response, continuation)
    assert artifact.continued == 300 and artifact.cached is False


def test_all_urls_of_it_are_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path, Shelf())
    world.came("https://cdn.example/b", history=["https://cdn.example/a"])
    world.artifact.forget()
    assert sorted(world.cache.deleted) == ["a", "b", NAME]


def test_a_login_page_in_its_place_leaves_what_is_kept(tmp_path: Path) -> None:
    shelf = Shelf()
    world = World(tmp_path, shelf)
    world.came(content_type="text/html")
    world.artifact.forget()
    assert shelf.cleared == 0
    world.came(content_type="application/zip")
    world.artifact.discard()
    assert shelf.cleared == 1


def test_room_is_given_back_once_with_what_the_cache_could_not_finish(tmp_path: Path) -> None:
    for name in (f"{NAME}x1.tmp", f"{NAME}.body", "other.tmp"):
        (tmp_path / name).touch()
    world = World(tmp_path, Shelf())
    assert world.artifact.give_back() and not world.artifact.give_back()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{NAME}.body", "other.tmp"]
    assert world.artifact.continuation(False) is None, "nothing of it is kept any more"
    assert not World(tmp_path).artifact.give_back()


def test_beside_a_request_stands_what_is_kept_or_once_the_bytes_of_a_mirror(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    world = World(tmp_path, shelf)
    artifact: Any = world.artifact
    assert artifact.continuation(True) == (NAME, shelf, True)
    world.hooks.mirrors = SimpleNamespace(going_on_from=lambda *what: what, drop=lambda it: 5)
    artifact.go_on_from("path", 300)
    assert artifact.continuation(False) == ("path", NAME, 300)
    assert artifact.continuation(False) == (NAME, shelf, False)
    artifact.go_on_from("path", 0)
    assert artifact.continuation(False) == (NAME, shelf, False)
    assert artifact.drop_mirrors() == 5
    world.hooks.mirrors = None
    assert artifact.drop_mirrors() is None


def test_a_file_fits_any_of_its_hashes_and_none_fits_without_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    right = {name: hashlib.new(name, DATA).hexdigest() for name in ("sha256", "sha512")}
    for hashes, fits in (
        ({"sha256": [A, right["sha256"]]}, True),
        ({"sha256": [A], "sha512": [right["sha512"]]}, True),
        ({"sha256": [A]}, False),
        ({"sha512": [right["sha256"]]}, False),
        ({}, False),
    ):
        assert World(tmp_path, hashes=hashes).artifact.fits(str(path)) is fits


def test_the_evidence_stands_below_what_pip_says(tmp_path: Path) -> None:
    mismatch = SimpleNamespace(body=lambda: "expected A\n     got B\n")
    artifact = World(tmp_path).artifact
    artifact.explain(mismatch, "the evidence")
    assert mismatch.body() == "expected A\n     got B\n\nthe evidence"


def test_only_what_is_made_of_a_failure_is_one(tmp_path: Path) -> None:
    artifact, error = World(tmp_path).artifact, OSError()
    assert artifact.failure_of(error) is None
    vars(error)["failure"] = found = failures.Failure("", "", "", "")
    assert artifact.failure_of(error) is found
