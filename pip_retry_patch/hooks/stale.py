"""Pages of an index that no source delivers, from pip's own HTTP cache, however old.

`retry-patch-stale = on` allows it (RFC 9111 section 4.2.4, RFC 5861 section 4). A page is taken
only whole, only if its `Vary` fits, and not past `no-cache` or `must-revalidate`.

Of pip, the adapter of CacheControl is used: its `controller.cached_request(request)` and its
`build_response(request, response, from_cache)`.
"""

from __future__ import annotations

import importlib
from email.utils import formatdate
from typing import Any, Mapping

from pip_retry_patch import names, wording
from pip_retry_patch.fetch.judge import seconds_between
from pip_retry_patch.fetch.pages import has_no_end
from pip_retry_patch.hooks.compat import Pip

# By which a server forbids it (RFC 9111 section 5.2.2).
_FORBID = ("no-cache", "no-store", "must-revalidate")


def find(pip: Pip, session: Any, url: str, kwargs: Mapping[str, Any]) -> Any:
    """Return the page that pip's cache has, as a response of requests; None if none may be used."""
    adapter = session.get_adapter(url)
    if not hasattr(adapter, "controller"):
        return None  # pip caches what comes from a secure origin only
    # What a request says of its age outranks what the answer says.
    headers = {**(kwargs.get("headers") or {}), "Cache-Control": f"max-age={10**10}"}
    requests: Any = importlib.import_module(f"{pip.name}._vendor.requests")
    request = session.prepare_request(requests.Request("GET", url, headers))
    found = adapter.controller.cached_request(request)
    if not found:
        return None
    response = adapter.build_response(request, found, from_cache=True)
    control = (response.headers.get("cache-control") or "").lower()
    is_forbidden = any(word in control for word in _FORBID)
    is_whole = response.status_code == 200 and not has_no_end(response)
    return response if is_whole and not is_forbidden else None


def tell(pip: Pip, index: str, page: Any, failure: wording.Failure) -> None:
    """Say once that pages come from pip's cache, and how old the first one is."""
    age = seconds_between(page.headers.get("date") or "", formatdate(usegmt=True)) or 0.0
    facts = {"index": names.redacted(index), "age": f"{age / 3600:.1f} hours"}
    pip.say_once("stale", "", why=failure.why or failure.message, **facts)
