"""`pip download demo` from a lab, and the words for what came of it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Mapping

from tests.support.certificates import certificates
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Cut, Entry
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.programs import Argument, Outcome

SIZE = 3_000_000
THIRD = 1_000_000
# How a pip ends: OURS by an error of ours, GAVE_UP by that of the resumes of pip 25.1 and later.
OK, OURS, HASH, TRACEBACK = "ok", "ours", "hash", "traceback"
GAVE_UP, NO_MATCH, REFUSED, OTHER = "gave up", "no match", "http error", "other"
LIES = (HASH, TRACEBACK, GAVE_UP, NO_MATCH, REFUSED, OTHER)  # about a network that failed
SIGNS = {
    "Traceback (most recent call last)": TRACEBACK,
    "DO NOT MATCH THE HASHES": HASH,
    "No matching distribution found": NO_MATCH,
    "incomplete-download": GAVE_UP,
    "not enough bytes were received": GAVE_UP,
    "because of HTTP error": REFUSED,
}


def stopped_at(offset: int) -> list[Entry]:
    """Return the faults of a file that a run gets so much of, and then an error.

    It asks with and without a range; and again, since the index page still lists the file.
    """
    return [Cut(offset), *[Busy(410)] * 4]


def end_of(run: Outcome) -> str:
    if run.returncode == 0:
        return OK
    for sign, end in SIGNS.items():
        if sign in run.output:
            return end
    told = "note: " in run.output and "hint: " in run.output
    ours = "error: " in run.output.lower()
    return OURS if told and ours else OTHER


def said(run: Outcome) -> str:
    """All that a pip said, on one line, without the frame of rich's errors."""
    return " ".join(run.output.replace("│", " ").split())


def command(lab: Lab, folder: Path, cache: Path | None = None) -> list[Argument]:
    """The words of `pip download` from a lab."""
    words: list[Argument] = ["download", "--no-deps", "--dest", folder]
    words += ["--index-url", lab.index_url]
    # Over plain http, pip uses its HTTP cache only for a trusted host.
    words += ["--cert", certificates().ca_pem] if lab.tls else ["--trusted-host", "127.0.0.1"]
    return [*words, "--cache-dir", cache] if cache else words


class Download:
    """`pip download demo` from a lab, and what came of it."""

    def __init__(
        self,
        pip: Environment,
        lab: Lab,
        *options: Argument,
        cache: Path | None = None,
        env: Mapping[str, Argument] | None = None,
        name: str = "demo",
    ) -> None:
        self.lab, self.name = lab, name
        folder = pip.fresh_dir()
        words = [*command(lab, folder, cache), *options, name]
        self.run = pip.run(*words, env=env, timeout=90)
        self.file = folder / lab.filename(name)

    @property
    def warnings(self) -> list[str]:
        return self.run.interruptions

    @property
    def is_right(self) -> bool:
        return not self.run.returncode and self.file.read_bytes() == self.lab.wheel(self.name)

    def assert_right(self) -> Download:
        self.run.assert_success()
        assert self.file.read_bytes() == self.lab.wheel(self.name)
        assert "Traceback" not in self.run.output
        assert "HASHES" not in self.run.output
        return self

    def assert_clear_error(self) -> Download:
        output = self.run.output
        assert self.run.returncode == 1, output
        assert not self.file.exists()
        assert "Traceback" not in output
        assert "hashes" not in output.lower()  # but perhaps that a hash would help
        assert "No matching distribution" not in output
        assert "demo-1.0-py3-none-any.whl stopped at" in output.replace("\n", " ")
        assert "hint: " in output
        return self


def downloaded(
    pip: Environment,
    package: Package,
    *options: Argument,
    tls: ssl.SSLContext | None = None,
    rate: int | None = None,
    **how: Any,
) -> Download:
    """Download from a lab of its own; it is closed then, but has its log."""
    with Lab([package], tls=tls, rate=rate) as lab:
        done = Download(pip, lab, *options, **how)
        assert lab.wait_idle()
    return done


HASTY: dict[str, Argument] = {"PIP_RETRY_PATCH_ATTEMPTS": "2", "PIP_RETRY_PATCH_PATIENCE": "2"}
