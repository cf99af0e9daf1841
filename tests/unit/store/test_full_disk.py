"""What is done when pip meets a full disk, and what it meets later for that."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch.hooks.mismatch import Download, FileRing
from pip_retry_patch.policy.pace import Pace
from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.transport.body import Body
from pip_retry_patch.transport.errors import is_full


class Source:
    """A part of a body."""

    interruption = None
    finished = True
    final = True

    def __init__(self, data: bytes) -> None:
        self.data = data

    def watch(self, course: Any) -> None:
        pass

    def read(self, most: int, once: bool = False) -> bytes:
        piece, self.data = self.data[:most], self.data[most:]
        return piece

    def close(self, reusable: bool) -> None:
        pass


def body(stop: int | None) -> Body:
    known = Representation(Validators('"a"'), stop)
    origin: Any = SimpleNamespace(hashed=True, pace=Pace(), until=None, elsewhere=None)
    part: Any = Source(bytes(25))
    return Body(origin, part, origin, known, 0, stop)


def test_a_body_without_a_length_is_closed_when_its_end_was_read() -> None:
    """By then pip has written its last piece, and CacheControl may fill the disk with its copy."""
    unknown = body(None)
    assert [len(unknown.read(10)) for _ in range(3)] == [10, 10, 5]
    assert not unknown.closed and not unknown.isclosed()
    assert unknown.read(10) == b""
    assert unknown.closed and unknown.read(10) == b""
    announced = body(25)
    assert [len(announced.read(10)) for _ in range(3)] == [10, 10, 5]
    assert announced.closed
    for whole in (body(None), body(25)):
        assert len(whole.read()) == 25 and whole.closed
    ended = body(None)
    ended.close()
    assert ended.closed and ended.read(10) == b""


class Artifact:
    """An artifact that meets a full disk as long as something is kept of it."""

    name = "demo"

    def __init__(self, error: Exception, kept: bool = True) -> None:
        self.error, self.kept, self.fetched = error, kept, 0

    def fetch(self, location: str, fresh: bool) -> Download:
        self.fetched += 1
        if self.kept or self.fetched == 1:
            raise self.error
        return Download(f"{location}/demo", "")

    def give_back(self) -> bool:
        kept, self.kept = self.kept, False
        return kept

    def failure_of(self, error: Exception) -> None:
        return None


def wrapped(error: Exception) -> Exception:
    """As urllib3 hands on what was raised while it read."""
    try:
        raise ValueError("Connection broken") from error
    except ValueError as outer:
        return outer


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_what_is_kept_is_given_back_and_the_file_fetched_once_more(
    code: int, tmp_path: Path
) -> None:
    for error in (OSError(code, "full"), wrapped(OSError(code, "full"))):
        assert is_full(error)
        artifact: Any = Artifact(error)
        assert FileRing(print).download(artifact, str(tmp_path)).path == f"{tmp_path}/demo"
        assert artifact.fetched == 2


def test_a_full_disk_that_is_not_our_doing_and_other_errors_stand(tmp_path: Path) -> None:
    for error, kept in ((OSError(errno.ENOSPC, "full"), False), (OSError(errno.EIO, "bad"), True)):
        artifact: Any = Artifact(error, kept)
        with pytest.raises(OSError) as raised:
            FileRing(print).download(artifact, str(tmp_path))
        assert raised.value is error and artifact.fetched == 1
