"""What a host does not deliver comes from a mirror: a file at the very byte, and pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import HASH, NO_MATCH, OK, OURS, Download, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import HURRIED, dead_index, download
from tests.support.lab.faults import Away, Busy, Cut, Drop, Entry, Redirect, Replaced, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new, pairs
from tests.support.partials import stored
from tests.support.programs import Argument

SIZE = 3_000_000
HALF = SIZE // 2
RATE, SLACK = 3_000_000, 600_000
DEMO = Package("demo", SIZE)


def dying(**options: Any) -> Package:
    return Package("demo", SIZE, [Cut(HALF)], forever=Busy(503), **options)


def mirrors(*labs: Lab) -> dict[str, Any]:
    return {"PIP_RETRY_PATCH_MIRRORS": "\n".join(lab.index_url for lab in labs)}


def get(
    pip: Environment, lab: Lab, *labs: Lab, cache: Path | None = None, **env: Argument
) -> Download:
    env = {**HURRIED, "PIP_NO_CACHE_DIR": "" if cache else "1", **mirrors(*labs), **env}
    return Download(pip, lab, cache=cache, env=env)


DEATHS: dict[str, tuple[Entry, Entry]] = {
    "away": (Away(HALF, 600), None),
    "busy": (Cut(HALF), Busy(503, retry_after=3600)),
    "reset": (Reset(HALF), (Drop(), Reset(0))),
    "gone": (Cut(HALF), Busy(404)),
    "crumbs": (Cut(HALF), Cut(100)),
    # Here all of it comes from the mirror.
    **{f"never-{s}": (Busy(s), Busy(s)) for s in (404, 502)},
}


@pytest.mark.parametrize("death", DEATHS)
@old_middle_new
def test_no_byte_comes_twice_where_the_host_dies_in_the_middle(
    death: str, armed: Environment, bare: Environment
) -> None:
    """The mirror's page is read while the file is fetched, and is no answer for the file."""
    first, later = DEATHS[death]
    package, cache = Package("demo", SIZE, [first], forever=later), armed.fresh_dir()
    with Lab([package]) as lab, Lab([Package("demo", SIZE, page_format="json")]) as mirror:
        done = get(armed, lab, mirror, cache=cache).assert_right()
        sent = lab.sent("demo") + mirror.sent("demo")
        assert sent <= len(mirror.wheel("demo")) + 10_000, (lab.log, mirror.log)
        assert len(done.run.warnings(f"Going on with {mirror.index_url}")) == 1, done.run.output
        assert all("if-range" not in request.headers for request in mirror.log)
        assert not stored(cache)
        pages = mirror.requests("demo", "page")
        assert pages and not any(page.range for page in pages), "a page is asked for whole"
    if death == "gone":
        with Lab([package]) as lab, Lab([DEMO]) as mirror:
            assert end_of(get(bare, lab, mirror).run) != OK


@old_middle_new
def test_a_mirror_that_sent_other_bytes_is_dropped_and_named(armed: Environment) -> None:
    """Where another one has them, that is asked: test_odd_pythons.py."""
    with Lab([dying()]) as lab, Lab([Package("demo", SIZE, forever=Replaced())]) as liar:
        run = get(armed, lab, liar).run
        assert end_of(run) == OURS and "HASHES" not in run.output, run.output
        assert f"{liar.url.partition('//')[2]}/simple/ sent other bytes of demo-1.0" in said(run)


@pytest.mark.parametrize(("later", "end"), [(None, OK), (Replaced(), HASH)])
@pytest.mark.parametrize("of_mirror", [Busy(404), Replaced()])
@old_middle_new
def test_the_index_stands_in_for_a_mirror_whose_page_was_read(
    of_mirror: Entry, later: Entry, end: str, armed: Environment
) -> None:
    """Each source is asked until it is dropped, and nothing is asked for ever."""
    package = Package("demo", SIZE, page_faults=[Busy(503)] * 2, forever=later)
    with Lab([package]) as lab, Lab([Package("demo", SIZE, forever=of_mirror)]) as mirror:
        run = get(armed, lab, mirror).run
        assert end_of(run) == end, run.output
        assert run.warnings("is not asked again" if of_mirror == Replaced() else lab.index_url)
        assert len(lab.log) + len(mirror.log) < 20


@old_middle_new
def test_a_mirror_that_lists_another_hash_is_passed_over_and_without_one_none_is_asked(
    armed: Environment,
) -> None:
    with Lab([Package("demo", SIZE, hashes="0" * 64)]) as liar:
        for package, asked in ((dying(), ["page"]), (dying(hashes=False), [])):
            before = len(liar.log)
            with Lab([package]) as lab:
                run = get(armed, lab, liar).run
            assert end_of(run) == OURS, run.output
            assert [request.kind for request in liar.log[before:]] == asked


@old_middle_new
def test_what_an_earlier_run_kept_goes_on_from_a_mirror(armed: Environment) -> None:
    """A person would switch to another index at this point."""
    cache = armed.fresh_dir()
    with Lab([dying()]) as lab, Lab([DEMO], rate=RATE) as mirror:
        assert end_of(get(armed, lab, cache=cache, PIP_RETRY_PATCH_ATTEMPTS="1").run) != OK
        get(armed, lab, mirror, cache=cache).assert_right()
        assert mirror.sent("demo") <= len(mirror.wheel("demo")) - HALF + SLACK


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


FAILURES: dict[str, Entry] = {
    "reset": (Drop(), Reset(0)),
    "silence": (Drop(), Stall(0)),
    "busy": Busy(503, retry_after=3600),
    "500": Busy(500),
    "501": Busy(501),
    "cut": Cut(100),
}


@pytest.mark.parametrize("failure", FAILURES)
@old_middle_new
def test_a_page_comes_from_the_mirror(failure: str, armed: Environment, bare: Environment) -> None:
    package = Package("demo", page_forever=FAILURES[failure])
    with Lab([package]) as lab, Lab([Package("demo")]) as mirror:
        index = "--index-url", lab.index_url
        run = download(armed, *index, "demo", **mirrors(mirror))
        assert end_of(run) == OK, run.output
        assert len(lab.requests("demo", "page")) <= 2, "the first, and one retry"
        assert len(run.warnings("Going on with")) == 1, run.output
        if failure != "busy":  # plain pip sleeps for the hour that it was told to
            assert end_of(download(bare, *index, "demo")) != OK


@old_middle_new
def test_a_dead_index_is_asked_once_and_all_of_a_run_comes_from_the_mirror(
    armed: Environment, bare: Environment
) -> None:
    """Metadata, requirements and what a build requires, too."""
    packages = [
        Package("demo", metadata=True, requires=["other"]),
        Package("other", sdist=True, build_requires=["tool"]),
        Package("tool"),
    ]
    broken = [Package(package.name, page_forever=Busy(503)) for package in packages]
    with Lab(broken) as lab, Lab(packages) as mirror:
        arguments = "wheel", "--wheel-dir", armed.fresh_dir(), "-i", lab.index_url, "demo"
        run = armed.run(*arguments, env=mirrors(mirror))
        assert end_of(run) == OK, run.output
        asked = [len(lab.requests(package.name)) for package in packages]
        # After that its host rests. The build's pip is a run of its own.
        assert asked == [2, 0, 2]
        assert end_of(bare.run(*arguments, env=HURRIED)) != OK


@pairs(("21.3.1", "3.9"))
def test_each_thread_of_a_pip_gets_the_page_that_it_asks_for(armed: Environment) -> None:
    names = "pip", "pip-retry-patch", "wrapt"
    silent = [Package(name, page_forever=Stall(0)) for name in names]
    with Lab(silent) as lab, Lab([Package(name) for name in names]) as mirror:
        run = armed.run("list", "-o", "-i", lab.index_url, env={**HURRIED, **mirrors(mirror)})
        assert all(mirror.requests(name, "page") for name in names), run.output


# Of an index at `lab` that answers 404 and 403, and of one that is dead.
NOT_ASKED = {
    "404": "-i {lab} gone",
    "403": "-i {lab} forbidden",
    "extra-index": "-i {lab} --extra-index-url {dead} demo",
    "find-links": "--no-index --find-links {dead}demo/ demo",
    "direct": "{dead}demo-1.0-py3-none-any.whl",
    "no-retries": "--retries 0 -i {dead} demo",
}


@pytest.mark.parametrize("how", NOT_ASKED)
@old_middle_new
def test_an_answer_stands_and_for_nothing_but_the_index_is_a_mirror_asked(
    how: str, armed: Environment
) -> None:
    refused = [
        Package("gone", page_forever=Busy(404)),
        Package("forbidden", page_forever=Busy(403)),
    ]
    others = [Package(name) for name in ("demo", "gone", "forbidden")]
    with Lab(refused) as lab, Lab(others) as mirror:
        words = NOT_ASKED[how].format(lab=lab.index_url, dead=dead_index()).split()
        run = download(armed, *words, **mirrors(mirror))
        assert end_of(run) in (OURS, NO_MATCH), run.output
        assert not mirror.log


@old_middle_new
def test_a_files_mirrors_are_for_the_index_of_the_files(armed: Environment) -> None:
    """`-i private` must not ask the public mirror for the private names."""
    with Lab([Package("demo")]) as mirror:
        config = armed.fresh_dir() / "pip.conf"
        dead, private = dead_index(), dead_index()
        config.write_text(
            f"[global]\nindex-url = {dead}\nretry-patch-mirrors =\n    {mirror.index_url}\n"
        )
        run = download(armed, "demo", PIP_CONFIG_FILE=config)
        assert end_of(run) == OK, run.output
        before = len(mirror.log)
        run = download(armed, "--index-url", private, "demo", PIP_CONFIG_FILE=config)
        assert end_of(run) == OURS, run.output
        assert len(mirror.log) == before
        assert len(run.warnings(f"It is not used for {private}")) == 1, run.output


@old_middle_new
def test_nothing_of_the_index_reaches_a_mirror(armed: Environment) -> None:
    with Lab([dying()]) as lab, Lab([DEMO]) as mirror:
        index = lab.index_url.replace("//", "//user:secret@")
        given = mirror.index_url.replace("//", "//me:private@")
        run = download(armed, "--index-url", index, "demo", PIP_RETRY_PATCH_MIRRORS=given)
        assert end_of(run) == OK, run.output
        assert "secret" not in run.output and "private" not in run.output
        for request in mirror.log:
            told = json.dumps(dict(request.headers))
            assert "dXNlcjpzZWNyZXQ" not in told, "user:secret"
            assert "cookie" not in request.headers
            assert not {"if-range", "if-none-match"} & set(request.headers)
        for request in lab.log:
            assert "bWU6cHJpdmF0ZQ" not in json.dumps(dict(request.headers)), "me:private"


@old_middle_new
def test_a_mirror_that_misbehaves_is_passed_over(armed: Environment) -> None:
    package = Package("demo", page_forever=Busy(503))
    with Lab([package]) as lab, Lab([Package("demo")]) as mirror:
        leads = "file:///etc/hostname", "/simple/demo/?again", f"{lab.index_url}demo/"
        faults: list[Entry] = [*map(Redirect, leads), Cut(50), Busy(401), (Drop(), Stall(0))]
        for fault in faults:
            with Lab([Package("demo", page_forever=fault)]) as bad:
                run = download(armed, "-i", lab.index_url, "demo", **mirrors(bad, mirror))
                assert end_of(run) == OK, run.output
                assert len(run.warnings(f"Going on with {mirror.index_url}")) == 1
