"""What becomes of connections: each answer that nobody reads is ended, each whole one used again.

A pool that may have one connection, and waits for it, shows whether all are given back.
"""

from __future__ import annotations

from typing import Any, Mapping

import pytest
import urllib3

from tests.support.lab.packages import payload
from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.policy.retry import Clock, Patience
from pip_retry_patch.transport.errors import GaveUpError
from pip_retry_patch.transport.origin import HandedOn, Origin
from pip_retry_patch.transport.reissue import Part, Ranges
from pip_retry_patch.transport.resumption import Resumption
from tests.support import guarded
from tests.support.scripted import Answer, Scripted, refusing, sending

DATA = payload("connections", 100_000)
WHOLE = sending(DATA, "length")
CUT = sending(DATA, "length", 50_000)


def dropping(fields: Mapping[str, str]) -> Answer:
    return Answer(b"")


def narrow(server: Scripted) -> Any:
    """Return a guarded pool that has one connection, and an error for who asks for another."""
    pool = guarded.Copy().pools["http"]("127.0.0.1", server.port, maxsize=1, block=True, timeout=1)
    for_a_moment = pool._get_conn
    pool._get_conn = lambda timeout=None: for_a_moment(timeout=0.5)
    return pool


def read(pool: Any) -> bytes:
    response = pool.urlopen(
        "GET", "/files/demo.whl", retries=urllib3.Retry(1), redirect=False, preload_content=False
    )
    return b"".join(response.stream(4096, decode_content=False))


@pytest.mark.parametrize(
    "scripts, connections",
    [
        ((WHOLE,), 1),
        ((CUT, WHOLE), 2),
        # What is refused, or brings the file anew, is read no further than it must be.
        ((CUT, refusing(503), refusing(403), WHOLE), 4),
        ((CUT, dropping, CUT, WHOLE), 4),
        ((CUT, lambda fields: WHOLE({})), 3),
    ],
    ids=["whole", "cut", "refused", "dropped", "replayed"],
)
def test_each_connection_is_given_back(scripts: Any, connections: int) -> None:
    with Scripted(*scripts, WHOLE) as server:
        pool = narrow(server)
        assert read(pool) == DATA
        assert server.connections <= connections
        before = server.connections
        assert [read(pool) for _ in range(3)] == [DATA] * 3
        assert server.connections == before, "the last connection is used for all of them"


def test_a_download_that_is_given_up_gives_its_connection_back() -> None:
    with Scripted(CUT, *[refusing(404)] * 2, WHOLE) as server:
        pool = narrow(server)
        with pytest.raises(guarded.GaveUpError):
            read(pool)
        assert read(pool) == DATA


def test_a_body_that_is_closed_unread_gives_its_connection_back() -> None:
    with Scripted(WHOLE) as server:
        pool = narrow(server)
        for _ in range(3):
            response = pool.urlopen("GET", "/files/demo.whl", preload_content=False)
            response.read(10)
            response.close()
        assert read(pool) == DATA


# Each answer of a search is ended once, whatever its verdict.


class Response:
    """What http.client makes of an answer, as far as a part looks at it."""

    fp = None

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.length: int | None = len(body)

    def read(self, most: int) -> bytes:
        piece, self.body = self.body[:most], self.body[most:]
        self.length = len(self.body)
        return piece

    read1 = read

    def isclosed(self) -> bool:
        return not self.body


PAGE = {"content-type": "text/html"}
TOTAL = 1000
PART = {"content-range": f"bytes 500-{TOTAL - 1}/{TOTAL}", "etag": '"a"'}
ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "busy": (503, {}, b""),
    "refused": (404, {}, b""),
    "redirect": (302, {}, b""),
    "changed": (200, {}, bytes(TOTAL + 1)),
    "page": (200, PAGE, b"<html>"),
    "page-without-a-label": (200, {}, b"<html>" + bytes(20)),
    "another-file": (200, {}, bytes(TOTAL)),
    "short": (200, {}, bytes(TOTAL - 1)),
    "elsewhere": (206, {"content-range": f"bytes 499-{TOTAL - 1}/{TOTAL}"}, bytes(501)),
    "condition": (200, {"etag": '"a"'}, bytes(TOTAL)),
    "other-overlap": (206, PART, b"x" * 500),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_that_does_not_help_is_ended_and_its_connection_not_used_again(
    what: str,
) -> None:
    status, headers, body = ANSWERS[what]
    asked = 0
    closed: list[bool] = []

    def ask(fields: dict[str, str]) -> Part:
        nonlocal asked
        asked += 1
        response: Any = Response(body)
        if what == "short":
            response.length = None
        return Part(status, headers, response, closed.append)

    origin = Origin(
        name="demo",
        host="files.example",
        ask=ask,
        ask_first_url=lambda fields: ask(fields),
        redirected=True,
        unreachable=lambda error: False,
        local=lambda error: False,
        announce=lambda line: None,
        error=lambda failure, error: error,
        patience=Patience(attempts=3),
        clock=Clock(lambda: 0.0, lambda seconds: None, lambda low, high: low),
        hashed=False,
        ranges=Ranges(),
    )
    known = Representation(Validators('"a"'), TOTAL)
    tail = b"y" * 10
    with pytest.raises(GaveUpError):
        Resumption(origin, known, 0, None).reopen(
            HandedOn(510, b"another digest", tail), ConnectionResetError()
        )
    assert asked >= 1
    assert closed == [False] * asked
