"""What may be joined on to bytes that pip already has, and what never is."""

from __future__ import annotations

from typing import Any, Mapping

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import OK, SIZE, THIRD, Download, end_of
from tests.support.environments import Environment
from tests.support.hosts import download
from tests.support.lab import faults as f
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new
from tests.support.odd import WHEEL, asked_from, odd_index, reply


@old_middle_new
def test_nodes_that_disagree_on_validators_are_joined_because_a_hash_covers_all(
    armed: Environment, bare: Environment
) -> None:
    faults: list[Any] = [f.Cut(500_000), (f.OtherETag(), f.Cut(500_000))] * 3
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(armed, lab).assert_right()
        assert lab.sent("demo") == len(lab.wheel("demo"))
    with Lab([Package("demo", SIZE, faults)]) as lab:
        assert end_of(Download(bare, lab).run) != OK


ODD_PARTS: dict[str, Any] = {
    # `*` in place of the total: the end of a part is not the end of the file.
    "starred": f.Starred(),
    "starred-and-short": (f.Starred(), f.Short(400_000)),
    "short": f.Short(400_000),
    "excess": f.Excess(5_000),
    "starred-excess": (f.Starred(), f.Excess(5_000)),
    "elsewhere": f.Elsewhere(1000),
    "multipart": f.Multipart(),
    "other-etag": f.OtherETag(),
}


@pytest.mark.parametrize("odd", ODD_PARTS)
@old_middle_new
def test_an_odd_part_never_makes_another_file(odd: str, armed: Environment) -> None:
    faults = [f.Cut(THIRD), *[ODD_PARTS[odd]] * 3]
    for hashes in (True, False):
        for chunked in (True, False):
            package = Package("demo", SIZE, faults, hashes=hashes, chunked=chunked)
            with Lab([package]) as lab:
                done = Download(armed, lab)
                done.assert_right()
                assert not done.run.warnings("damaged on its way"), "it was joined on"


LABELS = ["bytes={}-{}/{}", "{}-{}/{}", "bytes {}-{}", "bytes {0}-{2}/{2}", "bytes {}-{}/9"]


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
        told = label.format(first, total - 1, total)
        return reply(206, WHEEL[first:], "", Content_Range=told)

    for environment in (armed, bare):
        with odd_index(file=[file]) as index:
            run = download(environment, "--index-url", index.index_url, "demo")
            right = environment.armed or pip == NEWEST
            assert (end_of(run) == OK) == right, run.output


@pytest.mark.parametrize("validator", ["strong", "date", "weak", "none"])
@old_middle_new
def test_a_file_replaced_under_the_same_validator_is_never_mixed_nor_cached(
    validator: Any, armed: Environment
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


@pytest.mark.parametrize("hashes", [True, False], ids=["hash", "no-hash"])
@old_middle_new
def test_a_server_that_takes_if_range_for_a_refusal_of_ranges_sends_parts(
    hashes: bool, pip: str, armed: Environment, bare: Environment
) -> None:
    faults = [(f.Cut(800_000), f.Unconditional()) for _ in range(12)]
    package = Package("demo", SIZE, faults, forever=f.Unconditional(), hashes=hashes)
    with Lab([package]) as lab:
        Download(armed, lab).assert_right()
    with Lab([package]) as lab:
        plain = Download(bare, lab)
        assert end_of(plain.run) != OK or not plain.is_right or pip == NEWEST
