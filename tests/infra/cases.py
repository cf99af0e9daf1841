"""A case: what is served, what strikes, and how plain pip and the product end, decided beforehand.

A test is a generator. Up to its `yield` it starts the servers of a scene; what is behind it runs
while pip does. The decorator runs it with plain pip and then with the product, each in a scene of
its own. Each case is a row of docs/infra.md.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Mapping, Sequence

from tests.support.directories import CHECKOUT
from tests.support.downloads import HASH, OK, OTHER, REFUSED, end_of, said
from tests.support.environments import Environment
from tests.support.lab.packages import Package
from tests.support.matrix import NEWEST, pairs
from tests.support.programs import Argument, Outcome, finish, kill
from tests.support.scenes import MB, OverError, Scene, Server

PAGE = CHECKOUT / "docs" / "infra.md"
PYTHONS = {"24.0": "3.12", NEWEST: "3.13"}
DEMO = Package("demo", 8 * MB, metadata=True)
ENDLESS = "no end"  # beside the ends of tests/support/downloads.py
# How the page calls them, if not by their names.
WORDS = {HASH: "blames hash", OTHER: "error", REFUSED: "HTTP error", None: ""}
ACCUSED = re.compile(
    r"((?:The proxy )?[\w.-]+\.example(?::\d+)?) (?:is (?:away|unreachable|busy)|answers, but"
    r"|cannot be reached(?: any more)?|did not prove|wants to be|and this)"
    r"( through the proxy [\w.-]+:\d+)?"
)
PLAIN_SECONDS = 60  # after that it has no end
Script = Iterator[None]


def away(scene: Scene, server: Server, seconds: float) -> Script:
    """Kill a server when the servers are up and 3 MB have passed, and start it again."""
    yield
    scene.at(3 * MB)
    server.away(seconds)


@dataclass(frozen=True)
class Case:
    """What is decided beforehand.

    :param middle: how plain pip 24.0 ends, None where it does not run; `newest`: the newest pip.
    :param error: what the product's error says. Without, all files arrive.
    :param party: whom its lines may call away, busy and the like.
    :param wire: the bytes that may be sent to the product, by those of the files.
    :param within: seconds that it may take.
    :param never: what it does not say.
    """

    where: str
    fault: str
    middle: str | None = HASH
    newest: str = OK
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

    @property
    def row(self) -> str:
        """Its row of the page, without blanks."""
        plain = (WORDS.get(end, end) for end in (self.middle, self.newest))
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


def case(*told: Any, **more: Any) -> Callable[[Callable[[Scene], Script]], Callable[..., None]]:
    """Make a test of a script; what is given is that of a `Case`."""
    decided = Case(*told, **more)
    plain = {pip: end for pip, end in zip(PYTHONS, (decided.middle, decided.newest)) if end}

    def decorate(script: Callable[[Scene], Script]) -> Callable[..., None]:
        @pairs(*((pip, PYTHONS[pip]) for pip in plain))
        def test(pip: str, armed: Environment, bare: Environment) -> None:
            alone = play(decided, script, bare)
            guarded = play(decided, script, armed)
            wrong = [*mistakes(decided, alone, guarded)]
            if alone.end != plain[pip]:
                wrong.append(f"plain pip did not end with {plain[pip]!r}")
            assert not wrong, "\n".join([*wrong, "plain", str(alone), "product", str(guarded)])
            assert decided.row in PAGE.read_text("utf-8").replace(" ", "")

        test.__name__, test.__doc__ = script.__name__, script.__doc__
        return test

    return decorate


def play(decided: Case, script: Callable[[Scene], Script], environment: Environment) -> Ran:
    """Run pip in a scene, and what strikes it."""
    with Scene(*decided.packages, rate=decided.rate) as scene:
        steps = script(scene)
        next(steps)
        began = scene.sent()
        target = environment.fresh_dir()
        launcher = scene.launcher + environment.launcher
        pip = dataclasses.replace(environment, launcher=launcher).start(
            *("-m", "pip", *decided.command, target, "--cert", scene.ca_pem),
            *("--index-url", "https://index.example/simple/", *decided.options),
            *(package.name for package in decided.packages),
            env={**decided.env, **scene.env},
        )
        scene.pip = pip
        raised: list[BaseException] = []

        def strike() -> None:
            try:
                with contextlib.suppress(OverError, StopIteration):
                    next(steps)
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=strike)
        thread.start()
        seconds = decided.within + 20 if environment.armed else PLAIN_SECONDS
        limit = threading.Timer(seconds, kill, [pip])
        limit.start()
        try:
            outcome = finish(pip, seconds + 10)
        finally:
            late = not limit.is_alive()
            limit.cancel()
            scene.over.set()
            thread.join()
        assert not raised, raised
        files = {package.filename: package.wheel() for package in decided.packages}
        right = {file.name: file.read_bytes() for file in target.iterdir()} == files
        wire = (scene.sent() - began) / sum(map(len, files.values()))
        return Ran(outcome, ENDLESS if late else end_of(outcome), wire, scene.strikes, right)


def mistakes(decided: Case, alone: Ran, guarded: Ran) -> Iterator[str]:
    """What is wrong with how the product ended."""
    outcome, text = guarded.outcome, said(guarded.outcome)
    if not guarded.strikes and {decided.middle, decided.newest} <= {OK, None}:
        yield "nothing struck"
    if decided.error:
        if not outcome.returncode or decided.error not in text:
            yield f"it does not end with {decided.error!r}"
    elif outcome.returncode or not guarded.right:
        yield "the files are missing or wrong"
    if alone.end == OK and guarded.end != OK:
        yield "plain pip is better"
    most = max(decided.wire, alone.wire if alone.end == OK else 0)
    if guarded.wire > most:
        yield f"{guarded.wire:.3f} of the bytes were sent"
    if outcome.seconds > decided.within:
        yield f"it took {outcome.seconds:.0f} s"
    for word in ("Traceback", "HASHES", "No matching distribution", *decided.never):
        if word in text and word not in decided.error:
            yield f"it says {word!r}"
    accused = set(map("".join, ACCUSED.findall(text)))
    if not all(map(decided.party.startswith, accused)):  # an error tells of a proxy further on
        yield f"it accuses {accused}"
