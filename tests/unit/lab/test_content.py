"""Faults of the content, of its labels and of its status."""

from __future__ import annotations

import ssl

import pytest

from tests.support.lab.contents import (
    Changed,
    Elsewhere,
    Flip,
    OtherETag,
    OtherTotal,
    Overstate,
    Short,
    Unframed,
    Unlabelled,
    Whole,
)
from tests.support.lab.faults import Busy, Cut, Redirect, Unsatisfiable
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.wire import ask, connect, lab_with, look, path, read_all


def test_flip() -> None:
    with lab_with(Flip(77)) as lab:
        body, data = look(lab).body, lab.wheel("p")
        assert [n for n, byte in enumerate(body) if byte != data[n]] == [77]
        assert len(body) == len(data)


def test_flip_counts_from_the_start_of_the_body_of_a_range() -> None:
    with lab_with(Flip(1)) as lab:
        body, data = look(lab, Range="bytes=100-").body, lab.wheel("p")[100:]
        assert (body[0], body[1], body[2:]) == (data[0], data[1] ^ 0xFF, data[2:])


def test_short_agrees_with_its_framing() -> None:
    with Lab([Package("p", forever=Short(500))]) as lab:
        data = lab.wheel("p")
        seen = look(lab)
        assert (seen.body, seen.headers["Content-Length"]) == (data[:500], "500")
        seen = look(lab, Range="bytes=100-")
        assert (seen.body, seen.headers["Content-Length"]) == (data[100:600], "500")
        assert seen.headers["Content-Range"] == f"bytes 100-599/{len(data)}"


def test_overstate_keeps_to_its_lie() -> None:
    with Lab([Package("p", forever=Overstate(10))]) as lab:
        data = lab.wheel("p")
        lie = len(data) + 10
        seen = look(lab)
        assert (seen.body, seen.headers["Content-Length"]) == (data, str(lie))
        for start in (100, len(data)):
            seen = look(lab, Range=f"bytes={start}-")
            assert (seen.status, seen.body) == (206, data[start:])
            assert seen.headers["Content-Length"] == str(lie - start)
            assert seen.headers["Content-Range"] == f"bytes {start}-{lie - 1}/{lie}"
        assert look(lab, Range=f"bytes={lie}-").headers["Content-Range"] == f"bytes */{lie}"


def test_overstate_ends_a_kept_connection() -> None:
    with lab_with(Overstate(10)) as lab, connect(lab) as connection:
        ask(connection, path(lab))
        received, end = read_all(connection)
        assert received.endswith(lab.wheel("p"))
        assert end == "fin"


def test_unframed_ends_with_the_connection() -> None:
    with lab_with(Unframed(), (Unframed(), Cut(1000))) as lab, connect(lab) as connection:
        ask(connection, path(lab))
        received, end = read_all(connection)
        assert b"Content-Length" not in received
        assert b"chunked" not in received
        assert (received.partition(b"\r\n\r\n")[2], end) == (lab.wheel("p"), "fin")
        assert look(lab).body == lab.wheel("p")[:1000]


def test_unframed_on_tls_ends_with_close_notify(
    server_tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = server_tls
    with Lab([Package("p", faults=[Unframed()])], tls=server) as lab:
        assert look(lab, client=client)[2:] == (lab.wheel("p"), "fin")


def test_elsewhere_is_truthful_about_the_wrong_start() -> None:
    with lab_with(*[Elsewhere(30)] * 2, Elsewhere(-30), Elsewhere(30)) as lab:
        data = lab.wheel("p")
        for asked, start in ((100, 70), (10, 0), (100, 130)):
            seen = look(lab, Range=f"bytes={asked}-")
            assert (seen.status, seen.body) == (206, data[start:])
            expected = f"bytes {start}-{len(data) - 1}/{len(data)}"
            assert seen.headers["Content-Range"] == expected
        assert look(lab).status == 200


def test_unlabelled() -> None:
    with lab_with(Unlabelled(), Unlabelled(30)) as lab:
        for start in (100, 70):
            seen = look(lab, Range="bytes=100-")
            assert (seen.status, seen.body) == (206, lab.wheel("p")[start:])
            assert "Content-Range" not in seen.headers
            assert seen.headers["Content-Length"] == str(len(seen.body))


def test_other_total() -> None:
    with lab_with(OtherTotal(5)) as lab:
        seen, size = look(lab, Range="bytes=100-"), len(lab.wheel("p"))
        assert seen.headers["Content-Range"] == f"bytes 100-{size - 1}/{size + 5}"
        assert seen.body == lab.wheel("p")[100:]


@pytest.mark.parametrize(
    ("validator", "header"),
    [("strong", "ETag"), ("weak", "ETag"), ("date", "Last-Modified"), ("none", "ETag")],
)
def test_other_validator_for_the_same_bytes(validator: str, header: str) -> None:
    package = Package("p", faults=[None, OtherETag()], validator=validator)  # type: ignore[arg-type]
    with Lab([package]) as lab:
        true = look(lab).headers[header]
        seen = look(lab, Range="bytes=100-", If_Range=true or '"x"')
        assert (seen.status, seen.body) == (206, lab.wheel("p")[100:])
        assert seen.headers[header] != true
        assert str(seen.headers[header]).startswith("W/") == (validator == "weak")
        assert look(lab).headers[header] == true


def test_changed_lasts() -> None:
    with lab_with(None, Changed()) as lab:
        old, old_hash = look(lab), lab.sha256("p")
        new = look(lab, Range="bytes=5-", If_Range=old.headers["ETag"])
        assert new.status == 200
        assert new.body == lab.wheel("p") == look(lab).body
        assert len(new.body) == len(old.body) + 1000
        assert new.headers["ETag"] != old.headers["ETag"]
        assert new.headers["Last-Modified"] != old.headers["Last-Modified"]
        assert lab.sha256("p") != old_hash
        assert lab.sha256("p").encode() in look(lab, "/simple/p/").body


def test_whole_ignores_ranges_and_combines_with_a_cut() -> None:
    with lab_with((Whole(), Cut(70_000))) as lab:
        seen = look(lab, Range="bytes=100-")
        assert (seen.status, seen.body) == (200, lab.wheel("p")[:70_000])
        assert lab.log[0].fault == "Whole(), Cut(after=70000, notify=False)"


def test_unsatisfiable() -> None:
    with lab_with(Unsatisfiable(), Unsatisfiable(7)) as lab:
        for total in (len(lab.wheel("p")), 7):
            seen = look(lab, Range="bytes=1-")
            assert (seen.status, seen.headers["Content-Range"]) == (416, f"bytes */{total}")


def test_busy_and_redirect() -> None:
    with lab_with(Busy(429, 7), Busy(), Redirect("?signature=1"), Redirect("/x", 307)) as lab:
        seen = [look(lab) for _ in range(4)]
        assert [each.status for each in seen] == [429, 503, 302, 307]
        assert [each.headers["Retry-After"] for each in seen[:2]] == ["7", None]
        assert [each.headers["Location"] for each in seen[2:]] == ["?signature=1", "/x"]
        assert look(lab, f"{path(lab)}?signature=1").body == lab.wheel("p")
        assert lab.log[-1].path.endswith("?signature=1")
        assert lab.log[0].sent == len(seen[0].body) > 0
