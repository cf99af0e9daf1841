"""What an earlier run kept is offered with a request, and never stands in its way.

An offer is a request of pip's with a Range added. Whatever our own field brings down (400, 403,
405, 500, a reset, silence) is asked again without it before that answer counts.
"""

from __future__ import annotations

import logging
from typing import Any, Mapping

from pip_retry_patch.transport.continuation import Accepted, Continuation, without_offer
from pip_retry_patch.transport.errors import was_sent
from pip_retry_patch.transport.hosts import drop
from pip_retry_patch.transport.reissue import Ranges, Request
from pip_retry_patch.transport.sender import PatientSender

logger = logging.getLogger("pip_retry_patch")

# After so many answers that did not help, the offer is withdrawn while the request is retried.
FRUITLESS = 2


class Offer:
    """One request of pip's, and what is kept of the artifact that it asks for.

    :param ranges: remembers whether the host sends parts.
    :param brief: there is another source to ask: this one gets one retry.
    """

    def __init__(
        self,
        continuation: Continuation,
        request: Request,
        sender: PatientSender,
        ranges: Ranges,
        brief: bool = False,
    ) -> None:
        self._continuation = continuation
        self._request = request._replace(send=self._send)
        self._plain = request
        self._sender = sender
        self._ranges = ranges
        self._brief = brief
        self._fruitless = 0

    def ask(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Accepted | None]:
        """Return the answer, and what is kept if that goes on with it.

        The answer is None where the request is to be sent without the offer.
        """
        continuation, plain = self._continuation, self._plain
        if self._ranges.refused or plain.asked["method"] != "GET" or "headers" not in kwargs:
            return None, None
        if not continuation.is_offered:
            return None, None
        fields = continuation.fields(plain.headers, plain.url)
        if not fields:
            return None, None
        offered = dict(kwargs, headers=dict(plain.headers, **fields))
        request = self._request._replace(headers=offered["headers"])
        try:
            response = self._sender.send(request, args, offered, True, self._brief)
        except Exception as error:
            if not continuation.is_offered or not was_sent(error):
                raise
            logger.debug("pip-retry-patch asks without what it kept: %r", error)
            continuation.withdraw()
            return None, None
        if not continuation.is_offered or 300 <= response.status < 400:
            return response, None
        accepted = continuation.accept(response)
        if accepted is not None:
            self._ranges.proven = True
        elif response.status != 200:
            drop(response)
            continuation.withdraw()
            return None, None
        return response, accepted

    def _send(self, *args: Any, **kwargs: Any) -> Any:
        """Send the request, without the offer from some vain answer on."""
        if self._fruitless >= FRUITLESS:
            self._continuation.withdraw()
        if not self._continuation.is_offered:
            kwargs = dict(kwargs, headers=self._plain.headers)
        try:
            response = self._plain.send(*args, **kwargs)
        except Exception as error:
            self._fruitless += was_sent(error)
            raise
        self._fruitless += response.status >= 400
        return response


def retried(continuation: Continuation, request: Request) -> dict[str, Any]:
    """Return what to send when urllib3 retries an offer by calling itself, which we see.

    It is the same again, or without our fields where a server was reached in vain before.
    """
    history = getattr(request.asked.get("retries"), "history", ())
    vain = [one for one in history if one.error is None or was_sent(one.error)]
    if len(vain) < FRUITLESS:
        return dict(request.asked)
    continuation.withdraw()
    return dict(request.asked, headers=without_offer(request.headers))
