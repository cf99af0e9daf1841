"""The number that a hint names was in the way: whoever follows it gets the file."""

from __future__ import annotations

import socket
from typing import Any, Callable

import pytest
import requests

from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.job import Kind
from pip_retry_patch.fetch.patience import Patience
from pip_retry_patch.records import replace
from tests.support.exchanges import RESET, Cut, GaveUpError, World, response, whole
from tests.unit.fetch.test_exchange import BODY, OTHER, PAGE, busy, refused

FIELDS = {
    "retry-patch-patience": "seconds",
    "retry-patch-first-contact": "first_contact",
    "retry-patch-attempts": "attempts",
}
CUT_PAGE = {"kind": Kind.PAGE, "whole": True}


def cut_page() -> Any:
    return Cut(requests.exceptions.ChunkedEncodingError(RESET))


def told(
    patience: Patience,
    bad: Callable[..., Any],
    lasts: float,
    answered: bool = False,
    body: bool = False,
    **job: Any,
) -> tuple[str, str] | None:
    """Ask a server that is `bad` for so many seconds; return the hint, or that there was none."""
    world: Any = None

    def serve(asking: Any) -> Any:
        if world.clock.seconds - began < lasts:
            return bad()
        answer = whole(PAGE if job else BODY)
        if job:
            assert answer.content  # as requests reads it
        return answer

    first = [response(BODY[:100_000], RESET, length=len(BODY), etag='"v1"')] if body else []
    world = World(*([whole(BODY)] if answered else [*first, serve]), patience=patience, **job)
    exchange, began = world.exchange, 0.0
    if answered:
        world.obtain()
        exchange, began = world.another(serve, url=OTHER), world.clock.seconds
    try:
        if body:
            assert world.read() == BODY
        else:
            exchange.obtain()
    except GaveUpError as error:
        return error.failure.setting or ("", "")
    except requests.ConnectionError:
        pass
    if exchange.failure is None:
        return None
    return exchange.failure.setting or ("", "")


CASES: dict[str, tuple[str, Patience, Callable[..., Any], float, dict[str, Any]]] = {
    "first contact": (
        "retry-patch-first-contact",
        Patience(first_contact=5, seconds=3),
        refused,
        20,
        {},
    ),
    "lost": ("retry-patch-patience", Patience(seconds=5), refused, 20, {"answered": True}),
    "body lost": ("retry-patch-patience", Patience(seconds=5), refused, 20, {"body": True}),
    "body busy": (
        "retry-patch-attempts",
        Patience(attempts=2),
        lambda: busy(503),
        60,
        {"body": True},
    ),
    "busy": ("retry-patch-attempts", Patience(attempts=2), lambda: busy(503), 60, {}),
    "wants long": ("retry-patch-patience", Patience(), lambda: busy(503, "200"), 100, {}),
    "cut page": ("retry-patch-attempts", Patience(attempts=2), cut_page, 60, CUT_PAGE),
}


@pytest.mark.parametrize("name", CASES)
def test_the_number_that_is_named_was_in_the_way(name: str) -> None:
    setting, patience, bad, lasts, how = CASES[name]
    found = told(patience, bad, lasts, **how)
    assert found is not None and found[0] == setting
    longer = {FIELDS[setting]: type(getattr(patience, FIELDS[setting]))(float(found[1]))}
    assert told(replace(patience, **longer), bad, lasts, **how) is None


def test_whoever_sits_at_a_machine_without_network_is_told_of_the_patience_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(errors, "is_offline", lambda _: True)
    patience = Patience(seconds=40, person=True)
    assert told(patience, refused, 100) == ("retry-patch-patience", "600")
    assert told(replace(patience, seconds=600.0), refused, 100) is None


def unknown_name() -> Exception:
    error = refused()
    error.__cause__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return error


@pytest.mark.parametrize("bad", [unknown_name, lambda: busy(500)], ids=["name", "500"])
def test_no_number_is_named_where_none_is_in_the_way(
    monkeypatch: pytest.MonkeyPatch, bad: Callable[..., Any]
) -> None:
    monkeypatch.setattr(errors, "_has_route", lambda *_: True)
    assert told(Patience(), bad, 1000) == ("", "")
    assert told(Patience(first_contact=600, attempts=50), bad, 1000) == ("", "")
