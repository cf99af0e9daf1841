"""The whole check: `nox`. `.ci/run` first brings the machine to where this can run."""

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = True


@nox.session
def lint(session: nox.Session) -> None:
    """Style, by ruff."""
    session.install("ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, by mypy --strict."""
    session.install("-e", ".[test]", "mypy", "nox", "types-requests")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Every test. The pips and Pythons are made by tests/support/environments.py, not by nox."""
    session.install("-e", ".[test,benchmarks]")
    session.run("pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session
def matrix(session: nox.Session) -> None:
    """Every minor release of pip; writes docs/matrix.md. Not part of the check: `tests` is."""
    session.install("-e", ".[test]")
    session.run(
        *("pytest", "-n", "2", "tests/product/test_matrix.py", "-k", "heals_and_reports"),
        *session.posargs,
        env={"PIP_RETRY_PATCH_TEST_WRITE_MATRIX": "1"},
    )


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Every figure of docs/benchmarks.md; not part of the check."""
    session.install("-e", ".[test,benchmarks]")
    session.run("python", "-m", "benchmarks", *session.posargs)
