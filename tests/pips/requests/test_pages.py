"""Index pages that are cut: healed, or an error; never passed over."""

from __future__ import annotations

import pytest

from tests.support.downloads import HASTY, Download
from tests.support.environments import Environment
from tests.support.lab.faults import Cut, Reset, Stall
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import each_pair, old_middle_new


@each_pair
def test_a_page_that_stays_cut_is_an_error_and_never_no_matching_distribution(
    armed: Environment,
) -> None:
    package = Package("demo", page_faults=[Cut(50)] * 20, validator="weak", ranges=False)
    with Lab([package]) as lab:
        done = Download(armed, lab, env=HASTY)
        assert done.run.returncode == 1
        output = " ".join(done.run.output.split())
        assert f"the page {lab.index_url}demo/ stopped at" in output.replace("Downloading ", "")
        assert "No matching distribution" not in output
        assert "Traceback" not in output
        assert not done.file.exists()


@each_pair
def test_of_two_indexes_the_one_that_is_cut_is_not_passed_over(armed: Environment) -> None:
    """To go on with the other one alone would choose from half of the candidates."""
    private = Package("demo", page_faults=[Cut(50)] * 20)
    public = Package("demo", 3000)
    with Lab([private]) as first, Lab([public]) as second:
        target = armed.fresh_dir()
        run = armed.run(
            "download",
            *("--no-deps", "--dest", target, "--trusted-host", "127.0.0.1"),
            *("--index-url", second.index_url, "--extra-index-url", first.index_url, "demo"),
            env=HASTY,
        )
        assert run.returncode == 1
        assert "stopped at" in run.output and "Traceback" not in run.output
        assert not list(target.iterdir())
        assert not second.requests("demo", "artifact")


@pytest.mark.parametrize("page_format", ["html", "json"])
@old_middle_new
def test_a_compressed_page_that_differs_each_time_is_asked_for_again_whole(
    page_format: str, armed: Environment
) -> None:
    package = Package(
        "demo",
        gzip=True,
        gzip_varies=True,
        page_format=page_format,  # type: ignore[arg-type]
        page_faults=[Cut(50), Reset(60), None],
    )
    with Lab([package]) as lab:
        done = Download(armed, lab)
        done.assert_right()
        assert len(lab.requests("demo", "page")) == 3


@old_middle_new
def test_a_page_without_length_or_validator_that_is_cut_or_stalls_is_healed(
    armed: Environment,
) -> None:
    package = Package(
        "demo", chunked=True, validator="none", page_faults=[Cut(50), Reset(60), Stall(70)]
    )
    with Lab([package]) as lab:
        done = Download(armed, lab, "--timeout", "1")
        done.assert_right()
        assert len(lab.requests("demo", "page")) == 4


@old_middle_new
def test_pages_that_are_cut_in_several_threads_do_not_mix(armed: Environment) -> None:
    """pip up to 21.0 asks for the pages of `pip list --outdated` in threads of one session."""
    names = ["pip", "wrapt", "pip-retry-patch"]
    packages = [Package(name, page_faults=[Cut(30), Reset(40)], validator="none") for name in names]
    with Lab(packages) as lab:
        run = armed.run("list", "--outdated", "--index-url", lab.index_url)
        assert run.returncode == 0, run.output
        assert len(run.interruptions) == 3
        for name in names:
            assert len(lab.requests(name, "page")) == 3
            assert len([line for line in run.interruptions if f"/simple/{name}/" in line]) == 1
