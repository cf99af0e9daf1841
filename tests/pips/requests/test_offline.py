"""A machine without a network, and a person who sits at it or nobody, with real pips."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator

import pyte
import pytest

from tests.support import screens
from tests.support.certificates import SERVER, certificates
from tests.support.downloads import LIES, NO_MATCH, OK, OURS, end_of, said
from tests.support.environments import Environment
from tests.support.fatal import project
from tests.support.hosts import HURRIED, closed_port
from tests.support.lab.faults import Busy
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new, pairs
from tests.support.programs import Outcome
from tests.support.scenes import Scene

OFFLINE = 4.0  # seconds; longer than what is waited for a host at first contact
SETTINGS = {**HURRIED, "PIP_RETRY_PATCH_FIRST_CONTACT": "1", "PIP_RETRY_PATCH_PATIENCE": "30"}


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene() as made:
        yield made


@pytest.mark.parametrize("who", ["armed", "bare", "build"])
@old_middle_new
def test_the_wifi_comes_back_for_who_sits_there_and_a_build_fails_soon(
    who: str, armed: Environment, bare: Environment, scene: Scene
) -> None:
    """A build sandbox is meant to have no network. What `CI` says outranks the terminal."""
    began = time.monotonic()
    lab = Lab([Package("demo")], host=SERVER, place=scene.among_servers)
    with lab, scene.unplugged() as plug:

        def plug_in(_: pyte.Screen) -> None:
            if time.monotonic() - began > OFFLINE:
                plug()

        shown = screens.shown(
            bare if who == "bare" else armed,
            *("download", "--no-deps", "--index-url", lab.index_url),
            *("--trusted-host", SERVER, "demo"),
            env={**SETTINGS, "CI": "1"} if who == "build" else SETTINGS,
            prefix=scene.launcher,
            during=plug_in,
        )
    text = " ".join(" ".join(shown.lines).split())  # a sentence may stand in two rows
    assert (shown.returncode == 0) == (who == "armed"), text
    told = "This machine has no network (network is unreachable). Trying for {} s"
    assert text.count(told.format(30)) == (who == "armed"), text
    assert text.count(told.format(1)) == (who == "build"), text
    assert ("No matching distribution found" in text) == (who == "bare")
    assert time.monotonic() - began < OFFLINE + 15


# Pages that pip's cache has serve again where the user allows that

SHORT = {"PIP_RETRY_PATCH_PATIENCE": "2", "PIP_RETRY_PATCH_FIRST_CONTACT": "1", "PIP_RETRIES": "1"}
AGED = 10**6


class Train:
    """One user, who installs into a fresh directory each time."""

    def __init__(self, environment: Environment, lab: Lab, cache: Path | None = None) -> None:
        self.environment = environment
        self.cache = cache or environment.fresh_dir() / "cache"
        self.options = "--cert", certificates().ca_pem, "--index-url", lab.index_url

    def install(self, *options: str, stale: str = "on", **env: Any) -> Outcome:
        self.target = self.environment.fresh_dir()
        return self.environment.run(
            *("install", "--target", self.target, "--cache-dir", self.cache, *self.options),
            *(*options, "demo"),
            env={**SHORT, "PIP_RETRY_PATCH_STALE": stale, **env},
        )


@old_middle_new
def test_what_worked_before_works_without_network(armed: Environment, bare: Environment) -> None:
    packages = [Package("demo", requires=["other"], max_age=AGED), Package("other", max_age=AGED)]
    with Lab(packages, tls=certificates().server) as lab:
        train, plain = Train(armed, lab), Train(bare, lab)
        assert end_of(train.install()) == end_of(plain.install()) == OK
    alone = replace(train.environment, launcher=("unshare", "--net"))
    assert end_of(Train(alone, lab, train.cache).install()) == OK, "without any interface"
    run = train.install()
    assert end_of(run) == OK, run.output
    assert (train.target / "demo").is_dir() and (train.target / "other").is_dir()
    (line,) = run.warnings("from pip's cache")
    assert f"The index {lab.index_url} cannot be read (connection refused)" in line
    assert "newer versions are not seen" in line
    assert end_of(plain.install()) in LIES
    assert end_of(train.install(stale="off")) == OURS
    assert end_of(train.install("--no-cache-dir")) == OURS
    for path in train.cache.rglob("*"):
        if path.is_file() and path.stat().st_size > 100_000:
            path.unlink()
    run = train.install()
    assert end_of(run) == OURS and "demo-1.0-py3-none-any.whl" in said(run), run.output


@pytest.mark.parametrize(
    ("status", "end"), [(404, NO_MATCH), (403, NO_MATCH), (503, OK), (500, OK)]
)
@old_middle_new
def test_an_answer_of_the_index_stands_and_a_busy_one_does_not(
    status: int, end: str, armed: Environment
) -> None:
    package = Package("demo", max_age=AGED, page_faults=[None], page_forever=Busy(status))
    with Lab([package], tls=certificates().server) as lab:
        train = Train(armed, lab)
        assert end_of(train.install()) == OK
        run = train.install(PIP_RETRY_PATCH_ATTEMPTS="1")
        assert end_of(run) == end, run.output
        assert len(run.warnings("from pip's cache")) == (end == OK)


# The words of a pip whose network fails at `dead`; the rest it finds at `index`.
COMMANDS = {
    "install": "install --target {target} -i {dead}/simple/ demo",
    "download": "download --dest {target} -i {dead}/simple/ demo",
    "requirements": "install --target {target} -i {index} -r {dead}/r.txt",
    "constraints": "install --target {target} -i {index} -c {dead}/c.txt demo",
    "find-links": "download --no-index --find-links {dead}/links/ demo",
    "direct": "download --dest {target} -i {index} {dead}/demo-1.0-py3-none-any.whl",
    "index": "index versions -i {dead}/simple/ demo",
    "lock": "lock --output {target}/pylock.toml -i {dead}/simple/ demo",
    "outdated": "list --outdated -i {dead}/simple/",
    "build": "wheel --wheel-dir {target} -i {dead}/simple/ {source}",
}


@pytest.mark.parametrize("name", COMMANDS)
@pairs(("20.3.4", "3.8"), ("21.3.1", "3.9"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_a_command_without_network_ends_in_one_clear_error(
    pip: str, armed: Environment, bare: Environment, name: str
) -> None:
    if (name, pip) == ("index", "20.3.4") or (name == "lock" and pip != NEWEST):
        return  # `pip index` is there since 21.2, `pip lock` since 25.1
    target, host = armed.fresh_dir(), f"127.0.0.1:{closed_port()}"
    with Lab([Package("demo")]) as lab:
        places = {"target": target, "source": project(target), "index": lab.index_url}
        words = COMMANDS[name].format(dead=f"http://{host}", **places).split()
        run = armed.run(*words, env=HURRIED)
        assert end_of(run) == OURS, run.output
        assert f"{host} cannot be reached (connection refused). Trying" in said(run)
        plain = bare.run(*words, env=HURRIED)
        # Plain pip finds nothing out of date where it could not look.
        assert end_of(plain) != OURS and (plain.returncode or name == "outdated")


@old_middle_new
def test_the_self_version_check_stays_silent(either: Environment) -> None:
    """It asks the default index, here one that refuses, even where nothing else needs one."""
    env = {
        "PIP_INDEX_URL": f"http://127.0.0.1:{closed_port()}/simple/",
        "PIP_DISABLE_PIP_VERSION_CHECK": "0",
    }
    package = Package("demo", 1000)
    file = either.fresh_dir() / package.filename
    file.write_bytes(package.wheel())
    run = either.run("install", "--target", either.fresh_dir(), file, env=env)
    assert end_of(run) == OK, run.output
    assert not run.warnings("reached") and not run.warnings("checking"), run.output
    assert not run.stderr.strip() or not either.armed
