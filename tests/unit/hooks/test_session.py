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


class Auth:
    """As pip's MultiDomainBasicAuth."""

    def __init__(self) -> None:
        self.prompting = True


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
        answer = response(b"x", url=url)
        self.get_redirect_target(answer)
        return answer


class Repeated:
    """One request that was sent again: the session that sent it, and what it was given."""

    def __init__(self, asking: Asking, headers: Any = None, **kwargs: Any) -> None:
        self.original = PipSession()
        self.outcome = Outcome(URL)
        if headers is not None:
            kwargs["headers"] = headers
        self.kwargs = dict(kwargs)
        calls = Calls(self.original.request)
        hooks.repeat(calls, self.original, ("GET", URL), self.kwargs, asking, self.outcome)
        ((self.twin, self.method, self.url, self.given),) = self.original.seen

    @property
    def headers(self) -> dict[str, str]:
        found: dict[str, str] = self.given.get("headers") or {}
        return found


AGAIN = Asking({"Range": "bytes=100-"}, past_caches=True, fresh=True)


def test_a_first_request_is_pips_own_to_the_letter() -> None:
    for headers in (None, {"Accept": "text/html", "Cache-Control": "max-age=0"}):
        sent = Repeated(Asking({}), headers, stream=True)
        assert sent.given == sent.kwargs and (sent.method, sent.url) == ("GET", URL)


def test_a_twin_has_the_same_pools_and_no_retries() -> None:
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


@pytest.mark.parametrize("past_caches", [True, False])
def test_only_what_is_to_go_past_caches_does(past_caches: bool) -> None:
    sent = Repeated(Asking({}, past_caches=past_caches))
    adapter: Any = sent.twin.adapters["https://"]
    assert adapter.cacheable_methods == (() if past_caches else ("GET",))
    assert CachedAdapter.cacheable_methods == ("GET",)
    assert not hasattr(sent.twin.adapters["http://"], "cacheable_methods")


def test_our_range_replaces_pips_own_in_any_case_and_no_condition_is_left() -> None:
    pips = {
        **{"Accept-Encoding": "identity", "range": "bytes=0-5", "IF-RANGE": '"v0"'},
        **{"If-None-Match": '"v0"', "cache-control": "max-age=0"},
    }
    sent = Repeated(AGAIN, pips)
    assert sent.headers == {
        "Accept-Encoding": "identity",
        "Range": "bytes=100-",
        "Cache-Control": "no-cache",
    }
    assert pips["range"] == "bytes=0-5" and sent.kwargs["headers"] is pips  # is not changed
    # A question without a range asks for all, whatever pip asked for.
    assert "range" not in Repeated(replace(AGAIN, fields={}), pips).headers
    with_if_range = replace(AGAIN, fields={"Range": "bytes=9-", "If-Range": '"v1"'})
    assert Repeated(with_if_range, pips).headers["If-Range"] == '"v1"'


def test_a_range_of_pips_own_stays_in_its_own_request() -> None:
    headers = {"Range": "bytes=0-5"}
    assert Repeated(Asking({}), headers).headers == headers
    fresh = Repeated(Asking({}, fresh=True), headers).headers
    assert fresh == {"Range": "bytes=0-5", "Cache-Control": "no-cache"}


def test_only_pips_own_request_may_prompt_for_credentials() -> None:
    sent: Any = Repeated(AGAIN)
    assert not sent.twin.auth.prompting and sent.original.auth.prompting
    first: Any = Repeated(Asking({}))
    assert first.twin.auth is first.original.auth


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
    session, outcome = PipSession(), Outcome(URL)

    def request(self: Any, method: str, url: str, **_: Any) -> Any:
        # As requests does: the target of a redirect is asked for twice.
        moved = response(b"", status=302, url=URL, location=MOVED)
        for answer in (moved, moved, response(b"x", url=MOVED)):
            self.get_redirect_target(answer)
        return answer

    calls = Calls(SimpleNamespace(__func__=request))  # type: ignore[arg-type]
    hooks.repeat(calls, session, ("GET", URL), {}, Asking({}), outcome)
    assert outcome.urls == [URL, MOVED] and outcome.is_answered and outcome.last_url == MOVED


def requests_with(retries: int, person: bool = False) -> Patience | None:
    made = object.__new__(hooks.Requests)
    vars(made)["_patience"] = Patience(attempts=8, person=person)
    return made.patience(PipSession(retries), URL)


@pytest.mark.parametrize(
    ("retries", "attempts", "seconds"),
    [(0, 0, 0.0), (1, 8, 120.0), (5, 8, 120.0), (6, 8, 120.0), (9, 9, 120.0), (50, 50, 120.0)],
)
def test_retries_of_pips_are_part_of_our_patience(
    retries: int, attempts: int, seconds: float
) -> None:
    found = requests_with(retries)
    assert found is not None and (found.attempts, found.seconds) == (attempts, seconds)


def test_a_file_of_this_machine_is_no_request() -> None:
    made = object.__new__(hooks.Requests)
    vars(made)["_patience"] = Patience()
    for url in ("file:///demo.whl", "ftp://files.example/demo.whl"):
        assert made.patience(PipSession(), url) is None
