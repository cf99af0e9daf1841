"""The machine that pip runs on: its disks, its processes, its clock."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.infra.cases import Script, case
from tests.infra.nginx import nginx
from tests.support.downloads import OK, OTHER, TRACEBACK
from tests.support.lab.packages import Package
from tests.support.mounts import mounted
from tests.support.scenes import MB, Scene


def small(scene: Scene, name: str) -> Path:
    """Make a disk on which half of the file has room."""
    return scene.stack.enter_context(mounted(scene.folder / name, "size=4m"))


def interrupted(scene: Scene) -> Script:
    nginx(scene)
    yield
    scene.at(2 * MB)
    scene.reset()


@case("disk", "the cache has 4 MB; a reset")
def test_small_cache(scene: Scene) -> Script:
    scene.env["PIP_CACHE_DIR"] = small(scene, "cache")
    yield from interrupted(scene)


@case("disk", "TMPDIR has 4 MB; a reset", TRACEBACK, TRACEBACK)
def test_small_temporary_directory(scene: Scene) -> Script:
    scene.env["TMPDIR"] = small(scene, "temporary")
    yield from interrupted(scene)


@case(
    "disk",
    "the cache and TMPDIR share 4 MB",
    OTHER,
    OTHER,
    error="No space left on device",
    party="",
    command=("install", "--target"),
    never=("network failed",),
)
def test_small_disk(scene: Scene) -> Script:
    disk = small(scene, "disk")
    (disk / "temporary").mkdir()
    scene.env.update(TMPDIR=disk / "temporary", PIP_CACHE_DIR=disk / "cache")
    nginx(scene)
    yield


# Of less than 20 MB the two systems may hold the rest meanwhile.
@case("process", "stopped for 12 s; the server hangs up", packages=[Package("demo", 24 * MB)])
def test_stopped_while_reading(scene: Scene) -> Script:
    nginx(scene, server="send_timeout 4s;")
    yield
    scene.at(3 * MB)
    assert scene.pip
    scene.pip.send_signal(signal.SIGSTOP)
    scene.sleep(12)
    scene.pip.send_signal(signal.SIGCONT)


@case("process", "stopped for 12 s in a wait of at most 8 s", env={"PIP_RETRY_PATCH_PATIENCE": "8"})
def test_stopped_while_waiting(scene: Scene) -> Script:
    server = nginx(scene)
    yield
    scene.at(3 * MB)
    server.kill()
    scene.sleep(3)
    assert scene.pip
    scene.pip.send_signal(signal.SIGSTOP)
    scene.sleep(12)
    server.start()
    scene.pip.send_signal(signal.SIGCONT)


# Not libfaketime: with it, the sleep of Python 3.11 and later ends at once.
CLOCK = """
import os, time
true = time.time
time.time = lambda: true() + float(open(os.environ["CLOCK"]).read())
"""


def moved_clock(scene: Scene, seconds: int) -> Script:
    clock = scene.folder / "clock"
    clock.write_text("0")
    (scene.folder / "sitecustomize.py").write_text(CLOCK)
    scene.env.update(PYTHONPATH=scene.folder, CLOCK=clock)
    server = nginx(scene)
    yield
    scene.at(3 * MB)
    clock.write_text(str(seconds))
    server.away(3)


@case("clock", "a day forward; then no server for 3 s", None, OK)
def test_clock_forward(scene: Scene) -> Script:
    yield from moved_clock(scene, 86400)


@case("clock", "a day back; then no server for 3 s", None, OK)
def test_clock_back(scene: Scene) -> Script:
    yield from moved_clock(scene, -86400)
