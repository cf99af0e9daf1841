"""What a body comes from, and what its reader has of it: what is needed to ask for the rest."""

from __future__ import annotations

import hashlib
from typing import Callable, NamedTuple

from pip_retry_patch import failures
from pip_retry_patch.policy.retry import Clock, Patience
from pip_retry_patch.transport.reissue import Part, Ranges

# Where no hash covers a body, a part is asked for from so many bytes before the offset, and they
# are compared with those that were handed on. A validator alone is a claim: two files of one size
# that were written in the same second have the same one on many servers.
OVERLAP = 4 * 1024


class Origin(NamedTuple):
    """Where a body comes from, and what is needed to ask there again.

    :param name: what a user would call the thing, for messages.
    :param host: the server's name, for messages.
    :param ask: sends the same request again with these fields added to its header; returns the
        answer, or raises what the network raised.
    :param ask_first_url: the same, but from the request's first URL on, by way of whatever
        redirects there are now; None if nobody can do that.
    :param redirected: whether the link is another one than the first URL.
    :param unreachable: tells of such an error whether no server was reached.
    :param local: tells of such an error whether the request did not even leave this machine.
    :param announce: shows one line to the user.
    :param error: makes the exception to raise, from a Failure and the interruption.
    :param hashed: see `ranges.judge`.
    :param ranges: remembers whether the host sends parts.
    """

    name: str
    host: str
    ask: Callable[[dict[str, str]], Part]
    ask_first_url: Callable[[dict[str, str]], Part] | None
    redirected: bool
    unreachable: Callable[[Exception], bool]
    local: Callable[[Exception], bool]
    announce: Callable[[str], None]
    error: Callable[[failures.Failure, Exception], Exception]
    patience: Patience
    clock: Clock
    hashed: bool
    ranges: Ranges


class HandedOn(NamedTuple):
    """What a reader has of a body: all bytes up to `offset`.

    :param digest: SHA-256 of them, and `tail`, the last of them (up to OVERLAP). None and empty
        where a hash covers the body: then there is no need to compare.
    """

    offset: int
    digest: bytes | None = None
    tail: bytes = b""

    def overlaps(self, part: Part) -> bool:
        """Read the tail from a part that begins with it; False if it does not.

        :raises BrokenError: the part was interrupted.
        """
        return b"".join(part.again(len(self.tail))) == self.tail

    def continues(self, part: Part, start: int, look_at: Callable[[bytes], None]) -> bool:
        """Read all up to the offset from a part that begins with it; False if it does not.

        :param start: how many bytes come before the first one that was handed on.
        :param look_at: called with the first bytes; may raise.
        :raises BrokenError: the part was interrupted.
        """
        digest, position = hashlib.sha256(), 0
        for piece in part.again(self.offset):
            if not position:
                look_at(piece)
            if self.digest is not None:
                digest.update(piece[max(start - position, 0) :])
            position += len(piece)
        return self.digest is None or digest.digest() == self.digest
