"""What is written in the design as a number or a list: each is met exactly, and by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch.policy.ranges import Question, Verdict, is_of_no_help, judge, span_of
from pip_retry_patch.policy.representation import Representation, Validators
from pip_retry_patch.policy.retry import Clock, Effort, Patience, next_wait
from pip_retry_patch.transport.resumption import Resumption

# RFC 6585 (429), RFC 9110 section 15.5.9 (408) and 15.6, RFC 8470 (425), and what common CDNs say
# of an origin that they lost.
BUSY = {
    *(408, 425, 429, 500, 502, 503, 504),
    *(520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530),
}
KNOWN = Representation(Validators('"v1"'), 1000)


def verdict(status: int, ranged: bool) -> Verdict:
    question = Question(400 if ranged else None)
    return judge(KNOWN, 400, question, status, {}, length=None, hashed=True).verdict


def test_these_statuses_ask_for_time_and_no_others() -> None:
    statuses = range(100, 600)
    assert {n for n in statuses if verdict(n, ranged=False) is Verdict.BUSY} == BUSY
    # Our own Range may be what a server breaks down at.
    assert {n for n in statuses if verdict(n, ranged=True) is Verdict.BUSY} == BUSY - {500}


def test_another_source_may_help_where_a_server_is_broken_or_has_enough() -> None:
    assert {n for n in range(100, 600) if is_of_no_help(n)} == {429, *range(500, 600)}


@pytest.mark.parametrize("seconds, strong", [(59, False), (60, True), (61, True)])
def test_a_date_is_a_strong_validator_from_a_minute_on(seconds: int, strong: bool) -> None:
    modified = "Tue, 01 Jul 2025 10:00:00 GMT"
    date = f"Tue, 01 Jul 2025 10:0{seconds // 60}:{seconds % 60:02} GMT"
    found = Validators.of({"last-modified": modified, "date": date}).strong
    assert found == (modified if strong else None)


def resumption(patience: Patience) -> Any:
    clock = Clock(lambda: 0.0, lambda seconds: None, lambda low, high: high)
    origin: Any = SimpleNamespace(patience=patience, clock=clock, elsewhere=None)
    return Resumption(origin, KNOWN, 0, None)


def test_real_progress_is_64_kib_and_not_a_byte_less() -> None:
    for offset, unhelpful in ((65_535, 1), (65_536, 0)):
        body = resumption(Patience())
        assert body._count(0).effort.unhelpful == 0
        assert body._count(offset).effort.unhelpful == unhelpful
    # It is counted from where the last progress was made.
    body = resumption(Patience())
    found = [body._count(offset).effort.unhelpful for offset in (0, 65_536, 131_071, 131_072)]
    assert found == [0, 0, 1, 0]


def test_the_seconds_end_when_they_are_over_and_not_before() -> None:
    lost = Effort().was_unreachable(0.0)
    assert next_wait(Patience(), lost, 119.999, lambda low, high: low) == 0.0
    assert next_wait(Patience(), lost, 120.0, lambda low, high: low) is None


def test_each_wait_is_drawn_from_nothing_up() -> None:
    """Ten thousand clients that share a lower bound would come back in step."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    for effort in (
        Effort(unhelpful=3),
        Effort().was_unreachable(0.0),
        Effort().was_unreachable(0.0, local=True),
    ):
        assert next_wait(Patience(), effort, 0.0, uniform) is not None
    assert drawn == [(0.0, 4.0), (0.0, 1.0), (0.0, 2.0)]


@pytest.mark.parametrize(
    "status, headers, length, expected",
    [
        (200, {}, 10, (0, 10, 10)),
        (200, {}, None, (0, None, None)),
        (200, {}, 1, (0, 1, 1)),
        (200, {}, 0, None),
        (206, {"content-range": "bytes 5-9/20"}, 5, (5, 10, 20)),
        (206, {"content-range": "bytes 5-9/*"}, None, (5, 10, None)),
        (206, {"content-range": "bytes 0-9/20"}, 10, (0, 10, 20)),
        (206, {"content-range": "bytes */20"}, None, None),
        (206, {}, 5, None),
        (404, {}, 10, None),
        (203, {}, 10, None),
    ],
)
def test_which_bytes_an_answer_brings(
    status: int, headers: dict[str, str], length: int | None, expected: Any
) -> None:
    found = span_of(status, headers, length)
    assert (None if found is None else tuple(found)) == expected


def test_what_a_question_has_in_its_header() -> None:
    assert Question(None).fields(None, KNOWN) == {}
    assert Question(5).fields(None, KNOWN) == {"Range": "bytes=5-"}
    assert Question(5).fields(9, KNOWN) == {"Range": "bytes=5-9"}
    assert Question(0, True).fields(None, KNOWN) == {"Range": "bytes=0-", "If-Range": '"v1"'}
    weak = KNOWN._replace(validators=Validators('W/"v1"'))
    assert Question(5, True).fields(None, weak)["If-Range"] == ""
