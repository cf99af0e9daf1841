"""The unreliable index does on the wire what its faults say, and logs what it did."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import json
import re
import socket
import ssl
import threading
import time
import zipfile
from email.utils import parsedate_to_datetime
from typing import Callable, Iterator, NamedTuple, TypeVar

import pytest
import trustme

from pip_retry_patch.lab.faults import (
    Away,
    Busy,
    Changed,
    Cut,
    Drop,
    Elsewhere,
    Flip,
    Garble,
    OtherETag,
    OtherTotal,
    Overstate,
    Redirect,
    Reset,
    Short,
    Stall,
    Unframed,
    Unlabelled,
    Unsatisfiable,
    Whole,
)
from pip_retry_patch.lab.packages import Package
from pip_retry_patch.lab.server import Lab
from pip_retry_patch.lab.stages import Fault

JSON = "application/vnd.pypi.simple.v1+json"
T = TypeVar("T")


class Seen(NamedTuple):
    """What a client saw on the wire."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes  # as it was framed: chunks are not taken apart
    end: str  # "fin", "ragged" (TLS without close_notify), "garbled", "reset", "silence"


@pytest.fixture(scope="module")
def server_tls() -> Iterator[tuple[ssl.SSLContext, ssl.SSLContext]]:
    """TLS contexts that fit: the server's and the client's."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    authority.configure_trust(client)
    yield server, client


class Tls:
    """A client that shows the end of a TLS connection as it came.

    Python's own sockets do not: some versions take the lack of close_notify, or a reset, for a
    proper end.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self.connection = connection
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.patiently(self.tls.do_handshake)
        connection.sendall(self.outgoing.read())

    def patiently(self, operation: Callable[[], T]) -> T:
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                self.connection.sendall(self.outgoing.read())
                received = self.connection.recv(65536)
                if not received:
                    raise ssl.SSLEOFError from None
                self.incoming.write(received)

    def sendall(self, data: bytes) -> None:
        self.tls.write(data)
        self.connection.sendall(self.outgoing.read())

    def recv(self, amount: int) -> bytes:
        try:
            return self.patiently(lambda: self.tls.read(amount))
        except ssl.SSLZeroReturnError:
            return b""


def connect(lab: Lab) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(lab.url.rpartition(":")[2])), timeout=10)


def ask(connection: socket.socket | Tls, target: str, method: str = "GET", **headers: str) -> None:
    fields = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: lab\r\n{''.join(fields)}\r\n".encode())


def read_all(connection: socket.socket | Tls) -> tuple[bytes, str]:
    """Everything up to the end of the connection, and how it ended."""
    received = b""
    while True:
        try:
            more = connection.recv(65536)
        except ssl.SSLEOFError:
            return received, "ragged"
        except ssl.SSLError:
            return received, "garbled"
        except ConnectionResetError:
            return received, "reset"
        except socket.timeout:
            return received, "silence"
        if not more:
            return received, "fin"
        received += more


def look(
    lab: Lab,
    target: str = "",
    *,
    client: ssl.SSLContext | None = None,
    patience: float = 10,
    method: str = "GET",
    **headers: str,
) -> Seen:
    """One request on a connection of its own; the target is the artifact "p" if nothing is said."""
    with connect(lab) as plain:
        plain.settimeout(patience)
        connection = Tls(plain, client) if client else plain
        ask(connection, target or path(lab), method, Connection="close", **headers)
        received, end = read_all(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    status, _, fields = head.partition(b"\r\n")
    parsed = http.client.parse_headers(io.BytesIO(fields + b"\r\n\r\n"))
    return Seen(int(status.split()[1]) if status else 0, parsed, body, end)


def path(lab: Lab, name: str = "p") -> str:
    return f"/files/{name}/{lab.filename(name)}"


def lab_with(*faults: Fault | tuple[Fault, ...] | None, size: int = 150_000) -> Lab:
    return Lab([Package("p", size, faults)])


# A clean index


def test_serves_the_whole_artifact_with_its_validators() -> None:
    with lab_with() as lab:
        seen = look(lab)
        assert (seen.status, seen.body, seen.end) == (200, lab.wheel("p"), "fin")
        assert seen.headers["Content-Length"] == str(len(lab.wheel("p")))
        assert seen.headers["Accept-Ranges"] == "bytes"
        assert re.fullmatch(r'"\w+"', seen.headers["ETag"])
        dates = [parsedate_to_datetime(seen.headers[name]) for name in ("Date", "Last-Modified")]
        assert (dates[0] - dates[1]).days in (364, 365)
        assert lab.sent("p") == len(lab.wheel("p"))


def test_wheel_is_valid_and_always_the_same() -> None:
    package = Package("Some.Name", 2_500_000, requires=["other>=1"])
    data = package.wheel()
    assert data == package.wheel() != package.wheel(1)
    assert len(gzip.compress(data, 1)) > len(data) * 0.99
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        metadata = archive.read("some_name-1.0.dist-info/METADATA").decode()
        record = archive.read("some_name-1.0.dist-info/RECORD").decode().split()
        assert {line.split(",")[0] for line in record} == set(archive.namelist())
        for line in record[:-1]:
            name, digest, size = line.split(",")
            content = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
            assert (digest, size) == (f"sha256={expected.rstrip('=')}", str(len(content)))
    assert "Name: Some.Name\n" in metadata
    assert "Requires-Dist: other>=1\n" in metadata
    assert package.filename == "some_name-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("header", "status", "start", "stop"),
    [
        ("bytes=0-", 206, 0, None),
        ("bytes=100-", 206, 100, None),
        ("bytes=100-199", 206, 100, 200),
        ("bytes=100-99999999", 206, 100, None),
        ("bytes=-50", 206, -50, None),
        ("bytes=-99999999", 206, 0, None),
        ("bytes=9-3", 200, 0, None),
        ("bytes=0-1,5-6", 200, 0, None),
        ("lines=1-", 200, 0, None),
    ],
)
def test_ranges(header: str, status: int, start: int, stop: int | None) -> None:
    with lab_with() as lab:
        data = lab.wheel("p")
        expected = data[start:stop]
        seen = look(lab, Range=header)
        assert (seen.status, seen.body) == (status, expected)
        assert seen.headers["Content-Length"] == str(len(expected))
        if status == 206:
            first = start % len(data)
            label = f"bytes {first}-{first + len(expected) - 1}/{len(data)}"
            assert seen.headers["Content-Range"] == label
        assert lab.log[0].range == header


@pytest.mark.parametrize("start", [0, 1])
def test_range_behind_the_end_is_416(start: int) -> None:
    with lab_with() as lab:
        size = len(lab.wheel("p"))
        seen = look(lab, Range=f"bytes={size + start}-")
        assert (seen.status, seen.headers["Content-Range"]) == (416, f"bytes */{size}")


def test_without_ranges_everything_is_200() -> None:
    with Lab([Package("p", ranges=False)]) as lab:
        seen = look(lab, Range="bytes=10-")
        assert (seen.status, seen.body) == (200, lab.wheel("p"))
        assert "Accept-Ranges" not in seen.headers


@pytest.mark.parametrize(
    ("validator", "header", "status"),
    [
        ("strong", "ETag", 206),
        ("strong", "Last-Modified", 206),
        ("weak", "ETag", 200),
        ("date", "Last-Modified", 206),
        ("date", None, 200),
        ("none", None, 200),
    ],
)
def test_if_range(validator: str, header: str | None, status: int) -> None:
    with Lab([Package("p", validator=validator)]) as lab:  # type: ignore[arg-type]
        plain = look(lab)
        sent = {name for name in ("ETag", "Last-Modified") if name in plain.headers}
        known = {"strong": {"ETag", "Last-Modified"}, "weak": {"ETag"}, "date": {"Last-Modified"}}
        assert sent == known.get(validator, set())
        condition = plain.headers[header] if header else '"unknown"'
        assert look(lab, Range="bytes=5-", If_Range=condition).status == status
        assert lab.log[1].if_range == condition


def test_conditional_request_is_304_without_a_body() -> None:
    with lab_with() as lab:
        plain = look(lab)
        for seen in (
            look(lab, If_None_Match=plain.headers["ETag"]),
            look(lab, If_Modified_Since=plain.headers["Last-Modified"]),
        ):
            assert (seen.status, seen.body) == (304, b"")
        assert look(lab, If_None_Match='"other"').status == 200


def test_connection_is_kept_and_head_takes_no_entry_of_the_schedule() -> None:
    with lab_with(None, Busy(503)) as lab:
        connection = http.client.HTTPConnection("127.0.0.1", int(lab.url.rpartition(":")[2]))
        found = []
        for method in ("HEAD", "GET", "HEAD", "GET", "GET"):
            connection.request(method, path(lab))
            local = connection.sock.getsockname()
            response = connection.getresponse()
            found.append((response.status, len(response.read()), local))
        connection.close()
        size = len(lab.wheel("p"))
        assert [each[0] for each in found] == [200, 200, 200, 503, 200]
        assert [each[1] for each in found if each[0] == 200] == [0, size, 0, size]
        assert len({each[2] for each in found}) == 1


def test_unknown_paths_and_methods() -> None:
    with lab_with() as lab:
        assert look(lab, "/simple/q/").status == 404
        assert look(lab, "/files/p/q.whl").status == 404
        assert look(lab, f"{path(lab)}.metadata").status == 404
        assert look(lab, method="POST").status == 405
        assert b'href="p/"' in look(lab, "/simple/").body
        assert look(lab, f"{lab.url}/simple/p/").status == 200  # as a proxy is asked
        assert [request.kind for request in lab.log] == [
            *["other"] * 3, "artifact", "other", "page"
        ]  # fmt: skip


def test_two_packages_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two packages"):
        Lab([Package("a-b"), Package("A_b")])


# Pages and metadata


def test_html_page_and_metadata() -> None:
    with Lab([Package("P", metadata=True, requires=["q"])]) as lab:
        page = look(lab, "/simple/p/").body.decode()
        found = re.search(
            r'href="(/files/p/.*?)#sha256=(\w+)" .*data-core-metadata="sha256=(\w+)', page
        )
        assert found
        artifact, digest, core = found.groups()
        assert hashlib.sha256(look(lab, artifact).body).hexdigest() == digest == lab.sha256("P")
        metadata = look(lab, f"{artifact}.metadata").body
        assert hashlib.sha256(metadata).hexdigest() == core
        assert b"Requires-Dist: q" in metadata
        assert [request.kind for request in lab.requests("P")] == ["page", "artifact", "metadata"]


def test_json_page_only_for_those_who_ask() -> None:
    with Lab([Package("p", page_format="json")]) as lab:
        seen = look(lab, "/simple/p/", Accept=f"{JSON}, text/html;q=0.1")
        assert seen.headers["Content-Type"] == JSON
        (file,) = json.loads(seen.body)["files"]
        assert (file["url"], file["hashes"]) == (path(lab), {"sha256": lab.sha256("p")})
        assert look(lab, "/simple/p/").headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("hashes", "fragment"), [(False, ""), ("0123", "#sha256=0123")])
def test_announced_hash(hashes: bool | str, fragment: str) -> None:
    with Lab([Package("p", hashes=hashes)]) as lab:
        assert f'href="{path(lab)}{fragment}"'.encode() in look(lab, "/simple/p/").body


def test_each_kind_has_its_own_schedule() -> None:
    package = Package(
        "p", faults=[Busy(500)], page_faults=[None, Busy(502)], metadata_faults=[Busy(504)],
        metadata=True,
    )  # fmt: skip
    with Lab([package]) as lab:
        targets = (path(lab), "/simple/p/", f"{path(lab)}.metadata")
        found = [[look(lab, target).status for target in targets] for _ in range(3)]
        assert found == [[500, 200, 504], [200, 502, 200], [200, 200, 200]]


def test_gzip_for_those_who_accept_it() -> None:
    with Lab([Package("p", gzip=True), Package("q", gzip_varies=True)]) as lab:
        assert "Content-Encoding" not in look(lab).headers
        assert "Content-Encoding" not in look(lab, Accept_Encoding="gzip;q=0, identity").headers
        one, two = (look(lab, Accept_Encoding="gzip, deflate") for _ in range(2))
        assert gzip.decompress(one.body) == lab.wheel("p")
        assert (one.body, one.headers["ETag"]) == (two.body, two.headers["ETag"])
        one, two = (look(lab, "/simple/q/", Accept_Encoding="gzip") for _ in range(2))
        assert gzip.decompress(one.body) == gzip.decompress(two.body)
        assert one.body != two.body
        assert one.headers["ETag"] != two.headers["ETag"]


def test_max_age_is_for_files() -> None:
    with Lab([Package("p", max_age=600)]) as lab:
        assert look(lab).headers["Cache-Control"] == "max-age=600"
        assert "Cache-Control" not in look(lab, "/simple/p/").headers


# Faults that end the connection


@pytest.mark.parametrize("after", [0, 1, 65536, 100_000])
def test_cut(after: int) -> None:
    with lab_with(Cut(after)) as lab:
        seen = look(lab)
        assert (seen.body, seen.end) == (lab.wheel("p")[:after], "fin")
        assert seen.headers["Content-Length"] == str(len(lab.wheel("p")))
        (request,) = lab.log
        assert (request.sent, request.fault) == (after, f"Cut(after={after}, notify=False)")
        assert look(lab).body == lab.wheel("p")


@pytest.mark.parametrize(("notify", "end"), [(False, "ragged"), (True, "fin")])
def test_cut_on_tls(
    server_tls: tuple[ssl.SSLContext, ssl.SSLContext], notify: bool, end: str
) -> None:
    server, client = server_tls
    with Lab([Package("p", faults=[Cut(70_000, notify=notify)])], tls=server) as lab:
        seen = look(lab, client=client)
        assert (seen.body, seen.end) == (lab.wheel("p")[:70_000], end)
        assert look(lab, client=client)[2:] == (lab.wheel("p"), "fin")
        assert lab.url.startswith("https://")


@pytest.mark.parametrize("after", [0, 1, 100_000])
def test_reset_comes_when_the_bytes_have_arrived(after: int) -> None:
    with lab_with(Reset(after)) as lab:
        seen = look(lab)
        assert (seen.body, seen.end) == (lab.wheel("p")[:after], "reset")
        assert lab.sent("p") == after


def test_reset_on_tls(server_tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, client = server_tls
    with Lab([Package("p", faults=[Reset(70_000)])], tls=server) as lab:
        seen = look(lab, client=client)
        assert (seen.body, seen.end) == (lab.wheel("p")[:70_000], "reset")


def test_stall_lasts_until_the_client_goes_away() -> None:
    with lab_with(Stall(1000)) as lab:
        seen = look(lab, patience=0.2)
        assert (seen.body, seen.end) == (lab.wheel("p")[:1000], "silence")
        assert lab.wait_idle()
        assert lab.sent("p") == 1000


def test_stall_ends_by_itself() -> None:
    with lab_with((Stall(1000, seconds=0.1), Stall(2000, seconds=0.1))) as lab:
        began = time.monotonic()
        assert look(lab).body == lab.wheel("p")
        assert time.monotonic() - began >= 0.2


def test_garble_is_a_record_that_does_not_decrypt(
    server_tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = server_tls
    with Lab([Package("p", faults=[Garble(70_000)])], tls=server) as lab:
        seen = look(lab, client=client)
        assert (seen.body, seen.end) == (lab.wheel("p")[:70_000], "garbled")
        assert lab.sent("p") == 70_000


def test_garble_needs_tls() -> None:
    for package in (Package("p", forever=Garble(1)), Package("p", page_faults=[(Garble(1),)])):
        with pytest.raises(ValueError, match="TLS"):
            Lab([package])


def test_drop_answers_nothing() -> None:
    with lab_with(Drop()) as lab:
        seen = look(lab)
        assert (seen.status, seen.body, seen.end) == (0, b"", "fin")
        assert (lab.log[0].status, lab.log[0].sent) == (0, 0)


@pytest.mark.parametrize("fault", [Away(0.3, 1000), (Drop(), Away(0.3))])
def test_away_refuses_connections_and_returns_to_its_port(
    fault: Fault | tuple[Fault, ...],
) -> None:
    with lab_with(fault) as lab:
        idle = connect(lab)
        ask(idle, "/simple/p/")
        assert idle.recv(10)
        assert len(look(lab).body) == (1000 if isinstance(fault, Away) else 0)
        refused = 0
        while True:
            try:
                again = connect(lab)
            except ConnectionRefusedError:
                refused += 1
                time.sleep(0.02)
            else:
                break
        assert refused
        assert read_all(idle)[1] == "fin"
        ask(again, path(lab), Connection="close")
        assert read_all(again)[0].endswith(lab.wheel("p"))
        for connection in (idle, again):
            connection.close()


# Faults of the content


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


# Chunks


def test_chunked_body_is_well_formed() -> None:
    with Lab([Package("p", chunked=True)]) as lab:
        connection = http.client.HTTPConnection("127.0.0.1", int(lab.url.rpartition(":")[2]))
        for _ in range(2):
            connection.request("GET", path(lab), headers={"Range": "bytes=5-"})
            response = connection.getresponse()
            assert response.getheader("Content-Length") is None
            assert response.read() == lab.wheel("p")[5:]
        connection.close()
        assert lab.sent("p") == 2 * (len(lab.wheel("p")) - 5)


def test_chunked_body_is_cut_within_a_chunk() -> None:
    with Lab([Package("p", chunked=True, forever=Cut(70_000))]) as lab:
        seen, data = look(lab), lab.wheel("p")
        expected = b"10000\r\n%b\r\n10000\r\n%b" % (data[:65536], data[65536:70_000])
        assert (seen.body, seen.end) == (expected, "fin")
        assert lab.sent("p") == 70_000
        seen = look(lab, Range=f"bytes={len(data) - 10}-")
        assert seen.body == b"a\r\n%b\r\n" % data[-10:]  # all is there but the last chunk


# The lab itself


def test_forever_follows_the_schedule() -> None:
    with Lab([Package("p", faults=[Cut(1), None], forever=Cut(2))]) as lab:
        sizes = [len(look(lab).body) for _ in range(4)]
        assert sizes == [1, len(lab.wheel("p")), 2, 2]
        assert [request.sent for request in lab.requests("p", "artifact")] == sizes
        assert lab.sent("p") == sum(sizes)
        assert [request.number for request in lab.log] == [0, 1, 2, 3]


def test_rate_holds_the_body_back() -> None:
    with Lab([Package("p", 40_000)], rate=200_000) as lab:
        began = time.monotonic()
        assert look(lab).body == lab.wheel("p")
        assert time.monotonic() - began >= 0.15


def test_a_client_that_leaves_is_not_counted_as_served() -> None:
    with lab_with(size=50_000_000) as lab:
        with connect(lab) as connection:
            ask(connection, path(lab))
            connection.recv(1000)
        assert lab.wait_idle()
        assert 1000 <= lab.sent("p") < 40_000_000


def test_close_ends_everything_in_silence(
    capfd: pytest.CaptureFixture[str], server_tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    before = threading.active_count()
    with Lab([Package("p", forever=Stall(10))]) as lab, Lab([], tls=server_tls[0]) as silent:
        connections = [connect(lab), connect(lab), connect(silent)]
        ask(connections[0], path(lab))
        assert connections[0].recv(10)
        connections[1].sendall(b"GET / HT")
        connections[2].sendall(b"not TLS at all\r\n\r\n")
    assert threading.active_count() == before
    assert lab.errors == silent.errors == []
    with pytest.raises(ConnectionRefusedError):
        connect(lab)
    lab.close()
    for connection in connections:
        connection.close()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
