"""Answers that pip's HTTP cache must not keep, so that they are asked for again."""

from __future__ import annotations

import logging
from typing import Any, Callable, Mapping

from pip_retry_patch.hooks.cache import evict
from pip_retry_patch.transport.pages import is_cut, is_kept, names_files

logger = logging.getLogger("pip_retry_patch")


def came_cut(session: Any, response: Any) -> bool:
    """Whether a page came without its end; pip's cache then has it no longer."""
    try:
        return is_cut(response) and _forget(session, response)
    except Exception as why:
        logger.debug("pip-retry-patch could not look at the end of a page: %r", why)
        return False


# So many pages without a file are asked for once more in one run, where that brings none either.
# Some indexes have such a page in place of each project that they do not have.
VAIN = 3


class Doubts:
    """Answers that are of no use, and may be another one when they are asked for again.

    :param retries: tells of a session and a URL whether pip retries there at all.
    """

    def __init__(self, retries: Callable[[Any, str], bool]) -> None:
        self._retries = retries
        self._left = VAIN

    def arise(
        self,
        session: Any,
        response: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        again: bool,
    ) -> bool:
        """Whether to ask again, past pip's cache, which then has nothing of it.

        That is so for what came by way of that cache, and for a page that names no file: an error
        of a gateway may come as one, or as nothing at all.

        :param args: and `kwargs`, what `PipSession.request` was called with.
        :param again: it was asked for again.
        """
        if args[:1] != ("GET",):
            return False
        try:
            # What pip asks for without a header of its own is a file of requirements.
            is_page = not kwargs.get("stream") and bool(kwargs.get("headers"))
            is_error = response.status_code >= 400
            in_vain = is_page and response.status_code == 200 and not names_files(response.content)
            if not (is_error or in_vain):
                return False
            if again:
                self._left -= in_vain
            if again or not (is_kept(response) or (in_vain and self._left > 0)):
                return False
            if not self._retries(session, response.url):
                return False
            response.close()
            return _forget(session, response)
        except Exception as why:
            logger.debug("pip-retry-patch could not look at an answer: %r", why)
            return False


def _forget(session: Any, response: Any) -> bool:
    for each in (*response.history, response):
        evict(session, each.url)
    return True
