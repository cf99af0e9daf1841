"""A machine without a network, and a person who sits at it or nobody, with real pips."""

from __future__ import annotations

import time
from typing import Iterator

import pyte
import pytest

from tests.support import screens
from tests.support.environments import Environment
from tests.support.hosts import HURRIED
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.scenes import SERVER, Scene

OFFLINE = 4.0  # seconds; longer than what is waited for a host at first contact
SETTINGS = {**HURRIED, "PIP_RETRY_PATCH_FIRST_CONTACT": "1", "PIP_RETRY_PATCH_PATIENCE": "30"}


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene() as made:
        yield made


@old_middle_new
def test_who_sits_at_a_machine_whose_wifi_comes_back_sees_the_download_begin(
    armed: Environment, bare: Environment, scene: Scene
) -> None:
    with Lab([Package("demo")], host=SERVER, address=SERVER, place=scene.among_servers) as lab:
        for environment, goes_on in ((armed, True), (bare, False)):
            began = time.monotonic()
            with scene.unplugged() as plug:

                def plug_in(_: pyte.Screen, began: float = began) -> None:
                    if time.monotonic() - began > OFFLINE:
                        plug()

                shown = screens.shown(
                    environment,
                    *("download", "--no-deps", "--dest", str(environment.fresh_dir())),
                    *("--index-url", lab.index_url, "--trusted-host", SERVER, "demo"),
                    env=SETTINGS,
                    prefix=scene.launcher,
                    during=plug_in,
                )
            text = " ".join(" ".join(shown.lines).split())  # a sentence may stand in two rows
            assert (shown.returncode == 0) == goes_on, text
            if goes_on:
                assert (
                    text.count(
                        "This machine has no network (network is unreachable). Trying for 30 s;"
                    )
                    == 1
                )
                assert time.monotonic() - began < OFFLINE + 15
            else:
                assert "No matching distribution found" in text


@old_middle_new
def test_where_nobody_sits_a_machine_without_a_network_fails_soon(
    armed: Environment, scene: Scene
) -> None:
    """A build sandbox is meant to. What `CI` says outranks the terminal."""
    with scene.unplugged():
        shown = screens.shown(
            armed,
            *("download", "--no-deps", "--index-url", f"http://{SERVER}:9/simple/"),
            *("--trusted-host", SERVER, "demo"),
            env={**SETTINGS, "CI": "1"},
            prefix=scene.launcher,
        )
    text = " ".join(" ".join(shown.lines).split())
    assert shown.returncode == 1
    assert "Trying for 1 s." in text and "This machine has no network." in text
