"""The loop that asks, judges, waits and asks again, with a clock that only tests wind."""

from __future__ import annotations

import http.client
import math
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from urllib3 import HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from pip_retry_patch import wording, wrapping
from pip_retry_patch.fetch import errors
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
    part,
    response,
    serving,
    whole,
)

NOBODY: Any = None
BODY = bytes(range(256)) * 1200  # 307,200 bytes
PAGE = b'<!DOCTYPE html><html><body><a href="demo-1.0-py3-none-any.whl">x</a></body></html>'
INDEX = "https://index.example/simple/demo/"
OFFSET = 100_000
CUT = (BODY[:OFFSET], RESET)
OTHER = "https://files.example/other-1.0-py3-none-any.whl"


def refused(url: str = URL) -> Exception:
    """A connection that was refused, as requests raises it."""
    pool = HTTPSConnectionPool("files.example", 443)
    reason = NewConnectionError(NOBODY, "refused")
    error = requests.ConnectionError(MaxRetryError(pool, "/", reason))
    error.request = requests.Request("GET", url).prepare()
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    return error


def silent() -> Exception:
    return requests.ReadTimeout(ReadTimeoutError(NOBODY, "/", "Read timed out."))


def busy(status: int = 503, retry_after: str = "") -> requests.Response:
    fields: dict[str, Any] = {"retry_after": retry_after} if retry_after else {}
    return response(b"busy", status=status, **fields)


def cut(**options: Any) -> requests.Response:
    return response(*CUT, length=len(BODY), etag=ETAG, **options)


def as_often_as(count: int, make: Any) -> list[Any]:
    return [make() for _ in range(count)]


def page(*does: Any, **job: Any) -> World:
    return World(*does, **{"url": INDEX, "kind": Kind.PAGE, "whole": True, "hashed": False, **job})


# First answers.


def test_an_answer_that_is_of_use_is_pips_and_nothing_of_ours_was_asked() -> None:
    world = World(whole(BODY))
    outcome, _ = world.obtain()
    assert (outcome.status, outcome.urls, world.lines) == (200, [URL], [])
    ((_, asking, _),) = world.asked
    assert asking == Asking({})


@pytest.mark.parametrize("status", [200, 206, 301, 401, 403, 404, 410, 501])
def test_any_other_answer_is_pips_at_once(status: int) -> None:
    world = World(response(b"x", status=status), kind=Kind.OTHER)
    outcome, _ = world.obtain()
    assert outcome.status == status and len(world.asked) == 1 and world.exchange.failure is None


def test_a_lost_host_is_waited_for_once_the_first_retry_has_failed() -> None:
    world = World(refused(), refused(), refused(), whole(BODY))
    assert world.obtain()[0].status == 200
    assert world.moments == [0.0, 0.0, 1.0, 3.0]
    (line,) = world.lines
    assert line.startswith("files.example cannot be reached (connection refused). Trying for 30 s.")


def test_a_first_contact_ends_after_thirty_seconds_with_the_error_of_pips_own() -> None:
    world = World(refused())
    with pytest.raises(requests.ConnectionError):
        world.obtain()
    assert 30 <= world.clock.seconds <= 40
    failure = world.exchange.failure
    assert failure is not None and failure.first_contact
    assert failure.message == "files.example cannot be reached."
    assert failure.setting == ("retry-patch-first-contact", "600")


def test_a_host_that_has_answered_is_waited_for_with_all_patience() -> None:
    world = World(whole(BODY))
    world.obtain()
    again = world.another(refused(), url=OTHER)
    with pytest.raises(requests.ConnectionError):
        again.obtain()
    assert 120 <= world.clock.seconds <= 150
    assert again.failure is not None
    assert again.failure.message == "files.example cannot be reached."


def test_first_contact_is_shared_by_all_hosts_and_a_lost_one_is_not_waited_for_again() -> None:
    world = World(refused())
    with pytest.raises(requests.ConnectionError):
        world.obtain()
    spent, asked = world.clock.seconds, len(world.asked)
    # Another host: the seconds are spent.
    there = "https://away.example/x-1.0.tar.gz"
    with pytest.raises(requests.ConnectionError):
        world.another(refused(there), url=there).obtain()
    assert world.clock.seconds == spent and len(world.asked) == asked + 1
    # The same host: it is asked once more, briefly, for each request.
    again = world.another(refused(), url=OTHER)
    with pytest.raises(requests.ConnectionError):
        again.obtain()
    assert world.clock.seconds == spent and len(world.asked) == asked + 2
    assert world.asked[-1][1].slower == IN_VAIN
    assert again.failure is not None and "other-1.0" in again.failure.context
    # It may be back.
    world.another(whole(BODY), url=OTHER).obtain()
    world.another(whole(BODY), url=OTHER).obtain()
    assert world.asked[-1][1].slower == 1.0


def test_a_name_that_does_not_exist_is_waited_for_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(errors, "_has_route", lambda *_: True)
    error = refused()
    error.__cause__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    world = World(error)
    with pytest.raises(requests.ConnectionError):
        world.obtain()
    assert 10 <= world.clock.seconds <= 12


@pytest.mark.parametrize("status", [408, 421, 425, 429, 502, 503, 504, 520, 530])
def test_a_busy_host_is_asked_nine_times_and_its_answer_is_pips(status: int) -> None:
    world = World(lambda _: busy(status))
    outcome, _ = world.obtain()
    assert outcome.status == status and len(world.asked) == 9
    assert world.exchange.failure is not None
    assert world.exchange.failure.setting == ("retry-patch-attempts", "50")
    (line,) = world.lines
    assert line.startswith(f"files.example is busy (HTTP {status}). Trying up to 7 more times.")
    # In the same run it is not waited for again.
    world.another(lambda _: busy(status)).obtain()
    assert len(world.asked) == 10
    # Until it helps.
    world.another(whole(BODY)).obtain()
    world.another(busy(status), whole(BODY)).obtain()
    assert len(world.asked) == 13


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
    error.request = requests.Request("GET", URL).prepare()
    error.__cause__ = why
    world = World(error)
    with pytest.raises(requests.ConnectionError):
        world.obtain()
    assert len(world.asked) == 9
    failure = world.exchange.failure
    assert failure is not None and failure.message == (
        "files.example answers, but cannot serve the request."
    )
    (line,) = world.lines
    assert line.startswith("files.example is busy (")
    # After a cut it may well be gone again.
    world = World(cut(), error, part(BODY, OFFSET))
    assert world.read() == BODY


def test_a_500_is_asked_for_as_often_as_pip_does_and_its_host_is_not_busy() -> None:
    world = World(lambda _: busy(500))
    assert world.obtain()[0].status == 500
    assert len(world.asked) == BROKEN_URL + 1 and not world.hosts.busy


def test_what_a_proxy_says_of_a_host_that_has_not_helped_is_short() -> None:
    def answer(_: Any) -> requests.Response:
        made = busy(503)
        made.raw._pool = SimpleNamespace(proxy="http://proxy.example:3128")
        return made

    world = World(answer, url=URL.replace("https", "http"))
    assert world.obtain()[0].status == 503 and len(world.asked) == BROKEN_URL + 1


def test_retry_after_is_waited_for_and_announced() -> None:
    world = World(busy(429, "20"), whole(BODY))
    assert world.obtain()[0].status == 200
    assert world.moments == [0.0, 20.0]
    assert "files.example is busy (HTTP 429, wants 20 s). Trying again in 20 s." in world.lines


def test_retry_after_beyond_patience_ends_it_at_once() -> None:
    world = World(busy(503, "3600"))
    assert world.obtain()[0].status == 503
    assert world.clock.seconds == 0.0 and len(world.asked) == 1
    failure = world.exchange.failure
    assert failure is not None
    assert failure.message == "files.example wants to be asked again in 3600 s."


def test_silence_makes_later_timeouts_longer_up_to_four_times() -> None:
    world = World(silent(), silent(), silent(), silent(), whole(BODY))
    world.obtain()
    assert [asking.slower for _, asking, _ in world.asked] == [1, 2, 4, 4, 4]
    assert world.lines  # at once, for it has already taken a while
    assert world.asked[0][1].longest == math.inf and world.asked[-1][1].longest <= 30


def test_what_time_does_not_change_is_not_waited_for() -> None:
    wrong = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    certificate = ssl.SSLCertVerificationError(1, "certificate verify failed: it expired")
    tunnel = OSError("Tunnel connection failed: 407 Proxy Authentication Required")
    for cause in (wrong, certificate, tunnel):
        world = World(requests.exceptions.SSLError(cause))
        with pytest.raises(requests.exceptions.SSLError):
            world.obtain()
        assert world.moments == [0.0, 0.0] and world.exchange.failure is not None
        # One of several nodes is set wrong.
        world = World(requests.exceptions.SSLError(cause), whole(BODY))
        assert world.obtain()[0].status == 200 and not world.lines


def test_what_the_user_set_wrong_is_pips_own_error_at_once() -> None:
    world = World(requests.exceptions.InvalidProxyURL("Please check proxy URL"))
    with pytest.raises(requests.exceptions.InvalidProxyURL):
        world.obtain()
    assert len(world.asked) == 1 and world.exchange.failure is None


def test_a_mistake_of_ours_is_no_network() -> None:
    world = World(KeyError("a mistake"))
    with pytest.raises(KeyError):
        world.obtain()
    assert len(world.asked) == 1


@pytest.mark.parametrize("failing", [refused(), busy(503)])
def test_with_retries_0_nothing_is_tried_again(failing: Any) -> None:
    patience = Patience(attempts=0, seconds=0.0)
    world = World(failing, whole(BODY), patience=patience)
    if isinstance(failing, Exception):
        with pytest.raises(requests.ConnectionError):
            world.obtain()
    else:
        assert world.obtain()[0].status == 503
    assert len(world.asked) == 1 and not world.lines and not world.mirrors_asked_for
    failure = world.exchange.failure
    assert failure is not None and "--retries 0" in failure.hint and failure.setting is None


def test_a_page_that_broke_is_asked_for_again() -> None:
    world = page(Cut(requests.exceptions.ChunkedEncodingError(RESET)), lambda _: read(PAGE))
    assert world.obtain()[0].response.content == PAGE
    assert world.moments == [0.0, 0.0]
    assert len(world.lines) == 1
    world = page(Cut(requests.exceptions.ChunkedEncodingError(RESET)))
    with pytest.raises(GaveUpError) as end:
        world.obtain()
    assert len(world.asked) == 9 and "has no end" in end.value.failure.context


def read(content: bytes, **options: Any) -> requests.Response:
    """Return a page that was read."""
    answer = response(content, **{"content_type": "text/html", **options})
    assert answer.content == content
    return answer


def test_a_page_that_names_no_file_is_doubted_once_and_then_taken() -> None:
    login = b"<html><form></form></html>"
    world = page(lambda _: read(login))
    outcome, _ = world.obtain()
    assert outcome.response.content == login and len(world.asked) == 2
    assert world.forgotten == [INDEX, INDEX] and world.clock.seconds == 0.0
    assert [asking.fresh for _, asking, _ in world.asked] == [False, True]
    # Each run doubts three pages, for some indexes have such a page for each unknown project.
    for _ in range(4):
        world.another(lambda _: read(login), url=INDEX).obtain()
    assert len(world.asked) == 2 + 2 + 2 + 1 + 1


def test_a_page_that_comes_twice_without_its_end_is_taken_and_told() -> None:
    without_end = PAGE.replace(b"</html>", b"")
    world = page(lambda _: read(without_end, framed="close"))
    assert world.obtain()[0].response.content == without_end and len(world.asked) == 2
    (line,) = world.lines
    assert line.endswith("came twice the same. It is taken as it is.")
    world = page(read(without_end, framed="close"), read(PAGE, framed="close"))
    assert world.obtain()[0].response.content == PAGE and not world.lines


@pytest.mark.parametrize(
    ("content", "media", "is_taken"),
    [
        (PAGE, "text/html", True),
        (b'{"files": ["demo-1.0.tar.gz"]}', "application/vnd.pypi.simple.v1+json", True),
        (PAGE.replace(b"</html>", b""), "text/html", False),
        (b'{"files": ["demo-1.0.tar.gz"', "application/vnd.pypi.simple.v1+json", False),
        (b"<html>no file</html>", "text/html", False),
    ],
)
def test_a_page_that_is_always_shorter_than_announced_is_taken_if_it_shows_its_end(
    content: bytes, media: str, is_taken: bool
) -> None:
    def lying(_: Asking) -> requests.Response:
        answer = response(content, content_type=media)
        assert answer.content == content
        answer.headers["Content-Length"] = str(len(content) + 5)
        return answer

    world = page(lying)
    if is_taken:
        assert world.obtain()[0].response.content == content and len(world.asked) == 2
        assert any("It is taken as it is." in line for line in world.lines)
    else:
        with pytest.raises(GaveUpError):
            world.obtain()


def test_a_request_in_which_the_process_did_not_run_spends_no_patience() -> None:
    def sleeps(_: Asking) -> Exception:
        world.clock.seconds += 3600.0
        return refused()

    world = World(whole(BODY))
    world.obtain()
    again = world.another(refused(), sleeps, whole(BODY), url=OTHER)
    assert again.obtain()[0].status == 200


def test_a_part_that_nobody_asked_for_is_asked_for_whole() -> None:
    world = World(part(BODY, 5), whole(BODY))
    assert world.obtain()[0].status == 200
    world = World(lambda _: part(BODY, 5))
    with pytest.raises(GaveUpError) as end:
        world.obtain()
    assert wording.OTHER_PART in end.value.failure.context


# The rest of a body.


def test_after_an_interruption_the_rest_is_asked_for_at_once_past_every_cache() -> None:
    world = World(cut(), serving(BODY))
    assert world.read() == BODY
    assert world.ranges == [None, f"bytes={OFFSET}-"] and world.moments == [0.0, 0.0]
    asking = world.asked[1][1]
    assert asking.past_caches and asking.fresh
    (line,) = world.lines
    assert line == "demo-1.0 resumed at 100 of 307 kB (connection reset by peer)"


def test_a_server_that_does_not_help_is_asked_eight_times_more() -> None:
    world = World(cut(), lambda _: busy(503))
    with pytest.raises(GaveUpError) as end:
        world.read()
    assert len(world.asked) == 9
    assert world.moments[:5] == [0.0, 0.0, 1.0, 3.0, 7.0]
    failure = end.value.failure
    assert (
        failure.message == f"Downloading demo-1.0-py3-none-any.whl stopped at {world.body.place()}."
    )
    assert failure.setting == ("retry-patch-attempts", "50") and end.value.cause is RESET


def test_a_server_that_is_away_has_two_minutes() -> None:
    world = World(cut(), refused())
    with pytest.raises(GaveUpError) as end:
        world.read()
    assert 120 <= world.clock.seconds <= 150
    assert end.value.failure.setting == ("retry-patch-patience", "600")


def test_real_progress_renews_the_budgets_and_less_does_not() -> None:
    def trickling(step: int) -> Any:
        def answer(asking: Asking) -> requests.Response:
            first = int(asking.fields["Range"][6:-1]) if asking.fields else 0
            label = f"bytes {first}-{len(BODY) - 1}/{len(BODY)}"
            fields: dict[str, Any] = {"status": 206, "content_range": label} if first else {}
            piece = BODY[first : first + step]
            broken = () if first + step >= len(BODY) else (RESET,)
            return response(piece, *broken, length=len(BODY) - first, etag=ETAG, **fields)

        return answer

    world = World(trickling(64 * 1024))
    assert world.read() == BODY and set(world.moments) == {0.0}
    world = World(trickling(1024))
    with pytest.raises(GaveUpError):
        world.read()
    assert len(world.asked) == 9
    assert all(a < b for a, b in zip(world.moments[2:], world.moments[3:]))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 416, 500, 501])
def test_what_our_range_may_bring_down_is_asked_at_once_without_it(status: int) -> None:
    world = World(cut(), busy(status), lambda _: whole(BODY))
    assert world.read() == BODY
    assert world.ranges == [None, f"bytes={OFFSET}-", None] and world.moments == [0.0] * 3
    # The whole has come, so the range was to blame. The host is asked for no more of them.
    assert world.hosts.refuses_parts == {"files.example"}
    world.exchange = world.another(cut(), whole(BODY), url=OTHER)
    world.asked.clear()
    assert world.read() == BODY and world.ranges == [None, None]


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_is_gone_does_not_make_a_host_refuse_ranges(status: int) -> None:
    world = World(cut(), lambda _: busy(status))
    with pytest.raises(GaveUpError) as end:
        world.read()
    assert len(world.asked) == 3 and not world.hosts.refuses_parts
    assert f"the server answered {status}" in end.value.failure.context


def test_the_page_is_read_again_once_for_each_progress_and_never_in_a_hot_loop() -> None:
    looked: list[int] = []
    world = World(cut(), lambda _: busy(403))

    def listed_again() -> list[Source]:
        looked.append(world.body.offset)
        there = f"{URL}?{len(looked)}"
        return [Source(there, lambda asking, outcome: busy(403))]

    world.exchange = world.exchange_of(replace(world.job, listed_again=listed_again))
    with pytest.raises(GaveUpError) as end:
        world.read()
    assert looked == [OFFSET] and "the server answered 403" in end.value.failure.context


def test_the_end_that_is_told_is_the_one_of_the_new_link() -> None:
    def new_link(asking: Asking, outcome: Outcome) -> requests.Response:
        asked.append(0)
        if len(asked) > 1:
            raise refused()
        answer = cut()
        outcome.urls.append(answer.url)
        return answer

    asked: list[int] = []
    world = World(busy(403))
    listed = [Source(f"{URL}?new", new_link)]
    world.exchange = world.exchange_of(replace(world.job, listed_again=lambda: listed))
    with pytest.raises(GaveUpError) as end:
        world.read()
    assert "stopped at 100 kB of 307 kB" in end.value.failure.message


def test_a_page_that_is_short_of_its_length_is_no_page_if_its_status_says_so() -> None:
    def missing(_: Asking) -> requests.Response:
        answer = read(b"not here", status=404)
        answer.headers["Content-Length"] = "900"
        return answer

    world = page(missing)
    assert world.obtain()[0].status == 404 and len(world.asked) == 1


def test_a_bad_redirect_of_a_mirror_ends_that_mirror_alone() -> None:
    def redirects_nowhere(asking: Asking, outcome: Outcome) -> requests.Response:
        outcome.urls.append(MIRROR)
        outcome.answer = whole(b"")
        raise requests.exceptions.InvalidURL("no such address")

    world = World(refused(), refused(), refused(), whole(BODY))
    mirror = Source(MIRROR, redirects_nowhere, MIRROR, lambda why, offset: None)
    exchange = world.exchange_of(replace(world.job, mirrors=lambda: [mirror]))
    assert exchange.obtain()[0].status == 200


def test_a_part_that_does_not_fit_is_asked_for_whole_but_the_host_is_asked_for_more() -> None:
    world = World(cut(), lambda _: part(BODY, 5), lambda _: whole(BODY))
    assert world.read() == BODY
    assert world.ranges == [None, f"bytes={OFFSET}-", None] and not world.hosts.refuses_parts


def test_a_condition_that_is_ignored_is_left_out_at_once() -> None:
    world = World(cut(), whole(BODY), serving(BODY), hashed=False)
    assert world.read() == BODY
    asked = [asking.fields for _, asking, _ in world.asked]
    first = f"bytes={OFFSET - 4096}-"
    assert asked == [{}, {"Range": first, "If-Range": ETAG}, {"Range": first}]
    assert world.hosts.ignores_if_range == {"files.example"}


def test_requests_lost_with_our_range_are_sent_without_it_now_and_then() -> None:
    def breaks_at_ranges(asking: Asking) -> Any:
        return silent() if asking.fields else whole(BODY)

    world = World(cut(), breaks_at_ranges)
    assert world.read() == BODY
    assert world.ranges == [None, *[f"bytes={OFFSET}-"] * 2, None]
    assert not world.hosts.refuses_parts  # that was no answer: the network may have lost it


def test_no_two_requests_follow_each_other_at_once_but_the_first_retry_and_without_a_range() -> (
    None
):
    """Whatever a server does that is of no use, in any order."""
    useless: list[Any] = [
        lambda: refused(),
        lambda: silent(),
        lambda: busy(403),
        lambda: busy(416),
        lambda: busy(500),
        lambda: busy(503),
        lambda: part(BODY, 5),
        lambda: part(BODY, OFFSET, content_type="multipart/byteranges; boundary=x"),
    ]
    for one in useless:
        for other in useless:
            for hashed in (True, False):
                calls = [one, other] * 40
                world = World(cut(), lambda _, todo=calls: todo.pop(0)(), hashed=hashed)
                with pytest.raises(GaveUpError):
                    world.read()
                assert len(world.asked) <= 60
                _assert_polite(world)


def _assert_polite(world: World) -> None:
    asked = [(asking.fields, moment) for _, asking, moment in world.asked[1:]]
    for number, ((before, then), (fields, now)) in enumerate(zip(asked, asked[1:])):
        # The second is the retry of a first request for the rest.
        allowed = number == 0 or (before and not fields)
        assert now > then or allowed or world.clock.uniform(0, 1) == 0, (number, asked)


def test_bytes_are_read_again_three_times_the_size_at_most() -> None:
    # Each answer is whole, and breaks a little behind the offset: 64 KiB of progress.
    steps = iter(range(OFFSET, 10 * len(BODY), 70_000))

    def breaks(asking: Asking) -> requests.Response:
        return response(BODY[: next(steps)], RESET, length=len(BODY), etag=ETAG)

    world = World(breaks)
    assert world.read() == BODY  # 100 + 170 + 240 kB were read again, less than 3 * 307
    assert world.exchange.story.again == 100_000 + 170_000 + 240_000
    tiny = iter(range(OFFSET, 10 * len(BODY), 1000))

    def hardly(asking: Asking) -> requests.Response:
        return response(BODY[: next(tiny)], RESET, length=len(BODY), etag=ETAG)

    world = World(hardly, patience=Patience(attempts=1000))
    with pytest.raises(GaveUpError) as end:
        world.read()
    assert wording.NO_HELP in end.value.failure.context
    assert world.exchange.story.again <= (READ_AGAIN + 1) * len(BODY)


def test_another_version_is_begun_anew() -> None:
    for answer in (whole(BODY + b"more"), whole(b"short"), whole(BODY, content_encoding="gzip")):
        world = World(cut(), answer)
        with pytest.raises(errors.Restart) as end:
            world.read()
        assert end.value.failure.changed and len(world.asked) == 2


def test_where_nobody_can_begin_anew_another_version_is_an_error_for_the_user() -> None:
    for second in (whole(b"short"), whole(BODY + b"more", framed="chunks", etag='"v2"')):
        world = World(cut(), second, kind=Kind.OTHER, hashed=False)
        with pytest.raises(GaveUpError) as end:
            world.read()
        assert end.value.failure.changed


def test_a_web_page_in_place_of_the_file_is_waited_for_and_named() -> None:
    login = b"<!DOCTYPE html><html>log in</html>"
    for options in ({"content_type": "text/html"}, {"content_type": "application/octet-stream"}):
        world = World(cut(), lambda _, o=options: whole(login, **o), hashed=False)
        with pytest.raises(GaveUpError) as end:
            world.read()
        assert "a web page came in place of the file" in end.value.failure.context
        assert len(world.asked) > 8
        world = World(cut(), whole(login, **options), serving(BODY))
        assert world.read() == BODY


def test_with_retries_0_a_body_is_not_resumed() -> None:
    world = World(cut(), serving(BODY), patience=Patience(attempts=0, seconds=0.0))
    with pytest.raises(GaveUpError) as end:
        world.read()
    assert len(world.asked) == 1 and "--retries 0" in end.value.failure.hint


# Several sources.


def test_mirrors_are_made_when_they_are_needed_only() -> None:
    world = World(cut(), serving(BODY), mirrors={MIRROR: [serving(BODY)]})
    assert world.read() == BODY and world.mirrors_asked_for == 0


def test_after_two_requests_in_vain_it_is_the_next_ones_turn() -> None:
    world = World(cut(), lambda _: busy(503), mirrors={MIRROR: [serving(BODY)]})
    assert world.read() == BODY
    assert world.urls == [URL, *[URL] * TURN, MIRROR] and set(world.moments) <= {0.0, 1.0}
    assert world.exchange.mirrored == [(OFFSET, MIRROR)]
    assert f"{MIRROR} serves from {OFFSET} on: HTTP 503" in world.lines
    assert world.hosts.busy == {"files.example"}


def test_a_source_that_is_gone_for_good_is_asked_no_more() -> None:
    world = World(cut(), lambda _: busy(403), mirrors={MIRROR: [lambda _: busy(404)]})
    with pytest.raises(GaveUpError) as end:
        world.read()
    # Of each, once with the range and once without.
    assert world.urls == [URL, URL, URL, MIRROR, MIRROR]
    assert "the server answered 403" in end.value.failure.context


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
    world = World(refused(), mirrors={MIRROR: [lambda _: busy(503)]})
    with pytest.raises(requests.ConnectionError):
        world.obtain()
    assert world.urls.count(MIRROR) >= 4 and len(world.asked) < 60
    assert any("Neither the index nor a mirror" in line for line in world.lines)
    for url in (URL, MIRROR):
        moments = [moment for asked, _, moment in world.asked if asked == url]
        assert sum(a == b for a, b in zip(moments, moments[1:])) <= len(moments) / 2 + 1


@pytest.mark.parametrize("mirrors", [{}, {MIRROR: []}])
def test_a_source_that_answers_every_range_with_200_and_ten_gigabytes_is_no_hot_loop(
    mirrors: dict[str, list[Any]],
) -> None:
    def endless(asking: Asking) -> requests.Response:
        return response(b"\0" * 1000, length=10 << 30, etag=ETAG)

    world = World(cut(), endless, mirrors={url: [endless] for url in mirrors}, hashed=False)
    with pytest.raises((GaveUpError, errors.Restart)):
        world.read()
    assert len(world.asked) <= 9


def test_a_mistake_of_ours_ends_a_body_as_its_interruption_would_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wrapping, "failures", ["so that nothing is told at the end"])
    for strict in (True, False):
        monkeypatch.setattr(wrapping, "STRICT", strict)
        world = World(cut(), KeyError("a mistake"), mirrors={MIRROR: [serving(BODY)]})
        with pytest.raises(KeyError if strict else ProtocolError):
            world.read()
        assert not world.mirrors_asked_for
    assert len(wrapping.failures) == 2 and "a mistake" in wrapping.failures[1]


def test_an_outcome_names_the_url_that_failed() -> None:
    outcome = Outcome(URL)
    assert outcome.last_url == URL
    outcome.urls.append(OTHER)
    assert outcome.last_url == URL  # a redirect: what it leads to has not answered
    outcome.is_answered = True
    assert outcome.last_url == OTHER
    outcome.error = refused("https://cdn.example/")
    assert outcome.last_url == "https://cdn.example/"
    assert replace(Asking({}), fresh=True) == Asking({}, fresh=True)


def test_a_connection_that_cannot_be_made_in_time_is_no_silence() -> None:
    timeout = requests.ConnectTimeout(ConnectTimeoutError("timed out"))
    world = World(timeout, timeout, whole(BODY))
    world.obtain()
    assert [asking.slower for _, asking, _ in world.asked] == [1, 1, 1]


def test_another_version_whose_answer_breaks_is_asked_for_again() -> None:
    broken = [lambda _: response(RESET, length=5, etag='"v2"')] * 2
    world = World(cut(), *broken, serving(BODY))
    assert world.read() == BODY and len(world.asked) == 4
