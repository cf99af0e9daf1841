"""Files that are not what they were: spoilt in pip's cache, replaced, or of another length."""

from __future__ import annotations

import hashlib
import ssl
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.certificates import certificates
from tests.support.downloads import HASTY, SIZE, THIRD, Download
from tests.support.environments import Environment
from tests.support.lab.faults import Changed, Cut, Doubled, Overruled, Overstate
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new


def spoil(cache: Path, original: bytes) -> int:
    """Alter what pip's HTTP cache holds of a file; return how many entries held it."""
    middle = original[THIRD : THIRD + 64]
    spoilt = 0
    for path in cache.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            if middle in held:
                path.write_bytes(held.replace(middle, bytes(64)))
                spoilt += 1
    return spoilt


@old_middle_new
def test_a_spoilt_cache_entry_is_removed_and_the_file_fetched(armed: Environment) -> None:
    cache = armed.fresh_dir()
    packages = [Package("demo", SIZE, max_age=3600), Package("other", 5000, max_age=3600)]
    with Lab(packages, tls=certificates().server) as lab:
        for name in ("demo", "other"):
            Download(armed, lab, cache=cache, name=name).assert_right()
        assert spoil(cache, lab.wheel("demo")) == 1
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert "Using cached" in done.run.stdout
        assert done.run.warnings("in pip's cache was not what the index lists")
        assert len(lab.requests("demo", "artifact")) == 2
        third = Download(armed, lab, cache=cache)
        third.assert_right()
        assert len(lab.requests("demo", "artifact")) == 2
        assert not third.run.warnings("in pip's cache")
        other = Download(armed, lab, cache=cache, name="other").run
        assert "Using cached" in other.stdout, "only the spoilt entry was removed"


@old_middle_new
def test_a_stale_cache_entry_heals_after_the_index_replaced_the_file(armed: Environment) -> None:
    cache = armed.fresh_dir()
    package = Package("demo", SIZE, [None, Changed()], max_age=3600)
    with Lab([package], tls=certificates().server) as lab:
        Download(armed, lab, cache=cache).assert_right()
        trust = ssl.create_default_context(cafile=str(certificates().ca_pem))
        url = f"{lab.url}/files/demo/{lab.filename('demo')}"
        with urllib.request.urlopen(url, context=trust, timeout=10) as replaced:
            assert replaced.read() == lab.wheel("demo") == package.wheel(1)
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert done.run.warnings("in pip's cache was not what the index lists")


@old_middle_new
def test_a_file_that_changes_during_the_download_is_begun_anew(armed: Environment) -> None:
    faults: list[Any] = [Cut(THIRD), (Changed(), Cut(THIRD)), None]
    package = Package("demo", SIZE, faults)
    later = hashlib.sha256(package.wheel(1)).hexdigest()
    with Lab([Package("demo", SIZE, faults, hashes=later)]) as lab:
        done = Download(armed, lab)
        assert done.run.returncode == 0, done.run.output
        assert done.file.read_bytes() == package.wheel(1)
        assert len(done.run.warnings("starting anew")) == 1


@old_middle_new
def test_a_file_that_keeps_changing_is_an_error_that_says_so(armed: Environment) -> None:
    package = Package("demo", SIZE, [Cut(THIRD), *[(Changed(), Cut(THIRD))] * 9])
    with Lab([package]) as lab:
        done = Download(armed, lab)
        done.assert_clear_error()
        assert "another version" in " ".join(done.run.output.split())
        assert len(done.run.warnings("starting anew")) == 2


@old_middle_new
def test_a_length_that_is_never_reached_is_forgiven_only_where_a_hash_fits(
    armed: Environment,
) -> None:
    with Lab([Package("demo", SIZE, forever=Overstate(10))]) as lab:
        done = Download(armed, lab, env=HASTY)
        assert done.is_right, done.run.output
        assert len(done.run.warnings("The hash that the index lists fits")) == 1
    with Lab([Package("demo", SIZE, forever=Overstate(10), hashes=False)]) as lab:
        Download(armed, lab, env=HASTY).assert_clear_error()


@old_middle_new
def test_a_length_beside_chunks_does_not_count_and_one_that_is_told_twice_does(
    armed: Environment,
) -> None:
    overruled: dict[str, Any] = {"forever": Overruled(17), "page_forever": Overruled(SIZE)}
    for hashes in (True, False):
        with Lab([Package("demo", SIZE, hashes=hashes, **overruled)]) as lab:
            Download(armed, lab).assert_right()
            assert len(lab.requests("demo")) == 2
    with Lab([Package("demo", SIZE, [(Doubled(), Cut(THIRD))], hashes=False)]) as lab:
        Download(armed, lab).assert_right()
        assert lab.sent("demo") < SIZE * 1.05
