"""Links that expire: reached again from their original URL, without anyone's credentials."""

from __future__ import annotations

import contextlib
from typing import Iterator, Mapping, NamedTuple

import pytest

from tests.support.downloads import OK, SIZE, THIRD, Download, end_of
from tests.support.environments import Environment
from tests.support.hosts import download
from tests.support.lab.faults import Busy, Cut, Redirect, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new
from tests.support.odd import WHEEL, Odd, odd_index, page, part, reply, starting


@contextlib.contextmanager
def redirecting(store: Package, host: str = "127.0.0.1") -> Iterator[tuple[Lab, Lab]]:
    """An index whose links lead, with another signature each time, to a store of files."""
    with Lab([store], host=host) as files:
        path = f"{files.url}/files/demo/{files.filename('demo')}"
        links = [Redirect(f"{path}?signature={n}") for n in range(4)]
        with Lab([Package("demo", SIZE, links)]) as lab:
            yield lab, files


@old_middle_new
def test_a_link_is_made_anew_from_the_original_url_for_each_request(armed: Environment) -> None:
    """So none ever expires."""
    with redirecting(Package("demo", SIZE, [Cut(THIRD), Cut(THIRD)])) as (lab, files):
        done = Download(armed, lab)
        done.assert_right()
        assert len(done.warnings) == 2
        asked = [(r.path.partition("?")[2], r.range) for r in files.requests("demo")]
        assert asked == [
            ("signature=0", None),
            ("signature=1", f"bytes={THIRD}-"),
            ("signature=2", f"bytes={2 * THIRD}-"),
        ]
        assert len(lab.requests("demo", "artifact")) == 3
        assert files.sent("demo") == len(files.wheel("demo"))


PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>"
XML = b"<Error><Code>ExpiredToken</Code></Error>"
EXPIRED = {
    "400": reply(400, XML, "application/xml"),
    "200-page": reply(200, PAGE),
    "redirect-to-a-login": reply(302, Location="/login"),
    "nothing": b"",
}


@contextlib.contextmanager
def expiring(answer: bytes, lifetime: int) -> Iterator[Odd]:
    """An index whose links are each good for so many requests, of which the first is cut."""

    def link(_: Mapping[str, str]) -> bytes:
        uses.append(0)
        return reply(302, Location=f"/store/{len(uses)}")

    def store(fields: Mapping[str, str]) -> bytes:
        uses[-1] += 1
        if uses[-1] > lifetime:
            return answer
        whole = starting(len(WHEEL), WHEEL, Accept_Ranges="bytes")
        assert callable(whole)
        return whole(fields) if "range" in fields else reply(200, WHEEL[:9000], "", len(WHEEL))

    uses: list[int] = []
    with odd_index(file=[link], other=[store]) as index:
        yield index


@pytest.mark.parametrize(("answer", "lifetime"), [*zip(EXPIRED, (1, 2, 1, 2))])
@old_middle_new
def test_whatever_an_expired_link_answers_it_is_made_anew(
    answer: str, lifetime: int, pip: str, armed: Environment, bare: Environment
) -> None:
    """Plain pip 26.3 asks for the rest by the original URL each time."""
    with expiring(EXPIRED[answer], lifetime) as index:
        run = download(armed, "--index-url", index.index_url, "demo")
        assert end_of(run) == OK, run.output
    with expiring(EXPIRED[answer], lifetime) as index:
        plain = download(bare, "--index-url", index.index_url, "demo")
        assert (end_of(plain) == OK) == (pip == NEWEST)


class Gone(NamedTuple):
    """What an expired link answers, and after how many requests. 0: its page was from a cache."""

    answer: bytes
    lifetime: int
    hashed: bool = True


GONE = {
    "400-without-a-hash": Gone(reply(400, XML, "application/xml"), 0, False),
    "403": Gone(reply(403), 1),
    "404": Gone(reply(404, PAGE), 0),
    "410-without-a-hash": Gone(reply(410), 1, False),
}


@contextlib.contextmanager
def signing(answer: bytes, lifetime: int, hashed: bool) -> Iterator[Odd]:
    """An index whose page signs its links. The first is good for so many requests."""

    def page_of_links(_: Mapping[str, str]) -> bytes:
        uses.append(0)
        return reply(200, page(hashed, query=f"?signature={len(uses)}"), ETag='"page"')

    def file(fields: Mapping[str, str]) -> bytes:
        signature = int(fields["target"].partition("signature=")[2]) - 1
        uses[signature] += 1
        if not signature and uses[signature] > lifetime:
            return answer
        first = int(fields.get("range", "bytes=0-")[6:-1])
        told = {"ETag": '"file"', "Accept_Ranges": "bytes"}
        if "range" in fields:
            return part(first, len(WHEEL) - 1, WHEEL, **told)
        return reply(200, WHEEL[: len(WHEEL) // 2], "", len(WHEEL), **told)

    uses: list[int] = []
    with odd_index(hashed, page=[page_of_links], file=[file]) as index:
        yield index


@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
@old_middle_new
def test_a_link_of_the_page_that_has_expired_is_looked_up_again(
    gone: Gone, armed: Environment, bare: Environment
) -> None:
    with signing(*gone) as index:
        run = download(armed, "--index-url", index.index_url, "demo")
        assert end_of(run) == OK, run.output
        assert index.asked.count("page") == 2
    with signing(*gone) as index:
        assert end_of(download(bare, "--index-url", index.index_url, "demo")) != OK


@old_middle_new
def test_a_link_that_stays_dead_ends_as_in_plain_pip(armed: Environment, bare: Environment) -> None:
    ends = []
    for environment in (armed, bare):
        with odd_index(file=[reply(404)]) as index:
            run = download(environment, "--index-url", index.index_url, "demo")
            assert "404" in run.output and end_of(run) != OK
            ends.append(run.output.strip().splitlines()[-1].replace(index.url, ""))
    assert ends[0] == ends[1]


@old_middle_new
def test_credentials_of_the_index_never_reach_the_host_it_redirects_to(armed: Environment) -> None:
    store = Package("demo", SIZE, [Cut(THIRD), Busy(403), Cut(2 * THIRD), Reset(THIRD)])
    with redirecting(store, host="localhost") as (lab, files):
        secret = lab.index_url.replace("http://", "http://user:S3CRET@")
        done = Download(armed, lab, "--index-url", secret, "--no-input")
        done.assert_right()
        assert "S3CRET" not in done.run.output
        for request in files.requests("demo"):
            assert "authorization" not in request.headers
        again = lab.requests("demo", "artifact")
        assert len(again) == 5
        assert {request.headers.get("authorization") for request in again} != {None}
