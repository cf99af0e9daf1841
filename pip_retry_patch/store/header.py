"""What a partial says of itself: its name in the store, and the header before its bytes.

A partial is named by the hash that pip will check, and by nothing else. So the same file goes on
from any URL, index or mirror. The header is one line of JSON of a fixed size: the same key, the
artifact's name, its size and coding, and its validators with the host that they came from. Nothing
in it is secret.
"""

from __future__ import annotations

import hashlib
import json
from typing import Mapping, Sequence

from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.records import NamedTuple

SIZE = 4096  # bytes
FORMAT = 2  # 1, of version 0.1.0, was named by URL and hash


class Header(NamedTuple):
    """What a header says.

    :param key: see `key_of`.
    :param name: the artifact's, for messages.
    :param host: scheme, host and port that the validators came from. They mean nothing elsewhere.
    :param reserved: how large the partial may grow, in bytes of the artifact; see directory.py.
    """

    key: str
    name: str
    known: Representation
    host: str = ""
    content_type: str = ""
    reserved: int = 0

    def to_bytes(self) -> bytes:
        """Raises ValueError where it does not fit, as with a validator of many kilobytes."""
        known, fields = self.known, self._asdict()
        fields.update(known=[*known.validators, known.total, known.coding], format=FORMAT)
        line = json.dumps(fields).encode("ascii")
        if len(line) >= SIZE:
            raise ValueError("too long a header")
        return line.ljust(SIZE - 1) + b"\n"

    @classmethod
    def from_bytes(cls, header: bytes) -> Header:
        """Raises ValueError for what is not a header."""
        try:
            fields = json.loads(header.decode("ascii"))
            if len(header) != SIZE or fields.pop("format") != FORMAT:
                raise ValueError("another format")
            *validators, total, coding = fields.pop("known")
            known = Representation(Validators(*validators), total, coding)
            found = cls(known=known, **fields)
        except (TypeError, AttributeError, KeyError, RecursionError) as error:
            raise ValueError(str(error)) from None
        if not found._is_sane():
            raise ValueError("of other types")
        return found

    def _is_sane(self) -> bool:
        (etag, modified, settled), total, coding, _ = self.known
        texts = (self.key, self.name, self.host, self.content_type, coding)
        return (
            all(type(text) is str for text in texts)
            and all(text is None or type(text) is str for text in (etag, modified))
            and type(settled) is bool
            and type(self.reserved) is int
            and self.reserved >= 0
            and (total is None or (type(total) is int and total >= 0))
        )


def key_of(hashes: Mapping[str, Sequence[str]]) -> str:
    """Return what names an artifact that may have any of these hashes, by algorithm.

    :raises ValueError: there are none.
    """
    lines = {f"{name}={digest}".lower() for name in hashes for digest in hashes[name]}
    if not lines:
        raise ValueError("no hash will cover it")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:32]
