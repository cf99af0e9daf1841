"""The first bytes of a file that pip has, to go on from as if an earlier run had kept them."""

from __future__ import annotations

from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.store.header import Header


class Prefix:
    """The first `size` bytes of a file, as a `Partial` that grows no more."""

    def __init__(self, path: str, name: str, size: int) -> None:
        self.size = size
        self.header = Header("", name, Representation(Validators(), None, ""))
        self.is_on_disk = False
        self._file = open(path, "rb")  # noqa: SIM115 - `close` does

    def read(self, most: int) -> bytes:
        return self._file.read(most)

    def add(self, offset: int, piece: bytes) -> None:
        """Nothing is kept here: it lies in pip's own file."""

    def close(self) -> None:
        self._file.close()

    remove = close


class PrefixShelf:
    """Offers one prefix once, in place of what a `Shelf` keeps."""

    def __init__(self, prefix: Prefix) -> None:
        self._prefix: Prefix | None = prefix

    def find(self) -> Prefix | None:
        prefix, self._prefix = self._prefix, None
        return prefix

    def begin(self, *_: object) -> None:
        return None
