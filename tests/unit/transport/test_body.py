"""The body under any schedule of faults, read through a real urllib3 from a real server.

Whatever happens, a reader gets the origin's bytes or one clear error: never other bytes, never a
silent end, never a hang.
"""

from __future__ import annotations

import os
import random
import ssl
import threading
from typing import Any

import pytest
import trustme
import urllib3
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import pip_retry_patch
from tests.support.lab.contents import (
    Changed,
    Elsewhere,
    OtherETag,
    OtherTotal,
    Overstate,
    Short,
    Unlabelled,
    Whole,
)
from tests.support.lab.faults import (
    Away,
    Busy,
    Cut,
    Drop,
    Garble,
    Redirect,
    Reset,
    Stall,
    Unsatisfiable,
)
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.lab.stages import Fault
from pip_retry_patch.transport import body as body_module
from pip_retry_patch.transport.origin import OVERLAP
from tests.support.guarded import HASTY, SIZE, TIMEOUT, Copy, GaveUpError, read


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


positions = st.sampled_from([0, 1, 100, 16384, 65536, 100_000, SIZE - 1]) | st.integers(0, SIZE)
endings: st.SearchStrategy[Fault] = st.one_of(
    st.builds(Cut, positions, st.booleans()),
    st.builds(Reset, positions),
    st.builds(Garble, positions),
    st.builds(Stall, positions, st.just(1.0)),
    st.builds(Away, st.just(0.1), positions),
)
answers: st.SearchStrategy[Fault] = st.one_of(
    st.builds(Elsewhere, st.integers(1, SIZE)),
    st.builds(Unlabelled, st.sampled_from([0, 1, 1000])),
    st.builds(OtherTotal, st.sampled_from([-1, 1, 1000])),
    st.builds(OtherETag),
    st.builds(Whole),
    st.builds(Short, positions),
    st.builds(Unsatisfiable, st.none() | st.integers(0, 2 * SIZE)),
    st.builds(
        Busy, st.sampled_from([429, 500, 502, 503, 504, 403, 404]), st.sampled_from([None, 0])
    ),
    st.builds(Redirect, st.just("?signature=1")),
    st.builds(Changed),
    st.builds(Overstate, st.integers(1, 1000)),
    st.builds(Drop),
)
entries = st.one_of(st.none(), endings, answers, st.tuples(answers, endings))
# The same examples each time; PIP_RETRY_PATCH_EXAMPLES=5000 explores.
EXAMPLES = int(os.environ.get("PIP_RETRY_PATCH_EXAMPLES", "0"))


@settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@given(
    st.lists(entries, max_size=8),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["strong", "weak", "date", "none"]),
    st.sampled_from([4096, 10_240, 262_144]),
    st.booleans(),
)
def test_any_schedule_gives_the_bytes_of_the_origin_or_one_clear_error(
    tls: ssl.SSLContext,
    schedule: list[Any],
    ranges: bool,
    chunked: bool,
    validator: Any,
    chunk: int,
    secure: bool,
) -> None:
    if not secure:
        schedule = [entry for entry in schedule if "Garble" not in repr(entry)]
    package = Package("demo", SIZE, schedule, ranges=ranges, chunked=chunked, validator=validator)
    # The first answer is what the reader asked for: what it announces is not ours to doubt.
    answered = [entry for entry in schedule if "Drop" not in repr(entry)]
    announced = [package.wheel(0), package.wheel(1)]
    status = 0
    end: Any = None

    def download() -> None:
        nonlocal status, end
        with Lab([package], tls=tls if secure else None) as lab:
            try:
                response = Copy().get(lab)
                status = response.status
                end = b"".join(read(response, chunk))
            except (GaveUpError, urllib3.exceptions.HTTPError) as error:
                end = error
            assert not lab.errors, lab.errors

    thread = threading.Thread(target=download, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it hangs"
    event(f"{len(schedule) > 0}: {status} {type(end).__name__}")
    assert end is not None
    if status != 200:
        # No answer, or a refusal: not our body. urllib3's own errors, or the refusal, stand.
        assert not isinstance(end, GaveUpError)
    elif isinstance(end, GaveUpError):
        assert "stopped at" in str(end)
    elif "Short" in repr(schedule if chunked else answered[:1]):
        # A file that the origin itself cut short, in a framing that agrees, shows nowhere.
        assert any(wheel.startswith(end) for wheel in announced)
    else:
        assert end in announced


def test_the_range_of_a_range_is_continued_inside_it() -> None:
    """Nothing before its first byte is asked for, not even to compare."""
    with Lab([Package("demo", SIZE, [Cut(1000), Reset(6000)])]) as lab:
        response = Copy().get(lab, Range="bytes=10000-19999")
        assert response.status == 206
        assert b"".join(read(response, 4096)) == lab.wheel("demo")[10_000:20_000]
        asked = [request.range for request in lab.requests("demo")]
        assert asked == [
            "bytes=10000-19999",
            "bytes=10000-19999",
            f"bytes={16_000 - OVERLAP}-19999",
        ]


def test_a_range_is_replayed_from_a_whole_file() -> None:
    for validator, faults in (("strong", [Cut(1000), Whole()]), ("none", [Cut(1000), Whole()])):
        package = Package("demo", SIZE, faults, validator=validator)  # type: ignore[arg-type]
        with Lab([package]) as lab:
            response = Copy().get(lab, Range="bytes=10000-19999")
            assert b"".join(read(response, 4096)) == lab.wheel("demo")[10_000:20_000]


def test_the_request_for_the_rest_is_no_longer_conditional_and_keeps_the_rest_of_its_header() -> (
    None
):
    with Lab([Package("demo", SIZE, [Cut(50_000)])]) as lab:
        headers = {
            "If-None-Match": '"old"',
            "If-Modified-Since": "x",
            "Authorization": "Basic eA==",
        }
        response = Copy().get(lab, **headers)
        assert b"".join(read(response, 4096)) == lab.wheel("demo")
        first, second = (request.headers for request in lab.requests("demo"))
        assert first["if-none-match"] == '"old"'
        assert "if-none-match" not in second and "if-modified-since" not in second
        assert second["authorization"] == "Basic eA==" and second["accept-encoding"] == "identity"
        assert second["range"] == f"bytes={50_000 - OVERLAP}-" and second["if-range"]


def test_nothing_that_arrived_before_a_timeout_is_fetched_again_but_to_compare_it() -> None:
    with Lab([Package("demo", SIZE, [Stall(123_457), Reset(70_001)])]) as lab:
        response = Copy().get(lab)
        assert b"".join(read(response, 262_144)) == lab.wheel("demo")
        assert lab.wait_idle()
        assert lab.sent("demo") == len(lab.wheel("demo")) + 2 * OVERLAP
        asked = [request.range for request in lab.requests("demo")]
        second = 123_457 - OVERLAP
        assert asked == [None, f"bytes={second}-", f"bytes={second + 70_001 - OVERLAP}-"]


def test_a_clean_body_is_handed_on_in_pieces_as_large_as_they_were_asked_for() -> None:
    with Lab([Package("demo", SIZE)]) as lab:
        pieces = list(read(Copy().get(lab), 100_000))
        assert [len(piece) for piece in pieces[:-1]] == [100_000] * (len(pieces) - 1)
        assert b"".join(pieces) == lab.wheel("demo")


@pytest.mark.parametrize("fast", [True, False])
def test_small_reads_of_a_fast_body_are_served_from_large_ones(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fast is from a number of bytes a second on that any body has here, or none."""
    monkeypatch.setattr(body_module, "FAST", 1 if fast else 1 << 60)
    with Lab([Package("demo", SIZE)]) as lab:
        response: Any = Copy().get(lab)
        body = response._fp
        taken: list[int] = []
        part_read = body._part.read

        def counted(most: int, once: bool = False) -> bytes:
            taken.append(most)
            return bytes(part_read(most, once))

        body._part.read = counted
        pieces = []
        while not body.closed:
            pieces.append(body.read(10_240))
        assert [len(piece) for piece in pieces[:-1]] == [10_240] * (len(pieces) - 1)
        assert b"".join(pieces) == lab.wheel("demo")
        assert taken[0] == 10_240
        if fast:
            assert len(taken) <= 5 and max(taken) > 10 * 10_240
        else:
            assert max(taken) == 10_240


def test_crumbs_are_no_progress() -> None:
    with Lab([Package("demo", SIZE, forever=Cut(10))]) as lab:
        with pytest.raises(GaveUpError, match=r"stopped at 50 bytes of 301\.\d kB|of 30\d kB"):
            list(read(Copy().get(lab), 4096))
        assert len(lab.requests("demo")) == 1 + HASTY.attempts


def test_after_the_error_no_silence_is_taken_for_the_end() -> None:
    with Lab([Package("demo", SIZE, [Cut(1000)], forever=Busy(404))]) as lab:
        response = Copy().get(lab)
        with pytest.raises(GaveUpError):
            list(read(response, 4096))
        body = response._fp  # type: ignore[attr-defined]
        with pytest.raises(GaveUpError):
            body.read(10)


def test_the_connection_is_used_again_after_a_clean_and_after_a_healed_body() -> None:
    with Lab([Package("demo", SIZE, [None, Cut(1000)])]) as lab:
        copy = Copy()
        host, port = lab.url[len("http://") :].split(":")
        pool = copy.pools["http"](host, int(port), timeout=TIMEOUT)
        connects: list[object] = []

        class Counted(urllib3.connection.HTTPConnection):
            def connect(self) -> None:
                connects.append(self)
                super().connect()

        pool.ConnectionCls = Counted
        for _ in range(3):
            response = pool.urlopen(
                "GET", f"/files/demo/{lab.filename('demo')}", preload_content=False
            )
            assert b"".join(read(response, 65536)) == lab.wheel("demo")
        assert len(connects) == 2  # one that was cut in the end, and one for everything else


def test_a_mistake_of_ours_leaves_the_error_of_the_network() -> None:
    with Lab([Package("demo", SIZE, [Reset(1000)])]) as lab:
        copy = Copy()
        response = copy.get(lab)
        body = response._fp  # type: ignore[attr-defined]
        body._resumption.reopen = lambda *_: 1 / 0
        with pytest.raises(urllib3.exceptions.ProtocolError, match="reset"):
            list(read(response, 4096))


def test_protect_guards_a_programs_own_urllib3_and_requests() -> None:
    requests = pytest.importorskip("requests")
    original = urllib3.HTTPConnectionPool.urlopen
    try:
        pip_retry_patch.protect()
        wrapped = urllib3.HTTPConnectionPool.urlopen
        pip_retry_patch.protect()
        assert vars(urllib3.HTTPConnectionPool)["urlopen"].__wrapped__ is original
        assert wrapped is not original
        for seed in range(3):
            cut = random.Random(seed).randrange(SIZE)
            with Lab([Package("demo", SIZE, [Cut(cut), Reset(cut), None] * 3)]) as lab:
                url = f"{lab.url}/files/demo/{lab.filename('demo')}"
                assert requests.get(url, timeout=5).content == lab.wheel("demo")
                assert urllib3.PoolManager().request("GET", url).data == lab.wheel("demo")
                streamed = requests.get(url, timeout=5, stream=True)
                assert b"".join(streamed.iter_content(10_000)) == lab.wheel("demo")
    finally:
        urllib3.HTTPConnectionPool.urlopen = original  # type: ignore[method-assign]
