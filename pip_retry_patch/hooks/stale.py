"""Pages of an index that no source delivers, from pip's own HTTP cache, however old.

`retry-patch-stale = on` allows it (RFC 9111 section 4.2.4, RFC 5861 section 4). A page is taken
only whole, only if its `Vary` fits, and not past `no-cache` or `must-revalidate`.

Of pip, the adapter of CacheControl is used: its `controller.cache_url(url)` and
`controller.serializer.loads(request, data, body_file)` (without `body_file` up to pip 23.0), its
`build_response(request, response, from_cache)`, and its `cache`.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any, Mapping

from pip_retry_patch.fetch.judge import length_of
from pip_retry_patch.fetch.pages import has_no_end

# By which a server forbids it (RFC 9111 section 5.2.2).
_FORBID = frozenset(["no-cache", "no-store", "must-revalidate"])


def stale_page(requests: Any, session: Any, url: str, kwargs: Mapping[str, Any]) -> Any:
    """Return the page that pip's cache has, as a response of requests; None if none may be used.

    :param requests: the package that pip's session is of.
    """
    adapter = session.get_adapter(url)
    controller = getattr(adapter, "controller", None)
    if controller is None:
        return None  # pip caches what comes from a secure origin only
    # As pip's session would send it: `Vary` is compared with that.
    request = session.prepare_request(
        requests.Request("GET", url, headers=dict(kwargs.get("headers") or {}))
    )
    key = controller.cache_url(request.url)
    data = adapter.cache.get(key)
    bodies = [adapter.cache.get_body(key)] if hasattr(adapter.cache, "get_body") else []
    found = data and controller.serializer.loads(request, data, *bodies)
    if not found:
        return None
    response = adapter.build_response(request, found, from_cache=True)
    control = (response.headers.get("cache-control") or "").lower()
    length = length_of(response.headers)
    coded = response.headers.get("content-encoding")
    is_short = length is not None and not coded and length != len(response.content)
    is_forbidden = _FORBID & {each.split("=")[0].strip() for each in control.split(",")}
    if response.status_code != 200 or is_short or is_forbidden or has_no_end(response):
        return None
    return response


def age_of(response: Any) -> float:
    """Return how old a page is, in seconds, by the Date of its header."""
    try:
        made = parsedate_to_datetime(response.headers.get("date") or "").timestamp()
        return max(time.time() - made, 0.0)
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0
