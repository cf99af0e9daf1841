"""What is on the disk when a mirror has brought the rest of a file: pip's own, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.environments import Environment
from tests.support.hosts import HURRIED, OK, end_of
from tests.support.lab.faults import Cut, Drop
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.partials import stored

SIZE = 3_000_000


@pytest.mark.parametrize("page_format", ["html", "json"])
@pytest.mark.parametrize("at", [0, SIZE // 2])
@old_middle_new
def test_nothing_is_kept_of_a_file_that_a_mirror_brought(
    at: int, page_format: Any, armed: Environment, bare: Environment
) -> None:
    """The mirror's page is read while the file is fetched, and is no answer for the file."""
    dead = Package("demo", SIZE, [Cut(at) if at else Drop()], forever=Drop())
    env = {name: value for name, value in HURRIED.items() if name != "PIP_NO_CACHE_DIR"}
    for factory in (armed, bare):
        environment = factory
        cache, folder = environment.fresh_dir(), environment.fresh_dir()
        package = Package("demo", SIZE, page_format=page_format)
        with Lab([dead]) as lab, Lab([package]) as mirror:
            run = environment.run(
                *("download", "--no-deps", "--dest", folder, "--cache-dir", cache),
                *("--index-url", lab.index_url, "--trusted-host", "127.0.0.1", "demo"),
                env={**env, "PIP_RETRY_PATCH_MIRRORS": mirror.index_url},
            )
        if factory is bare:
            assert end_of(run) != OK, run.output
            continue
        assert end_of(run) == OK, run.output
        assert (folder / lab.filename("demo")).read_bytes() == lab.wheel("demo")
        assert not stored(cache)
        ranges = [r.range for r in mirror.log if r.kind == "page"]
        assert ranges and set(ranges) == {None}, "a page is asked for whole"
