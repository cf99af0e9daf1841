"""What may be joined on to bytes that pip already has, what never is, and who refuses a Range."""

from __future__ import annotations

from typing import Any, Mapping

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import OK, SIZE, THIRD, Download, end_of, stopped_at
from tests.support.environments import Environment
from tests.support.hosts import download
from tests.support.lab import faults as f
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new
from tests.support.odd import WHEEL, asked_from, odd_index, reply
from tests.support.partials import SIZE as KEPT_SIZE
from tests.support.partials import continuing, kept, stored

ODD_PARTS: dict[str, Any] = {
    # `*` in place of the total: the end of a part is not the end of the file.
    "starred-and-short": (f.Starred(), f.Short(400_000)),
    "short": f.Short(400_000),
    "starred-excess": (f.Starred(), f.Excess(5_000)),
    "elsewhere": f.Elsewhere(1000),
    "other-etag": f.OtherETag(),
}


@pytest.mark.parametrize("hashes", [True, False], ids=["hash", "no-hash"])
@pytest.mark.parametrize("odd", ODD_PARTS)
@old_middle_new
def test_an_odd_part_never_makes_another_file(
    odd: str, hashes: bool, pip: str, armed: Environment, bare: Environment
) -> None:
    faults = [f.Cut(THIRD), *[ODD_PARTS[odd]] * 3]
    package = Package("demo", SIZE, faults, hashes=hashes, chunked=not hashes)
    with Lab([package]) as lab:
        done = Download(armed, lab)
        done.assert_right()
        assert not done.run.warnings("damaged on its way"), "it was joined on"
    with Lab([package]) as lab:
        assert pip == NEWEST or not Download(bare, lab).is_right


# Without an end, and with a total of nothing.
LABELS = "bytes {}-{}", "bytes {}-{}/9"


@pytest.mark.parametrize("label", LABELS)
@old_middle_new
def test_a_label_that_makes_no_sense_but_for_its_start_is_no_obstacle(
    label: str, pip: str, armed: Environment, bare: Environment
) -> None:
    """All of the file never comes at once. Plain pip 26.3 looks at no label."""

    def file(fields: Mapping[str, str]) -> bytes:
        first, total = asked_from(fields), len(WHEEL)
        if not first:
            return reply(200, WHEEL[:9000], "", total)
        return reply(206, WHEEL[first:], "", Content_Range=label.format(first, total - 1))

    for environment in (armed, bare):
        with odd_index(file=[file]) as index:
            run = download(environment, "--index-url", index.index_url, "demo")
            right = environment.armed or pip == NEWEST
            assert (end_of(run) == OK) == right, run.output


@pytest.mark.parametrize("validator", ["strong", "date", "weak", "none"])
@old_middle_new
def test_a_file_replaced_under_the_same_validator_is_never_mixed_nor_cached(
    validator: Any, pip: str, armed: Environment, bare: Environment
) -> None:
    """Of the same size, too, and with no hash that anyone will check."""
    how: Any = {"hashes": False, "validator": validator}
    package = Package("demo", SIZE, [f.Cut(THIRD)], forever=f.Replaced(), **how)
    cache = armed.fresh_dir()
    with Lab([package], tls=certificates().server) as lab:
        later = f.replaced(lab.wheel("demo"))
        done, again = (Download(armed, lab, cache=cache) for _ in range(2))
        assert done.run.returncode == 0, done.run.output
        assert done.file.read_bytes() == later
        if again.file.exists():
            assert again.file.read_bytes() in (lab.wheel("demo"), later)
    with Lab([package]) as lab:
        plain = Download(bare, lab)
        right = plain.file.exists() and plain.file.read_bytes() == later
        assert not right or (pip, validator) == (NEWEST, "weak")


# Our own Range brings something down that works without it.
REFUSALS: dict[str, Any] = {
    **{str(status): f.ToRange(f.Busy(status)) for status in (403, 405, 500)},
    "closed": f.ToRange(f.Drop()),
    "silent": (f.ToRange(f.Drop()), f.ToRange(f.Stall(0))),
}
TIMEOUT = ("--timeout", "1")


@pytest.mark.parametrize("name", REFUSALS)
@old_middle_new
def test_a_server_that_refuses_ranges_is_asked_without_one(
    name: str, armed: Environment, bare: Environment
) -> None:
    """One cut ends a plain pip, for it cannot continue either."""
    refusal = REFUSALS[name]
    again = (*(refusal if isinstance(refusal, tuple) else (refusal,)), f.Cut(2 * THIRD))
    package = Package("demo", SIZE, [f.Cut(THIRD), *[again] * 3], forever=refusal)
    with Lab([package]) as lab:
        Download(armed, lab, *TIMEOUT).assert_right()
        requests = lab.requests("demo", "artifact")
        # Once it is known for the host, no range is asked for any more.
        assert requests[-1].range is None
        asked = sum(request.range is not None for request in requests)
        assert asked <= (2 if name.isdigit() else 4)  # two lost requests may be chance, once
    with Lab([package]) as lab:
        plain = Download(bare, lab, *TIMEOUT, env={"PIP_RESUME_RETRIES": "1"})
        assert end_of(plain.run) != OK


@pytest.mark.parametrize("name", ["403", "silent"])
@old_middle_new
def test_what_an_earlier_run_kept_never_makes_a_later_one_fail(
    name: str, armed: Environment, bare: Environment
) -> None:
    """Where a plain pip has no trouble at all: nothing is cut any more."""
    half, cache = KEPT_SIZE // 2, armed.fresh_dir()
    with Lab([Package("demo", KEPT_SIZE, stopped_at(half), forever=REFUSALS[name])]) as lab:
        Download(armed, lab, cache=cache).assert_clear_error()
        assert kept(cache)
        done = Download(armed, lab, *TIMEOUT, cache=cache)
        done.assert_right()
        assert not continuing(done)
        # What refuses our Range costs one replay, and no more.
        requests = lab.requests("demo", "artifact")[3:]
        assert [request.status for request in requests if not request.range] == [200, 200]
        ranges = [request.range for request in requests if request.range]
        assert ranges == [f"bytes={half}-"] * len(ranges)
        (line,) = done.warnings
        assert "demo-1.0 fetches 3.0 of 6.0 MB again" in line
        # Silence or a lost connection may be an accident, once.
        assert len(ranges) == 1 if name.isdigit() else len(ranges) <= 2
        assert not stored(cache)
        Download(bare, lab).assert_right()
