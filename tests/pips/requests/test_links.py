"""Links that expire: reached again from their original URL, without anyone's credentials."""

from __future__ import annotations

import contextlib
from typing import Iterator

import pytest

from pip_retry_patch.lab.faults import Busy, Cut, Redirect, Reset
from pip_retry_patch.lab.packages import Package
from pip_retry_patch.lab.server import Lab
from tests.support.certificates import Certificates
from tests.support.downloads import GENERATIONS, SIZE, THIRD, Download
from tests.support.environments import Factory


@contextlib.contextmanager
def redirecting(store: Package, host: str = "127.0.0.1") -> Iterator[tuple[Lab, Lab]]:
    """An index whose links lead, with another signature each time, to a store of files."""
    with Lab([store], host=host) as files:
        path = f"{files.url}/files/demo/{files.filename('demo')}"
        links = [Redirect(f"{path}?signature={n}") for n in range(4)]
        with Lab([Package("demo", SIZE, links)]) as lab:
            yield lab, files


@pytest.mark.parametrize("status", [401, 403, 404, 410])
@GENERATIONS
def test_an_expired_link_is_made_anew_from_the_original_url(
    status: int, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    store = Package("demo", SIZE, [Cut(THIRD), *[Busy(status)] * 2, None])
    with redirecting(store) as (lab, files):
        done = Download(armed(pip, python), lab, certificates)
        done.assert_right()
        assert len(done.warnings) == 1
        asked = [(r.path.partition("?")[2], r.range) for r in files.requests("demo")]
        assert asked == [
            ("signature=0", None),
            ("signature=0", f"bytes={THIRD}-"),
            ("signature=0", None),
            ("signature=1", f"bytes={THIRD}-"),
        ]
        assert len(lab.requests("demo", "artifact")) == 2
        assert files.sent("demo") <= 1.05 * len(files.wheel("demo"))


@GENERATIONS
def test_an_expired_link_without_ranges_is_replayed_and_a_later_cut_uses_the_new_link(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    store = Package(
        "demo", SIZE, [Cut(THIRD), *[Busy(403)] * 2, Cut(2 * THIRD), None], ranges=False
    )
    with redirecting(store) as (lab, files):
        done = Download(armed(pip, python), lab, certificates)
        done.assert_right()
        asked = [r.path.partition("?")[2] for r in files.requests("demo")]
        assert asked == [*["signature=0"] * 3, *["signature=1"] * 2]


@GENERATIONS
def test_credentials_of_the_index_never_reach_the_host_it_redirects_to(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    store = Package("demo", SIZE, [Cut(THIRD), *[Busy(403)] * 2, Reset(THIRD), *[Busy(401)] * 2])
    with redirecting(store, host="localhost") as (lab, files):
        secret = lab.index_url.replace("http://", "http://user:S3CRET@")
        done = Download(armed(pip, python), lab, certificates, "--index-url", secret, "--no-input")
        done.assert_right()
        assert "S3CRET" not in done.run.output
        for request in files.requests("demo"):
            assert "authorization" not in request.headers
        again = lab.requests("demo", "artifact")
        assert len(again) == 3
        assert {request.headers.get("authorization") for request in again} != {None}
