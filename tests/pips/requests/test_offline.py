"""A machine without a network, and a person who sits at it or nobody, with real pips."""

from __future__ import annotations

import time
from typing import Iterator

import pyte
import pytest

from benchmarks.link import Link, linked
from tests.support import screens
from tests.support.environments import Factory
from tests.support.hosts import HURRIED, OLD_MIDDLE_NEW
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab

OFFLINE = 4.0  # seconds; longer than what is waited for a host at first contact
SETTINGS = {**HURRIED, "PIP_RETRY_PATCH_FIRST_CONTACT": "1", "PIP_RETRY_PATCH_PATIENCE": "30"}


@pytest.fixture
def link() -> Iterator[Link]:
    with linked(20_000_000) as made:
        yield made


@OLD_MIDDLE_NEW
def test_who_sits_at_a_machine_whose_wifi_comes_back_sees_the_download_begin(
    pip: str, python: str, armed: Factory, bare: Factory, link: Link
) -> None:
    with Lab([Package("demo")], host=link.here, address=link.here) as lab:
        for environment, goes_on in ((armed(pip, python), True), (bare(pip, python), False)):
            began = time.monotonic()
            with link.unplugged_until() as plug:

                def plug_in(_: pyte.Screen, began: float = began) -> None:
                    if time.monotonic() - began > OFFLINE:
                        plug()

                shown = screens.shown(
                    environment,
                    *("download", "--no-deps", "--dest", str(environment.fresh_dir())),
                    *("--index-url", lab.index_url, "--trusted-host", link.here, "demo"),
                    env=SETTINGS,
                    prefix=link.prefix,
                    during=plug_in,
                )
            text = " ".join(" ".join(shown.lines).split())  # a sentence may stand in two rows
            assert (shown.returncode == 0) == goes_on, text
            if goes_on:
                assert text.count(" is unreachable (network is unreachable), waiting 30 s") == 1
                assert time.monotonic() - began < OFFLINE + 15
            else:
                assert "No matching distribution found" in text


@OLD_MIDDLE_NEW
def test_where_nobody_sits_a_machine_without_a_network_fails_soon(
    pip: str, python: str, armed: Factory, link: Link
) -> None:
    """A build sandbox is meant to. What `CI` says outranks the terminal."""
    environment = armed(pip, python)
    with link.unplugged():
        shown = screens.shown(
            environment,
            *("download", "--no-deps", "--index-url", f"http://{link.here}:9/simple/"),
            *("--trusted-host", link.here, "demo"),
            env={**SETTINGS, "CI": "1"},
            prefix=link.prefix,
        )
    text = " ".join(" ".join(shown.lines).split())
    assert shown.returncode == 1
    assert "waiting 1 s" in text and "This machine has no network." in text
