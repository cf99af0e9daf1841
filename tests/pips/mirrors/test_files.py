"""A file that its host does not deliver goes on from a mirror, at the very byte."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.support.environments import Environment
from tests.support.hosts import OK, OURS, download, end_of, said
from tests.support.lab.faults import Away, Busy, Cut, Drop, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.lab.stages import Entry
from tests.support.matrix import old_middle_new

SIZE = 3_000_000
HALF = SIZE // 2
RATE, SLACK = 3_000_000, 600_000

DEATHS: dict[str, tuple[Entry, Entry]] = {
    "away": (Away(600, after=HALF), None),
    "busy": (Cut(HALF), Busy(503, retry_after=3600)),
    "reset": (Reset(HALF), (Drop(), Reset(0))),
    "gone": (Cut(HALF), Busy(404)),
    "forbidden": (Cut(HALF), Busy(403)),
    "crumbs": (Cut(HALF), Cut(100)),
}


@pytest.mark.parametrize("death", DEATHS)
@old_middle_new
def test_no_byte_comes_twice_where_the_host_dies_in_the_middle(
    death: str, armed: Environment
) -> None:
    first, later = DEATHS[death]
    package = Package("demo", SIZE, [first], forever=later)
    folder = armed.fresh_dir()
    with Lab([package]) as lab, Lab([Package("demo", SIZE)]) as mirror:
        run = armed.run(
            *("download", "--no-deps", "--dest", folder, "--index-url", lab.index_url, "demo"),
            env={"PIP_RETRY_PATCH_MIRRORS": mirror.index_url},
        )
        assert end_of(run) == OK, run.output
        assert (folder / mirror.filename("demo")).read_bytes() == mirror.wheel("demo")
        sent = lab.sent("demo") + mirror.sent("demo")
        assert sent <= len(mirror.wheel("demo")) + 10_000, (lab.log, mirror.log)
        host = mirror.url.partition("//")[2]
        assert len(run.warnings(f"Going on with {host}")) == 1, run.output
        asked = mirror.requests("demo", "artifact")
        assert all("if-range" not in request.headers for request in asked)


class Other(Package):
    """A mirror's: other bytes, though its page lists the right hash."""

    def artifact(self, generation: int = 0) -> bytes:
        whole = bytearray(super().artifact(generation))
        whole[-5000:] = bytes(5000)
        return bytes(whole)


def right_hash(size: int = SIZE) -> str:
    return hashlib.sha256(Package("demo", size).wheel()).hexdigest()


def mirrors(*labs: Lab) -> dict[str, Any]:
    return {"PIP_RETRY_PATCH_MIRRORS": "\n".join(lab.index_url for lab in labs)}


@old_middle_new
def test_a_mirror_that_sent_other_bytes_is_dropped_and_the_next_goes_on_from_the_originals(
    armed: Environment,
) -> None:
    folder = armed.fresh_dir()
    package = Package("demo", SIZE, [Cut(HALF)], forever=Busy(503))
    bad = Other("demo", SIZE, hashes=right_hash())
    whole = Lab([Package("demo", SIZE)], rate=RATE)
    with Lab([package]) as lab, Lab([bad]) as liar, whole as mirror:
        run = armed.run(
            *("download", "--no-deps", "--dest", folder, "--index-url", lab.index_url, "demo"),
            env=mirrors(liar, mirror),
        )
        assert end_of(run) == OK, run.output
        assert (folder / mirror.filename("demo")).read_bytes() == mirror.wheel("demo")
        assert lab.sent("demo") == HALF + 2 * 20
        # The plain request that comes first is closed when its answer begins.
        assert mirror.sent("demo") <= len(mirror.wheel("demo")) - HALF + SLACK
        assert len(run.warnings("sent other bytes of demo-1.0")) == 1, run.output


@old_middle_new
def test_with_no_source_left_it_is_the_network_and_the_liar_is_named(armed: Environment) -> None:
    package = Package("demo", SIZE, [Cut(HALF)], forever=Busy(503))
    with Lab([package]) as lab, Lab([Other("demo", SIZE, hashes=right_hash())]) as liar:
        run = download(armed, "--index-url", lab.index_url, "demo", **mirrors(liar))
        assert end_of(run) == OURS, run.output
        host = liar.url.partition("//")[2]
        assert f"{host}/simple/ sent other bytes of demo-1.0" in said(run)
        assert "HASHES" not in run.output


@old_middle_new
def test_a_mirror_that_lists_another_hash_is_passed_over_unasked(armed: Environment) -> None:
    package = Package("demo", SIZE, [Cut(HALF)], forever=Busy(503))
    with Lab([package]) as lab, Lab([Other("demo", SIZE)]) as liar:
        run = download(armed, "--index-url", lab.index_url, "demo", **mirrors(liar))
        assert end_of(run) == OURS, run.output
        assert liar.requests("demo", "page") and not liar.requests("demo", "artifact")


@old_middle_new
def test_without_a_hash_no_mirror_is_asked_for_a_file(armed: Environment) -> None:
    package = Package("demo", SIZE, [Cut(HALF)], forever=Busy(503), hashes=False)
    with Lab([package]) as lab, Lab([Package("demo", SIZE)]) as mirror:
        run = download(armed, "--index-url", lab.index_url, "demo", **mirrors(mirror))
        assert end_of(run) == OURS, run.output
        assert not mirror.log


@old_middle_new
def test_a_file_whose_host_never_answers_comes_from_a_mirror_whole(armed: Environment) -> None:
    for fault in ((Drop(), Reset(0)), Busy(502), Busy(404), Busy(403), Busy(520)):
        package = Package("demo", SIZE, forever=fault)
        with Lab([package]) as lab, Lab([Package("demo", SIZE)]) as mirror:
            run = download(armed, "--index-url", lab.index_url, "demo", **mirrors(mirror))
            assert end_of(run) == OK, run.output
            assert mirror.sent("demo") == len(mirror.wheel("demo"))
            assert len(run.warnings("Going on with")) == 1, run.output
