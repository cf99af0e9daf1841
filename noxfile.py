"""`nox -s quick` for a change at hand; `nox` for the whole check (CONTRIBUTING.md)."""

import glob
import os

import nox
from nox.command import CommandFailed

nox.options.sessions = ["lint", "types", "docs", "tests", "infra", "containers"]
nox.options.error_on_missing_interpreters = True


LINTERS = ("ruff", "import-linter")
# While it looks which tests reach what, mutmut 3.8 also notes who called whom, in a variable of the
# context. To give that back fails now and then where threads and finalizers call our code, and so
# does the test. Nobody here asks who called whom.
MUTMUT = """
from mutmut.core import MutmutCallStack
MutmutCallStack.set = MutmutCallStack.reset = lambda *_: None
from mutmut.__main__ import cli
cli()
"""
TYPES = ("-e", ".[test]", "mypy", "nox", "types-requests")


@nox.session(reuse_venv=True)
def quick(session: nox.Session) -> None:
    """What can be checked in a minute, on the Python that runs nox and with the newest pip."""
    session.install(*LINTERS, *TYPES)
    check_style(session)
    session.run("mypy")
    session.run(
        *("pytest", "-n", "auto", "--dist", "worksteal"),
        *("tests/unit", "tests/pips/body/test_faults.py::test_heals", "-k", "unit or newest"),
        *session.posargs,
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Style, by ruff, and which room imports which, by import-linter."""
    session.install(*LINTERS)
    check_style(session)


def check_style(session: nox.Session) -> None:
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Types, by mypy --strict."""
    session.install(*TYPES)
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The docs as a site, in build/site; a broken link inside of it is an error."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "build/site")


def run_tests(session: nox.Session, *arguments: str) -> None:
    """Run pytest; what fails beside other tests is run once more alone, and has to pass then.

    The tests run real servers and pips against the clock, several at once on a core.
    """
    try:
        session.run("pytest", *arguments)
    except CommandFailed:
        paths = [each for each in arguments if each.startswith("tests")]
        session.run("pytest", *paths, "--last-failed", "--last-failed-no-failures", "none")


@nox.session
def tests(session: nox.Session) -> None:
    """Every test. The pips and Pythons are made by tests/support/environments.py, not by nox."""
    session.install("-e", ".[test,benchmarks]")
    # More workers than cores: the tests wait for servers and pips for most of their time.
    workers = str(3 * (os.cpu_count() or 1))
    run_tests(session, "-n", workers, "--dist", "worksteal", *session.posargs)


@nox.session
def infra(session: nox.Session) -> None:
    """Real servers and proxies (docs/infra.md). Most of the time the tests wait for them."""
    session.install("-e", ".[test]")
    workers = str(4 * (os.cpu_count() or 1))
    run_tests(session, "-n", workers, "tests/infra", *session.posargs)


@nox.session
def containers(session: nox.Session) -> None:
    """Every recipe of docs/fleets.md in images that are built here, by buildah and podman."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/containers", *session.posargs)


@nox.session
def windows(session: nox.Session) -> None:
    """A Python for Windows, under Wine, which has to be installed. Not part of the check."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/windows", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Every figure of docs/benchmarks.md but the soak's; not part of the check."""
    session.install("-e", ".[test,benchmarks]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Change the product in one place at a time, and list what no fast test noticed.

    All of it takes many hours: `-- 'pip_retry_patch.fetch*'`. What was found by Ctrl-C stays, and
    the next run goes on from there. Not part of the check.
    """
    session.install("-e", ".[test]", "mutmut>=3.8")
    session.run("python", "-c", MUTMUT, "run", *session.posargs)
    session.run("mutmut", "results")


@nox.session
def release(session: nox.Session) -> None:
    """Build what is released, into dist/, and check it. `-- v1.2.3` checks that tag as well."""
    session.install("-e", ".[test]", "twine", "check-wheel-contents", "cyclonedx-bom")
    arguments = "dist", *session.posargs  # built twice, and an SBOM
    session.run("python", ".ci/release.py", *arguments, env={"PYTHONPATH": "."})
    session.run("twine", "check", "--strict", *glob.glob("dist/*.whl"), *glob.glob("dist/*.gz"))
    session.run("check-wheel-contents", *glob.glob("dist/*.whl"))


@nox.session
def fuzz(session: nox.Session) -> None:
    """What parses text from a network or a disk, with so many new inputs each: `-- 100000`.

    Not part of the check, in which each sees two hundred, always the same.
    """
    examples, *options = session.posargs or ["100000"]
    session.install("-e", ".[test]")
    session.run(
        *("pytest", "-n", "auto", "tests/unit/fuzz", "--timeout", "0", *options),
        env={"PIP_RETRY_PATCH_TEST_EXAMPLES": examples},
    )


@nox.session
def chaos(session: nox.Session) -> None:
    """Random faults, mirrors and kills on three pips, for an hour; `-- 10` for ten minutes.

    Not part of the check, in which each pip meets a few such worlds. The time is each pip's, and
    they run beside each other.
    """
    minutes, *options = session.posargs or ["60"]
    session.install("-e", ".[test]")
    session.run(
        *("pytest", "-n", "3", "tests/pips/test_chaos.py", "--timeout", "0", *options),
        env={"PIP_RETRY_PATCH_CHAOS_MINUTES": minutes},
    )
