"""A file that its own host does not deliver comes from another source: what is asked of whom."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Iterator, Mapping

import pytest

from tests.support.lab.packages import payload
from pip_retry_patch.transport.continuation import Continuation, host_of
from pip_retry_patch.transport.elsewhere import REST, Breaker, Elsewhere, Mirror
from tests.support.guarded import HASTY, UNHURRIED, Copy, GaveUpError, read
from tests.support.keeping import Run
from tests.support.scripted import Answer, Script, Scripted, head, refusing, sending

DATA = payload("elsewhere", 1_200_000)
SAID = {"Last-Modified": "then", "Set-Cookie": "a=b", "Content-Type": "application/zip"}
WHOLE = sending(DATA, "length", headers=SAID)
PAGE = head(200, {"Content-Type": "text/html", "Content-Length": "6"}) + b"<html>"
CUT = 300_000


def page(fields: Mapping[str, str]) -> Answer:
    return Answer(PAGE)


def drop(fields: Mapping[str, str]) -> Answer:
    return Answer(b"")


def without_ranges(fields: Mapping[str, str]) -> Answer:
    return WHOLE({})


class World:
    """A file's own host, its mirrors, and a clock for the rest of hosts."""

    def __init__(self, own: Scripted, *mirrors: Scripted) -> None:
        self.copy = Copy(timeout=UNHURRIED)
        self.now = 0.0
        self.lines: list[str] = []
        self.breaker = Breaker(lambda: self.now)
        self.own = own
        self.mirrors = mirrors
        self.elsewhere = self.anew()

    def anew(self) -> Elsewhere:
        found = [Mirror(m.url, self.url(m), self.again(m)) for m in self.mirrors]
        return Elsewhere(self.url(self.own), lambda: found, self.breaker, self.lines.append)

    def url(self, server: Scripted) -> str:
        return f"{server.url}/files/demo/{server.filename('demo')}"

    def again(self, server: Scripted) -> Any:
        return lambda fields: self.copy.get(server, **fields)

    @contextlib.contextmanager
    def asking(self, continuation: Continuation | None = None) -> Iterator[Any]:
        self.elsewhere = self.anew()
        with self.copy.guards["http"].sending(
            self.url(self.own),
            self.again(self.own),
            hashed=True,
            artifact=True,
            continuation=continuation,
            elsewhere=self.elsewhere,
        ):
            response: Any = self.copy.get(self.own)
        try:
            yield response
        finally:
            response.close()

    def fetch(self, continuation: Continuation | None = None) -> bytes:
        with self.asking(continuation) as response:
            return b"".join(read(response, 65_536))

    def rests(self, server: Scripted) -> bool:
        return self.breaker.rests(server.url)


@contextlib.contextmanager
def world(own: Any, *mirrors: Any) -> Iterator[World]:
    """Each source is given by its scripts."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(Scripted(*(each if isinstance(each, tuple) else (each,))))
            for each in (own, *mirrors)
        ]
        yield World(*servers)


# The first answer


UNHELPFUL: dict[str, tuple[Script, bool]] = {
    "403": (refusing(403), False),
    "404": (refusing(404), False),
    "410": (refusing(410), False),
    "429": (refusing(429), True),
    "500": (refusing(500), True),
    "503": (refusing(503), True),
    "521": (refusing(521), True),
    "dropped": (drop, True),
}


@pytest.mark.parametrize("what", UNHELPFUL)
def test_where_the_own_host_has_nothing_a_mirror_brings_it(what: str) -> None:
    script, down = UNHELPFUL[what]
    with world(script, WHOLE) as there:
        (mirror,) = there.mirrors
        with there.asking() as response:
            assert response.status == 200
            # CacheControl and requests would take these for the original host's.
            assert not {"ETag", "Last-Modified", "Set-Cookie"} & set(response.headers)
            assert not response._original_response.msg.get_all("Set-Cookie")
            assert response.headers["Content-Type"] == "application/zip"
            assert b"".join(read(response, 65_536)) == DATA
        assert len(there.own.requests) == (2 if down else 1)
        assert len(mirror.requests) == 1
        assert there.rests(there.own) == down and not there.rests(mirror)
        assert there.elsewhere.came == [(0, mirror.url)]
        (line,) = there.lines
        assert f"127.0.0.1:{mirror.port}" in line and f"127.0.0.1:{there.own.port}" in line


@pytest.mark.parametrize("status", [200, 206, 302, 401, 416])
def test_any_other_answer_of_the_own_host_is_pips(status: int) -> None:
    with world(WHOLE if status == 200 else refusing(status), WHOLE) as there:
        with there.asking() as response:
            assert response.status == status
        assert not there.mirrors[0].requests and not there.lines and not there.elsewhere.came


def test_the_own_host_is_not_asked_while_it_rests() -> None:
    with world((drop, drop, WHOLE), WHOLE) as there:
        assert there.fetch() == DATA
        asked = len(there.own.requests)
        there.now = REST - 1
        assert there.fetch() == DATA
        assert len(there.own.requests) == asked
        there.now = REST
        assert there.fetch() == DATA
        assert len(there.own.requests) == asked + 1
        assert len(there.mirrors[0].requests) == 2


@pytest.mark.parametrize("status", [200, 404])
def test_an_own_host_that_rests_is_asked_where_nobody_else_has_it(status: int) -> None:
    with world(WHOLE if status == 200 else refusing(404), refusing(404)) as there:
        there.breaker.open(there.own.url)
        with there.asking() as response:
            assert response.status == status
        assert len(there.own.requests) >= 1 and there.elsewhere.came == []


@pytest.mark.parametrize("first", [refusing(404), refusing(503), drop, page])
def test_a_mirror_that_has_it_not_leaves_it_to_the_next(first: Script) -> None:
    with world(refusing(404), first, WHOLE) as there:
        assert there.fetch() == DATA
        one, other = there.mirrors
        again = first is drop or b" 503 " in first({}).data
        assert (len(one.requests), len(other.requests)) == (2 if again else 1, 1)
        assert there.elsewhere.came == [(0, other.url)]


def test_where_no_source_has_it_the_own_hosts_answer_is_pips() -> None:
    with world(refusing(404), refusing(404), page) as there:
        with there.asking() as response:
            assert response.status == 404
        assert there.elsewhere.came == []
        assert len([line for line in there.lines if "demo" in line]) == 1


def test_where_no_source_can_be_reached_the_own_hosts_error_is_pips() -> None:
    with world(drop, drop) as there, pytest.raises(GaveUpError) as end:
        there.fetch()
    assert f"127.0.0.1:{there.own.port}" in str(end.value)


def test_a_host_that_never_answered_gets_the_patience_of_first_contact() -> None:
    answers: tuple[tuple[bool, str], ...] = ((False, "for 1 s"), (True, "for 2 s"))
    for answered, told in answers:
        with world((WHOLE, drop) if answered else drop, drop) as there:
            there.copy = Copy(HASTY._replace(first_contact=1.0), UNHURRIED)
            if answered:
                assert there.copy.get(there.own).read() == DATA
            with pytest.raises(GaveUpError):
                there.fetch()
            assert [told in line for line in there.lines] == [True], there.lines


# A body that stops


def test_a_body_goes_on_at_a_mirror_from_its_exact_offset_and_without_a_validator() -> None:
    with world((sending(DATA, "length", CUT), drop), WHOLE) as there:
        assert there.fetch() == DATA
        (mirror,) = there.mirrors
        (asked,) = mirror.requests
        assert asked["range"] == f"bytes={CUT}-" and "if-range" not in asked
        assert len(there.own.requests) == 3
        assert there.elsewhere.came == [(CUT, mirror.url)]
        assert there.rests(there.own)
        assert len(there.lines) == 1


def test_what_a_mirror_does_not_finish_goes_on_at_the_next() -> None:
    part = sending(DATA, "length", CUT)
    with world((part, drop), (part, drop), WHOLE) as there:
        assert there.fetch() == DATA
        one, other = there.mirrors
        assert there.elsewhere.came == [(CUT, one.url), (2 * CUT, other.url)]
        assert other.requests[0]["range"] == f"bytes={2 * CUT}-"


def test_who_sends_parts_goes_before_who_can_only_send_all_of_it() -> None:
    with world((sending(DATA, "length", CUT), drop), without_ranges, WHOLE) as there:
        assert there.fetch() == DATA
        one, other = there.mirrors
        assert len(one.requests) == 1
        assert there.elsewhere.came == [(CUT, other.url)]


def test_who_can_only_send_all_of_it_is_better_than_nobody() -> None:
    with world((sending(DATA, "length", CUT), drop), without_ranges) as there:
        assert there.fetch() == DATA
        assert there.elsewhere.came == [(CUT, there.mirrors[0].url)]


def test_a_host_that_refuses_the_rest_need_not_rest_itself() -> None:
    with world((sending(DATA, "length", CUT), refusing(404)), WHOLE) as there:
        assert there.fetch() == DATA
        assert not there.rests(there.own)


def test_where_everybody_refuses_the_rest_the_first_refusal_is_told() -> None:
    own = sending(DATA, "length", CUT), refusing(403)
    told = pytest.raises(GaveUpError, match="asked for the rest, the server answered 403")
    with world(own, refusing(404)) as there, told:
        there.fetch()


# What an earlier run kept


def continuation(store: Path) -> Continuation:
    """What a run left of the file."""
    run = Run(store)
    with Scripted(sending(DATA, "length")) as server:
        run.interrupted(server, CUT)
    return Continuation(run.shelf, "demo", False, lambda line: None)


def test_what_was_kept_goes_on_at_a_mirror(tmp_path: Path) -> None:
    with world(refusing(404), without_ranges, WHOLE) as there:
        kept = continuation(tmp_path)
        assert there.fetch(kept) == DATA
        one, other = there.mirrors
        assert kept.continued == CUT
        assert there.elsewhere.came == [(CUT, other.url)]
        ranges = [request.get("range") for request in (*one.requests, *other.requests)]
        assert ranges == [f"bytes={CUT}-"] * 2


def test_what_was_kept_gives_way_where_each_mirror_sends_all_of_it(tmp_path: Path) -> None:
    with world(refusing(404), without_ranges) as there:
        kept = continuation(tmp_path)
        assert there.fetch(kept) == DATA
        assert kept.continued is None
        assert [r.get("range") for r in there.mirrors[0].requests] == [f"bytes={CUT}-", None]
        assert there.elsewhere.came == [(0, there.mirrors[0].url)]


def test_what_a_mirror_brought_is_kept_as_what_came_from_there(tmp_path: Path) -> None:
    """Its validators mean nothing to another host, and are not to be sent to one."""
    with world(refusing(404), sending(DATA, "length")) as there:
        run = Run(tmp_path)
        begun = Continuation(run.shelf, "demo", False, lambda line: None)
        with there.asking(begun) as response:
            assert len(response.read(CUT)) == CUT
        found = run.shelf.find()
        assert found is not None and found.size >= CUT
        assert found.header.host == host_of(there.mirrors[0].url) != host_of(there.own.url)
        found.close()


def test_without_retries_no_other_source_is_asked() -> None:
    with world(refusing(404), WHOLE) as there, there.copy.guards["http"].sending(
        "", lambda fields: None, hashed=True, elsewhere=there.elsewhere
    ):
        port, name = there.own.port, there.own.filename("demo")
        pool = there.copy.pools["http"]("127.0.0.1", port)
        response = pool.urlopen("GET", f"/files/demo/{name}", retries=False)
        assert response.status == 404 and not there.mirrors[0].requests


@pytest.mark.parametrize(
    ("came", "hosts"),
    [
        ([], "h.example"),
        ([(0, "https://m.example/simple")], "m.example"),
        ([(9, "https://me:secret@m.example:8080/")], "h.example and m.example:8080"),
        (
            [
                (0, "https://m.example/"),
                (9, "https://n.example/"),
                (12, None),
                (15, "https://m.example/"),
            ],
            "m.example and n.example and h.example",
        ),
    ],
)
def test_all_are_named_who_brought_bytes(came: Any, hosts: str) -> None:
    elsewhere = Elsewhere("https://h.example/x", list, Breaker(lambda: 0.0), pytest.fail)
    elsewhere.came = came
    assert elsewhere.brought_by("h.example") == hosts
