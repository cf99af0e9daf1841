"""Answers that pip's HTTP cache must not keep, so that they are asked for again."""

from __future__ import annotations

import logging
from typing import Any, Mapping

from pip_retry_patch.hooks.cache import evict
from pip_retry_patch.transport.pages import is_cut, is_kept_in_vain

logger = logging.getLogger("pip_retry_patch")


def came_cut(session: Any, response: Any) -> bool:
    """Whether a page came without its end; pip's cache then has it no longer."""
    try:
        return is_cut(response) and _forget(session, response)
    except Exception as why:
        logger.debug("pip-retry-patch could not look at the end of a page: %r", why)
        return False


def kept_in_vain(
    session: Any, response: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> bool:
    """Whether pip's cache had a part in an answer of no use; it then has it no longer.

    :param args: and `kwargs`, what `PipSession.request` was called with.
    """
    try:
        # What pip asks for without a header of its own is a file of requirements.
        is_page = not kwargs.get("stream") and bool(kwargs.get("headers"))
        if args[:1] != ("GET",) or not is_kept_in_vain(response, is_page):
            return False
        response.close()
        return _forget(session, response)
    except Exception as why:
        logger.debug("pip-retry-patch could not look at what pip's cache has: %r", why)
        return False


def _forget(session: Any, response: Any) -> bool:
    for each in (*response.history, response):
        evict(session, each.url)
    return True
