"""Servers whose answers to a range are wrong every time: the file is asked for without one."""

from __future__ import annotations

import contextlib
from typing import Any, ContextManager, Mapping, Sequence

import pytest

from tests.support.lab.contents import (
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
from tests.support.lab.faults import Busy, Cut, Drop, ToRange, Unsatisfiable
from tests.support.lab.packages import Package, payload
from tests.support.lab.server import Lab
from tests.support.guarded import SIZE, UNHURRIED, Copy, GaveUpError, Server, read
from tests.support.scripted import Answer, Script, Scripted, refusing, sending

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


def hashed(copy: Copy, yes: bool, server: Server) -> ContextManager[None]:
    if not yes:
        return contextlib.nullcontext()
    url = f"{server.url}/files/demo/{server.filename('demo')}"
    return copy.guards["http"].sending(url, lambda fields: None, hashed=True, artifact=True)


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
    with Lab([package]) as lab, hashed(copy, covered, lab):
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
    with Lab([package]) as lab, hashed(copy, covered, lab):
        assert b"".join(read(copy.get(lab), 4096)) == lab.wheel("demo")


def test_what_such_a_server_did_is_remembered_for_its_next_file() -> None:
    """Once it gave a file only without a range, it is not asked for a part again."""
    packages = [
        Package(name, SIZE, [Cut(CUT)], forever=ToRange(Busy(403))) for name in ("demo", "other")
    ]
    copy = Copy(timeout=UNHURRIED)
    with Lab(packages) as lab, hashed(copy, True, lab):
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
    with Scripted(*scripts) as server, hashed(copy, True, server):
        assert b"".join(read(copy.get(server), 4096)) == data
        assert ranges_of(server) == [None, f"bytes={CUT}-", None, None]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
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


@pytest.mark.parametrize("status", [400, 403, 405])
def test_what_the_first_url_refuses_as_well_is_the_end(status: int) -> None:
    data = payload("refused", SIZE)
    scripts = [sending(data, "length", CUT), *[refusing(status)] * 4, sending(data, "length")]
    copy = Copy(timeout=UNHURRIED)
    with Scripted(*scripts) as server:
        with copy.guards["http"].sending(
            f"{server.url}/link", lambda fields: copy.get(server, **fields), hashed=True
        ):
            response = copy.get(server)
        with pytest.raises(GaveUpError, match=f"the server answered {status}"):
            list(read(response, 4096))
        assert len(server.requests) == 5


# What an expired link may answer; the link to it is good.
PAGE = b"<!DOCTYPE html><html><body>This link has expired"


def got_by_a_link(copy: Copy, server: Scripted, again: list[Any], hashed: bool = True) -> Any:
    """Return the response of what a redirect led to.

    :param again: collects the fields of each request for the first URL.
    """

    def ask(fields: Any) -> Any:
        again.append(dict(fields))
        return copy.get(server, **fields)

    with copy.guards["http"].sending(f"{server.url}/link", ask, hashed=hashed, artifact=True):
        return copy.get(server)


EXPIRED: dict[str, Sequence[Script]] = {
    "web-page": [sending(PAGE, "length", headers={"Content-Type": "text/html", "ETag": ""})],
    "other-text": [sending(b"<Error/>", "length", headers={"ETag": ""})],
    "same-size": [sending(bytes(SIZE), "length", headers={"ETag": ""})],
    "busy": [refusing(503)],
    "500": [refusing(500)] * 2,
    "closed": [lambda _: Answer(b"")],
    "redirect": [refusing(302, {"Location": "/login"})],
}


@pytest.mark.parametrize("covered", [True, False], ids=["hash", "no-hash"])
@pytest.mark.parametrize("answer", EXPIRED)
def test_a_link_that_brings_something_else_is_made_anew(answer: str, covered: bool) -> None:
    if answer == "same-size" and covered:
        return  # which is for the hash to find out
    data = payload("expired", SIZE)
    whole = sending(data, "length")

    def store(fields: Mapping[str, str]) -> Answer:
        """Serve the first link for one request, and the one that comes of `ask` for ever."""
        if asked:
            return whole(fields)
        return (first.pop(0) if len(first) > 1 else first[0])(fields)

    first = [sending(data, "length", CUT), *EXPIRED[answer]]
    asked: list[Any] = []
    copy = Copy(timeout=UNHURRIED)
    with Scripted(store) as server:
        response = got_by_a_link(copy, server, asked, covered)
        assert b"".join(read(response, 4096)) == data
        assert len(asked) == 1


def test_a_link_whose_parts_bring_nothing_is_made_anew() -> None:
    data = payload("empty", SIZE)
    empty = sending(data, "length", 0)
    scripts = [sending(data, "length", CUT), empty, sending(data, "length")]
    copy = Copy(timeout=UNHURRIED)
    again: list[Any] = []
    with Scripted(*scripts) as server:
        response = got_by_a_link(copy, server, again)
        assert b"".join(read(response, 4096)) == data
        assert again == [{"Range": f"bytes={CUT}-"}]


def test_the_first_url_of_a_link_that_was_refused_is_waited_for() -> None:
    data = payload("expired", SIZE)
    refusals = [*[refusing(403)] * 2, refusing(503, {"Retry-After": "0"})]
    scripts = [sending(data, "length", CUT), *refusals, sending(data, "length")]
    copy = Copy(timeout=UNHURRIED)
    with Scripted(*scripts) as server:
        response = got_by_a_link(copy, server, [])
        assert b"".join(read(response, 4096)) == data
        assert len(server.requests) == 5


def test_no_wait_is_slept_for_in_silence_when_a_link_is_made_anew() -> None:
    """urllib3 would sleep for Retry-After, as long as it says."""
    data = payload("expired", SIZE)
    refusals = [*[refusing(403)] * 2, refusing(503, {"Retry-After": "3600"})]
    copy = Copy(timeout=UNHURRIED)
    with Scripted(sending(data, "length", CUT), *refusals) as server:
        response = got_by_a_link(copy, server, [])
        with pytest.raises(GaveUpError, match="503"):
            list(read(response, 4096))
        assert len(server.requests) == 4


@pytest.mark.parametrize("kind", ["ValueError", "TooManyRedirects"])
def test_a_link_to_an_address_that_makes_no_sense_is_the_end(kind: str) -> None:
    bad = type(kind, (ValueError if kind == "ValueError" else OSError,), {})
    data = payload("nowhere", SIZE)
    elsewhere = refusing(302, {"Location": "http://[::1/"})

    def ask(_: Any) -> Any:
        raise bad("http://[::1/ is no address")

    copy = Copy(timeout=UNHURRIED)
    with Scripted(sending(data, "length", CUT), elsewhere) as server:
        url = f"{server.url}/files/demo/{server.filename('demo')}"
        with copy.guards["http"].sending(url, ask, hashed=True, artifact=True):
            response = copy.get(server)
        with pytest.raises(GaveUpError, match="an address that makes no sense"):
            list(read(response, 4096))
        assert len(server.requests) == 2
