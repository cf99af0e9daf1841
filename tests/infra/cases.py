"""A case: what serves, what strikes, and how plain pip and the product end, decided beforehand.

A case runs with plain pip and then with the product, each in a scene of its own. Each is a row of
docs/infra.md.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable, Iterator, Mapping, Sequence

from tests.support.certificates import certificates
from tests.support.downloads import HASH, OK, OTHER, end_of, said
from tests.support.environments import Environment
from tests.support.lab.packages import Package
from tests.support.programs import Argument, Outcome, finish, kill
from tests.support.scenes import MB, OverError, Scene, Server

DEMO = Package("demo", 8 * MB, metadata=True)
ENDLESS = "no end"  # beside the ends of tests/support/downloads.py
# How the page calls them, if not by their names.
WORDS = {HASH: "blames hash", OTHER: "error", None: ""}
ACCUSED = re.compile(
    r"((?:The proxy )?[\w.-]+\.example(?::\d+)?) (?:is (?:away|unreachable|busy)|answers, but"
    r"|(?:cannot be reached|does not answer)(?: any more)?|did not prove|wants to be|and this)"
    r"( through the proxy [\w.-]+:\d+)?"
)
PLAIN_SECONDS = 60  # after that it has no end


@dataclass(frozen=True)
class Case:
    """What is decided beforehand.

    :param serve: starts the servers of a scene, and returns the one that is to be struck.
    :param strike: what happens to it once `at` bytes were sent; nothing, if it is wrong by itself.
    :param plain: how plain pip 24.0 and the newest pip end; None where it does not run.
    :param error: what the product's error says. Without, all files arrive.
    :param party: whom its lines may call away, busy and the like.
    :param wire: the bytes that may be sent to the product, by those of the files.
    :param within: seconds that it may take.
    :param never: what it does not say.
    """

    where: str
    fault: str
    serve: Callable[[Scene], Server]
    strike: Callable[[Scene, Server], object] = lambda scene, server: None
    plain: tuple[str | None, str] = (HASH, OK)
    error: str = ""
    party: str = "index.example"
    wire: float = 1.05
    within: float = 60
    never: Sequence[str] = ()
    options: Sequence[Argument] = ()
    command: Sequence[Argument] = ("download", "--dest")
    env: Mapping[str, Argument] = dataclasses.field(default_factory=dict)
    packages: Sequence[Package] = (DEMO,)
    rate: int = 8 * MB
    at: int = 3 * MB

    @property
    def row(self) -> str:
        """Its row of the page, without blanks."""
        plain = (WORDS.get(end, end) for end in self.plain)
        ours = (f"error: “{self.error}”", "") if self.error else (OK, f"{self.wire:.2f}")
        cells = (self.where, self.fault, *map(str, plain), *ours)
        return f"|{'|'.join(cells)}|".replace(" ", "")


@dataclass(frozen=True)
class Ran:
    """How one pip ended."""

    outcome: Outcome
    end: str
    wire: float
    strikes: int
    right: bool

    def __str__(self) -> str:
        return (
            f"{self.end}, {self.wire:.3f} of the bytes, {self.outcome.seconds:.1f} s, "
            f"{self.strikes} strikes\n{self.outcome.output}"
        )


def play(case: Case, environment: Environment) -> Ran:
    """Run pip in a scene, and what strikes it."""
    with Scene(*case.packages, rate=case.rate) as scene, ThreadPoolExecutor(1) as pool:
        server = case.serve(scene)
        began = scene.sent()
        target = environment.fresh_dir()
        launcher = scene.launcher + environment.launcher
        pip = scene.pip = dataclasses.replace(environment, launcher=launcher).start(
            *("-m", "pip", *case.command, target, "--cert", certificates().ca_pem),
            *("--index-url", "https://index.example/simple/", *case.options),
            *(package.name for package in case.packages),
            env={**case.env, **scene.env},
        )

        def strike() -> None:
            with contextlib.suppress(OverError):
                scene.at(case.at)
                case.strike(scene, server)

        striking = pool.submit(strike)
        seconds = case.within + 20 if environment.armed else PLAIN_SECONDS
        limit = threading.Timer(seconds, kill, [pip])
        limit.start()
        try:
            outcome = finish(pip, seconds + 10)
        finally:
            late = not limit.is_alive()
            limit.cancel()
            scene.over.set()
        striking.result()
        files = {package.filename: package.wheel() for package in case.packages}
        right = {file.name: file.read_bytes() for file in target.iterdir()} == files
        wire = (scene.sent() - began) / sum(map(len, files.values()))
        return Ran(outcome, ENDLESS if late else end_of(outcome), wire, scene.strikes, right)


def mistakes(case: Case, alone: Ran, guarded: Ran) -> Iterator[str]:
    """What is wrong with how the product ended."""
    outcome, text = guarded.outcome, said(guarded.outcome)
    if not guarded.strikes and {*case.plain} <= {OK, None}:
        yield "nothing struck"
    if case.error:
        if not outcome.returncode or case.error not in text:
            yield f"it does not end with {case.error!r}"
    elif outcome.returncode or not guarded.right:
        yield "the files are missing or wrong"
    if alone.end == OK and guarded.end != OK:
        yield "plain pip is better"
    most = max(case.wire, alone.wire if alone.end == OK else 0)
    if guarded.wire > most:
        yield f"{guarded.wire:.3f} of the bytes were sent"
    if outcome.seconds > case.within:
        yield f"it took {outcome.seconds:.0f} s"
    for word in ("Traceback", "HASHES", "No matching distribution", *case.never):
        if word in text and word not in case.error:
            yield f"it says {word!r}"
    accused = set(map("".join, ACCUSED.findall(text)))
    if not all(map(case.party.startswith, accused)):  # an error tells of a proxy further on
        yield f"it accuses {accused}"
