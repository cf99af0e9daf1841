"""Answers that come whole and are not what was asked for, with real pips.

Each is healed, or told as what it is. Plain pip runs beside it, and where that succeeds, so does
pip with the patch, by as many requests.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from email.utils import formatdate
from typing import Mapping, NamedTuple, Sequence

import pytest

from tests.support.environments import Environment
from tests.support.hosts import (
    HURRIED,
    NO_MATCH,
    OK,
    OTHER,
    OURS,
    TRACEBACK,
    answering,
    download,
    end_of,
    said,
)
from tests.support.matrix import NEWEST, old_middle_new
from tests.support.odd import (
    DEMO,
    JSON,
    METADATA,
    WHEEL,
    Answer,
    Odd,
    odd_index,
    page,
    part,
    reply,
    starting,
)
from tests.support.programs import Argument, Outcome

HASH = "hash"
LIES = (NO_MATCH, TRACEBACK, OTHER, HASH)
PAGE = page()
ZIP = "application/zip"


def ended(run: Outcome) -> str:
    return HASH if "DO NOT MATCH THE HASHES" in run.output else end_of(run)


class Case(NamedTuple):
    """What a server answers, the last answer for ever.

    :param says: what pip says with the patch, where it does not end well; "" where it does.
    """

    name: str
    answers: Mapping[str, Sequence[Answer]]
    says: str = ""
    hashed: bool = True
    end: str = OURS


def asked_by(environment: Environment, case: Case) -> tuple[Outcome, Odd]:
    with odd_index(case.hashed, **case.answers) as index:
        return download(environment, "--index-url", index.index_url, "demo"), index


def check(case: Case, armed: Environment, bare: Environment) -> None:
    run, index = asked_by(armed, case)
    if "metadata" in case.answers and "metadata" not in index.asked:
        assert ended(run) == OK  # this pip asks for none
        return
    assert ended(run) == (case.end if case.says else OK), run.output
    assert case.says in said(run)
    assert "Nothing is wrong with the package" in said(run) or not case.says or case.end != HASH
    plain, _ = asked_by(bare, case)
    assert ended(plain) in LIES, plain.output


def named(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


@old_middle_new
def test_nothing_odd_is_not_one_request_more(armed: Environment, bare: Environment) -> None:
    for hashed in (True, False):
        asked = []
        for environment in (armed, bare):
            run, index = asked_by(
                environment, Case("", {"metadata": [reply(200, METADATA)]}, hashed=hashed)
            )
            assert end_of(run) == OK and not run.warnings(), run.output
            asked.append(index.asked)
        assert asked[0] == asked[1]


# A part, though all was asked for.

ETAG = '"v1"'
MULTI = reply(206, b"--x\r\n\r\n" + WHEEL[:50], "multipart/byteranges; boundary=x")
ONLY_A_PART = "the server sent a part only, though all of it was asked for"
OTHER_PART = "the server answers 206, with another part than was asked for"
BARE_PART = reply(206, WHEEL[:500], ZIP)
PARTS = [
    Case("page-once", {"page": [part(0, 99, PAGE), reply(200, PAGE)]}),
    Case("page-always", {"page": [part(0, 99, PAGE)]}, ONLY_A_PART),
    Case("page-elsewhere-once", {"page": [part(9, 99, PAGE), reply(200, PAGE)]}),
    Case("page-elsewhere-always", {"page": [part(9, 99, PAGE)]}, OTHER_PART),
    Case("page-bare", {"page": [reply(206, PAGE[:100])]}, "came without its end", end=NO_MATCH),
    Case("file-in-parts", {"file": [starting(9000, WHEEL)]}),
    Case("file-always", {"file": [part(0, 99, WHEEL)]}, ONLY_A_PART),
    Case("file-elsewhere-once", {"file": [part(9, 99, WHEEL), reply(200, WHEEL)]}),
    Case("file-multipart-once", {"file": [MULTI, reply(200, WHEEL)]}),
    Case("file-multipart-always", {"file": [MULTI]}, OTHER_PART),
    Case("file-bare", {"file": [BARE_PART]}, "sent a part of the file only (206)", end=HASH),
    Case("no-hash-once", {"file": [part(0, 99, WHEEL), reply(200, WHEEL)]}, hashed=False),
    Case("no-hash-in-parts", {"file": [starting(9000, WHEEL, ETag=ETAG)]}, hashed=False),
    Case("no-hash-always", {"file": [part(0, 99, WHEEL)]}, ONLY_A_PART, hashed=False),
    Case("no-hash-bare", {"file": [BARE_PART]}, "no whole wheel", hashed=False),
    Case("metadata-in-parts", {"metadata": [starting(20, METADATA)]}),
]


@named(PARTS)
@old_middle_new
def test_a_part_that_nobody_asked_for_is_never_taken_for_all(
    case: Case, armed: Environment, bare: Environment
) -> None:
    check(case, armed, bare)


def chunked(body: bytes, coding: str) -> bytes:
    """Return an answer with a body in chunks."""
    shown = f"HTTP/1.1 200 -\r\nContent-Type: application/zip\r\nTransfer-Encoding: {coding}"
    return b"%b\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (shown.encode(), len(body), body)


WHOLE = {
    "page": {"page": [part(0, len(PAGE) - 1, PAGE)]},
    "file": {"file": [part(0, len(WHEEL) - 1, WHEEL)]},
    "page-bare": {"page": [reply(206, PAGE)]},
    "file-bare": {"file": [reply(206, WHEEL)]},
    "page-203": {"page": [reply(203, PAGE)]},
    "page-300": {"page": [reply(300, PAGE)]},
    "page-999": {"page": [reply(999, PAGE)]},
    "page-that-ends-early": {"page": [reply(200, PAGE.replace(b"</html>", b""))]},
    "page-labelled-as-encoded": {"page": [reply(200, PAGE, Content_Encoding="utf-8")]},
    "file-in-chunks-of-a-coding": {"file": [chunked(WHEEL, "identity, chunked")]},
    "file-in-chunks-of-a-coding-that-it-has-not": {"file": [chunked(WHEEL, "gzip, chunked")]},
    "file-labelled-as-text": {"file": [reply(200, WHEEL, "text/html")]},
}


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("what", WHOLE)
@old_middle_new
def test_what_plain_pip_reads_is_read_by_as_many_requests(
    what: str, hashed: bool, armed: Environment, bare: Environment
) -> None:
    asked = []
    case = Case(what, WHOLE[what], hashed=hashed)
    if not hashed and what.startswith("page"):
        return  # the pages above have the hash in them
    for environment in (armed, bare):
        run, index = asked_by(environment, case)
        assert end_of(run) == OK and not run.warnings(), run.output
        asked.append(index.asked)
    assert asked[0] == asked[1]


# Headers.

CODED = chunked(gzip.compress(WHEEL), "gzip, chunked")
HEADERS = [Case("file-with-a-transfer-coding", {"file": [CODED]})]


@named(HEADERS)
@old_middle_new
def test_what_a_header_says_is_understood_or_asked_for_again(
    case: Case, armed: Environment, bare: Environment
) -> None:
    check(case, armed, bare)


# Statuses.

STATUSES = [
    *(
        Case(f"page-{s}", {"page": [reply(s)]}, f"The server answers {s}, ")
        for s in (304, 600, 999)
    ),
    Case("page-300", {"page": [reply(300)]}, "300, which offers several addresses, and names none"),
    *(
        Case(f"{what}-{s}", {what: [reply(s)]}, f"The server answers {s}, which ")
        for what in ("file", "metadata")
        for s in (204, 205, 304, 999)
    ),
    Case("page-302", {"page": [reply(302)]}, "an address that makes no sense: it names none"),
]


@named(STATUSES)
@old_middle_new
def test_a_status_that_pip_knows_nothing_of_is_told(
    case: Case, armed: Environment, bare: Environment
) -> None:
    check(case, armed, bare)


# Pages that list nothing, or that pip cannot read.

FORM = (
    b"<!DOCTYPE html><html><head><title>\n Sign in \n</title></head><body>"
    b"<form><input type=password></form></body></html>"
)
NOTHING = b"<!DOCTYPE html><html><head><title>Hello</title></head><body></body></html>"
FILES = {"files": [{"filename": DEMO.filename, "url": "/files/x", "hashes": {}}]}
TEXT = json.dumps({"meta": {"api-version": "1.0"}, "name": "demo", **FILES}).encode()
CUT_HTML = PAGE[: PAGE.index(b"</a>")]
SEVERAL = 'is a web page for people ("Sign in"), and names no file of demo. If this network'
UNREADABLE = "What came is no page of an index ("
UNLISTED = [
    Case("empty", {"page": [reply(200)]}, "/simple/demo/ came empty.", end=NO_MATCH),
    Case(
        "204",
        {"page": [reply(204, media="")]},
        "could not be read (the server answers 204)",
        end=NO_MATCH,
    ),
    Case("205", {"page": [reply(205)]}, "/simple/demo/ came empty.", end=NO_MATCH),
    Case("login", {"page": [reply(200, FORM)]}, SEVERAL, end=NO_MATCH),
    Case("title", {"page": [reply(200, NOTHING)]}, '("Hello") and names no file', end=NO_MATCH),
    Case("json-as-html", {"page": [reply(200, TEXT)]}, "is JSON that the server", end=NO_MATCH),
    Case(
        "text",
        {"page": [reply(200, PAGE, "text/plain")]},
        "could not be read (no page of links came)",
        end=NO_MATCH,
    ),
    Case(
        "json-with-an-error",
        {"page": [reply(200, b'{"error": "backend"}', "application/json")]},
        "could not be read (no page of links came)",
        end=NO_MATCH,
    ),
    Case("br", {"page": [reply(200, b"\x8b\x05\x80hello" * 9, Content_Encoding="br")]}, "as br"),
    Case("zstd", {"page": [reply(200, b"\x28\xb5\x2f\xfd", Content_Encoding="zstd")]}, "as zstd"),
    Case(
        "403-in-br",
        {"page": [reply(403, b"\x8b\x05\x80", Content_Encoding="br")]},
        "read (the server answers 403)",
        end=NO_MATCH,
    ),
    Case("no-gzip", {"page": [reply(200, b"hello", Content_Encoding="gzip")]}, "decompressed"),
]


@named(UNLISTED)
@old_middle_new
def test_a_page_without_a_file_is_told_where_nobody_has_the_project(
    case: Case, armed: Environment, bare: Environment
) -> None:
    check(case, armed, bare)


@old_middle_new
def test_of_a_page_that_lacks_its_end_and_a_version_that_is_told(
    armed: Environment, bare: Environment
) -> None:
    told = "came without its end (</html>)"
    with odd_index(page=[reply(200, CUT_HTML.partition(b"#sha256")[0] + b'">x</a>')]) as index:
        run = download(armed, "--index-url", index.index_url, "demo==2.0")
        assert end_of(run) == NO_MATCH and told in said(run), run.output
        plain = download(bare, "--index-url", index.index_url, "demo==2.0")
        assert end_of(plain) == NO_MATCH and told not in said(plain)


NO_JSON = [
    Case("cut", {"page": [reply(200, TEXT[:-30], JSON)]}, UNREADABLE),
    Case("cut-at-a-brace", {"page": [reply(200, TEXT[: TEXT.rindex(b"}") - 1], JSON)]}, UNREADABLE),
    Case("empty", {"page": [reply(200, b"", JSON)]}, UNREADABLE),
    Case("html", {"page": [reply(200, PAGE, JSON)]}, UNREADABLE),
    Case("list", {"page": [reply(200, b"[]", JSON)]}, UNREADABLE),
    Case("charset", {"page": [reply(200, PAGE, "text/html; charset=no-such")]}, UNREADABLE),
]


@named(NO_JSON)
@old_middle_new
def test_a_page_that_pips_parser_fails_on_is_no_traceback(
    case: Case, pip: str, armed: Environment, bare: Environment
) -> None:
    """pip reads JSON since 22.2."""
    if pip != "20.3.4":
        check(case, armed, bare)


@old_middle_new
def test_what_another_index_has_is_taken_and_a_login_page_is_named(
    armed: Environment, bare: Environment
) -> None:
    with odd_index(page=[reply(200, FORM)]) as private, odd_index() as public:
        indexes = "--index-url", private.index_url, "--extra-index-url", public.index_url
        run = download(armed, *indexes, "demo")
        assert end_of(run) == OK, run.output
        (line,) = run.warnings("was found at")
        assert f"The first index, {private.index_url}, could not be read" in line
        strict = download(armed, *indexes, "demo", PIP_RETRY_PATCH_INDEXES="all")
        assert end_of(strict) == OURS, strict.output
        assert f"The index {private.index_url} could not be read" in said(strict)
        plain = download(bare, *indexes, "demo")
        assert end_of(plain) == OK and not plain.warnings()


TRANSIENT = {
    "empty": reply(200),
    "login": reply(200, FORM),
    "gateway": reply(200, b"<html><head><title>504 Gateway Time-out</title></head></html>"),
    "json": reply(200, b'{"error": "backend"}', "application/json"),
    "no-json": reply(200, b"{}", JSON),
}


@pytest.mark.parametrize("what", TRANSIENT)
@old_middle_new
def test_a_page_that_came_as_something_else_once_is_asked_for_again(
    what: str, armed: Environment, bare: Environment
) -> None:
    check(Case(what, {"page": [TRANSIENT[what], reply(200, PAGE)]}), armed, bare)


ONCE_CUT = reply(200, gzip.compress(PAGE, mtime=0)[:60], Content_Encoding="gzip")


@pytest.mark.parametrize(
    "first", [reply(200), reply(200, FORM), ONCE_CUT], ids=["none", "login", "cut"]
)
@old_middle_new
def test_without_retries_a_page_is_asked_for_once(
    first: bytes, armed: Environment, bare: Environment
) -> None:
    for environment in (armed, bare):
        with odd_index(page=[first, reply(200, PAGE)]) as index:
            run = download(environment, "--index-url", index.index_url, "demo", PIP_RETRIES="0")
        assert index.asked == ["page"], run.output


@old_middle_new
def test_a_login_page_does_not_stay_in_pips_cache(
    pip: str, armed: Environment, bare: Environment
) -> None:
    """pip 26.3 does not ask again for a page that may be cached."""
    fresh = {"Cache_Control": "max-age=600", "Date": formatdate(usegmt=True)}
    login = reply(200, FORM, "text/html", None, **fresh)
    for environment in (armed, bare):
        pages = [*[login] * (2 if environment.armed else 1), reply(200, PAGE)]
        cache = environment.fresh_dir()
        with odd_index(page=pages) as index:
            options = "--cache-dir", cache, "--trusted-host", "127.0.0.1", "demo"
            command = ("download", "--no-deps", "--dest", environment.fresh_dir(), *options)
            env: dict[str, Argument] = {"PIP_INDEX_URL": index.index_url}
            ends = [end_of(environment.run(*command, env=env)) for _ in range(2)]
        if environment.armed or pip != NEWEST:
            assert ends == [NO_MATCH, OK]
        else:
            assert ends == [NO_MATCH, NO_MATCH]


def lasting(status: int, **fields: str) -> bytes:
    """Return an empty answer that pip may keep for ten minutes; a permanent redirect for ever."""
    date, cached = formatdate(usegmt=True), "max-age=600"
    return reply(status, b"", "text/html", None, Cache_Control=cached, Date=date, **fields)


def unchanged(fields: Mapping[str, str]) -> bytes:
    """Say that what pip has of a page is still right, or send it."""
    return reply(304) if "if-none-match" in fields else reply(200, PAGE)


MOVED = lasting(301, Location="/files/gone-1.0-py3-none-any.whl")
KEPT: dict[str, dict[str, Sequence[Answer]]] = {
    "empty-page": {"page": [lasting(200, ETag=ETAG), unchanged]},
    "page-of-a-portal": {
        "page": [lasting(301, Location="/portal"), reply(200, PAGE)],
        "other": [reply(200, FORM)],
    },
    "page-that-is-nowhere": {"page": [lasting(301, Location="/gone"), reply(200, PAGE)]},
    "file-that-is-nowhere": {"file": [MOVED, reply(404), reply(404), reply(200, WHEEL)]},
}


@pytest.mark.parametrize("what", KEPT)
@old_middle_new
def test_what_plain_pip_keeps_in_vain_is_asked_for_again(
    what: str, pip: str, armed: Environment, bare: Environment
) -> None:
    """A plain pip has put it into the cache. It stays there for ever, or for the ten minutes."""
    home = bare.fresh_dir()
    with odd_index(True, **KEPT[what]) as index:

        def run(environment: Environment) -> Outcome:
            options = "--trusted-host", "127.0.0.1", "--index-url", index.index_url, "demo"
            cached = {**HURRIED, "PIP_NO_CACHE_DIR": "", "PIP_CACHE_DIR": home}
            command = ("download", "--no-deps", "--dest", environment.fresh_dir(), *options)
            return environment.run(*command, env=cached)

        assert end_of(run(bare)) != OK
        stays = end_of(run(bare)) != OK
        assert stays or pip != NEWEST, "older ones keep no redirect"
        healed = run(armed)
        assert end_of(healed) == OK and not healed.warnings(), healed.output
        asked = len(index.asked)
        assert end_of(run(armed)) == OK
        assert len(index.asked) - asked <= 2, "it is in the cache"


@pytest.mark.parametrize("body", [b"", NOTHING, FORM.replace(b"password", b"text")])
@old_middle_new
def test_an_index_may_have_a_page_that_lists_nothing(body: bytes, armed: Environment) -> None:
    """Some show a search form where they have no project."""
    with odd_index(page=[reply(200, body)]) as private, odd_index() as public:
        indexes = "--index-url", private.index_url, "--extra-index-url", public.index_url
        run = download(armed, *indexes, "demo", PIP_RETRY_PATCH_INDEXES="all")
        assert end_of(run) == OK and not run.warnings(), run.output


@old_middle_new
def test_a_page_that_leads_to_a_portal_names_its_host(
    armed: Environment, bare: Environment
) -> None:
    with answering(reply(200, FORM)) as port:
        host = f"localhost:{port}"
        case = Case("", {"page": [reply(302, Location=f"http://{host}/login")]})
        run, _ = asked_by(armed, case)
        assert f'("Sign in") from {host}, and names no file of demo.' in said(run)
        assert ended(asked_by(bare, case)[0]) == NO_MATCH


# Files without a hash, and in codings of their own.

ZIPPED = gzip.compress(WHEEL)
OF_NO_USE = [
    Case("login", {"file": [reply(200, FORM)]}, 'web page came in place of the file ("Sign in")'),
    Case("metadata-login", {"metadata": [reply(200, FORM)]}, "web page came in place of the file"),
    Case("metadata-text", {"metadata": [reply(200, b"denied")]}, "no metadata of a wheel (6 bytes"),
    Case("metadata-once", {"metadata": [reply(200, b"denied"), reply(200, METADATA)]}),
    Case("cut", {"file": [reply(200, WHEEL[:9000], ZIP)]}, "no whole wheel (9.0 kB of applic"),
    Case("empty", {"file": [reply(200)]}, "no whole wheel (0 bytes"),
    Case("gzip", {"file": [reply(200, ZIPPED, Content_Encoding="gzip")]}, "encoded as gzip"),
    Case("metadata", {"file": [reply(200, METADATA, "text/plain")]}, "no whole wheel (46 bytes"),
    Case("login-once", {"file": [reply(200, FORM), reply(200, WHEEL)]}),
    Case("cut-once", {"file": [reply(200, WHEEL[:9000]), reply(200, WHEEL)]}),
]


@named([case._replace(hashed=False) for case in OF_NO_USE])
@old_middle_new
def test_a_file_that_no_hash_is_known_of_and_that_is_none_is_told(
    case: Case, armed: Environment, bare: Environment
) -> None:
    check(case, armed, bare)


def cut_sdist() -> bytes:
    """Return an answer without a length that breaks off in the middle of an sdist."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        member = tarfile.TarInfo("demo-1.0/demo.py")
        member.size = len(WHEEL)
        tar.addfile(member, io.BytesIO(WHEEL))
    sent = made.getvalue()[:20_000]
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/gzip\r\n\r\n" + sent


SDISTS = {
    "web-page": (reply(200, FORM), 'web page came in place of the file ("Sign in")'),
    "text": (reply(200, b"Access denied"), "no whole archive (13 bytes of text/html)"),
    "cut": (cut_sdist(), "no whole archive (20 kB of application/gzip)"),
}


@pytest.mark.parametrize("what", SDISTS)
@old_middle_new
def test_what_is_no_sdist_is_told(what: str, armed: Environment, bare: Environment) -> None:
    sent, says = SDISTS[what]
    with answering(sent) as port:
        url = f"http://127.0.0.1:{port}/demo-1.0.tar.gz"
        run = download(armed, url)
        assert end_of(run) == OURS and says in said(run), run.output
        assert end_of(download(bare, url)) in LIES


@old_middle_new
def test_a_web_page_in_place_of_a_requirements_file_is_told(
    armed: Environment, bare: Environment
) -> None:
    with answering(reply(200, FORM)) as port:
        url = f"http://127.0.0.1:{port}/requirements.txt"
        run = download(armed, "-r", url)
        assert end_of(run) == OURS, run.output
        assert 'A web page came in place of the file ("Sign in")' in said(run)
        assert end_of(download(bare, "-r", url)) in LIES


def to_the_end(size: int | None, *, chunked: bool = False) -> bytes:
    """Return an answer that tells no length, and so much of the file, or all of it."""
    body, coding = WHEEL[:size], b""
    if chunked:
        body, coding = (
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
            b"Transfer-Encoding: chunked\r\n",
        )
    return b"HTTP/1.1 200 -\r\nContent-Type: application/zip\r\n%b\r\n%b" % (coding, body)


NO_LENGTH = "What came has no end (9.0 kB), and the server tells no length"
ENDLESS = [
    Case("once", {"file": [to_the_end(9000), to_the_end(None)]}),
    Case("thrice", {"file": [*[to_the_end(n) for n in (9000, 5000, 20_000)], to_the_end(None)]}),
    Case("always", {"file": [to_the_end(9000)]}, NO_LENGTH),
    Case("chunked", {"file": [to_the_end(9000, chunked=True)]}, NO_LENGTH),
]


@named(ENDLESS)
@old_middle_new
def test_a_file_without_length_that_is_cut_is_no_hash_mismatch(
    case: Case, armed: Environment, bare: Environment
) -> None:
    check(case, armed, bare)


UNDONE = {
    "streams": (gzip.compress(WHEEL[:99]) + gzip.compress(WHEEL[99:]), "gzip"),
    "twice": (gzip.compress(gzip.compress(WHEEL)), "gzip, gzip"),
    "no-label": (gzip.compress(WHEEL), ""),
}


@pytest.mark.parametrize("what", UNDONE)
@old_middle_new
def test_a_file_that_was_compressed_in_an_odd_way_is_decoded(
    what: str, armed: Environment, bare: Environment
) -> None:
    body, coding = UNDONE[what]
    case = Case(what, {"file": [reply(200, body, ZIP, Content_Encoding=coding)]})
    check(case, armed, bare)


MISFITS = [
    Case("cut", {"file": [reply(200, WHEEL[:9000], ZIP)]}, "of such a file, without its end."),
    Case("empty", {"file": [reply(200)]}, "sent is empty"),
    Case("br", {"file": [reply(200, b"\x8b", ZIP, Content_Encoding="br")]}, "pip cannot undo"),
    Case("metadata", {"file": [reply(200, METADATA, "text/plain")]}, "is no file of that kind"),
]


@named([case._replace(end=HASH) for case in MISFITS])
@old_middle_new
def test_the_evidence_of_a_mismatch_names_what_came(
    case: Case, armed: Environment, bare: Environment
) -> None:
    run, _ = asked_by(armed, case)
    assert ended(run) == HASH and case.says in said(run), run.output
    assert ended(asked_by(bare, case)[0]) == HASH
