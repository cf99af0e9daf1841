"""The loop that asks, judges, waits and asks again, with a clock that only tests wind."""

from __future__ import annotations

import http.client
import math
import ssl
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from urllib3.exceptions import ConnectTimeoutError, ProtocolError, ReadTimeoutError

from pip_retry_patch import wording, wrapping
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.exchange import Exchange
from pip_retry_patch.fetch.job import Asking, Kind, Source
from pip_retry_patch.fetch.outcome import Outcome
from pip_retry_patch.fetch.patience import BROKEN_URL, IN_VAIN, READ_AGAIN, TURN, Patience
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
    unknown_name,
    whole,
)

BODY = bytes(range(256)) * 1200  # 307,200 bytes
OFFSET, REST = 100_000, "bytes=100000-"
PAGE = b'<!DOCTYPE html><html><body><a href="demo-1.0-py3-none-any.whl">x</a></body></html>'
WITHOUT_END = PAGE.replace(b"</html>", b"")
LOGIN = b"<!DOCTYPE html><html><form></form></html>"
JSON, FILES = "application/vnd.pypi.simple.v1+json", b'{"files": ["demo-1.0.tar.gz"]}'
INDEX = "https://index.example/simple/demo/"
OTHER = "https://files.example/other-1.0-py3-none-any.whl"
CUT_PAGE = Cut(requests.exceptions.ChunkedEncodingError(RESET))
NO_PATIENCE = Patience(attempts=0, seconds=0.0)


def silent() -> Exception:
    nobody: Any = None
    return requests.ReadTimeout(ReadTimeoutError(nobody, "/", "Read timed out."))


def cut() -> requests.Response:
    return response(BODY[:OFFSET], RESET, length=len(BODY), etag=ETAG)


def page(*does: Any) -> World:
    return World(*does, url=INDEX, kind=Kind.PAGE, whole=True, hashed=False)


def read(content: bytes, announced: int | None = None, **options: Any) -> requests.Response:
    """Return a page that was read, and announced a length."""
    answer = response(content, **{"content_type": "text/html", **options})
    assert answer.content == content
    if announced is not None:
        answer.headers["Content-Length"] = str(announced)
    return answer


def slowness(world: World) -> list[float]:
    return [asking.slower for _, asking, _ in world.asked]


def lost(exchange: Exchange) -> wording.Failure:
    """Ask for what never comes; return what is told of that."""
    with pytest.raises(requests.ConnectionError):
        exchange.obtain()
    assert exchange.failure is not None
    return exchange.failure


def given_up(world: World, first_answer: bool = False) -> wording.Failure:
    with pytest.raises(GaveUpError) as end:
        world.obtain() if first_answer else world.read()
    failure: wording.Failure = end.value.failure
    return failure


# First answers.


def test_an_answer_that_is_of_use_is_pips_and_nothing_of_ours_was_asked() -> None:
    world = World(whole(BODY))
    outcome, _ = world.obtain()
    assert (outcome.status, outcome.urls, world.lines) == (200, [URL], [])
    ((_, asking, _),) = world.asked
    assert asking == Asking({})


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        *((status, 1) for status in (200, 206, 301, 401, 403, 404, 410, 501)),
        *((status, 9) for status in (408, 421, 425, 429, 502, 503, 504, 520, 530)),
        (500, BROKEN_URL + 1),
    ],
)
def test_an_answer_is_pips_as_soon_as_asking_again_would_not_help(status: int, asked: int) -> None:
    world = World(lambda _: busy(status), kind=Kind.OTHER)
    assert world.obtain()[0].status == status and len(world.asked) == asked
    assert (world.exchange.failure is None) == (asked == 1)
    assert bool(world.hosts.busy) == (asked == 9)


def test_a_busy_host_is_waited_for_once_in_a_run_until_it_helps() -> None:
    world = World(lambda _: busy())
    world.obtain()
    failure = world.exchange.failure
    assert failure is not None and failure.setting == ("retry-patch-attempts", "50")
    (line,) = world.lines
    assert line.startswith("files.example is busy (HTTP 503). Trying up to 7 more times.")
    world.another(lambda _: busy()).obtain()
    assert len(world.asked) == 10
    world.another(whole(BODY)).obtain()
    world.another(busy(), whole(BODY)).obtain()
    assert len(world.asked) == 13


def test_what_a_proxy_says_of_a_host_that_has_not_helped_is_not_believed_for_long() -> None:
    def answer(_: Asking) -> requests.Response:
        made = busy()
        made.raw._pool = SimpleNamespace(proxy="http://proxy.example:3128")
        return made

    world = World(answer, url=URL.replace("https", "http"))
    assert world.obtain()[0].status == 503 and len(world.asked) == BROKEN_URL + 1


@pytest.mark.parametrize(
    ("retry_after", "waits", "said"),
    [
        ("20", [0.0, 20.0], "files.example is busy (HTTP 429, wants 20 s). Trying again in 20 s."),
        ("3600", [0.0], "files.example wants to be asked again in 3600 s."),
    ],
)
def test_retry_after_is_waited_for_and_announced_or_ends_it_at_once(
    retry_after: str, waits: list[float], said: str
) -> None:
    world = World(busy(429, retry_after), whole(BODY))
    world.obtain()
    failure = world.exchange.failure
    assert world.moments == waits
    assert said in [*world.lines, failure and failure.message]


def test_a_lost_host_is_waited_for_once_the_first_retry_has_failed() -> None:
    world = World(refused(), refused(), refused(), whole(BODY))
    assert world.obtain()[0].status == 200
    assert world.moments == [0.0, 0.0, 1.0, 3.0]
    (line,) = world.lines
    assert line.startswith("files.example cannot be reached (connection refused). Trying for 30 s.")


@pytest.mark.parametrize(("error", "seconds"), [(refused(), 30), (unknown_name(), 10)])
def test_a_first_contact_has_thirty_seconds_and_a_name_that_does_not_exist_ten(
    error: Exception, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "_has_route", lambda *_: True)
    world = World(error)
    failure = lost(world.exchange)
    assert seconds <= world.clock.seconds <= seconds * 1.3 and failure.first_contact
    assert failure.message == "files.example cannot be reached."


def test_a_host_that_has_answered_is_waited_for_with_all_patience() -> None:
    world = World(whole(BODY))
    world.obtain()
    failure = lost(world.another(refused(), url=OTHER))
    assert 120 <= world.clock.seconds <= 150 and not failure.first_contact


def test_first_contact_is_shared_by_all_hosts_and_a_lost_one_is_not_waited_for_again() -> None:
    world = World(refused())
    lost(world.exchange)
    spent, asked = world.clock.seconds, len(world.asked)
    # Another host: the seconds are spent.
    there = "https://away.example/x-1.0.tar.gz"
    lost(world.another(refused(there), url=there))
    # The same host: it is asked once more, briefly, for each request.
    assert "other-1.0" in lost(world.another(refused(), url=OTHER)).context
    assert world.clock.seconds == spent and len(world.asked) == asked + 2
    assert slowness(world)[-1] == IN_VAIN
    # It may be back.
    world.another(whole(BODY), url=OTHER).obtain()
    world.another(whole(BODY), url=OTHER).obtain()
    assert slowness(world)[-1] == 1.0


def test_only_silence_makes_later_timeouts_longer_up_to_four_times() -> None:
    world = World(silent(), silent(), silent(), silent(), whole(BODY))
    world.obtain()
    assert slowness(world) == [1, 2, 4, 4, 4]
    assert world.lines  # at once, for it has already taken a while
    assert world.asked[0][1].longest == math.inf and world.asked[-1][1].longest <= 30
    slow = requests.ConnectTimeout(ConnectTimeoutError("timed out"))
    world = World(slow, slow, whole(BODY))
    world.obtain()
    assert slowness(world) == [1, 1, 1]


def test_a_request_in_which_the_process_did_not_run_spends_no_patience() -> None:
    def sleeps(_: Asking) -> Exception:
        world.clock.seconds += 3600.0
        return refused()

    world = World(whole(BODY))
    world.obtain()
    again = world.another(refused(), sleeps, whole(BODY), url=OTHER)
    assert again.obtain()[0].status == 200


@pytest.mark.parametrize(
    "why",
    [
        http.client.BadStatusLine("nonsense"),
        http.client.LineTooLong("header line"),
        http.client.HTTPException("got more than 100 headers"),
    ],
)
def test_an_answer_that_cannot_be_read_is_no_host_that_is_away(why: Exception) -> None:
    error = requests.ConnectionError("Connection aborted.")
    error.__cause__ = why
    world = World(error)
    assert lost(world.exchange).message == "files.example answers, but cannot serve the request."
    assert len(world.asked) == 9 and world.lines[0].startswith("files.example is busy (")
    # After a cut it may well be gone again.
    assert World(cut(), error, part(BODY, OFFSET)).read() == BODY


@pytest.mark.parametrize(
    "cause",
    [
        ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
        ssl.SSLCertVerificationError(1, "certificate verify failed: it expired"),
        OSError("Tunnel connection failed: 407 Proxy Authentication Required"),
    ],
)
def test_what_time_does_not_change_is_tried_once_more_and_not_waited_for(cause: Exception) -> None:
    world = World(requests.exceptions.SSLError(cause))
    lost(world.exchange)
    assert world.moments == [0.0, 0.0]
    # One of several nodes is set wrong.
    world = World(requests.exceptions.SSLError(cause), whole(BODY))
    assert world.obtain()[0].status == 200 and not world.lines


@pytest.mark.parametrize(
    "error", [requests.exceptions.InvalidProxyURL("Please check it"), KeyError("a mistake of ours")]
)
def test_what_is_no_network_is_raised_at_once(error: Exception) -> None:
    world = World(error)
    with pytest.raises(type(error)):
        world.obtain()
    assert len(world.asked) == 1 and world.exchange.failure is None


def test_with_retries_0_nothing_is_tried_again() -> None:
    for first in (refused(), busy(), cut()):
        world = World(first, serving(BODY), patience=NO_PATIENCE)
        if isinstance(first, Exception):
            failure: Any = lost(world.exchange)
        elif first.status_code == 200:
            failure = given_up(world)
        else:
            assert world.obtain()[0].status == 503
            failure = world.exchange.failure
        assert len(world.asked) == 1 and not world.lines and not world.mirrors_asked_for
        assert "--retries 0" in failure.hint and failure.setting is None


def test_an_outcome_names_the_url_that_failed() -> None:
    outcome = Outcome(URL)
    outcome.urls.append(OTHER)
    assert outcome.last_url == URL  # a redirect: what it leads to has not answered
    outcome.error = refused("https://cdn.example/")
    assert outcome.last_url == "https://cdn.example/"


# Pages.


def test_a_page_that_broke_is_asked_for_again() -> None:
    world = page(CUT_PAGE, lambda _: read(PAGE))
    assert world.obtain()[0].response.content == PAGE
    assert world.moments == [0.0, 0.0] and len(world.lines) == 1
    world = page(CUT_PAGE)
    assert "has no end" in given_up(world, first_answer=True).context and len(world.asked) == 9


def test_of_an_error_whose_page_broke_the_status_counts() -> None:
    response = page(Cut(CUT_PAGE.error, 404)).obtain()[0].response
    assert (response.status_code, response.content) == (404, b"")
    world = page(Cut(CUT_PAGE.error, 503), lambda _: read(PAGE))
    assert world.obtain()[0].response.content == PAGE and not world.lines


def test_a_page_that_names_no_file_is_doubted_once_and_then_taken() -> None:
    world = page(lambda _: read(LOGIN))
    assert world.obtain()[0].response.content == LOGIN
    assert [asking.fresh for _, asking, _ in world.asked] == [False, True]
    assert world.forgotten == [INDEX, INDEX] and world.clock.seconds == 0.0
    # Each run doubts three pages, for some indexes have such a page for each unknown project.
    for _ in range(4):
        world.another(lambda _: read(LOGIN), url=INDEX).obtain()
    assert len(world.asked) == 2 + 2 + 2 + 1 + 1


def test_a_page_that_comes_twice_without_its_end_is_taken_and_told() -> None:
    world = page(lambda _: read(WITHOUT_END, framed="close"))
    assert world.obtain()[0].response.content == WITHOUT_END and len(world.asked) == 2
    (line,) = world.lines
    assert line.endswith("came twice the same. It is taken as it is.")
    world = page(read(WITHOUT_END, framed="close"), read(PAGE, framed="close"))
    assert world.obtain()[0].response.content == PAGE and not world.lines


def test_a_page_that_is_always_shorter_than_announced_is_taken_if_it_shows_its_end() -> None:
    world = page(lambda _: read(PAGE, len(PAGE) + 5))
    assert world.obtain()[0].response.content == PAGE and len(world.asked) == 2
    assert any("It is taken as it is." in line for line in world.lines)
    for content, media in ((WITHOUT_END, "text/html"), (FILES[:-1], JSON), (LOGIN, "text/html")):
        world = page(lambda _, c=content, m=media: read(c, len(c) + 5, content_type=m))
        given_up(world, first_answer=True)
    # What is no page is pips, whatever its length.
    assert page(lambda _: read(b"not here", 900, status=404)).obtain()[0].status == 404


# The rest of a body.


def test_after_an_interruption_the_rest_is_asked_for_at_once_past_every_cache() -> None:
    world = World(cut(), serving(BODY), mirrors={MIRROR: [serving(BODY)]})
    assert world.read() == BODY
    assert world.ranges == [None, REST] and world.moments == [0.0, 0.0]
    asking = world.asked[1][1]
    assert asking.past_caches and asking.fresh and not world.mirrors_asked_for
    assert world.lines == ["demo-1.0 resumed at 100 of 307 kB (connection reset by peer)"]


def test_a_server_that_does_not_help_is_asked_eight_times_more() -> None:
    world = World(cut(), lambda _: busy())
    failure = given_up(world)
    assert len(world.asked) == 9 and world.moments[:5] == [0.0, 0.0, 1.0, 3.0, 7.0]
    assert failure.message.endswith(f"demo-1.0-py3-none-any.whl stopped at {world.body.place()}.")
    assert failure.setting == ("retry-patch-attempts", "50")


def test_a_server_that_is_away_has_two_minutes() -> None:
    world = World(cut(), refused())
    assert given_up(world).setting == ("retry-patch-patience", "600")
    assert 120 <= world.clock.seconds <= 150


def test_real_progress_renews_the_budgets_and_less_does_not() -> None:
    def trickling(step: int) -> Any:
        def answer(asking: Asking) -> requests.Response:
            first = int(asking.fields["Range"][6:-1]) if asking.fields else 0
            made = part(BODY, first) if first else whole(BODY)
            broken = () if first + step >= len(BODY) else (RESET,)
            return response(
                *(BODY[first : first + step], *broken),
                status=made.status_code,
                length=len(BODY) - first,
                **{name: value for name, value in made.headers.items() if "Len" not in name},
            )

        return answer

    world = World(trickling(64 * 1024))
    assert world.read() == BODY and set(world.moments) == {0.0}
    world = World(trickling(1024))
    given_up(world)
    assert len(world.asked) == 9
    assert all(a < b for a, b in zip(world.moments[2:], world.moments[3:]))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 416, 500, 501])
def test_what_our_range_may_bring_down_is_asked_at_once_without_it(status: int) -> None:
    world = World(cut(), busy(status), lambda _: whole(BODY))
    assert world.read() == BODY
    assert world.ranges == [None, REST, None] and world.moments == [0.0] * 3
    # The whole has come, so the range was to blame. The host is asked for no more of them.
    assert world.hosts.refuses_parts == {"files.example"}
    world.exchange = world.another(cut(), whole(BODY), url=OTHER)
    world.asked.clear()
    assert world.read() == BODY and world.ranges == [None, None]


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_is_gone_does_not_make_a_host_refuse_ranges(status: int) -> None:
    world = World(cut(), lambda _: busy(status))
    assert f"the server answered {status}" in given_up(world).context
    assert len(world.asked) == 3 and not world.hosts.refuses_parts


def test_a_part_that_does_not_fit_is_asked_for_whole_but_the_host_is_asked_for_more() -> None:
    world = World(cut(), lambda _: part(BODY, 5), lambda _: whole(BODY))
    assert world.read() == BODY
    assert world.ranges == [None, REST, None] and not world.hosts.refuses_parts


def test_a_condition_that_is_ignored_is_left_out_at_once() -> None:
    world = World(cut(), whole(BODY), serving(BODY), hashed=False)
    assert world.read() == BODY
    asked = [asking.fields for _, asking, _ in world.asked]
    first = f"bytes={OFFSET - 4096}-"
    assert asked == [{}, {"Range": first, "If-Range": ETAG}, {"Range": first}]
    assert world.hosts.ignores_if_range == {"files.example"}


def test_requests_lost_with_our_range_are_sent_without_it_now_and_then() -> None:
    world = World(cut(), lambda asking: silent() if asking.fields else whole(BODY))
    assert world.read() == BODY
    assert world.ranges == [None, REST, REST, None]
    assert not world.hosts.refuses_parts  # that was no answer: the network may have lost it


def test_the_page_is_read_again_once_for_each_progress_and_never_in_a_hot_loop() -> None:
    looked: list[int] = []
    world = World(cut(), lambda _: busy(403))

    def listed_again() -> list[Source]:
        looked.append(world.body.offset)
        return [Source(f"{URL}?{len(looked)}", lambda asking, outcome: busy(403))]

    world.exchange = world.exchange_of(replace(world.job, listed_again=listed_again))
    assert "the server answered 403" in given_up(world).context and looked == [OFFSET]


def test_the_end_that_is_told_is_the_one_of_the_new_link() -> None:
    answers = iter([cut()])

    def new_link(asking: Asking, outcome: Outcome) -> requests.Response:
        for answer in answers:
            outcome.urls.append(answer.url)
            return answer
        raise refused()

    world = World(busy(403))
    listed = [Source(f"{URL}?new", new_link)]
    world.exchange = world.exchange_of(replace(world.job, listed_again=lambda: listed))
    assert "stopped at 100 kB of 307 kB" in given_up(world).message


def test_no_two_requests_follow_each_other_at_once_but_the_first_retry_and_without_a_range() -> (
    None
):
    """Whatever a server does that is of no use, in any order."""
    useless: list[Any] = [
        *(refused, silent, lambda: part(BODY, 5)),
        *(lambda status=status: busy(status) for status in (403, 416, 500, 503)),
        lambda: part(BODY, OFFSET, content_type="multipart/byteranges; boundary=x"),
    ]
    for one in useless:
        for other in useless:
            for hashed in (True, False):
                calls = [one, other] * 40
                world = World(cut(), lambda _, todo=calls: todo.pop(0)(), hashed=hashed)
                given_up(world)
                assert len(world.asked) <= 60
                _assert_polite(world)


def _assert_polite(world: World) -> None:
    asked = [(asking.fields, moment) for _, asking, moment in world.asked[1:]]
    for number, ((before, then), (fields, now)) in enumerate(zip(asked, asked[1:])):
        # The second is the retry of a first request for the rest.
        allowed = number == 0 or (before and not fields)
        assert now > then or allowed, (number, asked)


def test_bytes_are_read_again_three_times_the_size_at_most() -> None:
    def breaking_later_by(step: int) -> Any:
        ends = iter(range(OFFSET, 10 * len(BODY), step))
        return lambda _: response(BODY[: next(ends)], RESET, length=len(BODY), etag=ETAG)

    # Each answer is whole, and breaks a little behind the offset: 64 KiB of progress.
    world = World(breaking_later_by(70_000))
    assert world.read() == BODY
    assert world.exchange.story.again == 100_000 + 170_000 + 240_000  # less than 3 * 307 kB
    world = World(breaking_later_by(1000), patience=Patience(attempts=1000))
    assert wording.NO_HELP in given_up(world).context
    assert world.exchange.story.again <= (READ_AGAIN + 1) * len(BODY)


def test_another_version_is_begun_anew_or_is_an_error_where_nobody_can() -> None:
    for other in (
        {"body": BODY + b"more"},
        {"body": b"short"},
        {"body": BODY, "content_encoding": "gzip"},
    ):
        # With a hash: it may be for our Range that something else came.
        world = World(cut(), whole(**other), whole(**other))
        with pytest.raises(errors.Restart) as end:
            world.read()
        assert end.value.failure.changed and len(world.asked) == 3
        world = World(cut(), whole(**other), kind=Kind.OTHER, hashed=False)
        assert given_up(world).changed


def test_another_version_whose_answer_breaks_is_asked_for_again() -> None:
    broken = [lambda _: response(RESET, length=5, etag='"v2"')] * 2
    world = World(cut(), *broken, serving(BODY))
    assert world.read() == BODY and len(world.asked) == 4


@pytest.mark.parametrize(("strict", "error"), [(True, KeyError), (False, ProtocolError)])
def test_a_mistake_of_ours_ends_a_body_as_its_interruption_would_have(
    strict: bool, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrapping, "failures", ["so that nothing is told at the end"])
    monkeypatch.setattr(wrapping, "STRICT", strict)
    world = World(cut(), KeyError("a mistake"), mirrors={MIRROR: [serving(BODY)]})
    with pytest.raises(error):
        world.read()
    assert not world.mirrors_asked_for
    assert strict or "a mistake" in wrapping.failures[1]


# Several sources.


def test_after_two_requests_in_vain_it_is_the_next_ones_turn() -> None:
    world = World(cut(), lambda _: busy(), mirrors={MIRROR: [serving(BODY)]})
    assert world.read() == BODY
    assert world.urls == [URL, *[URL] * TURN, MIRROR] and set(world.moments) <= {0.0, 1.0}
    assert world.exchange.mirrored == [(OFFSET, MIRROR)]
    assert f"{MIRROR} serves from {OFFSET} on: HTTP 503" in world.lines
    assert world.hosts.busy == {"files.example"}


def test_a_source_that_is_gone_for_good_is_asked_no_more() -> None:
    world = World(cut(), lambda _: busy(403), mirrors={MIRROR: [lambda _: busy(404)]})
    assert "the server answered 403" in given_up(world).context
    # Of each, once with the range and once without.
    assert world.urls == [URL, URL, URL, MIRROR, MIRROR]


def test_a_first_answer_comes_from_a_mirror_too() -> None:
    world = World(lambda _: busy(404), mirrors={MIRROR: [serving(BODY)]})
    assert world.read() == BODY
    assert world.urls == [URL, MIRROR] and world.exchange.host == "mirror.example"
    assert world.exchange.mirrored == [(0, MIRROR)]
    assert world.lines == [f"{MIRROR} serves from 0 on: HTTP 404"]
    # While pip's own source rests, the mirror is asked first.
    world = World(serving(BODY), mirrors={MIRROR: [serving(BODY)]})
    world.hosts.busy.add("files.example")
    assert world.read() == BODY and world.urls == [MIRROR]
    assert world.lines == [f"{MIRROR} serves from 0 on: {wording.RESTS}"]


def test_where_no_source_helps_all_are_waited_for_together() -> None:
    world = World(refused(), mirrors={MIRROR: [lambda _: busy()]})
    lost(world.exchange)
    assert world.urls.count(MIRROR) >= 4 and len(world.asked) < 60
    assert any("Neither the index nor a mirror" in line for line in world.lines)
    for url in (URL, MIRROR):
        moments = [moment for asked, _, moment in world.asked if asked == url]
        assert sum(a == b for a, b in zip(moments, moments[1:])) <= len(moments) / 2 + 1
