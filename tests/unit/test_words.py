"""All that a user reads, word for word: words.txt has it in the order of the calls below.

It is read by people, so a change of a word is made there as well, by hand, and read again.
"""

from __future__ import annotations

from pathlib import Path

from pip_retry_patch import failures, messages, mirror_messages, odd_answers, settings
from pip_retry_patch.failures import Failure
from pip_retry_patch.messages import Peer, Place

NAME = "demo-1.0-py3-none-any.whl"
PAGE = "the page https://h.example/simple/demo/"
PLACE = Place(NAME, "files.example", 22_800_000, 44_700_000)
UNKNOWN = PLACE._replace(total=None)
HOST = Peer("h.example")
PROXIED = Peer("h.example", "proxy.example:3128")
PROXY = PROXIED._replace(is_proxy=True)
TRIED = failures.Tried(3, 41.3)


def lines() -> list[str]:
    """Return lines; within a test, so that each is made anew."""
    return [
        messages.continuing(NAME, 22_800_000, 44_700_000),
        messages.continuing(NAME, 900_000, 44_700_000),
        messages.resumed(PLACE, messages.CLOSED_EARLY),
        messages.resumed(UNKNOWN, "connection refused"),
        messages.resumed_again(PLACE, 12),
        messages.goes_on(PLACE),
        messages.replayed(PLACE, messages.NO_DATA_IN_TIME),
        messages.waiting(PLACE, messages.busy(503, 30.0), messages.up_to_attempts(7)),
        messages.waiting(PLACE, messages.NAME_NOT_RESOLVED, messages.for_seconds(120)),
        messages.waiting(
            PLACE,
            messages.useless(416, "has another size" + " and more" * 3),
            messages.for_seconds(120),
        ),
        messages.interrupted_often(NAME, 3, 0.9, 0),
        messages.interrupted_often(NAME, 3, 1.0, 123_400),
        messages.for_seconds(29.6),
        messages.up_to_attempts(1),
        messages.up_to_attempts(2),
        messages.times(1),
        messages.times(2),
        messages.busy(503),
        messages.busy(429, 30.4),
        messages.no_progress(50),
        messages.tunnel_refused("403 Forbidden"),
        messages.certificate_refused("expired"),
        messages.stream_damaged("bad record mac"),
        str(HOST),
        str(PROXIED),
        str(PROXY),
        messages.waiting_for_host(NAME, HOST, messages.NO_ANSWER, 30, False),
        messages.waiting_for_host(NAME, PROXIED, messages.NO_CONNECTION_IN_TIME, 120, True),
        messages.trying_again(HOST, messages.busy(503, 30.0), 29.6),
        messages.waiting_for_busy(NAME, HOST, "the server answers 503", 1),
        messages.waiting_for_busy(NAME, PROXY, messages.busy(503, 30.0), 7),
        messages.index_unread("https://i.example/", "refused"),
        messages.found_elsewhere("demo", "pypi.example", "https://i.example/"),
        messages.may_be_unread("https://i.example/", "refused"),
        messages.page_again("the page https://h.example/simple/demo/"),
        messages.restarted(NAME),
        messages.accepted_short(NAME, 2000, 3000),
        messages.accepted_short(NAME, 2000, None),
        messages.decoded(NAME, "gzip", "h.example"),
        messages.purged(2, 3000),
        messages.bad_mirror("retry-patch-mirrors", "ftp://me:secret@h.example/x?token=1"),
        messages.unusable_directory("/x", "it is not a directory"),
        messages.unusable_log("/x", "Is a directory"),
        messages.unknown_setting("retry-patch-patiance", "retry-patch-patience"),
        messages.unknown_setting("retry-patch-x", ""),
        messages.bad_setting("retry-patch-patience", "soon", "a number of seconds", "120"),
        odd_answers.odd_page(PAGE, odd_answers.CAME_EMPTY),
        odd_answers.odd_page(PAGE, odd_answers.HAS_NO_END),
        odd_answers.odd_page(PAGE, odd_answers.IS_JSON),
        odd_answers.odd_page(PAGE, odd_answers.names_no_file("Sign in")),
        odd_answers.odd_page(PAGE, odd_answers.for_people("Sign in", "login.example", "demo")),
        mirror_messages.mirror_serves("https://i.example/", "refused", "https://messages.example/"),
        mirror_messages.mirror_serves_file(NAME, "h.example", "refused", "messages.example", 0),
        mirror_messages.mirror_serves_file(
            NAME, "h.example", "refused", "messages.example", 22_800_000
        ),
        mirror_messages.all_sources_failed(NAME, "refused", messages.for_seconds(120)),
        mirror_messages.mirror_dropped(NAME, "https://messages.example/"),
        mirror_messages.mirrors_of_another_index("https://i.example/", "https://j.example/"),
        mirror_messages.stale("https://i.example/", "refused", 90_000.0),
        mirror_messages.answers(503),
        *settings.read(
            [(f"global.{key}", "!") for key in settings.table(settings.Settings(), {})]
        ).complaints,
    ]


def errors() -> list[Failure]:
    """Return errors; as above."""
    return [
        failures.gave_up(PLACE, "refused", None, 1, 0.4, unreachable=True),
        failures.gave_up(PLACE, "refused", "closed early", 8, 41.3, unreachable=False),
        failures.gave_up(PLACE, "refused", "closed early", 0, 0.0, unreachable=True),
        failures.gave_up(PLACE, "refused", None, 0, 0.0, unreachable=True, retries=False),
        failures.refused(PLACE, "refused", 403),
        failures.certificate(PLACE, "refused", "the certificate was refused"),
        failures.web_page(PLACE, "refused", "login.example", 2, 5.0),
        failures.cut_page("https://me:s@h.example/simple/demo/?a", 900),
        failures.changed(PLACE, "refused"),
        failures.unreachable_host(NAME, HOST, "refused", TRIED, answered=False, offline=False),
        failures.unreachable_host(NAME, HOST, "refused", TRIED, answered=True, offline=False),
        failures.unreachable_host(NAME, HOST, "refused", TRIED, answered=False, offline=True),
        failures.unreachable_host(NAME, PROXY, "refused", TRIED, answered=True, offline=False),
        failures.unreachable_host(
            NAME, HOST, "refused", TRIED._replace(retries=False), answered=False, offline=False
        ),
        failures.refused_tunnel(NAME, PROXIED, "the proxy answers 403", TRIED, answered=False),
        failures.refused_tunnel(NAME, PROXIED, "the proxy answers 403", TRIED, answered=True),
        failures.refused_certificate(NAME, HOST, "it expired", answered=True),
        failures.refused_certificate(NAME, HOST, "it expired", answered=False),
        failures.busy_host(NAME, HOST, "the server answers 503", TRIED, helped=False),
        failures.busy_host(
            NAME, HOST, "the server answers 503", TRIED._replace(retries=False), helped=True
        ),
        failures.asks_for_too_long(
            NAME, HOST, "the server answers 503", TRIED, 3600.0, helped=True
        ),
        failures.asks_for_too_long(
            NAME, HOST, "the server answers 503", TRIED, 3600.0, helped=False
        ),
        failures.broken_request(NAME, "h.example", "too many redirects"),
        failures.index_refused("https://i.example/", 403, False),
        failures.index_refused("https://i.example/", 200, True),
        failures.with_kept(failures.changed(PLACE, "refused")),
        odd_answers.bad_redirect(NAME, "h.example", "http://["),
        *(odd_answers.odd_status(NAME, "h.example", status) for status in (204, 300, 304, 999)),
        odd_answers.odd_coding(PAGE, "h.example", "br"),
        odd_answers.bad_coding(PAGE, "h.example"),
        odd_answers.no_index_page(PAGE, "h.example", "Expecting value: line 1 column 1"),
        odd_answers.web_page_for_file(NAME, "h.example", "Sign in"),
        odd_answers.not_of_its_kind(NAME, "h.example", 1800, "application/octet-stream", "br"),
    ]


def shown(error: Failure) -> str:
    """Return the text of an error, and what it leads to."""
    setting = "none" if error.setting is None else " = ".join(error.setting)
    more = [f"setting: {setting}", f"briefly: {error.briefly}"]
    more += ["first contact"] * error.first_contact + ["to be fetched anew"] * error.changed
    return "\n".join([str(error), *more])


WORDS = (Path(__file__).parent / "words.txt").read_text(encoding="ascii").rstrip("\n").split("\n\n")


def test_what_a_user_reads_is_what_somebody_has_read() -> None:
    assert [*lines(), *map(shown, errors())] == WORDS
