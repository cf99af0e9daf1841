"""Fixtures for every test, and the table of what really ran."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Iterator

import pytest

from tests.support import directories, machine, runs, supplies, table
from tests.support.environments import Environment, environment


@pytest.fixture(scope="session")
def sdist() -> Path:
    """The sdist of this tree."""
    return supplies.product().sdist


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
    if is_worker(config):
        return
    runs.begin_run()
    if is_full_run(config):
        ignored = map(str, config.option.ignore or ())
        missing = machine.lacking(not any("test_benchmarks" in path for path in ignored))
        if missing:
            lines = ["The whole check cannot run here. What is missing:", *missing]
            lines += ["`.ci/run` installs all of it on Debian; `nox -s quick` needs none of it."]
            pytest.exit("\n  ".join(lines), returncode=pytest.ExitCode.USAGE_ERROR)


def is_full_run(config: pytest.Config) -> bool:
    option = config.option
    chosen = option.keyword or option.markexpr or getattr(option, "lf", False) or option.deselect
    by_default = config.args_source is not pytest.Config.ArgsSource.ARGS
    return by_default and not chosen and not option.collectonly


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if is_worker(config) or session.exitstatus or not is_full_run(config):
        return
    if table.missing_rows():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if is_worker(config):
        return
    for line in runs.figures():
        terminalreporter.line(line)
    lines = table.printed()
    if lines:
        terminalreporter.section("minor releases of pip")
    for line in lines:
        terminalreporter.line(line, red=table.BAD in line)
    if is_full_run(config):
        for label in table.missing_rows():
            terminalreporter.line(
                f"FAILED: {label} is a row of the table, but did not run", red=True
            )
    said = table.write_if_asked()
    if said:
        terminalreporter.line(said)
