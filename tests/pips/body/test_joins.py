"""What may be joined on to bytes that pip already has, and what never is."""

from __future__ import annotations

from typing import Any, Mapping

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import OK, SIZE, THIRD, Download, outcome_of
from tests.support.environments import Environment
from tests.support.hosts import download, end_of
from tests.support.lab.contents import (
    Excess,
    Multipart,
    OtherETag,
    Replaced,
    Short,
    Starred,
    replaced,
)
from tests.support.lab.faults import Busy, Cut, ToRange
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new
from tests.support.odd import WHEEL, odd_index, reply
from tests.support.scripted import asked_from

hashed_or_not = pytest.mark.parametrize("hashes", [True, False], ids=["hash", "no-hash"])


@old_middle_new
def test_nodes_that_disagree_on_validators_are_joined_because_a_hash_covers_all(
    armed: Environment, bare: Environment
) -> None:
    faults: list[Any] = [Cut(500_000), (OtherETag(), Cut(500_000))] * 3
    with Lab([Package("demo", SIZE, faults)]) as lab:
        Download(armed, lab).assert_right()
        assert lab.sent("demo") == len(lab.wheel("demo"))
    with Lab([Package("demo", SIZE, faults)]) as lab:
        plain = Download(bare, lab)
        assert outcome_of(plain.run) != OK


ODD_PARTS: dict[str, Any] = {
    # `*` in place of the total: the end of a part is not the end of the file.
    "starred": Starred(),
    "starred-and-short": (Starred(), Short(400_000)),
    "short": Short(400_000),
    "excess": Excess(5_000),
    "starred-excess": (Starred(), Excess(5_000)),
    "multipart": Multipart(),
    "other-etag": OtherETag(),
}


@hashed_or_not
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("odd", ODD_PARTS.values(), ids=ODD_PARTS)
@old_middle_new
def test_an_odd_part_never_makes_another_file(
    odd: Any, chunked: bool, hashes: bool, armed: Environment
) -> None:
    package = Package("demo", SIZE, [Cut(THIRD), *[odd] * 3], hashes=hashes, chunked=chunked)
    with Lab([package]) as lab:
        Download(armed, lab).assert_right()


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
    package = Package(
        "demo", SIZE, [Cut(THIRD)], forever=Replaced(), hashes=False, validator=validator
    )
    cache = armed.fresh_dir()
    with Lab([package], tls=certificates().server) as lab:
        original = lab.wheel("demo")
        later = replaced(original)
        done = Download(armed, lab, cache=cache)
        again = Download(armed, lab, cache=cache)
        for download in (done, again):
            if download.file.exists():
                assert download.file.read_bytes() in (original, later)
        assert done.run.returncode == 0, done.run.output
        assert done.file.read_bytes() == later


@old_middle_new
def test_a_server_that_is_busy_for_ranges_alone_gets_a_plain_request_in_the_end(
    armed: Environment,
) -> None:
    package = Package("demo", SIZE, [Cut(THIRD)], forever=ToRange(Busy(502)))
    env: Any = {"PIP_RETRY_PATCH_ATTEMPTS": "2"}
    with Lab([package]) as lab:
        Download(armed, lab, env=env).assert_right()
