"""The names and headers of partials; what is done with their files is in tests/pips/partials."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.store.partials import DAY, HEADER, Kept, Limits, Shelf, key_of

LIMITS = Limits(size=10_000_000, age=DAY)
KEPT = Kept("demo-1.0.whl", Representation(Validators('"a"', None, False), 2_000_000, ""))

texts = st.text(max_size=50)
validators = st.builds(Validators, st.none() | texts, st.none() | texts, st.booleans())
known = st.builds(Representation, validators, st.none() | st.integers(0, 1 << 50), texts)


def test_an_artifact_is_named_by_its_link_and_hash_alone() -> None:
    link, digest = "https://index.example/files/demo-1.0.whl", "sha256=00ff"
    key = key_of(link, digest)
    for same in (
        "https://user:secret@index.example/files/demo-1.0.whl",
        "https://index.example/files/demo-1.0.whl?signature=1",
        "https://index.example/files/demo-1.0.whl#egg=demo",
    ):
        assert key_of(same, digest) == key
    for other in (
        "https://index.example:8443/files/demo-1.0.whl",
        "https://other.example/files/demo-1.0.whl",
        "https://index.example/files/demo-1.1.whl",
    ):
        assert key_of(other, digest) != key
    assert key_of(link, "sha256=00fe") != key
    # Without a hash the query may be all that tells two files apart.
    assert key_of(link + "?id=1") != key_of(link + "?id=2")


@given(texts, known, texts)
def test_a_header_says_what_was_put_into_it(name: str, known: Representation, kind: str) -> None:
    kept = Kept(name, known, kind, "00ff", 12)
    header = kept.to_bytes()
    assert len(header) == HEADER
    assert Kept.from_bytes(header) == kept


@given(st.binary(max_size=HEADER))
def test_what_is_no_header_is_never_taken_for_one(data: bytes) -> None:
    for header in (data, data.ljust(HEADER), KEPT.to_bytes()[: len(data)], b"[]".ljust(HEADER)):
        if header != KEPT.to_bytes():
            with pytest.raises(ValueError):
                Kept.from_bytes(header)


def test_a_validator_too_long_for_the_header_is_not_kept(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, LIMITS, "a" * 32, hashed=True)
    known = Representation(Validators('"' + "x" * 60_000 + '"', None, False), 2_000_000, "")
    partial = shelf.begin(Kept("demo", known))
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
            shelf = Shelf(store, LIMITS, "a" * 32, hashed=True)
            partial = shelf.begin(KEPT)
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
