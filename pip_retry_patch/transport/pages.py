"""Whether a page that was read in one piece is whole, where its length does not tell.

A page that is cut in a way that its framing cannot show would be read as a shorter page: with fewer
versions on it, or with none.
"""

from __future__ import annotations

import json
from typing import Any

from pip_retry_patch.policy.representation import is_web_page, media_of

# urllib3's GzipDecoder, after what follows a whole stream proved to be no stream.
_SWALLOW_DATA = 2


def is_cut(response: Any) -> bool:
    """Whether the body of a response of requests, which was read, ends before its end."""
    raw = response.raw
    if response.status_code != 200 or not response.content:
        return False
    if raw.headers.get("content-encoding") and _is_open(getattr(raw, "_decoder", None)):
        return True
    framed = "content-length" in raw.headers or "transfer-encoding" in raw.headers
    return not framed and not _ends(media_of(response.headers), response.content)


def _is_open(decoder: Any) -> bool:
    """Whether urllib3's decoder waits for more: no end of a gzip stream came (RFC 1952), say."""
    if hasattr(decoder, "_decoders"):
        return any(map(_is_open, decoder._decoders))
    if getattr(decoder, "_state", None) == _SWALLOW_DATA:
        return False
    stream: Any = getattr(decoder, "_obj", None)
    if hasattr(stream, "is_finished"):  # brotli
        return not stream.is_finished()
    return getattr(stream, "eof", True) is False


def _ends(media: str, content: bytes) -> bool:
    """Whether a page that ends with its connection ends as what it began as."""
    if media == "application/json" or media.endswith("+json"):
        try:
            json.loads(content)
        except ValueError:
            return False
        except RecursionError:
            pass  # what nests so deep is pip's to judge
        return True
    start = content[:512].lower()
    if is_web_page("", start) and b"<html" in start:
        # What follows may be a comment: PyPI writes its serial number there.
        return b"</html" in content[-1024:].lower()
    return True
