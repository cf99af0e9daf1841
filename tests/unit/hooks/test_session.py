"""How pip's own request is sent once more, and how long it is tried."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from pip_retry_patch.fetch.job import Asking
from pip_retry_patch.fetch.outcome import Outcome
from pip_retry_patch.fetch.patience import Patience
from pip_retry_patch.hooks import session as hooks
from pip_retry_patch.records import replace
from pip_retry_patch.wrapping import Calls
from tests.support.exchanges import URL, response

MOVED = "https://cdn.example/demo-1.0-py3-none-any.whl?signature=1"


class CachedAdapter(HTTPAdapter):
    """As CacheControl's."""

    cacheable_methods = ("GET",)


class PipSession(requests.Session):
    """As pip's session: a timeout, an adapter of its own for each scheme, credentials."""

    def __init__(self, retries: int = 5) -> None:
        super().__init__()
        self.timeout: Any = 15
        policy = urllib3.Retry(total=retries, status_forcelist=[500, 502, 503], backoff_factor=0.25)
        self.mount("https://", CachedAdapter(max_retries=policy))
        self.mount("http://", HTTPAdapter(max_retries=policy))
        self.mount("file://", SimpleNamespace())  # type: ignore[arg-type]
        self.auth: Any = Auth()
        self.seen: list[tuple[requests.Session, str, str, dict[str, Any]]] = []

    def request(self, method: str, url: str, **kwargs: Any) -> Any:  # type: ignore[override]
        self.seen.append((self, method, url, kwargs))
        # As requests does: the target of a redirect is asked for twice.
        moved = response(b"", status=302, url=url, location=MOVED)
        for answer in (moved, moved, response(b"x", url=MOVED)):
            self.get_redirect_target(answer)
        return answer


class Auth:
    """As pip's MultiDomainBasicAuth."""

    prompting: bool

    def __init__(self) -> None:
        self.prompting = True


class Repeated:
    """One request that was sent again: the session that sent it, and what it was given."""

    def __init__(self, asking: Asking, **kwargs: Any) -> None:
        self.original = PipSession()
        self.outcome = Outcome(URL)
        calls = Calls(self.original.request)
        hooks.repeat(calls, self.original, ("GET", URL), kwargs, asking, self.outcome)
        self.twin: Any
        ((self.twin, *self.target, self.given),) = self.original.seen
        self.headers: dict[str, str] = self.given.get("headers") or {}


AGAIN = Asking({"Range": "bytes=100-"}, past_caches=True, fresh=True)


@pytest.mark.parametrize("headers", [None, {"Accept": "text/html", "Range": "bytes=0-5"}])
def test_a_first_request_is_pips_own_to_the_letter(headers: Any) -> None:
    sent = Repeated(Asking({}), headers=headers, stream=True)
    assert sent.given == {"headers": headers, "stream": True} and sent.target == ["GET", URL]
    assert sent.twin.auth is sent.original.auth


def test_a_twin_has_the_same_pools_and_no_retries_and_does_not_prompt() -> None:
    sent = Repeated(AGAIN)
    assert type(sent.twin) is PipSession and sent.twin is not sent.original
    for prefix in ("http://", "https://"):
        ours: Any = sent.twin.adapters[prefix]
        pips: Any = sent.original.adapters[prefix]
        assert ours is not pips and ours.poolmanager is pips.poolmanager
        assert ours.max_retries.total == 0 and not ours.max_retries.status_forcelist
        assert pips.max_retries.total == 5 and pips.max_retries.status_forcelist
        assert ours.max_retries.backoff_factor == pips.max_retries.backoff_factor
    assert sent.twin.adapters["file://"] is sent.original.adapters["file://"]
    assert list(sent.twin.adapters) == list(sent.original.adapters)  # the longest prefix first
    assert sent.twin.cookies is sent.original.cookies
    assert not sent.twin.auth.prompting and sent.original.auth.prompting


@pytest.mark.parametrize("past_caches", [True, False])
def test_only_what_is_to_go_past_caches_does(past_caches: bool) -> None:
    adapters = Repeated(Asking({}, past_caches=past_caches)).twin.adapters
    assert adapters["https://"].cacheable_methods == (() if past_caches else ("GET",))
    assert CachedAdapter.cacheable_methods == ("GET",)
    assert not hasattr(adapters["http://"], "cacheable_methods")


def test_our_range_replaces_pips_own_in_any_case_and_no_condition_is_left() -> None:
    pips = {
        **{"Accept-Encoding": "identity", "range": "bytes=0-5", "IF-RANGE": '"v0"'},
        **{"If-None-Match": '"v0"', "cache-control": "max-age=0"},
    }
    before = dict(pips)
    kept = {"Accept-Encoding": "identity", "Cache-Control": "no-cache"}
    assert Repeated(AGAIN, headers=pips).headers == {**kept, "Range": "bytes=100-"}
    # A question without a range asks for all, whatever pip asked for.
    assert Repeated(replace(AGAIN, fields={}), headers=pips).headers == kept
    fields = {"Range": "bytes=9-", "If-Range": '"v1"'}
    assert Repeated(replace(AGAIN, fields=fields), headers=pips).headers == {**kept, **fields}
    # What is pip's own request, only fresh, has pip's range.
    fresh = Repeated(Asking({}, fresh=True), headers=pips).headers
    assert fresh == {**kept, "range": "bytes=0-5"} and pips == before


@pytest.mark.parametrize(
    ("timeout", "longer"),
    [(15, (15, 60)), (2.5, (2.5, 10.0)), ((3, 10), (3, 40)), ((3, None), (3, None)), (None, None)],
)
def test_a_timeout_is_longer_for_reading_only(timeout: Any, longer: Any) -> None:
    slower = replace(AGAIN, slower=4.0)
    assert Repeated(slower, timeout=timeout).given["timeout"] == longer
    assert Repeated(AGAIN, timeout=timeout).given["timeout"] == timeout


@pytest.mark.parametrize(("longest", "read"), [(90.0, 60), (20.0, 20), (4.0, 15)])
def test_a_timeout_lasts_no_longer_than_patience_nor_less_than_pips(
    longest: float, read: float
) -> None:
    asking = replace(AGAIN, slower=4.0, longest=longest)
    assert Repeated(asking, timeout=15).given["timeout"] == (15, read)


def test_a_timeout_that_pip_does_not_give_is_its_sessions() -> None:
    assert Repeated(replace(AGAIN, slower=2.0)).given["timeout"] == (15, 30)
    assert "timeout" not in Repeated(AGAIN).given


def test_the_outcome_learns_which_urls_answered() -> None:
    outcome = Repeated(AGAIN).outcome
    assert outcome.urls == [URL, MOVED] and outcome.is_answered and outcome.last_url == MOVED


@pytest.mark.parametrize(
    ("retries", "url", "attempts", "seconds"),
    [
        (0, URL, 0, 0.0),
        *((retries, URL, 8, 120.0) for retries in (1, 5, 6)),
        (9, URL, 9, 120.0),
        # What is no request to the network.
        *((5, url, None, None) for url in ("file:///demo.whl", "ftp://files.example/demo.whl")),
    ],
)
def test_retries_of_pips_are_part_of_our_patience(
    retries: int, url: str, attempts: int | None, seconds: float | None
) -> None:
    made = object.__new__(hooks.Requests)
    vars(made)["_patience"] = Patience()
    found = made.patience(PipSession(retries), url)
    assert (found and found.attempts, found and found.seconds) == (attempts, seconds)
