"""Pages of an index that no source delivers, from pip's own HTTP cache, however old.

`retry-patch-stale = on` allows it (RFC 9111 section 4.2.4, RFC 5861 section 4). A page is taken
only whole, only if its `Vary` fits, and not past `no-cache` or `must-revalidate`.

Of pip, the adapter of CacheControl is used: its `controller.cache_url(url)` and
`controller.serializer.loads(request, data, body_file)` (without `body_file` up to pip 23.0), its
`build_response(request, response, from_cache)`, and its `cache`.
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
    controller = getattr(adapter, "controller", None)
    if controller is None:
        return None  # pip caches what comes from a secure origin only
    # As pip's session would send it: `Vary` is compared with that.
    requests: Any = importlib.import_module(f"{pip.name}._vendor.requests")
    request = session.prepare_request(requests.Request("GET", url, kwargs.get("headers")))
    key = controller.cache_url(request.url)
    data = adapter.cache.get(key)
    bodies = [adapter.cache.get_body(key)] if hasattr(adapter.cache, "get_body") else []
    found = data and controller.serializer.loads(request, data, *bodies)
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
    facts = {"index": names.redacted(index), "age": wording.format_age(age)}
    pip.say_once("stale", "", why=failure.briefly, **facts)
