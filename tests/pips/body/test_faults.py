"""Real pips against the unreliable index: each fault of a file or a page, healed or told.

`Case.plain` says what pip does without us. That is run, too: a fault that plain pip does not notice
would prove nothing.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import (
    GAVE_UP,
    HASH,
    HASTY,
    LIES,
    NO_MATCH,
    OK,
    OTHER,
    OURS,
    REFUSED,
    SIZE,
    THIRD,
    TRACEBACK,
    Download,
    downloaded,
    end_of,
    said,
    stopped_at,
)
from tests.support.environments import Environment
from tests.support.lab import faults as f
from tests.support.lab.faults import Entry
from tests.support.lab.packages import Package
from tests.support.matrix import NEWEST, THIS_PYTHON, old_middle_new, parametrized
from tests.support.programs import Argument


class Case(NamedTuple):
    """One fault.

    `plain`: the ends of pip 20.3.4, 24.0 and 26.3; two, if those of the first two are the same.
    `warnings`: how many lines announce the healing. `wire`: how often the file may cross the
    network; where ranges work that is once. `says`: what else pip says with the patch. `read`: how
    often the page is read.
    """

    package: Package
    plain: tuple[str, ...]
    warnings: int = 1
    wire: float = 1.05
    says: str = ""
    tls: bool = False
    options: Sequence[str] = ()
    env: Mapping[str, Argument] = {}
    read: int = 1


def demo(*faults: Entry, **how: Any) -> Package:
    return Package("demo", SIZE, faults, **how)


def cut_then(*faults: Entry, **how: Any) -> Package:
    return demo(CUT, *faults, **how)


def page(*faults: Entry, **how: Any) -> Package:
    return Package("demo", page_faults=faults, **how)


CUT, RESET = f.Cut(THIRD), f.Reset(THIRD)
MIX = HASH, OK  # what a cut makes of a plain pip
STOP = TRACEBACK, TRACEBACK
WRONG = HASH, HASH
LOST_PAGE = NO_MATCH, TRACEBACK
LOST_JSON = NO_MATCH, TRACEBACK, TRACEBACK  # which pip reads since 22.2
AGAIN = 1, 2.5  # one line, and what was not proven came again
REPLAY = 1, 1.4
UNTOLD = f.Unframed(), f.Cut(100)  # a page whose end is missing, and no length tells it
LATER = demo(generation=1).sha256
NO_RANGE = f.ToRange(f.Busy(403))
# `*` in place of the total: the end of a part is not the end of the file.
ODD: dict[str, tuple[Entry, int]] = {
    "starred-and-short": ((f.OtherTotal(), f.Short(400_000)), 4),
    "starred-excess": ((f.OtherTotal(), f.Excess(5_000)), 4),
    "elsewhere": (f.Elsewhere(1000), 1),
}
LOGIN = "a web page came in place of the file"
DECODED = "demo-1.0 came compressed (Content-Encoding: gzip), which nobody had asked "
HEALED = {
    # The connection breaks.
    "cut-once": Case(cut_then(), MIX),
    "cut-20-times": Case(
        demo(*[f.Cut(100_000)] * 20),
        (HASH, GAVE_UP),
        20,
        says="demo-1.0: cut 20 times, nothing refetched",
        env={"PIP_RETRY_PATCH_ATTEMPTS": "1"},  # progress renews them
    ),
    "cut-before-the-first-byte": Case(demo(f.Cut(0)), MIX),
    "reset": Case(demo(RESET), (TRACEBACK, OK)),
    "stall": Case(demo(f.Stall(THIRD)), (TRACEBACK, OK), options=("--timeout", "1")),
    "tls-record-broken": Case(demo(f.Garble(THIRD)), STOP, tls=True),
    "tls-fin-without-close-notify": Case(cut_then(), MIX, tls=True),
    "tls-close-notify-too-early": Case(demo(f.Cut(THIRD, notify=True)), MIX, tls=True),
    "chunked-body-cut": Case(demo(CUT, RESET, chunked=True), STOP, 2),
    "server-away": Case(demo(f.Away(THIRD, 1.5)), MIX),
    # The server answers otherwise to our Range.
    "206-from-elsewhere": Case(cut_then(f.Elsewhere(1000)), (HASH, GAVE_UP), *AGAIN),
    "206-with-another-total": Case(cut_then(f.OtherTotal(2 * SIZE)), MIX, *AGAIN),
    "206-with-another-validator-each-time": Case(
        cut_then((f.OtherETag(), f.Cut(500_000)), f.OtherETag()), MIX, 2
    ),
    "206-without-label": Case(cut_then(f.Unlabelled()), MIX),
    "206-without-label-from-elsewhere": Case(cut_then(f.Unlabelled(1000)), WRONG, *AGAIN),
    "200-to-a-range": Case(cut_then(f.Whole()), MIX, *REPLAY),
    "200-as-text-to-a-range": Case(cut_then((f.Whole(), f.OtherMedia())), MIX, *REPLAY),
    "200-to-if-range": Case(
        demo(*[(f.Cut(800_000), f.Unconditional())] * 9, forever=f.Unconditional(), hashes=False),
        (TRACEBACK, OTHER, GAVE_UP),
        3,
        1.4,
    ),
    "no-ranges-and-cut-again-as-often-as-26.3-asks": Case(
        demo(CUT, f.Cut(THIRD // 2), *[f.Cut(9 * SIZE // 10)] * 3, ranges=False), MIX, 4, 4.4
    ),
    "416-to-a-range": Case(cut_then(f.Unsatisfiable()), (HASH, REFUSED), *REPLAY),
    "502-to-each-range": Case(
        cut_then(forever=f.ToRange(f.Busy(502))),
        (HASH, GAVE_UP),
        *REPLAY,
        env={"PIP_RETRY_PATCH_ATTEMPTS": "2"},
    ),
    "403-to-each-range": Case(
        cut_then(NO_RANGE, f.Cut(2 * THIRD), forever=NO_RANGE), (HASH, REFUSED), 2, 2.05
    ),
    "silence-to-each-range": Case(
        cut_then(forever=(f.ToRange(f.Drop()), f.ToRange(f.Stall(0)))),
        (HASH, GAVE_UP),
        *REPLAY,
        options=("--timeout", "1"),
    ),
    # No hash will tell.
    **{
        f"206-{name}-without-a-hash": Case(
            cut_then(*[odd] * 3, hashes=False, chunked=True), STOP, lines, 2.05
        )
        for name, (odd, lines) in ODD.items()
    },
    "503-with-retry-after-then-429": Case(
        cut_then(f.Busy(503, retry_after=1), f.Busy(429)), (HASH, REFUSED)
    ),
    "404-and-403-of-nodes-that-lack-it": Case(
        cut_then(*[f.Busy(404)] * 4, f.Busy(403), f.Busy(401)), (HASH, REFUSED), read=2
    ),
    "511-of-a-network-that-wants-a-login": Case(cut_then(f.Busy(511)), (HASH, REFUSED)),
    "200-of-a-gateway-to-a-range": Case(cut_then(f.Busy(200)), WRONG, *REPLAY),
    "503-with-a-hostile-retry-after": Case(
        cut_then(f.Busy(503, retry_after="\x1b[2J\x1b[31m" + "9" * 60_000)), MIX
    ),
    # What tells whether a file is still the same one.
    "no-validator": Case(demo(CUT, validator="none"), MIX),
    "no-validator-and-no-ranges": Case(demo(CUT, validator="none", ranges=False), MIX, *REPLAY),
    "weak-validator": Case(demo(CUT, validator="weak"), MIX, *REPLAY),
    "date-as-validator": Case(demo(CUT, validator="date"), MIX),
    "changed-while-it-comes": Case(
        cut_then((f.Changed(), CUT), hashes=LATER), MIX, 0, 2.7, "starting anew"
    ),
    # What comes is not the file.
    "byte-damaged": Case(demo(f.Flip(THIRD)), WRONG, 0, 2.05, "damaged on its way"),
    "login-page-once": Case(demo(f.WebPage()), WRONG, 0, says="A web page came in place of demo"),
    "login-page-in-the-middle": Case(cut_then(*[f.WebPage()] * 2), WRONG, says=LOGIN),
    "compressed": Case(demo(forever=f.Compressed()), WRONG, 0, says=DECODED),
    "compressed-and-cut": Case(
        demo((f.Compressed(), CUT), forever=f.Compressed()), (HASH, REFUSED), 1, 2.05, DECODED
    ),
    "length-too-long": Case(
        demo(forever=f.Overstate(10)),
        (OK, GAVE_UP),
        2,
        says="The hash that the index lists fits",
        env=HASTY,
    ),
    "length-beside-chunks": Case(
        demo(forever=f.Overruled(17), page_forever=f.Overruled(SIZE), hashes=False), (OK, OK), 0
    ),
    "length-told-twice": Case(
        demo((f.Doubled(), CUT), hashes=False), (TRACEBACK, OTHER, TRACEBACK)
    ),
    # A page is asked for until it is whole, and never put together.
    "html-page-cut": Case(page(f.Cut(100)), LOST_PAGE),
    "json-page-cut": Case(page(f.Cut(50), f.Reset(100), page_format="json"), LOST_JSON),
    "gzip-page-cut": Case(page(f.Cut(100), gzip=True), LOST_PAGE),
    "gzip-page-without-its-end": Case(page(f.Short(-100), gzip=True), (NO_MATCH, NO_MATCH), 0),
    "gzip-page-without-its-trailer": Case(page(f.Short(-8), gzip=True), (OK, OK), 0),
    "html-page-that-ends-with-its-connection": Case(page(UNTOLD), (NO_MATCH, NO_MATCH), 0),
    "json-page-that-ends-with-its-connection": Case(page(UNTOLD, page_format="json"), LOST_JSON, 0),
    "page-that-differs-each-time": Case(page(f.Cut(50), f.Reset(60), gzip=True), LOST_PAGE),
    "page-without-length-and-validator": Case(
        page(f.Cut(50), f.Reset(60), f.Stall(70), chunked=True, validator="none"),
        STOP,
        2,
        options=("--timeout", "1"),
    ),
}
PIPS = "20.3.4", "24.0", NEWEST
each_fault = pytest.mark.parametrize("case", HEALED.values(), ids=HEALED)


def got(case: Case, pip: Environment, **more: Any) -> Download:
    tls = certificates().server if case.tls else None
    return downloaded(pip, case.package, *case.options, tls=tls, env=case.env, **more)


@each_fault
@parametrized([("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, THIS_PYTHON)])
def test_heals(case: Case, armed: Environment) -> None:
    """The newest pip on the Python that runs the tests, as `nox -s quick` needs it."""
    done = got(case, armed)
    done.assert_right()
    assert done.run.times_interrupted == case.warnings, done.run.output
    assert case.says in said(done.run) and "\x1b[2J" not in done.run.output
    assert len(done.warnings) <= 12, "after three, one each time that their number has doubled"
    assert done.lab.sent("demo") <= case.wire * len(done.lab.wheel("demo"))
    pages = [request.range for request in done.lab.requests("demo", "page")]
    assert pages == [None] * (case.read + len(case.package.page_faults))


@each_fault
@old_middle_new
def test_the_fault_is_real(case: Case, pip: str, bare: Environment) -> None:
    done = got(case, bare, cache=bare.fresh_dir())
    assert any(request.fault for request in done.lab.log)
    if pip != NEWEST or bare.pip_version == "26.3":
        # (A pip that is newer than this table may well do better.)
        ends = dict(zip(PIPS, (case.plain[0], *case.plain[-2:])))
        assert end_of(done.run) == ends[pip], done.run.output


class Told(NamedTuple):
    """A fault that cannot be healed.

    :param end: that of pip with the patch.
    :param says: what it says of the fault.
    :param asked: whether each request for the file had a Range; None: it does not matter.
    """

    package: Package
    end: str
    says: Sequence[str]
    asked: Sequence[bool] | None = None
    env: Mapping[str, Argument] = HASTY


ENDS = {
    "cut": Told(
        cut_then(*[f.Cut(10)] * 9),
        OURS,
        ["stopped at 1.0 MB of 3.0 MB", "2 attempts in", "failed: closed early; "],
        [False, True, True],
    ),
    "away": Told(
        demo(f.Away(THIRD)),
        OURS,
        ["demo-1.0 waits at 1000 kB of 3.0 MB (connection refused), trying for 2 s", "127.0.0.1"],
        [False],
    ),
    # It might have been our Range that is refused.
    "gone": Told(
        demo(*stopped_at(THIRD)), OURS, ["answered 410"], [False, *[True, False] * 2], env={}
    ),
    "gone-they-say": Told(cut_then(forever=f.Busy(404)), OURS, ["answered 404", "HTTP 404"]),
    "changes-each-time": Told(cut_then(*[(f.Changed(), CUT)] * 9), OURS, ["another version"]),
    "length-too-long": Told(demo(forever=f.Overstate(10), hashes=False), OURS, ["closed early"]),
    "another-file": Told(
        demo(hashes="0" * 64),
        HASH,
        [
            *("3.0 MB of 3.0 MB from 127.0.0.1", "complete"),
            *("Both brought the same bytes", "may have been replaced", "pip hash"),
        ],
        [False, False],
    ),
    "damaged-and-never-whole-again": Told(
        demo(f.Flip(7), CUT, forever=f.Cut(0)),
        HASH,
        [
            "second fetch: failed: Downloading demo-1.0-py3-none-any.whl stopped at",
            "it is not known whether the file was damaged on its way",
        ],
    ),
    "block-page": Told(
        demo(forever=f.WebPage()),
        HASH,
        ["sent a web page in place of the file", "1.8 kB of text/html from"],
    ),
}
# What a hash mismatch must never advise, nor say of what is no package.
NO_ADVICE = "--no-verify", "--no-require-hashes", "--trusted-host", "disable", "skip"


@pytest.mark.parametrize("name", ENDS)
@old_middle_new
def test_what_cannot_be_healed_is_told_as_what_it_is(
    name: str, armed: Environment, bare: Environment
) -> None:
    case = ENDS[name]
    done = downloaded(armed, case.package, env=case.env)
    assert end_of(done.run) == case.end and not done.file.exists(), done.run.output
    assert not [words for words in case.says if words not in said(done.run)], done.run.output
    if case.end == OURS:
        done.assert_clear_error()
    else:
        advice = said(done.run).partition("looked into it")[2]
        assert not [words for words in NO_ADVICE if words in advice]
        assert name != "block-page" or "may have been replaced" not in advice
    asked = [bool(request.range) for request in done.lab.requests("demo", "artifact")]
    assert case.asked in (None, asked)
    plain = end_of(downloaded(bare, case.package, env=case.env).run)
    assert plain in LIES or (name == "length-too-long" and plain == OK)


@old_middle_new
def test_retries_0_means_no_patience_but_the_truth(armed: Environment, bare: Environment) -> None:
    """One request, as from plain pip, but no accusation of the hash."""
    plain, done = (downloaded(pip, cut_then(), "--retries", "0") for pip in (bare, armed))
    assert not done.warnings
    asked, of_plain = (len(each.lab.requests("demo", "artifact")) for each in (done, plain))
    assert asked == of_plain
    # Since 25.1 pip resumes by itself, whatever --retries says.
    if asked > 1:
        assert end_of(done.run) == end_of(plain.run)
    else:
        done.assert_clear_error()
