"""What comes of a build, with pip-retry-patch and with plain pip."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import NamedTuple

from tests.support import partials
from tests.support.fatal import fatal
from tests.support.images import Engine, Files, having, without
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.partials import RATE, SIZE, SLACK
from tests.support.programs import Argument, Outcome


def payload(lab: Lab) -> bytes:
    with zipfile.ZipFile(BytesIO(lab.wheel("demo"))) as wheel:
        return wheel.read("demo/payload.bin")


def assert_added(files: Files, lab: Lab, *others: str) -> None:
    """Assert that a layer has demo, with the right bytes, what Python compiles, and `others`."""
    (found,) = having(files, "demo/payload.bin").values()
    assert found == payload(lab)
    more = without(files, "-packages/demo", "requirements.txt", *others)
    assert not without(more, ".pyc")
    assert not having(more, "retry_patch", "retry-patch", "wrapt")


def build_broken(engine: Engine, recipe: str, origin: str) -> tuple[Outcome, Lab]:
    """Build a recipe on `origin`, from an index whose first two answers break off."""
    with Lab([fatal()]) as lab:
        engine.offer("your-base", origin, lab.index_url)
        return engine.build(recipe, "built"), lab


def assert_plain(done: Outcome, lab: Lab) -> None:
    """Assert that pip ended as it does without us, at the first break."""
    assert done.returncode != 0
    assert "resumed at" not in done.output
    assert "Traceback" in done.output
    assert len(lab.requests("demo", "artifact")) == 1


def assert_healed(done: Outcome, lab: Lab) -> None:
    assert done.returncode == 0, done.output
    assert done.output.count("resumed at") == 2, done.output
    assert len(lab.requests("demo", "artifact")) == 3


class Builds(NamedTuple):
    """A build that was killed, and the one after it."""

    killed: str
    done: Outcome
    lab: Lab
    sent: int  # bytes of demo that came by all requests together


def killed_and_continued(engine: Engine, recipe: str, origin: str, *options: Argument) -> Builds:
    """Kill a build in the middle of its download, and build again."""
    engine.forget_caches()
    with Lab([Package("demo", SIZE)], rate=RATE) as lab:
        engine.offer("your-base", origin, lab.index_url)
        first = engine.start(recipe, "built", *options)
        partials.wait_for_bytes(first, lab, SIZE // 2)
        printed = engine.kill(first)
        lab.wait_idle()
        done = engine.make(recipe, "built", *options)
        return Builds(printed, done, lab, lab.sent("demo"))


def assert_continued(builds: Builds) -> None:
    assert "Continuing demo-1.0 from" in builds.done.output
    assert builds.sent < SIZE + SLACK
