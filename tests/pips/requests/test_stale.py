"""Without network, pages that pip's cache has serve again where the user allows that."""

from __future__ import annotations

import subprocess
from typing import Any

from tests.support.certificates import certificates
from tests.support.downloads import LIES, NO_MATCH, OK, OURS, end_of, said
from tests.support.environments import Environment
from tests.support.lab.faults import Busy
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.programs import Outcome

HURRIED = {
    "PIP_RETRY_PATCH_PATIENCE": "2",
    "PIP_RETRY_PATCH_FIRST_CONTACT": "1",
    "PIP_RETRIES": "1",
}
AGED = 10**6


def packages(**options: Any) -> list[Package]:
    return [
        Package("demo", requires=["other"], max_age=AGED, **options),
        Package("other", max_age=AGED, **options),
    ]


class Train:
    """One user, who installs into a fresh directory each time."""

    def __init__(self, environment: Environment, lab: Lab) -> None:
        self.environment = environment
        self.cache = environment.fresh_dir() / "cache"
        self.options = "--cert", certificates().ca_pem, "--index-url", lab.index_url

    def install(self, *options: str, stale: str = "on", **env: Any) -> Outcome:
        self.target = self.environment.fresh_dir()
        return self.environment.run(
            *("install", "--target", self.target, "--cache-dir", self.cache, *self.options),
            *(*options, "demo"),
            env={**HURRIED, "PIP_RETRY_PATCH_STALE": stale, **env},
        )


@old_middle_new
def test_what_worked_before_works_without_network(armed: Environment, bare: Environment) -> None:
    with Lab(packages(), tls=certificates().server) as lab:
        train = Train(armed, lab)
        plain = Train(bare, lab)
        assert end_of(train.install()) == end_of(plain.install()) == OK
    run = train.install()
    assert end_of(run) == OK, run.output
    assert (train.target / "demo").is_dir() and (train.target / "other").is_dir()
    (line,) = run.warnings("from pip's cache")
    assert f"The index {lab.index_url} cannot be read (connection refused)" in line
    assert "newer versions are not seen" in line
    assert end_of(plain.install()) in LIES
    assert end_of(train.install(stale="off")) == OURS
    assert end_of(train.install("--no-cache-dir")) == OURS


@old_middle_new
def test_no_interface_at_all(armed: Environment) -> None:
    with Lab(packages(), tls=certificates().server) as lab:
        train = Train(armed, lab)
        assert end_of(train.install()) == OK
    target = train.environment.fresh_dir()
    run = subprocess.run(
        [
            *("unshare", "--net", str(train.environment.python), "-m", "pip", "install"),
            *("--target", str(target), "--cache-dir", str(train.cache)),
            *(str(option) for option in train.options),
            "demo",
        ],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PIP_RETRY_PATCH_STALE": "on", **HURRIED},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert (target / "other").is_dir()


@old_middle_new
def test_a_wheel_that_the_cache_lacks_ends_in_the_networks_error(armed: Environment) -> None:
    with Lab(packages(), tls=certificates().server) as lab:
        train = Train(armed, lab)
        assert end_of(train.install()) == OK
    for path in train.cache.rglob("*"):
        if path.is_file() and path.stat().st_size > 100_000:
            path.unlink()
    run = train.install()
    assert end_of(run) == OURS, run.output
    assert "demo-1.0-py3-none-any.whl" in said(run)


@old_middle_new
def test_an_answer_of_the_index_stands_and_a_busy_one_does_not(armed: Environment) -> None:
    for status, end in ((404, NO_MATCH), (403, NO_MATCH), (503, OK), (500, OK)):
        again = [Package("demo", max_age=AGED, page_faults=[None], page_forever=Busy(status))]
        with Lab(again, tls=certificates().server) as lab:
            train = Train(armed, lab)
            assert end_of(train.install()) == OK
            run = train.install(PIP_RETRY_PATCH_ATTEMPTS="1")
            assert end_of(run) == end, run.output
            assert len(run.warnings("from pip's cache")) == (end == OK)
