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
from tests.support.matrix import old_middle_new
from tests.support.odd import WHEEL, Answer, Odd, half, odd_index, page, reply


@old_middle_new
def test_a_redirect_is_followed_anew_for_each_request_and_without_credentials(
    either: Environment,
) -> None:
    """An index whose links lead, with another signature each time, to a store of files."""
    faults = [Cut(THIRD), Busy(403), Cut(2 * THIRD), Reset(THIRD)]
    with Lab([Package("demo", SIZE, faults)], host="localhost") as store:
        path = f"{store.url}/files/demo/{store.filename('demo')}"
        links = [Redirect(f"{path}?signature={n}") for n in range(5)]
        with Lab([Package("demo", SIZE, links)]) as lab:
            secret = lab.index_url.replace("http://", "http://user:S3CRET@")
            done = Download(either, lab, "--index-url", secret, "--no-input")
    assert done.is_right == either.armed
    asked, stored = lab.requests("demo", "artifact"), store.requests("demo")
    assert {request.headers.get("authorization") for request in asked} != {None}
    assert not any("authorization" in request.headers for request in stored)
    if either.armed:
        assert "S3CRET" not in done.run.output
        queries = [request.path.partition("?")[2] for request in stored]
        assert queries == [f"signature={n}" for n in range(5)] and len(asked) == 5
        assert [request.range for request in stored[:3]] == [None, f"bytes={THIRD}-", None]


class Gone(NamedTuple):
    """What an expired link answers, and after how many requests. 0: its page was from a cache."""

    answer: bytes
    lifetime: int
    hashed: bool = True


XML = b"<Error><Code>ExpiredToken</Code></Error>"
GONE = {
    "400-without-a-hash": Gone(reply(400, XML, "application/xml"), 0, False),
    "403": Gone(reply(403), 1),
    "404": Gone(reply(404, b"<!DOCTYPE html><html><title>Sign in</title></html>"), 0),
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
        return half(fields)

    uses: list[int] = []
    with odd_index(hashed, page=[page_of_links], file=[file]) as index:
        yield index


@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
@old_middle_new
def test_a_link_of_the_page_that_has_expired_is_looked_up_again(
    gone: Gone, either: Environment
) -> None:
    with signing(*gone) as index:
        run = download(either, "--index-url", index.index_url, "demo")
        assert (end_of(run) == OK) == either.armed, run.output
        assert index.asked.count("page") == 1 + either.armed


@old_middle_new
def test_a_link_with_an_empty_query_is_known_to_be_the_files(either: Environment) -> None:
    answers: list[Answer] = [reply(200, WHEEL[:-1] + b"?"), half]
    with odd_index(file=answers) as index:
        link = page(query="?").decode().partition('"')[2].partition('"')[0]
        run = download(either, index.url + link)
        assert (end_of(run) == OK) == either.armed, run.output


@old_middle_new
def test_a_link_that_stays_dead_ends_as_in_plain_pip(armed: Environment, bare: Environment) -> None:
    ends = []
    for environment in (armed, bare):
        with odd_index(file=[reply(404)]) as index:
            run = download(environment, "--index-url", index.index_url, "demo")
            assert "404" in run.output and end_of(run) != OK
            ends.append(run.output.strip().splitlines()[-1].replace(index.url, ""))
    assert ends[0] == ends[1]
