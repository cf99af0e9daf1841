"""An environment to be broken, and what plain pip does in its place."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from pathlib import Path
from typing import Callable, Iterator, Mapping, NamedTuple, Sequence

from tests.support.downloads import OK, end_of
from tests.support.environments import Environment, copy_of
from tests.support.lab.faults import Cut, Fault
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Argument, Outcome

SIZE = 3_000_000  # of which a half is worth being kept
HALF = 1_500_000
PIPS = (("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
each_pip = pairs(*PIPS)
NTH = {pip: n for n, (pip, _) in enumerate(PIPS)}
FAILED = "WARNING: pip-retry-patch failed "  # the last line of a run in which one of ours did
OPTIONS = ("download", "--no-deps", "--progress-bar", "off", "--trusted-host", "127.0.0.1")
# So that what is broken in healing itself ends soon.
IMPATIENT = {"PIP_RETRY_PATCH_PATIENCE": "1", "PIP_RETRY_PATCH_ATTEMPTS": "2"}


class Got(NamedTuple):
    """What one `pip download demo` came to."""

    run: Outcome
    said: list[str]  # without what differs from run to run
    right: bool  # whether the file is the index's
    asked: list[str]  # the kinds of its requests

    @property
    def end(self) -> str:
        return end_of(self.run) if self.run.returncode or self.right else "another file"


def get(
    pip: Callable[..., Outcome],
    environment: Environment,
    lab: Lab,
    *options: Argument,
    cache: Path | None = None,
) -> Got:
    """Let `pip`, one of this environment, download demo from the lab."""
    folder = environment.fresh_dir()
    before = len(lab.log)
    store = ("--cache-dir", cache) if cache else ("--no-cache-dir",)
    run = pip(*OPTIONS, "--index-url", lab.index_url, *store, "--dest", folder, *options, "demo")
    lab.wait_idle()
    file = folder / lab.filename("demo")
    text = run.output.replace(lab.url, "URL").replace(str(folder), "DIR")
    differs = ("Saved", FAILED, "guards nothing: wrapt")
    said = [line for line in text.splitlines() if not any(each in line for each in differs)]
    right = file.exists() and file.read_bytes() == lab.wheel("demo")
    return Got(run, said, right, [request.kind for request in lab.log[before:]])


class Plain(NamedTuple):
    """What a bare environment makes of the same downloads."""

    clean: Got
    cut: Got


class Breakage:
    """A copy of an armed environment that is spoiled and mended, and what plain pip does."""

    def __init__(self, armed: Environment, bare: Environment) -> None:
        self.environment = dataclasses.replace(copy_of(armed), strict=False)
        self.site_packages = self.environment.site_packages
        self.package = self.site_packages / "pip_retry_patch"
        self._seconds = itertools.count(1)
        self.plain = Plain(*(self._get(bare.run, bare, faults) for faults in ((), (Cut(HALF),))))
        assert self.plain.clean.right and not self.plain.clean.run.stderr

    @staticmethod
    def _get(
        pip: Callable[..., Outcome],
        environment: Environment,
        faults: Sequence[Fault],
        *options: Argument,
        cached: bool = True,
    ) -> Got:
        cache = environment.fresh_dir() if cached else None
        with Lab([Package("demo", SIZE, faults)]) as lab:
            return get(pip, environment, lab, *options, cache=cache)

    @classmethod
    def get_cut(cls, pip: Callable[..., Outcome], environment: Environment) -> Got:
        return cls._get(pip, environment, [Cut(HALF)], cached=False)

    def name_of(self, module: Path) -> str:
        """A module of ours by its path in the package, as `hooks/session.py`."""
        return module.relative_to(self.package).as_posix()

    @contextlib.contextmanager
    def changed(self, texts: Mapping[Path, str | None]) -> Iterator[None]:
        """Give files another text, or none, while this lasts."""
        with contextlib.ExitStack() as stack:
            for path, text in texts.items():
                if path.exists():
                    stack.callback(restore, path, path.read_bytes(), path.stat())
                else:
                    stack.callback(path.unlink)
                if text is None:
                    path.unlink()
                else:
                    path.write_text(text, encoding="utf-8")
                    # Python takes what it compiled of a file of the same size and second.
                    os.utime(path, (0, next(self._seconds)))
            yield

    def assert_starts_silently(self) -> None:
        assert self.environment.run_python("-c", "pass")[:3] == (0, "", "")

    def assert_clean_download(self, pip: Callable[..., Outcome] | None = None) -> None:
        """A download that nothing interrupts is what it is without us."""
        got = self._get(pip or self.environment.run, self.environment, ())
        assert got.right, got.run.output
        said = self.plain.clean.said
        assert (got.run.returncode, got.said) == (0, said), got.run.output
        assert got.asked == self.plain.clean.asked == ["page", "artifact"]

    def assert_cut_ends_no_worse(self, pip: Callable[..., Outcome] | None = None) -> None:
        """A download that is cut is healed, or ends as it ends without us; and soon."""
        got = self._get(pip or self.environment.run, self.environment, [Cut(HALF)])
        assert got.end in (OK, self.plain.cut.end), got.run.output
        assert len(got.asked) <= 5

    def assert_heals(self) -> None:
        got = self._get(self.environment.run, self.environment, [Cut(HALF)])
        assert got.end == OK, got.run.output
        assert len(got.run.interruptions) == 1, got.run.output
        assert got.asked == ["page", "artifact", "artifact"]

    def assert_tells_at_the_end(self) -> None:
        """That something failed is told, once and in one line."""
        got = self._get(self.environment.run, self.environment, (), cached=False)
        assert got.right
        ours = [line for line in got.run.output.splitlines() if "pip-retry-patch" in line]
        assert len(ours) == 1, got.run.output
        assert FAILED in ours[0] or "guards nothing: wrapt" in ours[0]
        assert ours[0] == got.run.output.rstrip().splitlines()[-1]
        assert "Traceback" not in got.run.output

    def assert_works_offline(self) -> None:
        for command in ("--version", "list"):
            outcome = self.environment.run(command)
            assert (outcome.returncode, outcome.stderr) == (0, ""), outcome.output


def restore(path: Path, data: bytes, status: os.stat_result) -> None:
    """Put a file back, with its times, so that what is compiled stays valid."""
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


RAISES = "raise RuntimeError('broken')\n"
SYNTAX = "def arm(:\n"
MISSING = None
KINDS = (RAISES, SYNTAX, MISSING)
