"""The loop that asks, judges, waits and asks again, with a clock that only tests wind."""

from __future__ import annotations

import gzip
import http.client
import itertools
import math
import socket
import ssl
from types import SimpleNamespace
from typing import Any, Callable

import pytest
import requests
import urllib3
from urllib3.exceptions import ConnectTimeoutError, ProtocolError

from pip_retry_patch import settings, wording, wrapping
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.exchange import Exchange
from pip_retry_patch.fetch.patience import BROKEN_URL, READ_AGAIN, TURN, Patience
from pip_retry_patch.fetch.request import Asking, Kind, Outcome, Source
from pip_retry_patch.records import replace
from tests.support.exchanges import (
    ETAG,
    MIRROR,
    RESET,
    URL,
    Cut,
    GaveUpError,
    World,
    busy,
    part,
    refused,
    response,
    serving,
    silent,
    unknown_name,
    whole,
)

BODY = bytes(range(256)) * 1200  # 307,200 bytes
OFFSET, REST = 100_000, "bytes=100000-"
PAGE = b'<!DOCTYPE html><html><body><a href="demo-1.0-py3-none-any.whl">x</a></body></html>'
LINK = b'<a href="demo-1.0-py3-none-any.whl">x</a>'
WITHOUT_END = PAGE.replace(b"</html>", b"")
NOTHING = b"<!DOCTYPE html><html><body>Links for demo</body></html>"
LOGIN = b"<!DOCTYPE html><html><form></form></html>"
JSON, FILES = "application/vnd.pypi.simple.v1+json", b'{"files": ["demo-1.0.tar.gz"]}'
ZIPPED, CODED = gzip.compress(b"demo\n", mtime=0), {"framed": "close", "content_encoding": "gzip"}
INDEX = "https://index.example/simple/demo/"
OTHER = "https://files.example/other-1.0-py3-none-any.whl"
CUT_PAGE = Cut(requests.exceptions.ChunkedEncodingError(RESET))
NO_PATIENCE = Patience(attempts=0, seconds=0.0)
TAKEN = "came like that twice. It is taken as it is."


def cut() -> requests.Response:
    return response(BODY[:OFFSET], RESET, length=len(BODY), etag=ETAG)


def page(*does: Any, **job: Any) -> World:
    return World(*does, url=INDEX, kind=Kind.PAGE, whole=True, hashed=False, **job)


def read(content: bytes, announced: int | None = None, **options: Any) -> requests.Response:
    """Return a page that was read, and announced a length."""
    answer = text(content, announced, **{"content_type": "text/html", **options})
    assert answer.content == content
    return answer


def text(content: bytes, announced: int | None = None, **options: Any) -> requests.Response:
    """Return a requirements file."""
    cached = options.pop("from_cache", False)
    answer: Any = response(content, **{"content_type": "text/plain", **options})
    if announced is not None:
        answer.headers["Content-Length"] = str(announced)
    answer.from_cache = cached
    return answer  # type: ignore[no-any-return]


def always(make: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[Asking], Any]:
    return lambda _: make(*arguments, **options)


def slowness(world: World) -> list[float]:
    return [asking.slower for _, asking, _ in world.asked]


def lost(exchange: Exchange, obtain: Callable[[], Any] | None = None) -> wording.Failure:
    """Ask for what never comes; return what is told of that."""
    with pytest.raises(GaveUpError) as end:
        (obtain or exchange.obtain)()
    failure: wording.Failure = end.value.failure
    return failure


def given_up(world: World) -> wording.Failure:
    return lost(world.exchange, world.read)


def busy_by_proxy() -> requests.Response:
    answer = busy()
    answer.raw._pool = SimpleNamespace(proxy="http://proxy.example:3128")
    return answer


def aborted(why: Exception) -> Exception:
    error = requests.ConnectionError("Connection aborted.")
    error.__cause__ = why
    return error


BUSY, UNHELPFUL = "files.example is busy (", " answers, but cannot serve the request."
AGAIN = "Trying again in 20 s."
LOST, UNREACHABLE = "files.example cannot be reached (", "files.example cannot be reached."
UNREADABLE = (
    http.client.BadStatusLine("nonsense"),
    http.client.LineTooLong("header line"),
    http.client.HTTPException("got more than 100 headers"),
)
TWO_LENGTHS = requests.exceptions.InvalidHeader(urllib3.exceptions.InvalidHeader("5, 6"))
LASTING: dict[Exception, str] = {
    ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"): "do not agree on how to",
    ssl.SSLCertVerificationError(1, "it expired"): "did not prove that it is that host",
    OSError("Tunnel connection failed: 407 Authentication Required"): "refuses the connection",
}


@pytest.mark.parametrize(
    ("does", "asked", "seconds", "line", "message"),
    [
        ([whole(BODY)], 1, 0, "", ""),
        # An answer is pip's as soon as asking again would not help.
        *(([busy(status)], 1, 0, "", "") for status in (206, 301, 401, 403, 404, 410, 501)),
        *(
            ([always(busy, status)], 9, 91, BUSY, UNHELPFUL)
            for status in (408, 421, 425, 429, 502, 503, 504, 520, 530)
        ),
        ([always(busy, 500)], BROKEN_URL + 1, 15, f"{BUSY}HTTP 500). Trying up to 4 ", UNHELPFUL),
        # What a proxy says of a host that has not helped is not believed for long.
        ([always(busy_by_proxy)], BROKEN_URL + 1, 15, "The proxy", UNHELPFUL),
        # Retry-After is announced, or ends it at once.
        ([busy(429, "20"), whole(BODY)], 2, 20, f"{BUSY}HTTP 429, wants 20 s). {AGAIN}", ""),
        ([busy(429, "3600")], 1, 0, "", "files.example wants to be asked again in 3600 s."),
        # A first contact has thirty seconds, and a name that does not exist ten.
        ([*[refused()] * 3, whole(BODY)], 4, 3, f"{LOST}connection refused). Trying for 30 s.", ""),
        ([refused()], 8, 35, LOST, UNREACHABLE),
        ([unknown_name()], 6, 10, f"{LOST}name not resolved). Trying for 10 s.", UNREACHABLE),
        # A host whose answer cannot be read is not away, but may be no server at all.
        *(([aborted(why)], BROKEN_URL + 1, 15, BUSY, " cannot be read.") for why in UNREADABLE),
        ([TWO_LENGTHS], BROKEN_URL + 1, 15, BUSY, " cannot be read."),
        # What time does not change is tried as often as by pip, and no longer: one of several
        # nodes may be set wrong.
        *(
            ([aborted(why)], BROKEN_URL + 1, pytest.approx(5.8), "", message)
            for why, message in LASTING.items()
        ),
        *(
            ([*[aborted(why)] * n, whole(BODY)], n + 1, n > 1, "", "")
            for why in LASTING
            for n in (1, 2)
        ),
    ],
)
def test_a_first_answer_is_waited_for(
    does: list[Any],
    asked: int,
    seconds: float,
    line: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(errors, "_has_route", lambda *_: True)
    world = World(*does, kind=Kind.OTHER, url=URL.replace("https", "http"))
    failure: Any = None
    try:
        world.obtain()
    except GaveUpError as error:
        failure = error.failure
    assert (len(world.asked), world.clock.seconds) == (asked, seconds)
    assert world.asked[0][1] == Asking({}), "the first request is pip's own"
    assert "".join(world.lines).startswith(line) and len(world.lines) == bool(line)
    assert (failure is None) == (message == "")
    assert failure is None or (failure.first_contact and message in str(failure))


def test_so_many_long_waits_are_obeyed_as_pip_has_retries() -> None:
    world = World(*[busy(429, "30")] * 5, whole(BODY))
    world.obtain()
    assert world.clock.seconds == 5 * 30 + 15


def test_a_busy_host_is_waited_for_once_in_a_run_until_it_helps() -> None:
    world = World(lambda _: busy())
    assert lost(world.exchange).setting == ("retry-patch-attempts", "50")
    (line,) = world.lines
    assert line.startswith("files.example is busy (HTTP 503). Trying up to 7 more times.")
    spent = world.clock.seconds
    lost(world.another(lambda _: busy()))  # but for one retry at once: it may have been one page
    assert len(world.asked) == 11 and world.clock.seconds == spent
    world.another(whole(BODY)).obtain()
    world.another(busy(), whole(BODY)).obtain()
    assert len(world.asked) == 14


def test_first_contact_is_shared_by_all_hosts_and_a_lost_one_is_not_waited_for_again() -> None:
    world = World(refused())
    lost(world.exchange)
    spent, asked = world.clock.seconds, len(world.asked)
    # Another host: the seconds are spent, but for those that pip's own retries take.
    there = "https://away.example/x-1.0.tar.gz"
    lost(world.another(refused(there), url=there))
    assert 8 <= world.clock.seconds - spent <= 12
    spent, asked = world.clock.seconds, len(world.asked) - 1
    # The same host: it is asked once more, briefly, for each request.
    assert "other-1.0" in lost(world.another(refused(), url=OTHER)).context
    assert world.clock.seconds == spent and len(world.asked) == asked + 2
    assert [asking.in_haste for _, asking, _ in world.asked[-2:]] == [False, True]
    # It may be back.
    world.another(whole(BODY), url=OTHER).obtain()
    world.another(whole(BODY), url=OTHER).obtain()
    assert not world.asked[-1][1].in_haste
    assert not lost(world.another(refused(), url=OTHER)).first_contact
    assert 120 <= world.clock.seconds - spent <= 150, "it has all patience"
    # It is waited for once, too, for `stale` lets pip go on.
    spent = world.clock.seconds
    lost(world.another(refused(), url=OTHER))
    assert world.clock.seconds == spent
    world = World(whole(BODY))
    world.obtain()
    world.another(*[refused()] * 7, whole(BODY)).obtain()
    assert not world.hosts.first_contact, "only hosts that have not answered yet spend it"


def test_a_proxy_that_has_answered_is_lost_like_a_host_that_has() -> None:
    answer, away = busy_by_proxy(), refused()
    away.args[0].pool = answer.raw._pool
    world = World(answer, whole(BODY))
    world.obtain()
    failure = lost(world.another(away))
    assert failure.message.startswith("The proxy") and not failure.first_contact
    assert world.clock.seconds >= 120 and " any more" in world.lines[-1]
    # So is who was heard of by pip's cache alone, which names no proxy.
    (world := World(whole(BODY))).obtain()
    assert not lost(world.another(away)).first_contact


def test_only_silence_makes_later_timeouts_longer_up_to_four_times() -> None:
    world = World(silent(), silent(), silent(), silent(), whole(BODY))
    world.obtain()
    assert slowness(world) == [1, 2, 4, 4, 4]
    assert world.lines  # at once, for it has already taken a while
    assert world.asked[0][1].longest == math.inf and world.asked[-1][1].longest <= 30
    # What has made progress is not slow to answer.
    ends = (100_000, 200_000, 300_000)
    stall = socket.timeout("timed out")
    stalls = [response(BODY[:at], stall, length=len(BODY)) for at in ends]
    world = World(*stalls, whole(BODY))
    assert world.read() == BODY and slowness(world) == [1, 2, 2, 2]
    slow = requests.ConnectTimeout(ConnectTimeoutError("timed out"))
    world = World(slow, slow, whole(BODY))
    world.obtain()
    assert slowness(world) == [1, 1, 1]


@pytest.mark.parametrize("job", [{}, {"kind": Kind.PAGE, "whole": True}])
def test_silences_behind_a_header_are_waits(job: Any) -> None:
    """pip itself resumes five times (since 25.1), and reads a page once."""

    def stalls(asking: Asking) -> requests.Response:
        world.clock.seconds += 15 * asking.slower
        return response(BODY[:OFFSET], socket.timeout("timed out"), length=len(BODY), etag=ETAG)

    world = World(stalls, **job)
    given_up(world)
    assert len(world.asked) == 6 and world.clock.seconds < 320


def test_a_request_in_which_the_process_did_not_run_spends_no_patience() -> None:
    def sleeps(_: Asking) -> Exception:
        world.clock.seconds += 3600.0
        return refused()

    world = World(whole(BODY))
    world.obtain()
    again = world.another(refused(), sleeps, whole(BODY), url=OTHER)
    assert again.obtain().status == 200


@pytest.mark.parametrize(
    "error", [requests.exceptions.InvalidProxyURL("Please check it"), KeyError("a mistake of ours")]
)
def test_what_is_no_network_is_raised_at_once(error: Exception) -> None:
    world = World(error)
    with pytest.raises(type(error)):
        world.obtain()
    assert len(world.asked) == 1


def test_an_outcome_names_the_url_that_failed() -> None:
    outcome = Outcome(URL)
    outcome.urls.append(OTHER)
    assert outcome.last_url == URL  # a redirect: what it leads to has not answered
    outcome.error = refused("https://cdn.example/")
    assert outcome.last_url == "https://cdn.example/"


@pytest.mark.parametrize("why", LASTING)
def test_a_stranger_in_the_middle_of_a_body_is_waited_for_to_go(why: Exception) -> None:
    """As where a captive portal begins to answer in the server's place. A proxy stays."""
    world = World(cut(), aborted(why))
    given_up(world)
    assert (world.moments == [0.0] * 3) == ("Tunnel" in str(why))


@pytest.mark.parametrize("first", [refused, busy, cut])
def test_with_retries_0_nothing_is_tried_again(first: Any) -> None:
    world = World(first(), serving(BODY), patience=NO_PATIENCE)
    failure = given_up(world) if first is cut else lost(world.exchange)
    assert len(world.asked) == 1 and not world.lines and not world.mirrors_asked_for
    assert "--retries 0" in failure.hint and failure.setting is None
    doubtful = page(lambda _: read(LOGIN), patience=NO_PATIENCE)
    doubtful.obtain()
    assert len(doubtful.asked) == 1


@pytest.mark.parametrize(
    ("does", "content", "asked", "line"),
    [
        ([CUT_PAGE, always(read, PAGE)], PAGE, 2, "fetches 0 bytes again"),
        ([CUT_PAGE], None, 9, "waits at "),
        # Of an error whose page broke the status counts.
        ([Cut(CUT_PAGE.error, 404)], b"", 1, ""),
        ([Cut(CUT_PAGE.error, 503), always(read, PAGE)], PAGE, 2, ""),
        # What comes twice without its end is taken as it is.
        ([always(read, WITHOUT_END, framed="close")], WITHOUT_END, 2, TAKEN),
        ([always(read, WITHOUT_END, framed="close"), always(read, PAGE)], PAGE, 2, ""),
        ([always(read, WITHOUT_END), always(read, WITHOUT_END[:-7])], WITHOUT_END, 2, ""),
        # It is not lost if what comes next is of less use.
        ([always(read, WITHOUT_END), always(read, b"")], WITHOUT_END, 2, ""),
        ([always(read, WITHOUT_END), always(read, b"", status=404)], WITHOUT_END, 2, ""),
        # So is what is always shorter than announced, if it shows its end,
        ([always(read, PAGE, len(PAGE) + 5)], PAGE, 2, TAKEN),
        ([always(read, WITHOUT_END, len(PAGE))], None, 9, "waits at "),
        ([always(read, LOGIN, len(PAGE))], LOGIN, 2, TAKEN),
        ([always(read, FILES[:-1], len(PAGE), content_type=JSON)], None, 9, "waits at "),
        # Nothing proves the end of links that are no document, but their length.
        ([always(read, LINK, framed="close"), always(read, 2 * LINK)], 2 * LINK, 2, ""),
        ([always(read, LINK, framed="close")], LINK, 2, ""),
        ([always(read, LINK)], LINK, 1, ""),
        # or is no page.
        ([always(read, b"not here", 900, status=404)], b"not here", 1, ""),
    ],
)
def test_a_broken_page_is_asked_for_again(
    does: list[Any], content: bytes | None, asked: int, line: str
) -> None:
    world = page(*does)
    if content is None:
        assert "has no end" in lost(world.exchange).context
    else:
        assert world.obtain().response.content == content
        assert not world.clock.seconds
    assert len(world.asked) == asked
    assert line in "".join(world.lines) and bool(world.lines) == bool(line)


@pytest.mark.parametrize("first", [NOTHING, WITHOUT_END])
@pytest.mark.parametrize("then", [always(busy, 429), CUT_PAGE, refused()])
def test_a_page_in_doubt_is_taken_if_no_better_one_comes_soon(first: bytes, then: Any) -> None:
    world = page(always(read, first), then)
    assert world.obtain().response.content == first and 0 < world.clock.seconds < 30
    world = page(always(read, first), busy(), refused(), always(read, PAGE))
    assert world.obtain().response.content == PAGE
    # What comes the same twice is not asked of a mirror.
    world = page(always(read, first), mirrors={MIRROR: [always(read, PAGE)]})
    assert world.obtain().response.content == first and world.urls == [INDEX] * 2


@pytest.mark.parametrize(
    ("does", "content", "asked"),
    [
        ([always(text, b"demo\n")], b"demo\n", 1),
        # Nothing proves its end: the longer one is taken, and what comes twice the same.
        ([always(text, b"de", framed="close"), always(text, b"demo\n")], b"demo\n", 2),
        (2 * [text(b"demo\n", framed="close"), text(b"de", framed="close")], b"demo\n", 2),
        ([always(text, b"demo\n", framed="close")], b"demo\n", 2),
        ([always(text, b""), always(text, b"demo\n")], b"demo\n", 2),
        # Its coding shows the end, or that there is none.
        ([always(text, ZIPPED, **CODED)], b"demo\n", 1),
        (
            [*[always(text, ZIPPED[:end], **CODED) for end in (15, 16)], text(b"demo\n")],
            b"demo\n",
            3,
        ),
        ([always(text, ZIPPED[:-1], **CODED)], b"demo\n", 2),
        # pip's cache has less of it than there was.
        ([always(text, b"de", 5, from_cache=True), always(text, b"demo\n")], b"demo\n", 2),
        ([always(text, b"demo\n", framed="close", from_cache=True)], b"demo\n", 1),
    ],
)
def test_a_requirements_file_is_read_to_its_end(
    does: list[Any], content: bytes, asked: int
) -> None:
    world = World(*does, url="https://files.example/r.txt", kind=Kind.OTHER, whole=True)
    assert world.obtain().response.content == content and len(world.asked) == asked


def test_a_page_that_is_damaged_in_pips_cache_is_removed_there() -> None:
    damaged: Any = response(b"no gzip", content_encoding="gzip")
    damaged.from_cache = True
    world = page(damaged, always(read, PAGE))
    assert world.obtain().response.content == PAGE and INDEX in world.forgotten


def test_a_page_that_names_no_file_is_doubted_once_and_then_taken() -> None:
    world = page(lambda _: read(LOGIN))
    assert world.obtain().response.content == LOGIN
    assert [asking.fresh for _, asking, _ in world.asked] == [False, True]
    assert world.asked[1][1].reconnects  # to another node
    assert world.forgotten == [INDEX, INDEX] and world.clock.seconds == 0.0
    # Each run doubts three pages, for some indexes have such a page for each unknown project.
    for _ in range(4):
        world.another(lambda _: read(LOGIN), url=INDEX).obtain()
    assert len(world.asked) == 2 + 2 + 2 + 1 + 1
    cut_short = world.another(always(read, WITHOUT_END), always(read, PAGE), url=INDEX)
    assert cut_short.obtain().response.content == PAGE


@pytest.mark.parametrize(
    ("then", "ranges", "line"),
    [
        ([], [None, REST], "resumed at 100 of 307 kB (connection reset by peer)"),
        # The whole comes, so our Range was to blame, or one of several nodes.
        *(
            ([busy(status), always(whole, BODY)], [None, REST, None], "fetches")
            for status in (400, 401, 403, 404, 405, 416, 500, 501)
        ),
        # It does not fit; the network may have lost it; a host may be away again.
        ([part(BODY, 5)], [None, REST, None], "fetches"),
        ([silent(), silent()], [None, REST, REST, None], "waits"),
        *(([aborted(why)], [None, REST, REST], "waits") for why in UNREADABLE),
    ],
)
def test_after_an_interruption_the_rest_is_asked_for_past_every_cache(
    then: list[Any], ranges: list[str | None], line: str
) -> None:
    world = World(cut(), *then, serving(BODY))
    assert world.read() == BODY and world.ranges == ranges
    assert world.lines[0].startswith(f"demo-1.0 {line}")
    assert all(asking.past_caches for _, asking, _ in world.asked[1:]) and world.asked[1][1].fresh
    assert bool(world.mirrors_asked_for) == bool(world.clock.seconds) == (line == "waits")
    world.exchange = world.another(cut(), serving(BODY), url=OTHER)
    assert world.read() == BODY and world.ranges[-1] == REST


def test_a_host_that_twice_lost_each_request_with_a_range_is_sent_no_more_of_them() -> None:
    world = World()
    for ranges in ([None, REST, REST, None], [None, REST, REST, None], [None, None]):
        lost = [silent()] * (len(ranges) - 2)
        world.exchange = world.another(cut(), *lost, lambda _: whole(BODY))
        world.asked.clear()
        assert world.read() == BODY and world.ranges == ranges


@pytest.mark.parametrize("hashed", [True, False])
def test_parts_without_a_byte_are_no_answers(hashed: bool) -> None:
    """A gateway may send the header of a part, and break the rest of each."""

    def gateway(asking: Asking) -> requests.Response:
        first = asking.fields.get("Range", "")[6:-1]
        if not first:
            return whole(BODY)
        label = f"bytes {first}-{len(BODY) - 1}/{len(BODY)}"
        rest = len(BODY) - int(first)
        return response(RESET, status=206, length=rest, etag=ETAG, content_range=label)

    world = World(cut(), gateway, hashed=hashed)
    assert world.read() == BODY
    assert [bool(wanted) for wanted in world.ranges] == [False, True, True, False]


@pytest.mark.parametrize(
    ("answer", "moments"),
    [(busy, [0, 0, 1, 3, 7, 15, 31, 61, 91]), (refused, [0, 0, 1, 3, 7, *range(15, 126, 10)])],
)
def test_how_long_a_server_is_tried(answer: Any, moments: list[float]) -> None:
    world = World(cut(), lambda _: answer())
    failure = given_up(world)
    assert failure.message.endswith(f"demo-1.0-py3-none-any.whl stopped at {world.body.place()}.")
    assert world.moments == moments and f"{len(moments) - 1} attempts in" in failure.context


def test_a_body_has_all_attempts_whatever_its_first_answer_had() -> None:
    broken = response(BODY[:100], RESET, length=len(BODY))
    world = World(*[busy(500)] * BROKEN_URL, broken, serving(BODY))
    assert world.read() == BODY


def test_another_version_whose_answer_breaks_is_asked_for_again() -> None:
    broken = [lambda _: response(RESET, length=5, etag='"v2"')] * 2
    world = World(cut(), *broken, serving(BODY))
    assert world.read() == BODY and len(world.asked) == 4


def test_a_condition_that_is_ignored_is_left_out_at_once() -> None:
    world = World(cut(), whole(BODY), serving(BODY), hashed=False)
    assert world.read() == BODY
    asked = [asking.fields for _, asking, _ in world.asked]
    first = f"bytes={OFFSET - 4096}-"
    assert asked == [{}, {"Range": first, "If-Range": ETAG}, {"Range": first}]
    assert not world.hosts.at(URL).takes_if_range


def test_the_page_is_read_again_once_for_each_progress_and_never_in_a_hot_loop() -> None:
    def listed_again() -> list[Source]:
        world.lines.append("the page was read again")
        return [Source(f"{URL}?{len(world.lines)}", lambda *_: busy(403))]

    world = World(cut(), lambda _: busy(403), listed_again=listed_again)
    assert "the server answered 403" in given_up(world).context
    assert world.lines.count("the page was read again") == 1


def test_only_the_first_retry_and_one_without_a_range_come_at_once() -> None:
    """Whatever a server does that is of no use, in any order."""
    useless: list[Any] = [
        *(refused, silent, lambda: part(BODY, 5)),
        *(lambda status=status: busy(status) for status in (403, 416, 500, 503)),
        lambda: part(BODY, OFFSET, content_type="multipart/byteranges; boundary=x"),
    ]
    for one, other, hashed in itertools.product(useless, useless, (True, False)):
        answers = itertools.cycle([one, other])
        world = World(cut(), lambda _, todo=answers: next(todo)(), hashed=hashed)
        given_up(world)
        assert len(world.asked) <= 60
        asked = [(asking.fields, moment) for _, asking, moment in world.asked[1:]]
        for (before, then), (fields, now) in zip(asked[1:], asked[2:]):
            assert now > then or (before and not fields), asked
    world = World(cut(), lambda _: silent())
    given_up(world)
    ranges = [bool(asking.fields) for _, asking, _ in world.asked[1:]]
    assert ranges[:6] == [True, True, False] * 2


def test_so_many_bytes_are_read_again_and_no_more() -> None:
    def breaking_later_by(step: int) -> Any:
        ends = iter(range(OFFSET, 10 * len(BODY), step))
        return lambda _: response(BODY[: next(ends)], RESET, length=len(BODY), etag=ETAG)

    # Each answer is whole, and breaks a little behind the offset: 64 KiB of progress.
    world = World(breaking_later_by(70_000))
    assert world.read() == BODY
    assert world.exchange.story.again == 100_000 + 170_000 + 240_000
    world = World(breaking_later_by(1000), patience=Patience(attempts=1000))
    assert wording.NO_HELP in given_up(world).context
    assert world.exchange.story.again <= (READ_AGAIN + 1) * len(BODY)


@pytest.mark.parametrize(
    "other",
    [{"body": BODY + b"more"}, {"body": b"short"}, {"body": BODY, "content_encoding": "gzip"}],
)
def test_another_version_is_begun_anew_or_is_an_error_where_nobody_can(other: Any) -> None:
    # With a hash: it may be for our Range that something else came.
    world = World(cut(), whole(**other), whole(**other))
    with pytest.raises(errors.Restart) as end:
        world.read()
    assert end.value.failure.changed and len(world.asked) == 3
    assert given_up(World(cut(), whole(**other), kind=Kind.OTHER, hashed=False)).changed


@pytest.mark.parametrize(("strict", "error"), [(True, KeyError), (False, ProtocolError)])
def test_a_mistake_ends_a_body_as_its_interruption(
    strict: bool, error: type[Exception], failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrapping, "STRICT", strict)
    world = World(cut(), KeyError("a mistake"), mirrors={MIRROR: [serving(BODY)]})
    with pytest.raises(error):
        world.read()
    assert not world.mirrors_asked_for
    assert strict or "a mistake" in failures[0]


def test_after_two_requests_in_vain_it_is_the_next_ones_turn() -> None:
    world = World(cut(), lambda _: busy(), mirrors={MIRROR: [serving(BODY)]})
    assert world.read() == BODY
    assert world.urls == [URL, *[URL] * TURN, MIRROR] and set(world.moments) <= {0.0, 1.0}
    # Who is asked to ask the origin may be busy with nothing else.
    assert [asking.fresh for _, asking, _ in world.asked] == [False, True, False, False]
    assert world.exchange.mirrors == [MIRROR]
    assert f"{MIRROR} serves from {OFFSET} on: HTTP 503" in world.lines
    assert world.resting() == {"files.example": "replaced"}
    world = World(cut(), lambda _: busy(), mirrors={MIRROR: [busy(), busy(), serving(BODY)]})
    assert world.read() == BODY and "wait" in [kind for kind, *_ in world.records]


@pytest.mark.parametrize("mirror", [lambda _: busy(404), lambda _: busy(500), refused()])
def test_what_the_index_refuses_and_no_mirror_has_is_pips_to_tell(mirror: Any) -> None:
    world = World(lambda _: busy(404), mirrors={MIRROR: [mirror]})
    assert world.obtain().response.status_code == 404


def test_a_first_answer_comes_from_a_mirror_too() -> None:
    world = World(lambda _: busy(404), mirrors={MIRROR: [serving(BODY)]})
    assert world.read() == BODY
    assert world.urls == [URL, MIRROR] and world.exchange.host == "mirror.example"
    assert world.exchange.mirrors == [MIRROR]
    assert world.lines == [f"{MIRROR} serves from 0 on: HTTP 404"] and not world.resting()
    # While pip's own source rests, the mirror is asked first.
    world = World(serving(BODY), mirrors={MIRROR: [serving(BODY)]})
    world.hosts.at(URL).rest = "busy"
    assert world.read() == BODY and world.urls == [MIRROR]
    assert world.lines == [f"{MIRROR} serves from 0 on: {wording.RESTS}"]


OTHER_MIRROR = MIRROR.replace("mirror", "second")


@pytest.mark.parametrize(
    ("does", "first", "second", "lines", "replaced"),
    [
        (busy(404), refused(), serving(BODY), ["serves from 0 on: HTTP 404"], ["mirror"]),
        (refused(), busy(404), serving(BODY), ["serves from 0 on: connection refused"], ["files"]),
    ],
)
def test_each_host_is_told_and_passed_over_for_what_it_did(
    does: Any, first: Any, second: Any, lines: list[str], replaced: list[str]
) -> None:
    world = World(does, mirrors={MIRROR: [first], OTHER_MIRROR: [second]})
    assert world.read() == BODY
    assert [line.partition(" ")[2] for line in world.lines] == lines
    assert {host.partition(".")[0] for host in world.resting()} == set(replaced)


def test_what_a_mirror_says_does_not_shorten_the_wait_for_the_index() -> None:
    hour = always(busy, retry_after="3600")
    world = World(*[refused()] * 4, whole(BODY), mirrors={MIRROR: [hour]})
    assert world.read() == BODY
    # Nor does what it sends in place of a page stand for that.
    odd = always(read, b"\xff\0", content_encoding="br")
    for other in (odd, always(read, NOTHING), always(read, LOGIN + b"manual.zip")):
        world = page(refused(), refused(), always(read, PAGE), mirrors={MIRROR: [other]})
        assert world.obtain().response.content == PAGE


def test_a_link_that_was_listed_anew_is_no_mirror() -> None:
    world = World(busy(404))
    again = world._source(URL, "", [lambda _: busy()])
    lost(world.another(busy(404), mirrors=tuple, listed_again=lambda: [again]))
    assert world.lines and all("mirror" not in line for line in world.lines)


def test_what_pips_cache_has_tells_nothing_of_its_host() -> None:
    world = World(cached := whole(BODY))
    cached.from_cache = True  # type: ignore[attr-defined]
    world.obtain()
    assert lost(world.another(refused(), url=OTHER)).first_contact


def test_the_timeout_is_named_only_for_pips_own_source() -> None:
    for one, other, named in ((silent, refused, "--timeout"), (refused, silent, "retry-patch-")):
        world = World(one(), mirrors={MIRROR: [other()]})
        assert str(lost(world.exchange).setting).startswith(f"('{named}")


def test_where_no_source_helps_all_are_waited_for_together() -> None:
    world = World(refused(), mirrors={MIRROR: [lambda _: busy()]})
    assert lost(world.exchange).message == UNREACHABLE  # which the mirror is not
    assert world.urls.count(MIRROR) >= 4 and len(world.asked) < 60
    assert any("Neither the index nor a mirror" in line for line in world.lines)
    for url in (URL, MIRROR):
        moments = [moment for asked, _, moment in world.asked if asked == url]
        assert sum(a == b for a, b in zip(moments, moments[1:])) <= len(moments) / 2 + 1


# The number that a hint names was in the way: whoever follows it gets the file.

CAME = "it came"


def told(patience: Patience, bad: Callable[[], Any], lasts: float, what: str = "first") -> Any:
    """Ask a server that is bad for so many seconds; return the setting that is named, if any.

    :param what: the "first" request to a host, "another" one, or the rest of a "body".
    """
    before = {"first": [], "another": [whole(b"")], "body": [cut()]}[what]

    def serve(_: Any) -> Any:
        return bad() if world.clock.seconds < lasts else whole(BODY)

    world = World(*before, serve, patience=patience)
    if what == "another":
        world.obtain()
        world.exchange = world.another(serve)
    try:
        if what == "body":
            assert world.read() == BODY
        else:
            world.obtain()
    except GaveUpError as error:
        return error.failure.setting
    return CAME


@pytest.mark.parametrize(
    ("setting", "patience", "bad", "lasts", "what"),
    [
        ("retry-patch-first-contact", Patience(first_contact=5, seconds=3), refused, 20, "first"),
        ("retry-patch-patience", Patience(seconds=5), refused, 20, "another"),
        ("retry-patch-patience", Patience(seconds=5), refused, 20, "body"),
        ("retry-patch-patience", Patience(), lambda: busy(503, "300"), 100, "first"),
        ("retry-patch-patience", Patience(), lambda: busy(503, "70"), 280, "first"),
        ("retry-patch-patience", Patience(seconds=40, person=True), refused, 100, "first"),
        ("retry-patch-attempts", Patience(attempts=2), busy, 60, "body"),
        ("retry-patch-attempts", Patience(attempts=2), busy, 60, "first"),
        ("retry-patch-attempts", Patience(), lambda: busy(503, "5"), 150, "first"),
        ("retry-patch-attempts", Patience(attempts=2), lambda: CUT_PAGE, 60, "first"),
    ],
)
def test_the_named_number_was_in_the_way(
    setting: str,
    patience: Patience,
    bad: Callable[[], Any],
    lasts: float,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A person whose machine has no network is told of the patience.
    monkeypatch.setattr(errors, "is_offline", lambda _: patience.person)
    named, value = told(patience, bad, lasts, what)
    field, parse, _ = settings._TABLE[named]
    longer = {"seconds" if field == "patience" else field: parse(value)}
    assert named == setting and told(replace(patience, **longer), bad, lasts, what) == CAME


@pytest.mark.parametrize("bad", [unknown_name, lambda: busy(500)])
def test_no_number_is_named_in_vain(monkeypatch: pytest.MonkeyPatch, bad: Any) -> None:
    monkeypatch.setattr(errors, "_has_route", lambda *_: True)
    for patience in (Patience(), Patience(first_contact=600, attempts=50)):
        assert told(patience, bad, 1000) is None
