"""Servers whose answers to a range are wrong every time: the file is asked for without one."""

from __future__ import annotations

import contextlib
from typing import Any, ContextManager

import pytest

from pip_retry_patch.lab.contents import (
    Compressed,
    Elsewhere,
    Excess,
    Multipart,
    OtherETag,
    OtherTotal,
    Short,
    Starred,
    Unlabelled,
)
from pip_retry_patch.lab.faults import Busy, Cut, Drop, ToRange, Unsatisfiable
from pip_retry_patch.lab.packages import Package, payload
from pip_retry_patch.lab.server import Lab
from tests.support.guarded import SIZE, UNHURRIED, Copy, GaveUpError, read
from tests.support.scripted import Scripted, refusing, sending

CUT = 100_000
WRONG: dict[str, Any] = {
    "elsewhere": Elsewhere(500),
    "unlabelled": Unlabelled(1),
    "other-total": OtherTotal(1),
    "multipart": Multipart(),
    "compressed": ToRange(Compressed()),
    "unsatisfiable": ToRange(Unsatisfiable(None)),
    "400": ToRange(Busy(400)),
    "403": ToRange(Busy(403)),
    "500": ToRange(Busy(500)),
    "501": ToRange(Busy(501)),
    "dropped": ToRange(Drop()),
}
# These are wrong in a way that a hash finds out, or that the part itself tells.
ODD: dict[str, Any] = {
    "other-etag": OtherETag(),
    "starred": Starred(),
    "starred-and-short": (Starred(), Short(90_000)),
    "excess": Excess(5_000),
}


def hashed(copy: Copy, yes: bool) -> ContextManager[None]:
    if not yes:
        return contextlib.nullcontext()
    return copy.guards["http"].sending("", lambda fields: None, hashed=True, artifact=True)


@pytest.mark.parametrize("covered", [True, False], ids=["hash", "no-hash"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_server_that_never_answers_a_range_rightly_is_asked_without_one(
    wrong: str, chunked: bool, covered: bool
) -> None:
    if chunked and wrong == "other-total":
        return  # what is chunked has told no total that another one could contradict
    package = Package("demo", SIZE, [Cut(CUT)], forever=WRONG[wrong], chunked=chunked)
    copy = Copy(timeout=UNHURRIED)
    with Lab([package]) as lab, hashed(copy, covered):
        assert b"".join(read(copy.get(lab), 4096)) == lab.wheel("demo")
        asked = [request.range for request in lab.requests("demo")]
        assert asked[0] is asked[-1] is None and None not in asked[1:-1] and 3 <= len(asked) <= 4


@pytest.mark.parametrize("covered", [True, False], ids=["hash", "no-hash"])
@pytest.mark.parametrize("odd", ODD)
def test_a_server_whose_parts_are_odd_every_time_gives_the_file_in_the_end(
    odd: str, covered: bool
) -> None:
    package = Package("demo", SIZE, [Cut(CUT)], forever=ODD[odd])
    copy = Copy(timeout=UNHURRIED)
    with Lab([package]) as lab, hashed(copy, covered):
        assert b"".join(read(copy.get(lab), 4096)) == lab.wheel("demo")


def test_what_such_a_server_did_is_remembered_for_its_next_file() -> None:
    """Once it gave a file only without a range, it is not asked for a part again."""
    packages = [
        Package(name, SIZE, [Cut(CUT)], forever=ToRange(Busy(403))) for name in ("demo", "other")
    ]
    copy = Copy(timeout=UNHURRIED)
    with Lab(packages) as lab, hashed(copy, True):
        for name in ("demo", "other"):
            assert b"".join(read(copy.get(lab, name), 4096)) == lab.wheel(name)
        assert [request.range for request in lab.requests("demo")] == [None, f"bytes={CUT}-", None]
        assert [request.range for request in lab.requests("other")] == [None, None]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_that_leads_nowhere_ends_in_one_clear_error(status: int) -> None:
    """It has no Location, so pip's session does not follow it either."""
    copy = Copy(timeout=UNHURRIED)
    with Lab([Package("demo", SIZE, [Cut(CUT)], forever=Busy(status))]) as lab:
        with copy.guards["http"].sending(
            lab.url, lambda fields: copy.get(lab, **fields), hashed=True, artifact=True
        ):
            response = copy.get(lab)
        with pytest.raises(GaveUpError, match=f"the server answered {status}"):
            list(read(response, 4096))
        assert len(lab.requests("demo")) == 3


# What is remembered while one interruption is healed.


def ranges_of(server: Scripted) -> list[str | None]:
    return [request.get("range") for request in server.requests]


def test_a_range_that_was_refused_is_not_tried_again_when_the_server_was_busy() -> None:
    data = payload("busy", SIZE)
    whole = sending(data, "length")
    scripts = [sending(data, "length", CUT), refusing(403), refusing(503), whole]
    copy = Copy(timeout=UNHURRIED)
    with Scripted(*scripts) as server, hashed(copy, True):
        assert b"".join(read(copy.get(server), 4096)) == data
        assert ranges_of(server) == [None, f"bytes={CUT}-", None, None]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_expired_link_is_asked_for_a_part_from_its_first_url(status: int) -> None:
    data = payload("expired", SIZE)
    scripts = [sending(data, "length", CUT), *[refusing(status)] * 2, sending(data, "length")]
    copy = Copy(timeout=UNHURRIED)
    with Scripted(*scripts) as server:
        first_url, again = f"{server.url}/link", []

        def ask(fields: Any) -> Any:
            again.append(dict(fields))
            return copy.get(server, **fields)

        with copy.guards["http"].sending(first_url, ask, hashed=True, artifact=True):
            response = copy.get(server)
        assert b"".join(read(response, 4096)) == data
        part = f"bytes={CUT}-"
        assert ranges_of(server) == [None, part, None, part]
        assert again == [{"Range": part}]


@pytest.mark.parametrize("status", [400, 402, 405, 451])
def test_another_refusal_is_no_expired_link(status: int) -> None:
    data = payload("refused", SIZE)
    scripts = [sending(data, "length", CUT), *[refusing(status)] * 2, sending(data, "length")]
    copy = Copy(timeout=UNHURRIED)
    with Scripted(*scripts) as server:
        with copy.guards["http"].sending(
            f"{server.url}/link", lambda fields: copy.get(server), hashed=True
        ):
            response = copy.get(server)
        with pytest.raises(GaveUpError, match=f"the server answered {status}"):
            list(read(response, 4096))
        assert len(server.requests) == 3
