"""`pip download demo` from a lab, and the words for what came of it."""

from __future__ import annotations

from pathlib import Path

from tests.support import programs
from tests.support.certificates import certificates
from tests.support.environments import Environment
from tests.support.forked import Forked
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Outcome

SIZE = 3_000_000
THIRD = 1_000_000
# What ends a plain pip. GAVE_UP is the end of the resumes that pip makes since 25.1.
OK, HASH, TRACEBACK, GAVE_UP, NO_MATCH = "ok", "hash", "traceback", "gave up", "no match"
REFUSED = "http error"


def outcome_of(run: Outcome) -> str:
    """Name the end that a run of plain pip came to."""
    if "Traceback (most recent call last)" in run.output:
        return TRACEBACK
    if "DO NOT MATCH THE HASHES" in run.output:
        return HASH
    if "No matching distribution found" in run.output:
        return NO_MATCH
    if "incomplete-download" in run.output or "not enough bytes were received" in run.output:
        return GAVE_UP
    if "because of HTTP error" in run.output:
        return REFUSED
    return OK if run.returncode == 0 else run.output


ONE_PYTHON_EACH = [
    ("20.3.4", "3.8"),
    ("21.3.1", "3.9"),
    ("22.3.1", "3.10"),
    ("23.0.1", "3.11"),
    ("24.0", "3.12"),
    ("25.0.1", "3.8"),
    ("25.3", "3.9"),
    ("26.1.2", "3.12"),
    (NEWEST, "3.13"),
]


class Download:
    """`pip download demo` from a lab, and what came of it.

    `forked`: run it there; without `env` and `timeout` of its own.
    """

    def __init__(
        self,
        pip: Environment,
        lab: Lab,
        *options: programs.Argument,
        cache: Path | None = None,
        env: dict[str, programs.Argument] | None = None,
        timeout: float = 90,
        forked: Forked | None = None,
    ) -> None:
        self.lab = lab
        folder = pip.fresh_dir()
        tls = lab.url.startswith("https")
        # Over plain http, pip uses its HTTP cache only for a trusted host.
        trust: list[programs.Argument] = (
            ["--cert", certificates().ca_pem] if tls else ["--trusted-host", "127.0.0.1"]
        )
        store: list[programs.Argument] = ["--cache-dir", cache] if cache else []
        command: list[programs.Argument] = []
        command += ["download", "--no-deps", "--dest", folder, "--index-url", lab.index_url]
        command += [*trust, *store, *options, "demo"]
        if forked:
            self.run = forked(*command)
        else:
            self.run = pip.run(*command, env=env, timeout=timeout)
        self.file = folder / lab.filename("demo")

    @property
    def warnings(self) -> list[str]:
        return self.run.interruptions

    @property
    def is_right(self) -> bool:
        """Whether it ended well, with the file that the lab has."""
        return not self.run.returncode and self.file.read_bytes() == self.lab.wheel("demo")

    def assert_right(self) -> None:
        assert self.run.returncode == 0, self.run.output
        assert self.file.read_bytes() == self.lab.wheel("demo")
        assert "Traceback" not in self.run.output
        assert "HASHES" not in self.run.output

    def assert_clear_error(self) -> None:
        output = self.run.output
        assert self.run.returncode == 1, output
        assert not self.file.exists()
        assert "Traceback" not in output
        assert "hash" not in output.lower()
        assert "No matching distribution" not in output
        assert "demo-1.0-py3-none-any.whl stopped at" in output.replace("\n", " ")
        assert "hint: " in output


# The oldest, a middle and the newest of each generation.
GENERATIONS = pairs(*ONE_PYTHON_EACH)
HASTY: dict[str, programs.Argument] = {
    "PIP_RETRY_PATCH_ATTEMPTS": "2",
    "PIP_RETRY_PATCH_PATIENCE": "2",
}
