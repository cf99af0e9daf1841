"""The words: whole, printable, and the same for the same trouble on every Python."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import ssl

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from pip_retry_patch import failures, messages, mirror_messages, names
from pip_retry_patch.transport import errors
from pip_retry_patch.transport.origin import Interruptions

PLACE = messages.Place("demo-1.0.whl", "files.example", 22_800_000, 44_700_000)


@given(st.text(), st.integers(4, 300))
def test_whatever_the_network_says_becomes_one_short_printable_line(text: str, limit: int) -> None:
    shown = names.clean(text, limit)
    assert len(shown) <= limit
    assert all(" " <= c <= "~" for c in shown)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h.example/a/demo-1.0-py3-none-any.whl", "demo-1.0-py3-none-any.whl"),
        ("https://h.example/a/demo%2B1.tar.gz?sig=SECRET#sha256=1", "demo+1.tar.gz"),
        ("https://me:SECRET@h.example/simple/demo/", "the page https://h.example/simple/demo/"),
        ("https://h.example:8080/simple/demo", "the page https://h.example:8080/simple/demo"),
        ("http://h.example/%1b%5b31mred.whl", "?[31mred.whl"),
    ],
)
def test_a_thing_is_called_what_a_user_calls_it(url: str, name: str) -> None:
    assert names.name_of(url) == name


def raised_from(outer: Exception, inner: BaseException) -> Exception:
    try:
        raise outer from inner
    except Exception as error:
        return error


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.EarlyEnd(5), "the connection was closed early"),
        (http.client.IncompleteRead(b"abc"), "the connection was closed early"),
        (socket.timeout("timed out"), "no data arrived in time"),
        (TimeoutError(), "no data arrived in time"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "connection reset"),
        (socket.gaierror(-2, "Name or service not known"), "could not be resolved"),
        (ssl.SSLError(1, "[SSL] bad record mac"), "the encrypted stream was damaged"),
        (REFUSED, "connection refused"),
        (
            raised_from(urllib3.exceptions.NewConnectionError(None, "<object at 0x7>"), REFUSED),  # type: ignore[arg-type]
            "connection refused",
        ),
        (
            urllib3.exceptions.ProtocolError("Connection aborted.", REFUSED),
            "connection refused",
        ),
        (
            http.client.RemoteDisconnected("Remote end closed connection without response"),
            "without an answer",
        ),
        (ValueError("odd\x1b[2J"), "odd?[2J"),
        (ValueError(), "ValueError"),
    ],
)
def test_trouble_is_said_in_a_few_words(error: Exception, words: str) -> None:
    said = errors.reason(error)
    assert words in said
    assert "0x" not in said


def test_a_refused_certificate_is_known_however_deep_it_is_wrapped() -> None:
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    wrapped = urllib3.exceptions.ProxyError("no proxy", urllib3.exceptions.SSLError(refused))
    assert errors.is_certificate_error(wrapped)
    assert errors.is_certificate_error(raised_from(OSError("x"), refused))
    assert not errors.is_certificate_error(ssl.SSLError(1, "bad record mac"))


def test_sizes_are_written_as_pip_writes_them() -> None:
    sizes = [0, 999, 1001, 9_999, 10_001, 999_999, 1_000_001, 22_800_000]
    assert [names.format_size(s) for s in sizes] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "10.0 kB",
        "10 kB",
        "999 kB",
        "1.0 MB",
        "22.8 MB",
    ]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (999_900_000, "999.9 MB"),
        (5_000_000_000, "5 GB"),
        (5 * 1024**3, "5.369 GB"),
        (10**12, "1 TB"),
        (12_345_678_000_000, "12.35 TB"),
    ],
)
def test_the_size_of_many_files_is_in_its_largest_unit(size: int, shown: str) -> None:
    assert names.format_sum(size) == shown
    assert shown in messages.purged(9, size)


def test_no_end_accuses_the_package_or_its_hash() -> None:
    why = "connection reset by peer"
    ends = [
        failures.gave_up(PLACE, why, "connection refused", 8, 41.3, unreachable=True),
        failures.gave_up(PLACE, why, None, 0, 0.0, unreachable=False),
        failures.refused(PLACE, why, 403),
        failures.certificate(PLACE, why, "the certificate was refused"),
        failures.changed(PLACE, why),
    ]
    for end in ends:
        text = str(end)
        assert "demo-1.0.whl" in text and "22.8 MB of 44.7 MB" in text and "files.example" in text
        assert why in text and "hint: " in text
        assert "hash" not in text.lower() and "tamper" not in text.lower()
        assert text.isascii()
    assert "8 attempts in 41 s" in ends[0].context and "connection refused" in ends[0].context


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("scipy-1.14.1-cp311-cp311-manylinux_2_17_x86_64.whl", "scipy-1.14.1"),
        ("demo-1.0-py3-none-any.whl.metadata", "demo-1.0 (metadata)"),
        ("demo-1.0.tar.gz", "demo-1.0"),
        ("odd.whl", "odd.whl"),
        ("the page https://h.example/simple/demo/", "h.example/simple/demo/"),
    ],
)
def test_a_line_has_the_short_name(name: str, short: str) -> None:
    assert names.short(name) == short


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "host='h.example', port=443): Failed with url: /a/x.whl?Sig=S&E=1 (Caused",
            "host='h.example', port=443): Failed with url: /a/x.whl (Caused",
        ),
        ("at https://me:S@h.example/a?S=1, again", "at https://h.example/a, again"),
        ("at https://me:S@T@h.example:8/", "at https://h.example:8/"),
        ("What now? me@h.example", "What now? me@h.example"),
        ("Really?/maybe at https://h.example/a?S=1", "Really?/maybe at https://h.example/a"),
    ],
)
def test_no_text_shows_a_query_or_userinfo(text: str, shown: str) -> None:
    assert names.without_secrets(text) == shown
    assert names.clean(text) == shown


def test_lines_fit_a_terminal() -> None:
    place = messages.Place("opencv_python-4.10-cp37-abi3-any.whl", "h", 123_400_000, 906_400_000)
    whys = ["connection reset by peer", messages.CLOSED_EARLY, messages.NO_DATA_IN_TIME]
    whys += ["connection refused", messages.no_progress(50)]
    for why in whys:
        peer = messages.Peer("files.packages.example")
        lost = messages.waiting_for_host(place.name, peer, why, 30, False)
        for line in (messages.resumed(place, why), messages.replayed(place, why), lost):
            assert len(f"  WARNING: {line}") <= 79, line
    for why in [*whys, messages.busy(503, 30.0)]:
        for line in (
            messages.waiting(place, why, messages.for_seconds(120)),
            messages.waiting(place, why, messages.up_to_attempts(7)),
            messages.resumed_again(place, 123),
            messages.interrupted_often(place.name, 50, 100.0, 123_400_000),
            messages.waiting_for_busy(place.name, peer, why, 7),
        ):
            assert len(f"  WARNING: {line}") <= 79, line


def test_fifty_cuts_have_few_lines() -> None:
    so_far = Interruptions()
    told = [cut for cut in range(1, 51) if so_far.has_line(cut * 1000, 51_000)]
    assert told[:3] == [1, 2, 3] and len(told) <= 11
    so_far = Interruptions()
    told = [cut for cut in range(1, 51) if so_far.has_line(cut * 1000, None)]
    assert told == [1, 2, 3, 4, 8, 16, 32]


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (0.0, "a minute"),
        (59.9, "a minute"),
        (60.0, "1 minute"),
        (3599.0, "59 minutes"),
        (3600.0, "1 hour"),
        (86399.0, "23 hours"),
        (86400.0, "1 day"),
        (200_000.0, "2 days"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, age: str) -> None:
    assert mirror_messages.format_age(seconds) == age


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:SECRET@h.example:8080/a/b?sig=SECRET", "https://h.example:8080/a/b"),
        ("https://me:S@T@h.example/a", "https://h.example/a"),
        ("https://h.example?sig=SECRET", "https://h.example"),
        ("https://https://me:SECRET@h.example/", "https://https://h.example/"),
        ("me:SECRET@h.example", "h.example"),
        ("files", "files"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert names.redacted(url) == shown


def test_a_long_line_is_cut_with_dots() -> None:
    assert names.clean("x" * 200) == "x" * 200
    assert names.clean("x" * 201) == "x" * 197 + "..."
    assert names.clean("x" * 21, 20) == "x" * 17 + "..."
    # A secret that begins before the cut is taken out, and what follows moves up.
    assert names.clean("https://" + "s" * 1500 + "@h.example/a") == "https://h.example/a"


def test_seconds_and_sizes_at_their_edges() -> None:
    assert names.format_seconds(0.99) == "less than a second"
    assert names.format_seconds(1.0) == "1 s"
    assert names.format_size(10**400) == "1000000000000.0 MB"
    assert names.format_size(1000) == "1000 bytes" and names.format_size(10_000) == "10.0 kB"
    assert names.format_size(1_000_000) == "1000 kB"
