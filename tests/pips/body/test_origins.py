"""A real wheel of the configured default index, through a proxy that cuts inside of TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.environments import Environment
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Argument, Outcome
from tests.support.proxies import CuttingConnectProxy

MB = 1_000_000
REAL = "numpy==1.26.4"  # 18 MB, with wheels for Python 3.9 to 3.12


def download(environment: Environment, proxy: CuttingConnectProxy) -> tuple[Outcome, list[Path]]:
    target = environment.fresh_dir()
    options = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--proxy", proxy.url]
    command: list[Argument] = ["download", *options, "--dest", target, REAL]
    outcome = environment.run(*command, machine=True, timeout=300)
    return outcome, list(target.iterdir())


def file_bytes(proxy: CuttingConnectProxy) -> int:
    """The bytes of the tunnels that carried the file: by far the most of all."""
    return max(proxy.downstream.values())


@pytest.mark.timeout(400)
@pairs(("24.0", "3.12"), (NEWEST, "3.11"))
def test_a_real_wheel_arrives_through_a_proxy_that_cuts_every_tunnel(
    pip: str, armed: Environment, bare: Environment
) -> None:
    with CuttingConnectProxy() as whole:
        direct, (expected,) = download(bare, whole)
    assert direct.returncode == 0, direct.output
    with CuttingConnectProxy(after=4 * MB) as cutting:
        outcome, (file,) = download(armed, cutting)
    assert outcome.returncode == 0, outcome.output
    assert (file.name, file.read_bytes()) == (expected.name, expected.read_bytes())
    assert cutting.cuts == file.stat().st_size // (4 * MB)
    assert outcome.times_interrupted == cutting.cuts, outcome.output
    assert file_bytes(cutting) <= 1.05 * file_bytes(whole)
    if pip == "24.0":
        with CuttingConnectProxy(after=4 * MB) as cutting:
            outcome, files = download(bare, cutting)
        assert "DO NOT MATCH THE HASHES" in outcome.output and not files
