"""What is read from a disk: the header of a partial, and pip's configuration."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.settings import Settings, index_of_mirrors, origins, read, table
from pip_retry_patch.store import header as headers
from pip_retry_patch.store.directory import DAY, Directory, Limits
from pip_retry_patch.store.header import FORMAT, SIZE, Header, key_of
from pip_retry_patch.store.shelf import Shelf
from tests.support.fuzzing import fuzz, mutated

KEY = "a" * 32
WHOLE = Header(KEY, "demo-1.0.whl", Representation(Validators('"a"'), 2_000_000, ""), "h", "t", 9)
LINE = WHOLE.to_bytes()
FIELDS: dict[str, Any] = json.loads(LINE)

# The header of a partial

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
HEADERS: tuple[dict[str, Any], ...] = (
    {},
    {"known": None},
    {"known": []},
    {"known": "abcde"},
    {"known": ['"a"', None, False, -1, ""]},
    {"known": ['"a"', None, False, True, ""]},
    {"known": ['"a"', None, 0, 1, ""]},
    {"known": [None, None, False, 1e400, ""]},
    {"known": ['"a"', None, False, None, None]},
    {"reserved": -1},
    {"reserved": 1.0},
    {"name": "\ud800"},
    {"name": None},
    {"format": 1},
    {"format": True},
    {"more": 1},
    {"key": "b" * 32},
)
PARTS = (b"", b"{", b"}", b"[", b'"', b",", b":", b"\\ud800", b"\xff", b"\0", b"9" * 400, b"NaN")


def line_of(fields: Any) -> bytes:
    return json.dumps(fields).encode("ascii").ljust(SIZE - 1)[: SIZE - 1] + b"\n"


def check_header(data: bytes) -> None:
    """It is a header whose fields are of the right types, or a ValueError."""
    try:
        found = Header.from_bytes(data)
    except ValueError:
        return
    assert len(data) == SIZE and json.loads(data)["format"] == FORMAT
    assert Header.from_bytes(found.to_bytes()) == found
    assert found.known.total is None or found.known.total >= 0
    assert found.reserved >= 0
    # As all else is used in the text of an answer or an error.
    for text in (found.key, found.name, found.host, found.content_type, found.known.coding):
        assert isinstance(text, str)


@pytest.mark.parametrize("changes", HEADERS, ids=range(len(HEADERS)))
def test_headers_of_the_corpus(changes: dict[str, Any], tmp_path: Path) -> None:
    data = line_of({**FIELDS, **changes})
    check_header(data)
    check_partial(data, tmp_path)


def check_partial(data: bytes, folder: Path) -> None:
    """A file that begins so is used for its bytes, or gone."""
    path = folder / f"{KEY}-x.partial"
    path.write_bytes(data.ljust(SIZE)[:SIZE] + bytes(1000))
    path.chmod(0o600)
    found = Shelf(Directory(folder, Limits(10_000_000, DAY)), KEY).find()
    if found is None:
        assert not path.exists()
        return
    assert found.size == 1000 and found.header.key == KEY
    assert found.read(2000) == bytes(1000)
    found.remove()
    assert not path.exists()


@fuzz(mutated((LINE, LINE.rstrip() + b"\n", b"[]".ljust(SIZE)), PARTS), st.booleans())
def test_no_line_is_a_crash_or_a_header_of_other_types(data: bytes, padded: bool) -> None:
    check_header(data.rstrip().ljust(SIZE)[:SIZE] if padded else data)


@fuzz(
    st.dictionaries(st.sampled_from([*FIELDS, "more"]), values, max_size=3)
    | st.builds(lambda known: {"known": known}, st.lists(values, min_size=4, max_size=6)),
    examples=100,
)
def test_no_value_of_a_field_is_a_crash_or_of_another_type(changes: dict[str, Any]) -> None:
    check_header(line_of({**FIELDS, **changes}))


texts = st.text(max_size=40)


@fuzz(
    texts,
    st.none() | texts,
    st.none() | texts,
    st.booleans(),
    st.none() | st.integers(0, 1 << 62),
    texts,
    texts,
    st.integers(0, 1 << 62),
)
def test_what_is_written_into_a_header_is_read_back(
    name: str,
    etag: str | None,
    modified: str | None,
    settled: bool,
    total: int | None,
    coding: str,
    host: str,
    reserved: int,
) -> None:
    known = Representation(Validators(etag, modified, settled), total, coding)
    header = Header(KEY, name, known, host, "", reserved)
    assert Header.from_bytes(header.to_bytes()) == header


def test_any_file_of_that_name_is_used_or_removed(tmp_path: Path) -> None:
    @fuzz(mutated((LINE, LINE[: headers.SIZE - 1]), PARTS), examples=100)
    def every(data: bytes) -> None:
        check_partial(data, tmp_path)

    every()
    assert not list(tmp_path.iterdir())


@fuzz(st.dictionaries(texts, st.lists(texts, max_size=3), max_size=3))
def test_a_key_is_the_name_of_a_file_whatever_the_hashes_are(hashes: dict[str, list[str]]) -> None:
    try:
        key = key_of(hashes)
    except ValueError:
        assert not any(hashes.values())
        return
    assert len(key) == 32 and set(key) <= set("0123456789abcdef")


# pip's configuration

NAMES = (
    "",
    "-patience",
    "-first-contact",
    "-attempts",
    "-indexes",
    "-mirrors",
    "-stale",
    "-partials",
    "-partials-size",
    "-log",
    "-patiense",
    "-venvs",
)
VALUES = (
    *("300", "0", "-1", "1e9", "nan", "inf", "9" * 400, "0." + "9" * 400, "5 GB", "5GiB", "1.5 TB"),
    *(
        "9" * 15 + " TB",
        "on",
        "off",
        "any",
        "ALL",
        "maybe",
        "/tmp/x",
        "~/x",
        "relative",
        "~nobody",
        "~\0",
    ),
    *("https://a.example/simple", "https://user:secret@b.example:8080/x/?token=secret"),
    *("https://https://user:secret@b.example/", "/user:secret@b.example/", "~\ud800/x"),
    *("https://[", "https://a.example:99999", "//x", "file:///x", "https://a b", "http:///x", "\0"),
)
WORDS = (
    *("", " ", "\n", "\t", ".", "-", "+", "_", ",", "e", "\0", "\x1b[31m", "\u0663", "\ud800"),
    *("9" * 400, "1e400", "kB", "GiB", "https://", "@", "[", "]", "%", ":", "/", "~", "inf"),
)


def check_settings(items: list[tuple[str, str]]) -> None:
    """Each value is one that makes sense; each that did not is said in one printable line."""
    found = read(items)
    assert isinstance(found.enabled, bool) and isinstance(found.partials, bool)
    for number in (found.patience, found.first_contact):
        assert math.isfinite(number) and number >= 0
    assert type(found.attempts) is int and found.attempts >= 0
    assert type(found.partials_size) is int and found.partials_size >= 0
    assert found.indexes in ("any", "all")
    assert all(mirror.lower().startswith(("http://", "https://")) for mirror in found.mirrors)
    for path in (found.partials_dir, found.log):
        assert not path or path.startswith("/")
    for line in found.complaints:
        assert line.isprintable() and line.isascii() and len(line) < 500
        assert "//user:secret@" not in line
    if not found.complaints:
        # What is not complained of is in force.
        assert vars(read([(name, value) for name, value in items if value])) == vars(found)
    elif not items:
        assert vars(found) == vars(Settings())
    table(found, origins(items))
    index_of_mirrors(items)


@pytest.mark.parametrize("value", VALUES)
def test_settings_of_the_corpus(value: str) -> None:
    for name in NAMES:
        check_settings([(f"global.retry-patch{name}", value)])


@fuzz(
    st.lists(
        st.tuples(
            st.builds(
                "{}.retry-patch{}".format,
                st.sampled_from(["global", ":env:", "install", ""]),
                st.sampled_from(NAMES),
            )
            | st.text(max_size=20),
            mutated(VALUES, WORDS),
        ),
        max_size=4,
    ),
    examples=200,
)
def test_no_setting_is_a_crash_or_makes_no_sense(items: list[tuple[str, str]]) -> None:
    check_settings(items)


@fuzz(
    st.lists(
        st.tuples(
            st.text(max_size=8), st.text(max_size=8) | st.dictionaries(st.text(max_size=8), texts)
        )
    )
)
def test_pips_items_of_either_kind_are_read(items: list[tuple[str, Any]]) -> None:
    assert isinstance(read(items), Settings)
