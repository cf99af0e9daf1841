"""How urllib3 is asked once more for the rest of an answer, and what its answers are as parts."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple

from pip_retry_patch.transport.parts import Part

# A request as it was sent, to send it again: through the pool, and with the fields of its header.
Send = Callable[..., Any]
Again = Callable[[Mapping[str, str]], Any]

# For a request that is ours: no retries of urllib3 (their errors, and their patience, hide what
# happened), and no redirect, which would have to be followed by pip's session.
PROBE = {"retries": False, "redirect": False}

# A request for the rest is no longer the conditional request that CacheControl may have made:
# to that the answer could be 304.
_NOT_REPEATED = frozenset(
    [
        "range",
        "if-range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
    ]
)


class Sent(NamedTuple):
    """One call of urlopen: the pool's own method, what it was asked, and what came."""

    send: Send
    asked: Mapping[str, Any]
    headers: Mapping[str, str]
    response: Any = None
    source: Any = None


class Asker:
    """Sends one request again, for the rest of its answer.

    :param capture: lets pip's session send its own request once more, with some fields, and
        returns the call of urlopen that this led to.
    """

    def __init__(self, sent: Sent, capture: Callable[[Mapping[str, str]], Sent]) -> None:
        self._sent = sent
        self._capture = capture

    def ask(self, fields: Mapping[str, str]) -> Part:
        """Send it to the same host, through the same pool, with the same header but for `fields`.

        So it has the credentials that pip's session chose for that host. A redirect is returned.
        """
        sent = self._sent
        kept = {
            name: sent.headers[name] for name in sent.headers if name.lower() not in _NOT_REPEATED
        }
        asked = dict(sent.asked, headers=dict(kept, **fields), **PROBE)
        asked.update(preload_content=False, decode_content=False, release_conn=False)
        response = sent.send(**asked)
        return _part(response, response._fp)

    def ask_again(self, fields: Mapping[str, str]) -> Part:
        """Send it from its first URL on, by pip's session, which follows what redirects there are.

        Where it then leads is where `ask` asks from now on.
        """
        sent = self._sent = self._capture(fields)
        return _part(sent.response, sent.source)


def first_part(response: Any) -> Part:
    """Return the part of the response that pip holds: it releases the connection of that one."""
    source = response._fp

    def close(reusable: bool) -> None:
        source.close()
        if not reusable and response.connection is not None:
            response.connection.close()
            response.release_conn()

    return Part(response.status, response.headers, source, close)


def _part(response: Any, source: Any) -> Part:
    """Return the part of a response that only we hold."""

    def close(reusable: bool) -> None:
        source.close()
        if not reusable:
            response.close()
        response.release_conn()

    return Part(response.status, response.headers, source, close)
