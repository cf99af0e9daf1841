"""Fixtures for every test, and the figures that a run measured."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Iterator

import pytest

from tests.support import directories, runs, supplies
from tests.support.environments import Environment, environment


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel that is made from the sdist of this tree."""
    return supplies.product().wheel


@pytest.fixture
def armed(pip: str, python: str) -> Environment:
    """An environment of this pip and this Python that has the product installed."""
    return environment(pip, python, armed=True)


@pytest.fixture
def bare(pip: str, python: str) -> Environment:
    """The same with pip alone."""
    return environment(pip, python, armed=False)


@pytest.fixture(params=[True, False], ids=["armed", "bare"])
def either(request: pytest.FixtureRequest, pip: str, python: str) -> Environment:
    """Each of the two, in a test of its own."""
    return environment(pip, python, armed=request.param)


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """Remove the directories that a test took from an environment."""
    yield
    directories.sweep()


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    # A shell ignores SIGINT in what it runs in the background, and so would every pip here.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not is_worker(config):
        runs.begin_run()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if not is_worker(config):
        for line in runs.summary():
            terminalreporter.line(line)
