"""The number that a hint names was in the way: whoever follows it gets the file."""

from __future__ import annotations

from typing import Any, Callable

import pytest
import requests

from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.job import Kind
from pip_retry_patch.fetch.patience import Patience
from pip_retry_patch.records import replace
from tests.support.exchanges import (
    ETAG,
    RESET,
    Cut,
    GaveUpError,
    World,
    busy,
    refused,
    response,
    unknown_name,
    whole,
)

BODY = bytes(300_000)
PAGE = b'<!DOCTYPE html><html><body><a href="demo-1.0-py3-none-any.whl">x</a></body></html>'
CAME = "it came"
FIELDS = {
    "retry-patch-patience": "seconds",
    "retry-patch-first-contact": "first_contact",
    "retry-patch-attempts": "attempts",
}


def told(patience: Patience, bad: Callable[[], Any], lasts: float, what: str = "") -> Any:
    """Ask a server that is bad for so many seconds; return the setting that is named, if any.

    :param what: the file is a "page", is asked for "again", or breaks as a "body" does.
    """
    world: Any = None
    content = PAGE if what == "page" else BODY

    def serve(_: Any) -> Any:
        if world.clock.seconds - began < lasts:
            return bad()
        answer = whole(content)
        if what == "page":
            assert answer.content  # as requests reads it
        return answer

    broken = response(BODY[:100_000], RESET, length=len(BODY), etag=ETAG)
    does: dict[str, list[Any]] = {"again": [whole(BODY)], "body": [broken, serve]}
    job: Any = {"kind": Kind.PAGE, "whole": True} if what == "page" else {}
    world = World(*does.get(what, [serve]), patience=patience, **job)
    exchange, began = world.exchange, 0.0
    if what == "again":
        world.obtain()
        exchange, began = world.another(serve), world.clock.seconds
    try:
        if what == "body":
            assert world.read() == BODY
        else:
            exchange.obtain()
    except GaveUpError as error:
        return error.failure.setting
    except requests.ConnectionError:
        pass
    return CAME if exchange.failure is None else exchange.failure.setting


def cut_page() -> Any:
    return Cut(requests.exceptions.ChunkedEncodingError(RESET))


@pytest.mark.parametrize(
    ("setting", "patience", "bad", "lasts", "what"),
    [
        ("retry-patch-first-contact", Patience(first_contact=5, seconds=3), refused, 20, ""),
        ("retry-patch-patience", Patience(seconds=5), refused, 20, "again"),
        ("retry-patch-patience", Patience(seconds=5), refused, 20, "body"),
        ("retry-patch-patience", Patience(), lambda: busy(503, "200"), 100, ""),
        ("retry-patch-attempts", Patience(attempts=2), busy, 60, "body"),
        ("retry-patch-attempts", Patience(attempts=2), busy, 60, ""),
        ("retry-patch-attempts", Patience(attempts=2), cut_page, 60, "page"),
    ],
)
def test_the_number_that_is_named_was_in_the_way(
    setting: str, patience: Patience, bad: Callable[[], Any], lasts: float, what: str
) -> None:
    named, value = told(patience, bad, lasts, what)
    field = FIELDS[named]
    longer = {field: type(getattr(patience, field))(float(value))}
    assert named == setting and told(replace(patience, **longer), bad, lasts, what) == CAME


def test_whoever_sits_at_a_machine_without_network_is_told_of_the_patience_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(errors, "is_offline", lambda _: True)
    patience = Patience(seconds=40, person=True)
    assert told(patience, refused, 100) == ("retry-patch-patience", "600")
    assert told(replace(patience, seconds=600.0), refused, 100) == CAME


@pytest.mark.parametrize("bad", [unknown_name, lambda: busy(500)])
def test_no_number_is_named_where_none_is_in_the_way(
    monkeypatch: pytest.MonkeyPatch, bad: Callable[[], Any]
) -> None:
    monkeypatch.setattr(errors, "_has_route", lambda *_: True)
    for patience in (Patience(), Patience(first_contact=600, attempts=50)):
        assert told(patience, bad, 1000) is None
