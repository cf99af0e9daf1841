"""Errors and what led to them: chains that end, also where they run in a circle."""

from __future__ import annotations

import errno
from typing import Iterator

import pytest
import urllib3

from tests.support.lab.faults import Away, Busy, Cut, Drop
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from pip_retry_patch.transport import errors, guard
from tests.support.guarded import HASTY, SIZE


def in_a_circle() -> tuple[Exception, Exception]:
    """Two errors, each raised from the other: libraries do that that raise what they caught."""
    one, other = ValueError("one"), OSError(errno.ECONNRESET, "Connection reset by peer")
    one.__cause__, other.__cause__ = other, one
    return one, other


def test_a_circle_of_errors_is_walked_once() -> None:
    one, other = in_a_circle()
    assert list(errors.causes(one)) == [one, other]
    assert list(errors.causes(other)) == [other, one]
    alone = ValueError("alone")
    alone.__cause__ = alone
    assert list(errors.causes(alone)) == [alone]
    assert not errors.is_full(one) and not errors.is_certificate_error(one)
    assert errors.is_unreachable(one) and errors.was_sent(one)
    assert errors.reason(one) == "connection reset by peer"


def test_causes_are_found_wherever_an_error_has_them() -> None:
    inner = OSError(errno.ENOSPC, "No space left on device")
    by_argument = urllib3.exceptions.ProtocolError("Connection aborted.", inner)
    by_reason = urllib3.exceptions.MaxRetryError(None, "/", inner)  # type: ignore[arg-type]
    by_context = ValueError("outer")
    by_context.__context__ = inner
    for outer in (by_argument, by_reason, by_context):
        assert list(errors.causes(outer)) == [outer, inner]
        assert errors.is_full(outer)
    quota = ValueError("outer")
    quota.__cause__ = OSError(errno.EDQUOT, "Disk quota exceeded")
    assert errors.is_full(quota)
    assert not errors.is_full(OSError(errno.EACCES, "Permission denied"))


@pytest.fixture
def protected() -> Iterator[None]:
    original = urllib3.HTTPConnectionPool.urlopen
    program = guard.Guard(urllib3, HASTY, lambda _, interruption: interruption, program=True)
    program.wrap()
    yield
    urllib3.HTTPConnectionPool.urlopen = original  # type: ignore[method-assign]


def chain(error: BaseException | None) -> list[BaseException]:
    """Walk as programs do that look for a cause, but no further than a chain can be."""
    found: list[BaseException] = []
    while error is not None and len(found) < 20:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def test_the_error_that_a_program_is_given_has_a_cause_that_ends(protected: None) -> None:
    """It is the network's own, which is not its own cause."""
    package = Package("demo", SIZE, [Cut(1000)], forever=Busy(404))
    with Lab([package]) as lab:
        url = f"{lab.url}/files/demo/{lab.filename('demo')}"
        response = urllib3.PoolManager().request("GET", url, preload_content=False)
        with pytest.raises(urllib3.exceptions.ProtocolError) as end:
            response.read()
    assert len(chain(end.value)) < 20
    assert any(isinstance(cause, errors.EarlyEnd) for cause in chain(end.value))


def test_so_has_the_error_of_a_host_that_went_away(protected: None) -> None:
    with Lab([Package("demo", SIZE, [None, (Drop(), Away(30))])]) as lab:
        url = f"{lab.url}/files/demo/{lab.filename('demo')}"
        pool = urllib3.PoolManager(retries=urllib3.Retry(1, backoff_factor=0))
        assert pool.request("GET", url).status == 200
        with pytest.raises(urllib3.exceptions.HTTPError) as end:
            pool.request("GET", url)
        assert len(lab.requests("demo")) == 2, "it was waited for"
        assert len(chain(end.value)) < 20
