"""A file that its host does not deliver goes on from a mirror, at the very byte."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import OK, OURS, Download, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import HURRIED
from tests.support.lab.faults import Away, Busy, Cut, Drop, Entry, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import newest, old_middle_new
from tests.support.partials import stored
from tests.support.programs import Argument

SIZE = 3_000_000
HALF = SIZE // 2
RATE, SLACK = 3_000_000, 600_000
DEMO = Package("demo", SIZE)


def dying(**options: Any) -> Package:
    return Package("demo", SIZE, [Cut(HALF)], forever=Busy(503), **options)


class Lying(Package):
    """A mirror's: other bytes, though its page may list the right hash."""

    def artifact(self, generation: int = 0) -> bytes:
        return super().artifact(generation)[:-5000] + bytes(5000)


def mirrors(*labs: Lab) -> dict[str, Any]:
    return {"PIP_RETRY_PATCH_MIRRORS": "\n".join(lab.index_url for lab in labs)}


def get(
    pip: Environment, lab: Lab, *labs: Lab, cache: Path | None = None, **env: Argument
) -> Download:
    env = {**HURRIED, "PIP_NO_CACHE_DIR": "" if cache else "1", **mirrors(*labs), **env}
    return Download(pip, lab, cache=cache, env=env)


DEATHS: dict[str, tuple[Entry, Entry]] = {
    "away": (Away(600, after=HALF), None),
    "busy": (Cut(HALF), Busy(503, retry_after=3600)),
    "reset": (Reset(HALF), (Drop(), Reset(0))),
    "gone": (Cut(HALF), Busy(404)),
    "forbidden": (Cut(HALF), Busy(403)),
    "crumbs": (Cut(HALF), Cut(100)),
    # Here all of it comes from the mirror.
    "never": ((Drop(), Reset(0)), (Drop(), Reset(0))),
    **{f"never-{s}": (Busy(s), Busy(s)) for s in (403, 404, 502, 520)},
}


@pytest.mark.parametrize("death", DEATHS)
@old_middle_new
def test_no_byte_comes_twice_where_the_host_dies_in_the_middle(
    death: str, armed: Environment
) -> None:
    first, later = DEATHS[death]
    package = Package("demo", SIZE, [first], forever=later)
    with Lab([package]) as lab, Lab([DEMO]) as mirror:
        done = get(armed, lab, mirror)
        done.assert_right()
        sent = lab.sent("demo") + mirror.sent("demo")
        assert sent <= len(mirror.wheel("demo")) + 10_000, (lab.log, mirror.log)
        assert len(done.run.warnings(f"Going on with {mirror.index_url}")) == 1, done.run.output
        asked = mirror.requests("demo", "artifact")
        assert all("if-range" not in request.headers for request in asked)


RIGHT_HASH = hashlib.sha256(DEMO.wheel()).hexdigest()
LIAR = Lying("demo", SIZE, hashes=RIGHT_HASH)


@old_middle_new
def test_a_mirror_that_sent_other_bytes_is_dropped_and_the_next_one_is_asked(
    armed: Environment,
) -> None:
    with Lab([dying()]) as lab, Lab([LIAR]) as liar, Lab([DEMO]) as mirror:
        done = get(armed, lab, liar, mirror)
        done.assert_right()
        assert mirror.sent("demo") == len(mirror.wheel("demo"))
        assert len(done.run.warnings("sent other bytes of demo-1.0")) == 1, done.run.output


@old_middle_new
def test_with_no_source_left_it_is_the_network_and_the_liar_is_named(armed: Environment) -> None:
    with Lab([dying()]) as lab, Lab([LIAR]) as liar:
        run = get(armed, lab, liar).run
        assert end_of(run) == OURS and "HASHES" not in run.output, run.output
        assert f"{liar.url.partition('//')[2]}/simple/ sent other bytes of demo-1.0" in said(run)


@old_middle_new
def test_a_mirror_that_lists_another_hash_is_passed_over_and_without_one_none_is_asked(
    armed: Environment,
) -> None:
    with Lab([dying()]) as lab, Lab([Lying("demo", SIZE)]) as liar:
        run = get(armed, lab, liar).run
        assert end_of(run) == OURS, run.output
        assert liar.requests("demo", "page") and not liar.requests("demo", "artifact")
    with Lab([dying(hashes=False)]) as lab, Lab([DEMO]) as mirror:
        run = get(armed, lab, mirror).run
        assert end_of(run) == OURS and not mirror.log, run.output


@pytest.mark.parametrize("page_format", ["html", "json"])
@pytest.mark.parametrize("at", [0, HALF])
@old_middle_new
def test_nothing_is_kept_of_a_file_that_a_mirror_brought(
    at: int, page_format: Any, armed: Environment, bare: Environment
) -> None:
    """The mirror's page is read while the file is fetched, and is no answer for the file."""
    dead = Package("demo", SIZE, [Cut(at) if at else Drop()], forever=Drop())
    with Lab([dead]) as lab, Lab([Package("demo", SIZE, page_format=page_format)]) as mirror:
        cache = armed.fresh_dir()
        get(armed, lab, mirror, cache=cache).assert_right()
        assert not stored(cache)
        ranges = [r.range for r in mirror.log if r.kind == "page"]
        assert ranges and set(ranges) == {None}, "a page is asked for whole"
    with Lab([dead]) as lab, Lab([DEMO]) as mirror:
        assert end_of(get(bare, lab, mirror).run) != OK


@old_middle_new
def test_what_an_earlier_run_kept_goes_on_from_a_mirror(armed: Environment) -> None:
    """A person would switch to another index at this point."""
    cache = armed.fresh_dir()
    with Lab([dying()]) as lab, Lab([DEMO], rate=RATE) as mirror:
        assert end_of(get(armed, lab, cache=cache, PIP_RETRY_PATCH_ATTEMPTS="1").run) != OK
        get(armed, lab, mirror, cache=cache).assert_right()
        assert mirror.sent("demo") <= len(mirror.wheel("demo")) - HALF + SLACK


# To everything above, the bytes are those of the original.


@newest
def test_what_pip_writes_down_names_the_original(armed: Environment) -> None:
    report, target = armed.fresh_dir() / "report.json", armed.fresh_dir()
    with Lab([dying()]) as lab, Lab([DEMO]) as mirror:
        options = "--target", target, "--report", report, "-i", lab.index_url, "demo"
        run = armed.run("install", *options, env=mirrors(mirror))
        assert end_of(run) == OK, run.output
        (installed,) = json.loads(report.read_text())["install"]
        assert installed["download_info"]["url"].startswith(lab.url)
        assert mirror.url not in report.read_text()


@old_middle_new
def test_the_cache_has_it_under_its_first_url_and_nothing_of_the_mirror(armed: Environment) -> None:
    cache, tls = armed.fresh_dir() / "cache", certificates().server
    with Lab([Package("demo", SIZE, forever=Busy(503))], tls=tls) as lab:
        with Lab([DEMO], tls=tls) as mirror:
            for _ in range(2):
                get(armed, lab, mirror, cache=cache).assert_right()
        assert "if-none-match" not in lab.requests("demo", "artifact")[-1].headers
    kept = b"".join(path.read_bytes() for path in cache.rglob("*") if path.is_file())
    assert mirror.url.encode() not in kept
