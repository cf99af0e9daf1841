"""What else the body ring heals: pages, metadata, pip's own ranges, many cuts, installs."""

from __future__ import annotations

from tests.support.certificates import certificates
from tests.support.downloads import SIZE, THIRD, Download
from tests.support.environments import Environment
from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, each_pair, old_middle_new, pairs


@old_middle_new
def test_fifty_cuts_with_progress_are_no_reason_to_stop(armed: Environment) -> None:
    package = Package("demo", 5_000_000, [Cut(70_000)] * 50)
    with Lab([package]) as lab:
        done = Download(armed, lab, env={"PIP_RETRY_PATCH_ATTEMPTS": "1"})
        done.assert_right()
        assert len(done.warnings) <= 11 and len(done.run.warnings()) <= 12, done.run.output
        assert "demo-1.0: cut 50 times, nothing refetched" in done.run.warnings()[-1]
        assert len(done.run.warnings("refetched")) == 1
        assert max(map(len, done.run.warnings())) <= 79
        assert lab.sent("demo") == len(lab.wheel("demo"))


@old_middle_new
def test_a_healed_download_is_in_the_cache_of_pip(armed: Environment) -> None:
    cache = armed.fresh_dir()
    package = Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)], max_age=3600)
    with Lab([package], tls=certificates().server) as lab:
        Download(armed, lab, cache=cache).assert_right()
        asked = len(lab.requests("demo", "artifact"))
        again = Download(armed, lab, cache=cache)
        again.assert_right()
        assert "Using cached" in again.run.stdout
        assert len(lab.requests("demo", "artifact")) == asked == 3


@old_middle_new
def test_without_a_cache_it_heals_as_well(armed: Environment) -> None:
    with Lab([Package("demo", SIZE, [Cut(THIRD)])]) as lab:
        Download(armed, lab, "--no-cache-dir").assert_right()
        assert lab.sent("demo") == len(lab.wheel("demo"))


@pairs(("22.3.1", "3.10"), ("24.0", "3.12"), ("25.3", "3.9"), (NEWEST, "3.13"))
def test_the_ranges_of_a_lazy_wheel_are_healed(armed: Environment) -> None:
    """With fast-deps pip reads a wheel's metadata by requests that are ranges themselves."""
    package = Package("demo", SIZE, [Cut(100), Reset(200)])
    with Lab([package]) as lab:
        done = Download(armed, lab, "--use-feature=fast-deps")
        done.assert_right()
        assert len(done.warnings) in (1, 2)  # the reset may come before all that was sent
        first, second, third = lab.requests("demo", "artifact")[1:4]
        assert first.range is not None and second.range is not None and third.range is not None
        start = int(first.range[len("bytes=") :].partition("-")[0])
        # No hash covers them, so what was handed on is compared.
        assert second.range == third.range and second.range.startswith(f"bytes={start}-")
        assert first.headers.get("if-range") is None and second.if_range is not None


@pairs(("23.0.1", "3.11"), ("24.0", "3.12"), ("25.3", "3.9"), ("26.1.2", "3.12"), (NEWEST, "3.13"))
def test_cut_metadata_is_healed(pip: str, armed: Environment) -> None:
    package = Package("demo", SIZE, metadata=True, metadata_faults=[Cut(10), Reset(3)])
    with Lab([package]) as lab:
        done = Download(armed, lab)
        done.assert_right()
        asked = len(lab.requests("demo", "metadata"))
        assert len(done.warnings) == 2 if asked else pip == "23.0.1"


@each_pair
def test_an_install_goes_through(armed: Environment) -> None:
    target = armed.fresh_dir()
    packages = [
        Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)], requires=["other"]),
        Package("other", SIZE, [Cut(THIRD)], page_faults=[Cut(20)]),
    ]
    with Lab(packages) as lab:
        run = armed.run(
            "install",
            *("--target", target, "--index-url", lab.index_url, "--trusted-host", "127.0.0.1"),
            "demo",
        )
        assert run.returncode == 0, run.output
        assert len(run.interruptions) == 4, run.output
        assert (target / "demo" / "payload.bin").stat().st_size == SIZE
        assert (target / "other" / "payload.bin").stat().st_size == SIZE
        for name in ("demo", "other"):
            assert lab.sent(name) <= 1.05 * len(lab.wheel(name))
