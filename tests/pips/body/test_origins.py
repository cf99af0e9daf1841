"""Plain pip against servers that people really run, behind proxies that cut every connection."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import zipfile
from pathlib import Path
from random import Random
from typing import Iterator, NamedTuple

import pytest

from tests.support import indexes
from tests.support.environments import Environment
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Outcome
from tests.support.proxies import CuttingConnectProxy, CuttingProxy

pytestmark = pytest.mark.timeout(400)

MB = 1_000_000
WHEEL = "big-1.0-py3-none-any.whl"
REAL = "scipy==1.13.1"  # 38 MB, with wheels for Python 3.9 to 3.12

# --- real index servers, on loopback ---------------------------------------------------------


class Origin(NamedTuple):
    """A running index server and the one file in it."""

    port: int
    file: Path


def make_wheel(directory: Path) -> Path:
    """Write an installable wheel of 20 MB that no transport can compress."""
    wheel = directory / WHEEL
    metadata = "Metadata-Version: 2.1\nName: big\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("big.bin", Random(0).randbytes(20 * MB))
        archive.writestr("big-1.0.dist-info/METADATA", metadata)
        archive.writestr("big-1.0.dist-info/WHEEL", tags)
        archive.writestr("big-1.0.dist-info/RECORD", "")
    return wheel


@contextlib.contextmanager
def pypiserver(directory: Path) -> Iterator[Origin]:
    packages = directory / "packages"
    packages.mkdir()
    wheel = make_wheel(packages)
    with indexes.pypiserver(packages, directory / "log") as port:
        yield Origin(port, wheel)


NGINX = """
daemon off; master_process off; pid {directory}/pid;
events {{}}
http {{
    access_log off;
    default_type application/octet-stream;
    types {{ text/html html; }}
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{ listen 127.0.0.1:{port}; root {directory}/root; }}
}}
"""


@contextlib.contextmanager
def nginx(directory: Path) -> Iterator[Origin]:
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert program, "nginx is not installed; .ci/run would do it"
    port = indexes.free_port()
    page = directory / "root" / "simple" / "big"
    page.mkdir(parents=True)
    wheel = make_wheel(page)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    link = f'<a href="{WHEEL}#sha256={digest}">{WHEEL}</a>'
    (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{link}</body></html>")
    (directory / "conf").write_text(NGINX.format(directory=directory, port=port))
    log = str(directory / "errors")
    command = [program, "-p", str(directory), "-c", str(directory / "conf"), "-e", log]
    with indexes.serving(command, port, directory / "log"):
        yield Origin(port, wheel)


@pytest.fixture(scope="module", params=[pypiserver, nginx], ids=["pypiserver", "nginx"])
def origin(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Origin]:
    with request.param(tmp_path_factory.mktemp("origin")) as running:
        yield running


def download(environment: Environment, proxy: CuttingProxy) -> tuple[Outcome, Path]:
    target = environment.fresh_dir()
    index = f"{proxy.url}/simple/"
    return environment.run(
        "download", "--no-deps", "--index-url", index, "--dest", target, "big"
    ), target / WHEEL


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), ("25.3", "3.9"), ("26.1.2", "3.10"), (NEWEST, "3.15"))
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_server_behind_a_cutting_proxy_is_read_to_the_end(
    origin: Origin, armed: Environment, how: str
) -> None:
    with CuttingProxy(("127.0.0.1", origin.port), after=3 * MB, how=how) as proxy:
        outcome, file = download(armed, proxy)
    assert outcome.returncode == 0, outcome.output
    assert file.read_bytes() == origin.file.read_bytes()
    assert proxy.cuts == 6
    assert outcome.times_interrupted == proxy.cuts, outcome.output
    assert proxy.downstream.total() <= 1.05 * origin.file.stat().st_size


@pairs(("24.0", "3.12"))
def test_without_the_patch_the_same_server_fails(origin: Origin, bare: Environment) -> None:
    with CuttingProxy(("127.0.0.1", origin.port), after=3 * MB) as proxy:
        outcome, file = download(bare, proxy)
    assert outcome.returncode == 1
    assert "DO NOT MATCH THE HASHES" in outcome.output
    assert not file.exists()


# --- the configured default index, cut inside TLS --------------------------------------------


def download_real(environment: Environment, proxy: CuttingProxy) -> tuple[Outcome, list[Path]]:
    target = environment.fresh_dir()
    options = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--proxy", proxy.url]
    outcome = environment.run(
        "download", *options, "--dest", target, REAL, machine=True, timeout=300
    )
    return outcome, list(target.iterdir())


def artifact_bytes(proxy: CuttingProxy) -> int:
    """The bytes of the tunnels that carried the file: by far the most of all."""
    return max(proxy.downstream.values())


@pairs(("20.3.4", "3.9"), ("24.0", "3.12"), (NEWEST, "3.11"))
def test_a_real_wheel_arrives_through_a_proxy_that_cuts_every_tunnel(
    armed: Environment, bare: Environment
) -> None:
    with CuttingConnectProxy() as whole:
        direct, (expected,) = download_real(bare, whole)
    assert direct.returncode == 0, direct.output

    with CuttingConnectProxy(after=4 * MB) as cutting:
        outcome, files = download_real(armed, cutting)
    assert outcome.returncode == 0, outcome.output
    (file,) = files
    assert file.name == expected.name
    assert file.read_bytes() == expected.read_bytes()
    assert cutting.cuts == file.stat().st_size // (4 * MB)
    assert outcome.times_interrupted == cutting.cuts, outcome.output
    assert artifact_bytes(cutting) <= 1.05 * artifact_bytes(whole)


@pairs(("24.0", "3.12"))
def test_without_the_patch_the_same_proxy_ends_in_an_accusation(bare: Environment) -> None:
    with CuttingConnectProxy(after=4 * MB) as proxy:
        outcome, files = download_real(bare, proxy)
    assert outcome.returncode == 1
    assert "DO NOT MATCH THE HASHES" in outcome.output
    assert not files
