"""Answers that come whole and are not what was asked for, with real pips.

Each is healed, or told as what it is. Plain pip runs beside it, and where that succeeds, so does
pip with the patch, by as many requests.
"""

from __future__ import annotations

import gzip
import json
from email.utils import formatdate
from functools import partial
from typing import Any, Mapping, NamedTuple, Sequence

import pytest

from tests.support.downloads import HASH, LIES, NO_MATCH, OK, OURS, end_of, said
from tests.support.environments import Environment
from tests.support.hosts import answering, download, indexes
from tests.support.matrix import NEWEST, old_middle_new
from tests.support.odd import (
    DEMO,
    JSON,
    METADATA,
    WHEEL,
    Answer,
    Odd,
    asked_from,
    half,
    odd_index,
    page,
    part,
    reply,
    starting,
)
from tests.support.programs import Outcome

PAGE = page()
ZIP = "application/zip"
ETAG = '"v1"'


class Case(NamedTuple):
    """What a server answers, the last answer for ever.

    :param says: what pip says with the patch, where it does not end well; "" where it does.
    """

    answers: Mapping[str, Sequence[Answer]]
    says: str = ""
    hashed: bool = True
    end: str = OURS


def case_of(kind: str, *answers: Answer, **told: Any) -> Case:
    return Case({kind: answers}, **told)


pages, files, metadata = (partial(case_of, kind) for kind in ("page", "file", "metadata"))
unhashed = partial(files, hashed=False)


def chunked(body: bytes, coding: str = "chunked") -> bytes:
    shown = f"HTTP/1.1 200 -\r\nContent-Type: application/zip\r\nTransfer-Encoding: {coding}"
    return b"%b\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (shown.encode(), len(body), body)


def to_the_end(size: int | None = None) -> bytes:
    """Return an answer that tells no length, and so much of the file, or all of it."""
    return b"HTTP/1.1 200 -\r\nContent-Type: application/zip\r\n\r\n" + WHEEL[:size]


MULTI = reply(206, b"--x\r\n\r\n" + WHEEL[:50], "multipart/byteranges; boundary=x")
BARE_PART = reply(206, WHEEL[:500], ZIP)
ONLY_A_PART = "only a part came"
OTHER_PART = "HTTP 206, with another part than was asked for"
FORM = (
    b"<!DOCTYPE html><html><head><title>\n Sign in \n</title></head><body>"
    b"<form><input type=password></form></body></html>"
)
LOGIN = 'web page came in place of the file ("Sign in")'
NOTHING = b"<!DOCTYPE html><html><head><title>Hello</title></head><body></body></html>"
ONE_FILE = {"files": [{"filename": DEMO.filename, "url": "/files/x", "hashes": {}}]}
TEXT = json.dumps({"meta": {"api-version": "1.0"}, "name": "demo", **ONE_FILE}).encode()
CUT = TEXT[: TEXT.rindex(b"}") - 1]  # it ends as an object
ERROR = reply(200, b'{"error": "backend"}', "application/json")
NO_LINKS = "could not be read (no page of links came)"
NO_LENGTH = "What came has no end (9.0 kB), and the server tells no length"
FOR_PEOPLE = 'is a web page for people ("Sign in"), and names no file of demo. If this network'
UNREADABLE = "What came is no page of an index ("
SENSELESS = "an address that makes no sense: it names none"
GZIPPED = gzip.compress(WHEEL)

PARTS = {  # though all was asked for
    "page-once": pages(part(0, 99, PAGE), reply(200, PAGE)),
    "page-always": pages(part(0, 99, PAGE), says=ONLY_A_PART),
    "page-bare": pages(reply(206, PAGE[:100]), says="came without its end", end=NO_MATCH),
    "file-in-parts": files(starting(9000, WHEEL)),
    "file-always": files(part(0, 99, WHEEL), says=ONLY_A_PART),
    "file-multipart-always": files(MULTI, says=OTHER_PART),
    "file-bare": files(BARE_PART, says="of such a file, without its end", end=HASH),
    "no-hash-in-parts": unhashed(starting(9000, WHEEL, ETag=ETAG)),
}
STATUSES = {  # of which pip knows nothing
    "page-999": pages(reply(999), says="The server answers 999, "),
    "page-300": pages(reply(300), says="The server answers 300, "),
    "page-511": pages(reply(511), says="A web page came in place of the file."),
    "page-302": pages(reply(302), says=SENSELESS),
    **{f"file-{s}": files(reply(s), says=f"answers {s}, which ") for s in (102, 204, 304)},
    "metadata-205": metadata(reply(205), says="The server answers 205, which "),
}
UNLISTED = {  # pages without a file, where nobody has the project
    "empty": pages(reply(200), says="/simple/demo/ came empty.", end=NO_MATCH),
    **{
        str(s): pages(reply(s, media=""), says=f"read (HTTP {s})", end=NO_MATCH) for s in (101, 204)
    },
    "login": pages(reply(200, FORM), says=FOR_PEOPLE, end=NO_MATCH),
    "text": pages(reply(200, PAGE, "text/plain"), says=NO_LINKS, end=NO_MATCH),
    "json-with-an-error": pages(ERROR, says=NO_LINKS, end=NO_MATCH),
    "br": pages(reply(200, b"\x8b\x05\x80hello" * 9, Content_Encoding="br"), says="as br"),
    "404-that-breaks": pages(
        reply(404, b"hello", Content_Encoding="gzip"), says="No matching", end=NO_MATCH
    ),
    "no-gzip": pages(reply(200, b"hello", Content_Encoding="gzip"), says="decompressed"),
}
NO_JSON = {  # pip reads JSON, and heeds such a charset, since 22.2
    "charset": pages(reply(200, PAGE, "text/html; charset=no-such"), says=UNREADABLE),
    "json-cut": pages(reply(200, TEXT[:-30], JSON), says=UNREADABLE),
    "json-list": pages(reply(200, b"[]", JSON), says=UNREADABLE),
}
TRANSIENT = {
    "empty-once": pages(reply(200), reply(200, PAGE)),
    "error-once": pages(ERROR, reply(200, PAGE)),
    "204-once": files(reply(204), reply(200, WHEEL)),
    "404-once": files(reply(404), reply(200, WHEEL)),
    "page-204-once": pages(reply(204), reply(200, PAGE)),
    "html-cut-once": pages(reply(200, PAGE[:-60]), reply(200, PAGE)),
    "json-cut-once": pages(reply(200, CUT, JSON), reply(200, PAGE)),
}
UNHASHED = {  # files that are none, and no hash tells it
    "no-hash-login": unhashed(reply(200, FORM), says=LOGIN),
    "no-hash-cut": unhashed(reply(200, WHEEL[:9000], ZIP), says="its end (9.0 kB of applic"),
    "no-hash-gzip": unhashed(reply(200, GZIPPED, Content_Encoding="gzip"), says="encoded as gzip"),
    "no-hash-text": unhashed(reply(200, METADATA, "text/plain"), says="of that kind (46 bytes"),
    "no-hash-login-once": unhashed(reply(200, FORM), reply(200, WHEEL)),
    "metadata-text": metadata(reply(200, b"denied"), says="of that kind (6 bytes", hashed=False),
    "metadata-once": metadata(reply(200, b"denied"), reply(200, METADATA), hashed=False),
}
HASHED = {  # files that no length, or a coding, belies
    "endless-once": files(to_the_end(9000), to_the_end()),
    "endless": files(to_the_end(9000), says=NO_LENGTH),
    "chunked": files(chunked(WHEEL[:9000]), says=NO_LENGTH),
    "transfer-coding": files(chunked(GZIPPED, "gzip, chunked")),
    "no-label": files(reply(200, GZIPPED, ZIP)),
    "text-for-the-rest": files(half, ERROR, half),
    "cut": files(reply(200, WHEEL[:9000], ZIP), says="such a file, without its end.", end=HASH),
    "file-br": files(
        reply(200, b"\x8b", ZIP, Content_Encoding="br"), says="pip cannot undo", end=HASH
    ),
    "metadata": files(reply(200, METADATA, "text/plain"), says="is no file of that kind", end=HASH),
}
NAMED = {**PARTS, **STATUSES, **UNLISTED, **NO_JSON, **TRANSIENT, **UNHASHED, **HASHED}
# What stands for itself: the evidence says what came, not that nothing is wrong.
EVIDENCE = [HASHED[name] for name in ("cut", "file-br", "metadata")]


def asked_by(environment: Environment, case: Case) -> tuple[Outcome, Odd]:
    with odd_index(case.hashed, **case.answers) as index:
        return download(environment, "--index-url", index.index_url, "demo"), index


@pytest.mark.parametrize("name", NAMED)
@old_middle_new
def test_what_is_not_the_answer_is_healed_or_told_as_what_it_is(
    name: str, pip: str, armed: Environment, bare: Environment
) -> None:
    if name in NO_JSON and pip == "20.3.4":
        return
    case = NAMED[name]
    run, index = asked_by(armed, case)
    if "metadata" in case.answers and "metadata" not in index.asked:
        assert end_of(run) == OK  # this pip asks for none
        return
    assert end_of(run) == (case.end if case.says else OK), run.output
    assert case.says in said(run)
    if case.end == HASH and case not in EVIDENCE:
        assert "Nothing is wrong with the package" in said(run)
    plain, _ = asked_by(bare, case)
    assert end_of(plain) in LIES, plain.output


WHOLE: dict[str, dict[str, Sequence[Answer]]] = {
    "nothing-odd": {"metadata": [reply(200, METADATA)]},
    "page": {"page": [part(0, len(PAGE) - 1, PAGE)]},
    "file": {"file": [part(0, len(WHEEL) - 1, WHEEL)]},
    "page-bare": {"page": [reply(206, PAGE)]},
    "file-bare": {"file": [reply(206, WHEEL)]},
    "page-203": {"page": [reply(203, PAGE)]},
    "page-300": {"page": [reply(300, PAGE)]},
    "page-without-its-end": {"page": [reply(200, PAGE.replace(b"</html>", b""))]},
    "page-labelled-as-encoded": {"page": [reply(200, PAGE, Content_Encoding="utf-8")]},
    "file-in-chunks-of-a-coding-that-it-has-not": {"file": [chunked(WHEEL, "gzip, chunked")]},
    "file-labelled-as-text": {"file": [reply(200, WHEEL, "text/html")]},
}


@pytest.mark.parametrize("what", WHOLE)
@old_middle_new
def test_what_plain_pip_reads_is_read_by_as_many_requests(
    what: str, armed: Environment, bare: Environment
) -> None:
    for hashed in (True,) if "page" in what else (True, False):  # these pages have the hash
        asked = []
        for environment in (armed, bare):
            run, index = asked_by(environment, Case(WHOLE[what], hashed=hashed))
            assert end_of(run) == OK and not run.warnings(), run.output
            asked.append(index.asked)
        assert asked[0] == ["page"] * (what == "page-without-its-end") + asked[1]


# What an index sends that does not have the project, and whether it may be missing,
# and whether that is told where it may.
OTHERS = {
    "login": (FORM, True, OURS),
    "empty": (b"", True, OURS),
    "error": (b'{"error": "backend"}', True, OURS),
    "search-form": (FORM.replace(b"password", b"text"), False, OURS),
    "title": (NOTHING, False, OURS),
    "name": (NOTHING.replace(b"Hello", b"Links for Demo"), False, OK),
}


@pytest.mark.parametrize("what", OTHERS)
@old_middle_new
def test_an_index_may_have_a_page_that_lists_nothing_but_no_login_page(
    what: str, armed: Environment, bare: Environment
) -> None:
    body, is_told, end = OTHERS[what]
    page = [reply(200, body)]
    with odd_index(page=page) as private, odd_index(page=page) as other, odd_index() as public:
        words = *indexes(private.index_url, other.index_url, public.index_url), "demo"
        told = [f"The index {each.index_url} could not be read" for each in (private, other)]
        run = download(armed, *words)
        assert end_of(run) == OK, run.output
        found = [[line for line in run.warnings() if each in line] for each in told]
        assert [*map(len, found)] == [is_told] * 2 and len(run.warnings()) == 2 * is_told
        strict = download(armed, *words, PIP_RETRY_PATCH_INDEXES="all")
        assert end_of(strict) == end, strict.output
        assert (f"The index {private.index_url} could not be read" in said(strict)) == (end != OK)
        plain = download(bare, *words)
        assert end_of(plain) == OK and not plain.warnings()


def lasting(status: int, body: bytes = b"", media: str = "text/html", **fields: str) -> bytes:
    """Return an answer that pip may keep for a day; a permanent redirect for ever."""
    date, cached = formatdate(usegmt=True), "max-age=86400"
    return reply(status, body, media, None, Cache_Control=cached, Date=date, **fields)


def unchanged(media: str = "text/html") -> Answer:
    """Say that what pip has of a page is still right, or send it."""
    return lambda fields: reply(304, b"", media) if "if-none-match" in fields else reply(200, PAGE)


TRUSTING = "--trusted-host", "127.0.0.1", "--index-url"  # pip caches nothing else


def cached(environment: Environment, index: Odd, **env: Any) -> str:
    words = *TRUSTING, index.index_url, "demo"
    return end_of(download(environment, *words, PIP_NO_CACHE_DIR="", **env))


UNUSABLE = {
    "login": lasting(200, FORM),
    "cut": lasting(200, PAGE.partition(b"</body")[0].replace(b"demo", b"other")),
    "unreadable": lasting(200, b"{files: demo-1.0.tar.gz}", JSON),
    "of-an-older-file": lasting(200, PAGE.replace(b"sha256=", b"sha256=" + 64 * b"0" + b"&was=")),
}


@pytest.mark.parametrize("what", UNUSABLE)
@old_middle_new
def test_a_page_of_no_use_does_not_stay_in_pips_cache(
    what: str, pip: str, either: Environment
) -> None:
    """pip 26.3 does not ask again for a page that may be cached."""
    # A page without a file or an end is asked for twice.
    twice = either.armed and what in ("login", "cut")
    answers = [UNUSABLE[what]] * (2 if twice else 1)
    with odd_index(page=[*answers, reply(200, PAGE)]) as index:
        home = str(either.fresh_dir())
        ends = [cached(either, index, PIP_CACHE_DIR=home) for _ in range(2)]
    assert ends[0] != OK
    assert (ends[1] == OK) is (either.armed or pip != NEWEST)


KEPT: dict[str, dict[str, Sequence[Answer]]] = {
    "empty-page": {"page": [lasting(200, ETag=ETAG), unchanged()]},
    "json-cut-at-a-brace": {"page": [lasting(200, CUT, JSON, ETag=ETAG), unchanged(JSON)]},
    "page-of-a-portal": {
        "page": [lasting(301, Location="/portal"), reply(200, PAGE)],
        "other": [reply(200, FORM)],
    },
    "page-that-is-nowhere": {"page": [lasting(301, Location="/gone"), reply(200, PAGE)]},
    "file-that-is-nowhere": {"file": [lasting(301, Location="/gone"), reply(200, WHEEL)]},
    "file-of-a-busy-host": {
        "file": [lasting(301, Location="/busy"), reply(200, WHEEL)],
        "other": [reply(503)],
    },
}


@pytest.mark.parametrize("what", KEPT)
@old_middle_new
def test_what_plain_pip_keeps_in_vain_is_asked_for_again(
    what: str, pip: str, armed: Environment, bare: Environment
) -> None:
    """A plain pip has put it into the cache. It stays there for ever, or for the ten minutes."""
    home = {"PIP_CACHE_DIR": str(bare.fresh_dir())}
    with odd_index(True, **KEPT[what]) as index:
        assert cached(bare, index, **home) != OK
        stays = cached(bare, index, **home) != OK
        assert stays or pip != NEWEST, "older ones keep no redirect"
        assert cached(armed, index, **home) == OK
        asked = len(index.asked)
        assert cached(armed, index, **home) == OK
        assert len(index.asked) - asked <= 2, "it is in the cache"


@old_middle_new
def test_a_file_that_a_redirect_of_pips_cache_leads_to_is_guarded(either: Environment) -> None:
    """Plain pip 26.3 resumes by itself."""
    home, moved = str(either.fresh_dir()), lasting(301, Location="/moved")
    with odd_index(file=[moved], other=[reply(200, WHEEL), half]) as index:
        assert cached(either, index, PIP_CACHE_DIR=home) == OK
        words = *TRUSTING, index.index_url, "demo"
        run = download(either, *words, PIP_NO_CACHE_DIR="", PIP_CACHE_DIR=home)
    assert ("demo-1.0 resumed at 15" in said(run)) is either.armed, run.output
    assert not either.armed or end_of(run) == OK


@old_middle_new
def test_a_conflict_with_a_constraint_does_not_hide_a_page_that_is_none(armed: Environment) -> None:
    """pip calls it ResolutionImpossible (21 and later), and names no project."""
    limits = armed.fresh_dir() / "constraints.txt"
    limits.write_text("demo==1.0\n")
    with odd_index(page=[reply(200, FORM)]) as index:
        run = download(armed, "--index-url", index.index_url, "-c", limits, "demo")
    assert end_of(run) != OK and "is a web page for people" in said(run), run.output


@old_middle_new
def test_what_is_no_requirements_file_is_told(armed: Environment, bare: Environment) -> None:
    with answering(reply(200, FORM)) as port:
        words = "-r", f"http://127.0.0.1:{port}/requirements.txt"
        run = download(armed, *words)
        assert end_of(run) == OURS and LOGIN in said(run), run.output
        assert end_of(download(bare, *words)) in LIES


@old_middle_new
def test_a_server_whose_parts_are_others_is_asked_for_all_of_it(either: Environment) -> None:
    def lying(fields: Mapping[str, str]) -> bytes:
        if "range" in fields:
            return part(asked_from(fields), len(WHEEL) - 1, b"?" + WHEEL[:-1], "")
        return half(fields) if index.asked.count("file") < 4 else reply(200, WHEEL, "")

    with odd_index(file=[lying]) as index:
        run = download(either, "--index-url", index.index_url, "demo")
        assert (end_of(run) == OK) == either.armed, run.output
    assert (", complete, joined of parts)" in run.output) == either.armed
