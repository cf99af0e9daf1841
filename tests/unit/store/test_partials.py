"""The names and headers of partials; what is done with their files is in test_partials.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.store.directory import DAY, Directory, Limits
from pip_retry_patch.store.header import SIZE, Header, key_of
from pip_retry_patch.store.shelf import Shelf

LIMITS = Limits(size=10_000_000, age=DAY)
KEY = "a" * 32
KNOWN = Representation(Validators('"a"', None, False), 2_000_000, "")
HEADER = Header(KEY, "demo-1.0.whl", KNOWN)

texts = st.text(max_size=50)
validators = st.builds(Validators, st.none() | texts, st.none() | texts, st.booleans())
known = st.builds(
    Representation, validators, st.none() | st.integers(0, 1 << 50), texts, st.just("")
)


def test_an_artifact_is_named_by_its_hash_alone() -> None:
    key = key_of({"sha256": ["00ff"]})
    assert key_of({"sha256": ["00FF", "00ff"]}) == key_of({"SHA256": ["00ff"]}) == key
    # What an earlier version of this program has kept is found under the same name.
    assert key == "25fbcd9d68449b35bb470104f1088cc0"
    assert len({key, key_of({"sha256": ["00fe"]}), key_of({"sha512": ["00ff"]})}) == 3
    several = key_of({"sha256": ["00ff", "00fe"], "md5": ["00"]})
    assert several == key_of({"md5": ["00"], "sha256": ["00fe", "00ff"]}) != key
    with pytest.raises(ValueError):
        key_of({"sha256": []})


@given(texts, known, texts, texts, st.integers(0, 1 << 50))
def test_a_header_says_what_was_put_into_it(
    name: str, known: Representation, host: str, kind: str, reserved: int
) -> None:
    kept = Header(KEY, name, known, host, kind, reserved)
    header = kept.to_bytes()
    assert len(header) == SIZE
    assert Header.from_bytes(header) == kept


@given(st.binary(max_size=SIZE))
def test_what_is_no_header_is_never_taken_for_one(data: bytes) -> None:
    for header in (data, data.ljust(SIZE), HEADER.to_bytes()[: len(data)], b"[]".ljust(SIZE)):
        if header != HEADER.to_bytes():
            with pytest.raises(ValueError):
                Header.from_bytes(header)


def test_a_validator_too_long_for_the_header_is_not_kept(tmp_path: Path) -> None:
    shelf = Shelf(Directory(tmp_path, LIMITS), KEY)
    known = Representation(Validators('"' + "x" * 60_000 + '"', None, False), 2_000_000, "")
    partial = shelf.begin("demo", known, "", "")
    assert partial is not None
    partial.add(0, bytes(100_000))
    partial.close()
    assert not list(tmp_path.iterdir())


def test_what_another_user_may_not_read_is_left_alone(tmp_path: Path) -> None:
    """In a child that is nobody, for root may read everything."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            store = tmp_path / "store"
            shelf = Shelf(Directory(store, LIMITS), KEY)
            partial = shelf.begin("demo", KNOWN, "", "")
            assert partial is not None
            partial.add(0, bytes(100_000))
            partial.close()
            (path,) = store.iterdir()
            path.chmod(0o000)
            assert shelf.find() is None
            store.chmod(0o500)  # a read-only store: it cannot even be removed
            shelf.clear()
            assert path.exists()
            store.chmod(0o700)
            shelf.clear()
            assert not path.exists()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
